"""fnn.random: unbiased, uncorrelated, reproducible; every pass a permutation, every step resumable.

The chances of a false alarm are small and the keys are fixed: bounds are 5 standard deviations, or
p > 1e-4, of statistics whose law is known.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

import fnn.random as frandom

SIZE = 1 << 18


def correlation(a, b):
    return np.corrcoef(np.asarray(a, np.float64).ravel(), np.asarray(b, np.float64).ravel())[0, 1]


def uniform_p(counts):
    return scipy.stats.chisquare(counts).pvalue


# --- the numbers themselves -------------------------------------------------------------------


def mix(h):
    """lowbias32 in Python's unbounded integers."""
    h = (h ^ (h >> 16)) * 0x21F0AAAD % 2**32
    h = (h ^ (h >> 15)) * 0x735A2D97 % 2**32
    return h ^ (h >> 15)


def words(data):
    a, b = 0x243F6A88, 0x85A308D3
    for w in data:
        a = mix(a ^ w)
        b = mix((b + a) % 2**32)
    return a, b


def test_bits_equal_the_definition_in_unbounded_integers():
    key = jax.random.key(2**31 + 5)
    a, b = words(jax.random.key_data(key).tolist())

    def element(i):
        h = (i + a) % 2**32
        h = ((h ^ (h >> 16)) * 0x21F0AAAD % 2**32) ^ b
        h = (h ^ (h >> 15)) * 0x735A2D97 % 2**32
        return h ^ (h >> 15)

    assert frandom.bits(key, (50,)).tolist() == [element(i) for i in range(50)]


def test_numbers_never_change_between_versions():
    key = jax.random.key(7)
    assert frandom.bits(key, (2, 2)).tolist() == [[1934301808, 470196096], [2020039790, 1181541540]]
    assert frandom.permutation(key, 7).tolist() == [6, 5, 0, 3, 4, 2, 1]
    assert jax.random.key_data(frandom.fold_in(key, 3)).tolist() == [1231736451, 797749853]


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg", "unsafe_rbg"])
def test_raw_keys_and_typed_keys_of_every_kind_give_the_same_numbers(impl):
    typed = jax.random.key(3, impl=impl)
    raw = jax.random.key_data(typed)
    np.testing.assert_array_equal(frandom.bits(typed, (9,)), frandom.bits(raw, (9,)))
    folded = frandom.fold_in(typed, 1)
    assert folded.dtype == typed.dtype
    np.testing.assert_array_equal(jax.random.key_data(folded), frandom.fold_in(raw, 1))
    np.testing.assert_array_equal(frandom.bits(raw, (9,)), frandom.bits(np.asarray(raw), (9,)))


def test_jit_vmap_scan_and_float64_mode_change_no_bit():
    keys = jax.random.split(jax.random.key(0), 3)
    eager = np.stack([frandom.bits(k, (4, 5)) for k in keys])
    np.testing.assert_array_equal(jax.vmap(lambda k: frandom.bits(k, (4, 5)))(keys), eager)
    np.testing.assert_array_equal(jax.jit(lambda k: frandom.bits(k, (4, 5)))(keys[1]), eager[1])
    scanned = jax.lax.scan(lambda c, k: (c, frandom.bits(k, (4, 5))), 0, keys)[1]
    np.testing.assert_array_equal(scanned, eager)
    with jax.enable_x64(True):
        wide = frandom.bits(keys[0], (4, 5))
        assert wide.dtype == jnp.uint32
        np.testing.assert_array_equal(wide, eager[0])
        order = frandom.batch_order(keys[0], 2**31 - 1, n=10, batch_size=3)
    assert order.dtype == jnp.int32
    again = frandom.batch_order(keys[0], 2**31 - 1, n=10, batch_size=3)
    np.testing.assert_array_equal(order, again)


def test_strict_promotion_finds_no_hidden_cast():
    with jax.numpy_dtype_promotion("strict"):
        key = jax.random.key(0)
        frandom.uniform(key, (2,))
        frandom.bernoulli(key, jnp.float32(0.2), (2,))
        frandom.batch_order(key, jnp.int32(3), n=7, batch_size=4)


