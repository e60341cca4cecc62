"""Mixed precision: what is cast at the border of a policy, and what is left alone."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn import Policy, repeat, residual, serial, trees, with_policy
from fnn.core import Layer, Variables
from fnn.layers import attention, batch_norm, dense, dropout, embed, layer_norm

X = jnp.linspace(-1.0, 1.0, 8).reshape(2, 4)
BFLOAT16 = Policy(param=jnp.float32, compute=jnp.bfloat16, output=jnp.float32)


def spy(seen):
    """Notes the dtypes that reach it."""

    def init(key, x, /):
        return Variables({"w": jnp.ones(x.shape[-1])}, {"n": jnp.zeros(())})

    def apply(params, state, x, /, *, key=None, train=False):
        seen.append((params["w"].dtype, state["n"].dtype, x.dtype))
        return x * params["w"], state

    return Layer(init, apply, name="spy")


def dtypes(tree):
    return {a.dtype.name for a in jax.tree.leaves(tree)}


def test_parameters_and_inputs_are_computed_with_in_compute_and_state_is_left_alone(key):
    seen = []
    net = with_policy(spy(seen), Policy(compute=jnp.float16, output=jnp.bfloat16))
    params, state = net.init(key, X)
    seen.clear()
    y, after = net.apply(params, state, X)
    assert seen == [(jnp.float16, jnp.float32, jnp.float16)]
    assert y.dtype == jnp.bfloat16
    assert dtypes(params) == dtypes(after) == {"float32"}


def test_the_product_is_rounded_to_bfloat16_and_the_parameters_are_not(key):
    net = with_policy(dense(3), BFLOAT16)
    params, state = net.init(key, X)
    own = params["body"]
    y, _ = net.apply(params, state, X)
    half = X.astype(jnp.bfloat16) @ own["w"].astype(jnp.bfloat16) + own["b"].astype(jnp.bfloat16)
    np.testing.assert_array_equal(y, half.astype(jnp.float32))
    assert np.abs(y - (X @ own["w"] + own["b"])).max() > 1e-5, "this test must see the rounding"


def test_a_policy_of_one_dtype_changes_nothing(key):
    body = serial(dense(3), batch_norm(), dropout(0.5))
    net = with_policy(body, Policy(compute="float32"))
    params, state = net.init(key, X)
    wanted = body.apply(params["body"], state["body"], X, key=None)[0]
    np.testing.assert_array_equal(net.apply(params, state, X)[0], wanted)


def test_gradients_arrive_in_the_dtype_of_the_parameters(key):
    net = with_policy(serial(dense(8), jnp.tanh, layer_norm(), dense(1)), BFLOAT16)
    params, _ = net.init(key, X)

    def slope(net):
        return jax.jit(jax.grad(lambda params: net.apply(params, {}, X)[0].sum()))

    slopes, exact = slope(net)(params), slope(net.children["body"])(params["body"])
    assert dtypes(slopes) == {"float32"}
    for ours, theirs in zip(jax.tree.leaves(slopes), jax.tree.leaves(exact), strict=True):
        assert jnp.linalg.norm(ours - theirs) <= 0.03 * jnp.linalg.norm(theirs) + 1e-6


def test_statistics_are_gathered_in_float32(key):
    net = with_policy(batch_norm(decay=0.0), BFLOAT16)
    x = 1.0 + jax.random.normal(key, (4096, 1)) / 64  # bfloat16 sums would stop at 256
    params, state = net.init(key, x)
    _, after = net.apply(params, state, x, train=True)
    assert dtypes(after) == {"float32"}
    rounded = np.asarray(x.astype(jnp.bfloat16), np.float64)
    np.testing.assert_allclose(after["body"]["mean"][0], rounded.mean(), rtol=1e-6)


def test_params_are_kept_in_the_dtype_asked_for(key):
    net = with_policy(dense(3), Policy(param=jnp.bfloat16))
    assert dtypes(net.init(key, X).params) == {"bfloat16"}
    same = trees.cast(with_policy(dense(3), BFLOAT16).init(key, X).params, jnp.bfloat16)
    chex.assert_trees_all_equal(net.init(key, X).params, same)


def test_integers_masks_and_nothing_pass_uncast(key):
    ids = with_policy(embed(5, 2), BFLOAT16)
    params, state = ids.init(key, jnp.zeros((2, 3), jnp.int32))
    assert ids.apply(params, state, jnp.ones((2, 3), jnp.int32))[0].dtype == jnp.float32
    seen = {}

    def look(x):
        seen.update(x)
        return x

    x = {"x": X, "mask": jnp.ones(2, bool), "ids": jnp.arange(2), "none": None}
    y, _ = with_policy(look, BFLOAT16).apply({}, {}, x)
    got = {name: a.dtype for name, a in seen.items() if a is not None}
    assert got == {"x": jnp.bfloat16, "mask": jnp.bool_, "ids": jnp.int32}
    assert y["x"].dtype == jnp.float32


def test_a_cache_is_kept_in_the_dtype_of_computing(key):
    net = with_policy(attention(2, causal=True, cache=4), BFLOAT16)
    x = jax.random.normal(key, (1, 2, 4))
    params, state = net.init(key, x)
    assert state["body"]["k"].dtype == jnp.bfloat16
    with jax.numpy_dtype_promotion("strict"):
        y, _ = net.apply(params, state, x)
    assert y.dtype == jnp.float32


def test_float64_outside_or_inside(key, x64):
    x = jnp.linspace(-1, 1, 8).reshape(2, 4)
    inside = with_policy(dense(3), Policy(compute="float64"))
    params, state = inside.init(key, x)
    assert dtypes(params) == {"float32"}
    wanted = dense(3).apply(trees.cast(params["body"], jnp.float64), {}, x)[0]
    np.testing.assert_array_equal(
        inside.apply(params, state, x)[0], np.asarray(wanted).astype(np.float32)
    )
    outside = with_policy(dense(3), Policy("float64", "float32", "float64"))
    params, state = outside.init(key, x)
    assert dtypes(params) == dtypes(outside.apply(params, state, x)[0]) == {"float64"}


def test_float64_is_refused_where_jax_has_it_switched_off(key):
    net = with_policy(dense(3), Policy(param="float64"))
    with pytest.raises(ValueError, match=r"param is float64, .*jax_enable_x64"):
        net.init(key, X)


def test_a_policy_around_blocks_of_a_repeat_keeps_the_stream_in_float32(key):
    net = repeat(residual(with_policy(serial(layer_norm(), dense(4)), BFLOAT16)), 3)
    params, state = net.init(key, X)
    y, _ = net.apply(params, state, X)
    assert dtypes((params, y)) == {"float32"}
    with pytest.raises(ValueError, match=r"repeat: body must give what it takes, .* bfloat16"):
        repeat(with_policy(dense(4), BFLOAT16), 2).init(key, X.astype(jnp.bfloat16))


@pytest.mark.parametrize("given", [jnp.int32, "int8", bool, complex, None, "half-ish", 16])
def test_a_policy_names_floating_dtypes(given):
    with pytest.raises(TypeError, match="Policy: compute must be a floating dtype, got"):
        Policy(compute=given)


def test_with_policy_needs_a_policy():
    with pytest.raises(TypeError, match=r"policy must be a Policy, got .*bfloat16.*; write"):
        with_policy(dense(3), jnp.bfloat16)


def test_policies_are_compared_by_their_dtypes_and_read_like_code():
    assert Policy() == BFLOAT16 == Policy("float32", "bfloat16", "float32")
    assert Policy() != Policy(compute="float16")
    assert eval(repr(Policy(compute="float16"))) == Policy(compute=jnp.float16)
    text = repr(with_policy(dense(3), BFLOAT16))
    assert "with_policy(" in text
    assert "Policy(param='float32', compute='bfloat16', output='float32')" in text
