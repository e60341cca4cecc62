"""Pytrees by path: what is selected, replaced, counted and summed is what was named."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn import trees

TREE = {
    "body": {"dense_0": {"b": jnp.zeros(3), "w": jnp.ones((2, 3))}},
    "head": {"w": jnp.full((3, 1), 2.0)},
}


def test_paths_are_names_joined_by_slashes():
    assert list(trees.paths(TREE)) == ["body/dense_0/b", "body/dense_0/w", "head/w"]
    assert trees.paths(TREE)["head/w"] is TREE["head"]["w"]
    assert list(trees.paths([{"a": 1}, (2, 3)])) == ["0/a", "1/0", "1/1"]
    assert trees.paths({}) == {}


def test_map_with_path_sees_path_and_leaves():
    named = trees.map_with_path(lambda path, a, b: (path, a + b), {"x": {"y": 1}}, {"x": {"y": 2}})
    assert named == {"x": {"y": ("x/y", 3)}}


def test_select_and_mask_agree():
    assert list(trees.select(TREE, "*/w")) == ["body/dense_0/w", "head/w"]
    assert list(trees.select(TREE, "head/w")) == ["head/w"]
    masked = trees.paths(trees.mask(TREE, "body/*"))
    assert masked == {"body/dense_0/b": True, "body/dense_0/w": True, "head/w": False}


@pytest.mark.parametrize("look", [trees.select, trees.mask])
def test_a_pattern_that_matches_nothing_lists_the_paths(look):
    with pytest.raises(KeyError, match=r"no path matches 'tail/\*'; there are body/dense_0/b"):
        look(TREE, "tail/*")


def test_replace_leaves_the_rest_and_the_original():
    new = trees.replace(TREE, {"body/dense_0/b": jnp.ones(3), "head": {"v": jnp.zeros(1)}})
    assert list(trees.paths(new)) == ["body/dense_0/b", "body/dense_0/w", "head/v"]
    assert new["body"]["dense_0"]["w"] is TREE["body"]["dense_0"]["w"]
    np.testing.assert_array_equal(TREE["body"]["dense_0"]["b"], 0)
    everything = trees.paths(TREE)
    chex.assert_trees_all_equal(trees.replace(TREE, everything), TREE)


@pytest.mark.parametrize("path", ["tail", "body/dense_1/w", "head/w/more", ""])
def test_replace_refuses_paths_that_are_not_there(path):
    with pytest.raises(KeyError, match=f"no '{path}'"):
        trees.replace(TREE, {path: 0})


def test_counts_and_bytes_of_arrays_and_of_their_specs(key):
    spec = jax.eval_shape(lambda: TREE)
    assert trees.count(TREE) == trees.count(spec) == 3 + 6 + 3
    assert trees.size_bytes(TREE) == trees.size_bytes(spec) == 48
    assert trees.size_bytes(trees.cast(TREE, jnp.bfloat16)) == 24
    assert trees.count({}) == trees.size_bytes({}) == 0
    assert trees.count({"n": 3.0, "k": key}) == 2


def test_cast_changes_floats_only(key):
    tree = {"w": jnp.ones(2), "n": jnp.arange(2), "m": jnp.array(True), "key": key}
    cast = trees.cast(tree, jnp.bfloat16)
    dtypes = {name: a.dtype for name, a in cast.items()}
    assert dtypes == {"w": jnp.bfloat16, "n": jnp.int32, "m": jnp.bool, "key": key.dtype}


def test_norm_is_that_of_all_numbers_in_one_vector(variant, key):
    tree = {"a": jax.random.normal(key, (3, 4)), "b": {"c": jnp.arange(5.0)}}
    flat = jnp.concatenate([a.ravel() for a in jax.tree.leaves(tree)])
    np.testing.assert_allclose(variant(trees.norm)(tree), jnp.linalg.norm(flat), rtol=1e-6)


def test_norm_sums_narrow_floats_in_float32():
    many = {"a": jnp.full(40_000, 0.01, jnp.bfloat16), "b": jnp.full(10, 300.0, jnp.float16)}
    exact = np.sqrt(sum((np.asarray(a, np.float64) ** 2).sum() for a in many.values()))
    with jax.numpy_dtype_promotion("strict"):
        value = trees.norm(many)
    assert value.dtype == jnp.float32
    np.testing.assert_allclose(value, exact, rtol=1e-5)


def test_norm_keeps_the_widest_dtype_and_takes_all_kinds_of_numbers(x64):
    with jax.numpy_dtype_promotion("strict"):
        assert trees.norm({"a": jnp.ones(2, jnp.float32)}).dtype == jnp.float32
        mixed = trees.norm({"a": jnp.ones(2, jnp.float32), "b": jnp.ones(2, jnp.float64)})
    assert mixed.dtype == jnp.float64
    assert mixed == 2
    assert trees.norm({"z": jnp.array([3.0 + 4.0j])}) == 5
    assert trees.norm({"n": jnp.array([300, 400], jnp.int16)}) == 500
    assert trees.norm({}) == 0


def test_stack_and_unstack_undo_each_other():
    many = [jax.tree.map(lambda a, i=i: a + i, TREE) for i in range(3)]
    stacked = trees.stack(many)
    assert stacked["head"]["w"].shape == (3, 3, 1)
    chex.assert_trees_all_equal(trees.unstack(stacked), many)
    assert trees.unstack({}) == []


def test_stack_and_unstack_refuse_what_does_not_fit():
    with pytest.raises(ValueError, match="stack: no trees given"):
        trees.stack([])
    for tree in ({"a": jnp.ones((2, 3)), "b": jnp.ones(3)}, {"a": jnp.ones(())}):
        with pytest.raises(ValueError, match="unstack: every leaf needs a first axis of one size"):
            trees.unstack(tree)


@pytest.mark.parametrize(("bad", "fine"), [(np.nan, False), (np.inf, False), (1.0, True)])
def test_all_finite(variant, key, bad, fine):
    tree = {"w": jnp.array([1.0, bad]), "n": jnp.array(3), "key": key}
    assert bool(variant(trees.all_finite)(tree)) is fine
    assert trees.all_finite({})


def test_wide():
    assert trees.wide(jnp.bfloat16) == trees.wide(jnp.float16) == trees.wide(jnp.float32)
    assert trees.wide(jnp.float64) == jnp.dtype("float64")
    assert trees.wide(jnp.int32) == jnp.dtype("int32")


def test_merge_takes_what_fits_and_differences_say_what_does_not():
    fresh = {
        "body": {"dense_0": {"b": jnp.zeros(3, jnp.bfloat16), "w": jnp.zeros((2, 3))}},
        "head": {"w": jnp.zeros((3, 4)), "b": jnp.zeros(4)},
    }
    merged = trees.merge(fresh, TREE)
    chex.assert_trees_all_equal(merged["body"]["dense_0"]["w"], TREE["body"]["dense_0"]["w"])
    assert merged["body"]["dense_0"]["b"].dtype == jnp.bfloat16
    chex.assert_trees_all_equal(merged["head"], fresh["head"])
    assert set(trees.differences(fresh, TREE)) == {"head/w", "head/b"}
    assert trees.differences(TREE, TREE) == {}


def test_merge_keeps_to_its_pattern_and_refuses_to_do_nothing():
    fresh = jax.tree.map(jnp.zeros_like, TREE)
    merged = trees.merge(fresh, TREE, "head/*")
    chex.assert_trees_all_equal(merged, {"body": fresh["body"], "head": TREE["head"]})
    with pytest.raises(KeyError, match=r"no leaf that matches 'tail/\*'"):
        trees.merge(fresh, TREE, "tail/*")