def test_every_bit_is_as_often_one_as_zero():
    w = np.asarray(frandom.bits(jax.random.key(1), (SIZE,)))
    ones = ((w[:, None] >> np.arange(32, dtype=np.uint32)) & 1).sum(0)
    assert np.abs(ones - SIZE / 2).max() < 5 * math.sqrt(SIZE) / 2


@pytest.mark.parametrize("shift", [0, 8, 16, 24])
def test_every_byte_is_uniform_and_so_are_pairs_of_half_bytes(shift):
    w = np.asarray(frandom.bits(jax.random.key(2), (SIZE,)))
    byte = (w >> np.uint32(shift)) & 255
    assert uniform_p(np.bincount(byte, minlength=256)) > 1e-4
    pair = (byte[:-1:2] & 15) * 16 + (byte[1::2] & 15)
    assert uniform_p(np.bincount(pair, minlength=256)) > 1e-4


def test_a_changed_bit_of_the_key_or_the_index_changes_half_of_the_bits():
    flips = []
    for bit in range(32):
        for word in range(2):
            raw = np.array([123, 456], np.uint32)
            other = raw.copy()
            other[word] ^= np.uint32(1 << bit)
            changed = np.asarray(frandom.bits(raw, (512,)) ^ frandom.bits(other, (512,)))
            flips.append(np.bitwise_count(changed).mean())
    assert np.abs(np.array(flips) - 16).max() < 5 * math.sqrt(8 / 512)


@pytest.mark.parametrize("distance", [1, 2, 32, 128, 4096])
def test_neighbours_in_a_mask_are_uncorrelated(distance):
    u = np.asarray(frandom.uniform(jax.random.key(3), (SIZE,)))
    assert abs(correlation(u[:-distance], u[distance:])) < 5 / math.sqrt(SIZE)


@pytest.mark.parametrize("fold", [jax.random.fold_in, frandom.fold_in])
def test_masks_of_neighbouring_layers_steps_and_seeds_are_uncorrelated(fold):
    key = jax.random.key(4)
    draw = jax.jit(jax.vmap(lambda k: frandom.uniform(k, (4096,))))
    for keys in (
        jax.vmap(lambda i: fold(key, i))(jnp.arange(32)),
        jax.vmap(lambda i: fold(fold(key, 5), i))(jnp.arange(32)),
        jax.vmap(jax.random.key)(jnp.arange(32)),  # raw seeds 0, 1, 2 ... with no threefry at all
        jax.random.split(key, 32),
    ):
        c = np.corrcoef(np.asarray(draw(keys), np.float64))
        off = c[~np.eye(32, dtype=bool)]
        assert np.abs(off).max() < 5.5 / math.sqrt(4096)
        assert abs(off.std() * math.sqrt(4096) - 1) < 0.15


def test_the_same_element_over_many_steps_is_uniform():
    keys = jax.vmap(lambda i: frandom.fold_in(jax.random.key(0), i))(jnp.arange(1 << 14))
    first = np.asarray(jax.vmap(lambda k: frandom.bits(k, ()))(keys))
    assert uniform_p(np.bincount(first >> 24, minlength=256)) > 1e-4
    assert uniform_p(np.bincount(first & 255, minlength=256)) > 1e-4


def test_folded_keys_are_all_different():
    keys = jax.vmap(lambda i: frandom.fold_in(jax.random.key(0), i))(jnp.arange(1 << 14))
    data = np.asarray(jax.random.key_data(keys))
    assert len(np.unique(data[:, 0])) == len(np.unique(data[:, 1])) == 1 << 14


# --- uniform and bernoulli --------------------------------------------------------------------


def test_uniform_lies_in_the_half_open_interval_and_has_its_moments():
    u = np.asarray(frandom.uniform(jax.random.key(5), (SIZE,)), np.float64)
    assert u.min() >= 0
    assert u.max() < 1
    assert abs(u.mean() - 0.5) < 5 * math.sqrt(1 / 12 / SIZE)
    assert scipy.stats.kstest(u, "uniform").pvalue > 1e-4


