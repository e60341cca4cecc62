"""fnn.data: what goes in comes out as arrays or is refused with a cure; parts make up the whole."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fnn import data, random

KEY = jax.random.key(0)
ROWS = np.arange(12.0).reshape(6, 2)


def raises(error, message, function, *arguments, **options):
    with pytest.raises(error) as caught:
        function(*arguments, **options)
    assert message in str(caught.value), str(caught.value)


# --- arrays -----------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [np.asarray, jnp.asarray, np.ndarray.tolist, np.asfortranarray])
def test_arrays_and_lists_hold_their_numbers(make):
    x, y = data.as_arrays(make(ROWS), make(np.arange(6)))
    np.testing.assert_array_equal(x, ROWS)
    assert (x.dtype, y.dtype) == (jnp.float32, jnp.int32)
    assert isinstance(x, jax.Array)


def test_dtypes_that_mean_something_are_kept():
    for dtype in (np.uint8, np.int16, bool, np.float16, jnp.bfloat16):
        assert data.as_arrays(np.ones((3, 1), dtype), np.zeros(3))[0].dtype == dtype
    with jax.enable_x64(True):
        assert data.as_arrays(ROWS, np.zeros(6))[0].dtype == jnp.float64


def test_dicts_and_tuples_of_arrays_are_pytrees_of_arrays():
    x, _ = data.as_arrays({"a": ROWS, "b": ([1, 2, 3, 4, 5, 6], ROWS)}, ROWS)
    assert jax.tree.map(jnp.shape, x) == {"a": (6, 2), "b": ((6,), (6, 2))}


def test_frames_and_series_become_arrays_of_their_columns():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"age": [1, 2], "sex": [True, False], "height": [1.5, 1.75]})
    x, y = data.as_arrays(frame, pd.Series([0, 1], name="label"))
    np.testing.assert_array_equal(x, [[1, 1, 1.5], [2, 0, 1.75]])
    assert (x.dtype, y.dtype) == (jnp.float32, jnp.int32)
    nullable = pd.DataFrame({"a": pd.array([1, 2], dtype="Int64")})
    np.testing.assert_array_equal(data.as_arrays(nullable, [0, 1])[0], [[1], [2]])


def test_frames_of_text_categories_dates_or_gaps_are_refused_by_column():
    pd = pytest.importorskip("pandas")
    good = [0, 1]
    for column in (
        ["a", "b"],
        pd.Categorical(["a", "b"]),
        pd.to_datetime(["2020-01-01", "2020-01-02"]),
        pd.Series([1, "b"], dtype=object),
    ):
        frame = pd.DataFrame({"n": [1.0, 2.0], "who": column})
        says = "column 'who' of x holds"
        raises(TypeError, says, data.as_arrays, frame, good)
        raises(TypeError, "pandas.get_dummies(frame)", data.as_arrays, frame, good)
        raises(TypeError, "y holds", data.as_arrays, ROWS[:2], frame["who"])
    for gap in ([1.0, None], pd.array([1, None], dtype="Int64")):
        frame = pd.DataFrame({"n": [1, 2], "age": gap})
        says = "x has 1 value that is NaN or infinite, the first in row 1, column 'age'"
        raises(ValueError, says, data.as_arrays, frame, good)


def test_nan_is_refused_with_its_place_and_number():
    bad = ROWS.copy()
    bad[4, 1] = bad[5, 0] = np.nan
    says = "x has 2 values that are NaN or infinite, the first in row 4, column 1; leave out the 2"
    raises(ValueError, says, data.as_arrays, bad, np.zeros(6))
    says = "x['left'] has 2 values"
    raises(ValueError, says, data.as_arrays, {"left": jnp.asarray(bad)}, np.zeros(6))
    says = "y has 1 value that is NaN or infinite, the first in row 2; leave out"
    raises(ValueError, says, data.as_arrays, ROWS, [0, 0, np.inf, 0, 0, 0])


def test_numbers_that_do_not_fit_the_dtype_are_refused_not_wrapped():
    raises(ValueError, "too large for float32", data.as_arrays, [1e300, 1.0], [0, 1])
    raises(ValueError, "int64 numbers beyond int32", data.as_arrays, [2**40, 1], [0, 1])
    with jax.enable_x64(True):
        assert int(data.as_arrays([2**40, 1], [0, 1])[0][0]) == 2**40


def test_what_is_no_set_of_examples_is_refused():
    says = "the numbers of examples differ: x has 6, y has 5"
    raises(ValueError, says, data.as_arrays, ROWS, np.zeros(5))
    raises(ValueError, "there are no examples", data.as_arrays, ROWS[:0], np.zeros(0))
    raises(ValueError, "there are no examples, got no arrays", data.as_arrays, {}, {})
    raises(ValueError, "y is one number", data.as_arrays, ROWS, 1.0)
    raises(ValueError, "its rows differ in length", data.as_arrays, [[1, 2], [3]], [0, 1])
    raises(TypeError, "x is None", data.as_arrays, None, [0, 1])
    raises(TypeError, "no numbers; use a.astype(float)", data.as_arrays, ["1", "2"], [0, 1])
    raises(TypeError, "y holds object", data.as_arrays, [0, 1], np.array([0, None]))


def test_traced_arrays_pass_unseen():
    total = jax.jit(lambda x, y: data.as_arrays(x, y)[0].sum())(ROWS, np.zeros(6))
    assert total == ROWS.sum()


# --- batches ----------------------------------------------------------------------------------


def test_take_gathers_from_every_leaf():
    tree = {"a": jnp.arange(6), "b": (jnp.asarray(ROWS),)}
    taken = data.take(tree, jnp.array([5, 0]))
    np.testing.assert_array_equal(taken["a"], [5, 0])
    np.testing.assert_array_equal(taken["b"][0], ROWS[[5, 0]])


@pytest.mark.parametrize(("n", "size", "epochs"), [(10, 3, 2), (10, 10, 1), (7, 2, 0.5), (5, 1, 3)])
def test_batches_follow_the_compiled_order(n, size, epochs):
    x = np.arange(n)
    got = list(data.batches(KEY, x, x, batch_size=size, epochs=epochs))
    assert len(got) == -(-epochs * n // size)
    for step, (bx, by) in enumerate(got):
        np.testing.assert_array_equal(bx, random.batch_order(KEY, step, n=n, batch_size=size))
        np.testing.assert_array_equal(bx, by)


def test_endless_batches_can_be_cut():
    endless = data.batches(KEY, ROWS, {"a": ROWS}, batch_size=4, epochs=float("inf"))
    for x, y in itertools.islice(endless, 20):
        np.testing.assert_array_equal(x, y["a"])


def test_wrong_batches_are_refused_at_the_call_not_at_the_first_batch():
    says = "batches: batch_size=7 does not fit the 6 examples; take 1 to 6"
    raises(ValueError, says, data.batches, KEY, ROWS, ROWS, batch_size=7)
    raises(ValueError, "epochs must be > 0", data.batches, KEY, ROWS, ROWS, batch_size=2, epochs=0)


# --- parts ------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=30)
@given(st.sampled_from([5, 13, 40]), st.floats(0.25, 0.75), st.booleans(), st.integers(0, 99))
def test_parts_are_disjoint_whole_and_proportionate(n, share, stratify, seed):
    y = np.arange(n) % 2
    parts = data.split(jax.random.key(seed), np.arange(n), y, test=share, stratify=stratify)
    together = np.concatenate([x for x, _ in parts])
    np.testing.assert_array_equal(np.sort(together), np.arange(n))
    assert len(parts.test[0]) == round(share * n)
    for x, labels in parts:
        np.testing.assert_array_equal(labels, y[np.asarray(x)])
    if stratify:
        for c in (0, 1):
            assert abs(int((parts.test[1] == c).sum()) - share * (y == c).sum()) <= 1.5


def test_three_parts_keep_the_test_part_of_two_and_the_shares_of_classes():
    y = np.repeat([0, 1, 2], [60, 30, 10])
    x = np.arange(100)
    three = data.split_three(KEY, x, y, validation=0.3, test=0.2, stratify=True)
    assert [len(part[0]) for part in three] == [50, 30, 20]
    assert [np.bincount(part[1]).tolist() for part in three] == [
        [30, 15, 5],
        [18, 9, 3],
        [12, 6, 2],
    ]
    np.testing.assert_array_equal(np.sort(np.concatenate([p[0] for p in three])), x)
    two = data.split(KEY, x, y, test=20, stratify=True)
    np.testing.assert_array_equal(two.test[0], three.test[0])


def test_each_example_is_equally_likely_to_be_tested():
    held = [data.split(jax.random.key(s), np.arange(6), np.arange(6), test=2).test[0]
            for s in range(150)]  # fmt: skip
    counts = np.bincount(np.concatenate(held), minlength=6)
    assert np.abs(counts - 50).max() < 5 * np.sqrt(150 * 2 / 9)


def test_splits_that_cannot_be_are_refused():
    y = np.array([0, 0, 0, 1, 1, 2])
    raises(ValueError, "test=6 of 6 examples leaves a part empty", data.split, KEY, ROWS, y, test=6)
    raises(ValueError, "leaves a part empty", data.split, KEY, ROWS, y, test=0.01)
    raises(
        ValueError,
        "leave none of the 6 examples",
        data.split_three,
        KEY,
        ROWS,
        y,
        validation=3,
        test=3,
    )
    says = "class 2 has one example only and cannot be in both parts"
    raises(ValueError, says, data.split, KEY, ROWS, y, stratify=True)
    says = "labels must be (6,) integers, got float32 of shape (6, 2)"
    raises(ValueError, says, data.split, KEY, ROWS, ROWS, stratify=True)


@pytest.mark.parametrize(("n", "k"), [(10, 5), (11, 3), (4, 4)])
@pytest.mark.parametrize("stratified", [False, True])
def test_each_example_is_tested_in_one_fold(n, k, stratified):
    labels = np.arange(n) // 3 if stratified else None
    parts = data.folds(KEY, n, k, labels)
    np.testing.assert_array_equal(np.sort(np.concatenate([f.test for f in parts])), np.arange(n))
    for fold in parts:
        np.testing.assert_array_equal(np.sort(np.concatenate(fold)), np.arange(n))
    sizes = [len(f.test) for f in parts]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] - sizes[-1] == (n % k > 0)
    if stratified:
        per_fold = np.stack([np.bincount(labels[f.test], minlength=9) for f in parts])
        assert (np.ptp(per_fold, axis=0) <= 1).all()


def test_folds_that_cannot_be_are_refused():
    raises(ValueError, "k must be from 2 to n=5", data.folds, KEY, 5, 6)
    raises(ValueError, "labels must be (5,) integers", data.folds, KEY, 5, 2, np.zeros(4, int))


# --- scale ------------------------------------------------------------------------------------


def test_scaled_training_data_have_mean_0_and_deviation_1_and_come_back():
    x = np.random.default_rng(0).normal(100, [1, 30], (200, 2))
    scaler = data.standardizer(x)
    z = scaler(x)
    np.testing.assert_allclose(z.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(z.std(0), 1, rtol=1e-4)
    np.testing.assert_allclose(scaler.inverse(z), x, rtol=1e-5)
    np.testing.assert_allclose(jax.jit(lambda s, x: s(x))(scaler, x), z, atol=1e-5)


def test_test_data_change_no_statistics():
    train, test = ROWS[:4], ROWS[4:]
    one = data.standardize(train, test)
    other = data.standardize(train, test * 100)
    np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_allclose(one[1], (test - train.mean(0)) / train.std(0), rtol=1e-5)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6 + 0.3, -3e-30])
def test_constant_features_are_centred_and_not_divided_by_dust(value):
    x = np.full((77, 1), value, np.float32)
    scaler = data.standardizer(x)
    assert scaler.scale == 1
    np.testing.assert_array_equal(scaler(x), 0)


def test_images_are_scaled_by_pixel_or_by_channel():
    x = np.random.default_rng(0).integers(0, 256, (9, 4, 4, 3)).astype(np.uint8)
    assert data.standardizer(x).mean.shape == (4, 4, 3)
    scaler = data.standardizer(x, axis=(0, 1, 2))
    assert scaler.mean.shape == (1, 1, 3)
    np.testing.assert_allclose(scaler(x).std((0, 1, 2)), 1, rtol=1e-4)
    raises(ValueError, "axis must include 0", data.standardizer, x, axis=1)


def test_a_pytree_is_scaled_leaf_by_leaf_and_the_scaler_is_one_too():
    x = {"a": ROWS, "b": [1, 2, 3, 4, 5, 6]}
    scaler = data.standardizer(x)
    assert jax.tree.map(jnp.shape, tuple(scaler)) == ({"a": (2,), "b": ()}, {"a": (2,), "b": ()})
    back = scaler.inverse(scaler(x))
    np.testing.assert_allclose(back["b"], x["b"], rtol=1e-6)
