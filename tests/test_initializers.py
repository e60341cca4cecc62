"""Initializers have the moments they promise, within what chance allows for n draws."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn import initializers as ini
from fnn.layers import dense

SHAPE = (300, 200)
N = 300 * 200
IN, OUT, AVG = 1 / 300, 1 / 200, 2 / 500

VARIANCES = {
    "glorot_normal": (ini.glorot_normal, AVG),
    "glorot_uniform": (ini.glorot_uniform, AVG),
    "glorot_truncated_normal": (ini.glorot_truncated_normal, AVG),
    "he_normal": (ini.he_normal, 2 * IN),
    "he_uniform": (ini.he_uniform, 2 * IN),
    "he_truncated_normal": (ini.he_truncated_normal, 2 * IN),
    "lecun_normal": (ini.lecun_normal, IN),
    "lecun_uniform": (ini.lecun_uniform, IN),
    "lecun_truncated_normal": (ini.lecun_truncated_normal, IN),
    "normal": (ini.normal(0.3), 0.09),
    "truncated_normal": (ini.truncated_normal(0.3), 0.09),
    "uniform": (ini.uniform(-0.6, 0.6), 0.12),
    "fan_out": (ini.variance_scaling(3.0, mode="fan_out", distribution="normal"), 3 * OUT),
    "fan_avg": (ini.variance_scaling(0.5, mode="fan_avg", distribution="uniform"), 0.5 * AVG),
    "default scaling": (ini.variance_scaling(), IN),
}


@pytest.mark.parametrize("init, variance", VARIANCES.values(), ids=VARIANCES)  # noqa: PT006
def test_mean_and_variance_are_as_promised(key, init, variance):
    w = np.asarray(init(key, SHAPE, jnp.float32), np.float64)
    assert w.shape == SHAPE
    # The sample mean has deviation sqrt(v/n); the sample variance at most v sqrt(2/n), for no
    # distribution here has heavier tails than the normal. Five deviations are one in a million.
    assert abs(w.mean()) < 5 * np.sqrt(variance / N)
    assert abs(w.var() / variance - 1) < 5 * np.sqrt(2 / N)


@pytest.mark.parametrize("init, variance", VARIANCES.values(), ids=VARIANCES)  # noqa: PT006
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
def test_dtype_is_what_was_asked_for_and_keys_matter(init, variance, dtype):
    one, two = (init(jax.random.key(i), (4, 3), dtype) for i in (0, 1))
    assert one.dtype == dtype
    assert not np.array_equal(one, two)
    chex.assert_trees_all_equal(one, init(jax.random.key(0), (4, 3), dtype))


def test_bounds_of_the_bounded(key):
    w = ini.uniform(-0.25, 0.75)(key, SHAPE, jnp.float32)
    assert -0.25 <= w.min() < -0.249
    assert 0.749 < w.max() < 0.75
    bound = np.sqrt(6 / 500)  # Glorot's own way to write it
    w = ini.glorot_uniform(key, SHAPE)
    assert 0.999 * bound < abs(w).max() <= bound * (1 + 1e-6)
    w = ini.truncated_normal(0.5, 1.0)(key, SHAPE, jnp.float32)
    cut = 2 * 0.5 / 0.87962566103423978
    assert 0.99 * cut < abs(w - 1).max() <= cut * (1 + 1e-6)
    assert abs(w.mean() - 1) < 5 * 0.5 / np.sqrt(N)


def test_the_cut_normal_has_the_deviation_that_calculus_says():
    from scipy.stats import truncnorm

    assert abs(truncnorm(-2, 2).std() - ini._CUT_STDDEV) < 1e-12


@pytest.mark.parametrize("shape", [(5, 5), (6, 3), (3, 6), (3, 3, 2, 4)])
def test_orthogonal_has_orthonormal_rows_or_columns(key, shape):
    w = ini.orthogonal(2.0)(key, shape, jnp.float32).reshape(-1, shape[-1])
    gram = w.T @ w if w.shape[0] >= w.shape[1] else w @ w.T
    np.testing.assert_allclose(gram, 4 * np.eye(len(gram)), atol=1e-5)


def test_orthogonal_favours_no_direction():
    # Over Haar measure every entry of a 2 by 2 rotation or reflection has mean 0 and square 1/2;
    # without the signs of R's diagonal the first entry would be one-sided.
    keys = jax.random.split(jax.random.key(0), 2000)
    w = jax.vmap(lambda k: ini.orthogonal()(k, (2, 2), jnp.float32))(keys)
    np.testing.assert_allclose(w.mean(0), 0, atol=5 * np.sqrt(0.5 / 2000))
    np.testing.assert_allclose((w**2).mean(0), 0.5, atol=5 * np.sqrt(0.125 / 2000))
    assert 0.4 < (jnp.linalg.det(w) > 0).mean() < 0.6


def test_orthogonal_in_bfloat16_is_computed_wider(key):
    w = ini.orthogonal()(key, (4, 4), jnp.bfloat16)
    assert w.dtype == jnp.bfloat16
    full = ini.orthogonal()(key, (4, 4), jnp.float32)
    np.testing.assert_array_equal(w, full.astype(jnp.bfloat16))


def test_the_plain_ones(key):
    np.testing.assert_array_equal(ini.zeros(key, (2, 3)), np.zeros((2, 3)))
    np.testing.assert_array_equal(ini.ones(key, (3,), jnp.bfloat16), np.ones(3))
    np.testing.assert_array_equal(ini.constant(0.5)(key, (2, 2), jnp.float32), np.full((2, 2), 0.5))
    table = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(ini.constant(table)(key, (2, 3), jnp.float32), table)
    np.testing.assert_array_equal(ini.identity(key, (2, 3)), np.eye(2, 3))
    assert ini.constant(1)(key, (2,), jnp.bfloat16).dtype == jnp.bfloat16


@pytest.mark.parametrize(
    ("shape", "fans"),
    [
        ((784, 128), (784, 128)),
        ((3, 3, 16, 32), (144, 288)),
        ((5, 2, 4), (10, 20)),
        ((7, 1), (7, 1)),
    ],
)
def test_fans_count_synapses(shape, fans):
    assert ini.fans(shape) == fans


def test_convolutions_scale_with_their_window(key):
    w = ini.he_normal(key, (5, 5, 16, 150))
    assert abs(w.var() / (2 / 400) - 1) < 5 * np.sqrt(2 / w.size)


def test_no_inputs_is_no_crash(key):
    assert ini.lecun_normal(key, (0, 3)).shape == (0, 3)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda k: ini.he_normal(k, (3,)), r"needs an input and an output axis, got shape \(3,\)"),
        (lambda k: ini.orthogonal()(k, (3,)), "needs an input and an output axis"),
        (lambda k: ini.identity(k, (2, 2, 2)), r"must be a matrix, got shape \(2, 2, 2\)"),
        (lambda k: ini.constant(np.ones(2))(k, (3,)), r"value has shape \(2,\), the weight \(3,\)"),
        (lambda k: ini.normal(-1.0), "normal: stddev must be >= 0, got -1.0"),
        (lambda k: ini.truncated_normal(float("nan")), "stddev must be >= 0, got nan"),
        (lambda k: ini.uniform(1.0, 1.0), "low must be below high, got 1.0 and 1.0"),
        (lambda k: ini.variance_scaling(0.0), "scale must be > 0, got 0.0"),
        (lambda k: ini.variance_scaling(mode="fan"), "mode must be 'fan_in'.* got 'fan'"),
        (lambda k: ini.variance_scaling(distribution="cauchy"), "must be 'normal'.* got 'cauchy'"),
    ],
)
def test_mistakes_are_named(key, call, match):
    with pytest.raises(ValueError, match=match):
        call(key)


SWEPT = {
    "normal": ini.normal,
    "truncated_normal": ini.truncated_normal,
    "variance_scaling": lambda s: ini.variance_scaling(s**2, distribution="normal"),
    "uniform": lambda s: ini.variance_scaling(s**2, distribution="uniform"),
    "orthogonal": ini.orthogonal,
    "constant": ini.constant,
}


@pytest.mark.parametrize("make", SWEPT.values(), ids=SWEPT)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_scales_can_be_swept_by_vmap(key, make, dtype):
    with jax.numpy_dtype_promotion("strict"):
        w = jax.vmap(lambda s: make(s)(key, (4, 3), dtype))(jnp.array([0.5, 2.0]))
    assert w.dtype == dtype
    tolerance = 1e-6 if dtype == jnp.float32 else 2**-6
    np.testing.assert_allclose(
        w[1].astype(jnp.float32), 4 * w[0].astype(jnp.float32), rtol=tolerance, atol=1e-6
    )
    single = make(0.5)(key, (4, 3), dtype).astype(jnp.float32)
    np.testing.assert_allclose(w[0].astype(jnp.float32), single, rtol=tolerance, atol=1e-6)


def test_initializers_of_jax_serve_as_well(key):
    theirs = jax.nn.initializers.he_uniform()
    params, _ = dense(5, w_init=theirs, b_init=jax.nn.initializers.ones).init(key, jnp.ones((1, 4)))
    assert params["w"].shape == (4, 5)
    assert abs(params["w"]).max() <= np.sqrt(6 / 4)
    np.testing.assert_array_equal(params["b"], 1)


def test_an_initializer_is_named_by_the_call_that_made_it():
    net = dense(3, w_init=ini.normal(0.02), b_init=ini.variance_scaling(2.0, mode="fan_out"))
    text = (
        "dense(3, w_init=normal(stddev=0.02), b_init=variance_scaling(scale=2.0, mode='fan_out'))"
    )
    assert " ".join(repr(net).split()).replace("( ", "(").replace(", )", ")") == text
    assert repr(dense(3, w_init=ini.constant(2))) == "dense(3, w_init=constant(2))"