@pytest.mark.parametrize("p", [0.001, 0.1, 0.25, 0.5, 0.9, 0.999])
def test_the_mean_of_bernoulli_is_p(p):
    hits = int(frandom.bernoulli(jax.random.key(6), p, (SIZE,)).sum())
    assert abs(hits - SIZE * p) < 5 * math.sqrt(SIZE * p * (1 - p))


def test_probability_zero_and_one_are_certain_traced_or_not():
    draw = jax.jit(lambda p: frandom.bernoulli(jax.random.key(0), p, (SIZE,)))
    for p, hits in ((0.0, 0), (1.0, SIZE)):
        assert int(draw(p).sum()) == hits
        assert int(frandom.bernoulli(jax.random.key(0), p, (SIZE,)).sum()) == hits
    np.testing.assert_array_equal(draw(0.3), frandom.bernoulli(jax.random.key(0), 0.3, (SIZE,)))


def test_bernoulli_takes_a_probability_per_element():
    p = jnp.array([0.0, 1.0, 0.0, 1.0])
    assert frandom.bernoulli(jax.random.key(0), p).tolist() == [False, True, False, True]
    with pytest.raises(ValueError, match=r"p must be in \[0, 1\], got 1.5"):
        frandom.bernoulli(jax.random.key(0), 1.5, (2,))


@pytest.mark.parametrize("key", [0, None, np.zeros(2), jnp.zeros((3, 2), jnp.uint32)])
def test_what_is_no_single_key_is_refused(key):
    with pytest.raises(TypeError, match=r"random.bits: key must be one key .* got .*jax.vmap"):
        frandom.bits(key, (2,))


# --- permutations -----------------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**31 - 1), st.sampled_from([1, 2, 3, 5, 64, 100, 1023, 65537]))
def test_every_key_gives_a_bijection(seed, n):
    image = np.asarray(frandom.permutation(jax.random.key(seed), n))
    np.testing.assert_array_equal(np.sort(image), np.arange(n))


def test_shuffled_equals_swap_or_not_in_unbounded_integers():
    key, n = jax.random.key(11), 2**31 - 1
    a, b = words(jax.random.key_data(key).tolist())

    def element(x):
        for r in range(24):
            u = mix(mix((a + r * 0x9E3779B9) % 2**32) ^ b)
            partner = ((u * n >> 32) - x) % n
            if mix(max(x, partner) ^ u) >> 31:
                x = partner
        return x

    places = [0, 1, 12345, 2**30, n - 1]
    got = frandom.shuffled(key, jnp.array(places), n)
    assert got.tolist() == [element(x) for x in places]


@pytest.mark.parametrize("n", [2, 3, 4])
def test_small_permutations_are_all_equally_likely(n):
    keys = jax.random.split(jax.random.key(n), 500 * math.factorial(n))
    images = np.asarray(jax.jit(jax.vmap(lambda k: frandom.permutation(k, n)))(keys))
    codes = np.unique(images @ n ** np.arange(n), return_counts=True)[1]
    assert len(codes) == math.factorial(n)
    assert uniform_p(codes) > 1e-4


def test_places_and_pairs_of_a_long_permutation_are_uniform():
    n, many = 1000, 2000
    keys = jax.random.split(jax.random.key(0), many)
    p = np.asarray(jax.jit(jax.vmap(lambda k: frandom.permutation(k, n)))(keys))
    cells = np.zeros((25, 25))
    for i in range(25):  # where 40 neighbouring places go
        cells[i] = np.bincount(p[:, 40 * i : 40 * i + 40].ravel() // 40, minlength=25)
    assert scipy.stats.chisquare(cells.ravel(), ddof=48).pvalue > 1e-4
    for lag in (1, 7, 500):  # the difference of two images takes each of n - 1 values
        difference = (p[:, lag:] - p[:, :-lag]) % n
        assert uniform_p(np.bincount(difference.ravel(), minlength=n)[1:]) > 1e-4
    fixed = (p == np.arange(n)).sum(1)  # Poisson(1), nearly
    assert abs(fixed.mean() - 1) < 5 / math.sqrt(many)
    low = (p[:, : n // 2] < n // 2).sum(1)  # hypergeometric
    variance = n / 16 * n / (n - 1)
    assert abs(low.var() / variance - 1) < 5 * math.sqrt(2 / many)


def test_one_pass_says_nothing_of_the_next():
    n = 2000
    a = frandom.permutation(frandom.fold_in(jax.random.key(0), 0), n)
    b = frandom.permutation(frandom.fold_in(jax.random.key(0), 1), n)
    assert abs(correlation(a, b)) < 5 / math.sqrt(n)
    assert int((a == b).sum()) < 10


# --- the order of training --------------------------------------------------------------------


def stream(key, n, batch_size, steps):
    order = jax.vmap(lambda s: frandom.batch_order(key, s, n=n, batch_size=batch_size))
    return np.asarray(jax.jit(order)(jnp.arange(steps)))


@pytest.mark.parametrize(("n", "batch_size"), [(1, 1), (2, 2), (10, 3), (50, 32), (7, 7), (64, 1)])
def test_each_pass_holds_every_example_once_though_batches_straddle(n, batch_size):
    passes = 2 * batch_size + 1
    flat = stream(jax.random.key(1), n, batch_size, -(-passes * n // batch_size)).ravel()
    rows = flat[: passes * n].reshape(passes, n)
    np.testing.assert_array_equal(np.sort(rows, axis=1), np.tile(np.arange(n), (passes, 1)))
    if n > 4:
        assert len(np.unique(rows, axis=0)) == passes


def test_a_step_computed_alone_equals_its_place_in_the_stream():
    key = jax.random.key(2)
    batches = stream(key, 23, 5, 30)
    for step in (0, 4, 5, 29):
        alone = frandom.batch_order(key, step, n=23, batch_size=5)
        np.testing.assert_array_equal(alone, batches[step])
    flat = batches.ravel()
    third = frandom.permutation(frandom.fold_in(key, 2), 23)
    np.testing.assert_array_equal(flat[46:69], third)


def test_batch_order_runs_under_vmap_over_keys_and_in_scan():
    keys = jax.random.split(jax.random.key(3), 4)
    lanes = jax.vmap(lambda k: frandom.batch_order(k, 6, n=11, batch_size=4))(keys)
    for lane, key in zip(lanes, keys, strict=True):
        np.testing.assert_array_equal(lane, frandom.batch_order(key, 6, n=11, batch_size=4))
    assert len(np.unique(np.asarray(lanes), axis=0)) == 4


@pytest.mark.parametrize(
    ("n", "batch_size", "step"),
    [
        (60_000, 128, 2**31 - 1),
        (100_000_007, 4096, 123_456_789),
        (2**31 - 1, 3, 2**31 - 2),
        (65_537, 65_536, 2**31 - 1),
        (3_000_001, 2_999_999, 2_000_000_001),
    ],
)
def test_no_step_however_late_overflows(n, batch_size, step):
    position = step * batch_size + np.arange(0, batch_size, max(1, batch_size // 3)).astype(object)
    got = frandom.batch_order(jax.random.key(4), step, n=n, batch_size=batch_size)
    for p in position:
        key = frandom.fold_in(jax.random.key(4), int(p // n))
        expected = frandom.shuffled(key, jnp.asarray(int(p % n)), n)
        assert int(got[int(p - step * batch_size)]) == int(expected)


@pytest.mark.parametrize(
    ("n", "batch_size", "message"),
    [
        (10, 32, "batch_size=32 does not fit the 10 examples; take batch_size=10 or less"),
        (10, 0, "batch_size=0 does not fit the 10 examples; take at least 1"),
        (0, 1, "cannot order n=0 examples; there is no data"),
        (2**31, 1, "cannot order n=2147483648 examples"),
    ],
)
def test_batches_that_cannot_be_are_refused(n, batch_size, message):
    with pytest.raises(ValueError, match=message):
        frandom.batch_order(jax.random.key(0), 0, n=n, batch_size=batch_size)
