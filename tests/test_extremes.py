"""What is representable comes out as a number, however large what goes in is.

Out of range is what no float32 can hold: a square beyond 3.4e38, as of an error beyond 1.8e19, is
infinite, with a finite gradient. The norms and `standardize` square what they are given in float32,
so they hold up to 1e18 there and for every number of float16.
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn import activations, layers, losses

LARGE = {"float32": 1e38, "float16": 3e4, "bfloat16": 1e38}  # and the sum of three still fits
ACTIVATIONS = [
    "softmax", "log_softmax", "softmin", "relu", "relu6", "leaky_relu", "hard_tanh",
    "hard_sigmoid", "hard_silu", "softshrink", "hardshrink", "sparse_plus", "sparse_sigmoid",
    "sigmoid", "log_sigmoid", "tanh", "tanhshrink", "softplus", "softsign", "squareplus", "elu",
    "celu", "selu", "gelu", "gelu_tanh", "silu", "mish"
]  # fmt: skip


def with_slope(function, x):
    """The values and the gradient of their sum."""
    y, pull = jax.vjp(function, x)
    return y, pull(jnp.ones_like(y))[0]


def of_all(functions, x):
    """Values and gradients of many functions, of one program: compiled by ones they take longer."""
    return jax.jit(lambda x: {name: with_slope(f, x) for name, f in functions.items()})(x)


@pytest.mark.parametrize("dtype", LARGE)
def test_activations_and_their_slopes_are_finite_and_keep_the_dtype(dtype):
    big = LARGE[dtype]
    x = jnp.asarray([[-big, 0, big], [big, big, big], [-big, -big, -big], [-1e4, 1e4, 1]], dtype)
    found = of_all({name: getattr(activations, name) for name in ACTIVATIONS}, x)
    chex.assert_tree_all_finite(found)
    assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {x.dtype}


@pytest.mark.parametrize("dtype", LARGE)
def test_softmax_of_anything_sums_to_one(dtype):
    big = LARGE[dtype]
    y = activations.softmax(jnp.asarray([[-big, 0, big], [-big, -big, -big]], dtype))
    np.testing.assert_allclose(np.asarray(y, float), [[0, 0, 1], [1 / 3] * 3], atol=2e-3)


SCORES = np.array([[1.0, -1.0, 0.0], [-1.0, 0.0, 1.0], [-1.0, -1.0, -1.0]])
BITS, SIGNS = np.array([[0, 1, 1], [1, 0, 0], [0, 1, 0]]), np.array([[-1, 1, 1]] * 3)
RIGHT, WRONG = np.array([0, 2, 0]), np.array([1, 0, 2])
LOSSES = {
    "cross_entropy": lambda z: losses.cross_entropy(z, WRONG),
    "cross_entropy, right": lambda z: losses.cross_entropy(z, RIGHT),
    "label smoothing": lambda z: losses.cross_entropy(z, RIGHT, label_smoothing=0.1),
    "soft_cross_entropy": lambda z: losses.soft_cross_entropy(z, jnp.full((3, 3), 1 / 3)),
    "binary_cross_entropy": lambda z: losses.binary_cross_entropy(z, BITS),
    "focal": lambda z: losses.focal(z / 8, WRONG),
    "focal, right": lambda z: losses.focal(z, RIGHT),
    "binary_focal": lambda z: losses.binary_focal(z / 8, BITS),
    "hinge": lambda z: losses.hinge(z, SIGNS),
    "multiclass_hinge": lambda z: losses.multiclass_hinge(z / 2, WRONG),
    "absolute_error": lambda z: losses.absolute_error(z, 0 * z),
    "huber": lambda z: losses.huber(z, -z),
    "smooth_l1": lambda z: losses.smooth_l1(z, -z),
    "log_cosh": lambda z: losses.log_cosh(z, -z),
    "rmse": lambda z: losses.rmse(z, 0 * z),
    "cosine_distance": lambda z: losses.cosine_distance(z, 0 * z + 1),
    "triplet": lambda z: losses.triplet(z, 0 * z, 0 * z + 1),
    "margin_ranking": lambda z: losses.margin_ranking(z, -z, SIGNS),
    "contrastive": lambda z: losses.contrastive(jnp.abs(z), 0 * BITS),
    "poisson_nll": lambda z: losses.poisson_nll(-jnp.abs(z), 1.0 * BITS),
    "kl_divergence": lambda z: losses.kl_divergence(-jnp.abs(z), jnp.eye(3)),
    "ctc": lambda z: losses.ctc(z[None] / 8, np.array([[1]])),
}


@pytest.mark.parametrize("dtype", LARGE)
def test_losses_of_outrageous_scores_and_their_gradients_are_finite(dtype):
    chex.assert_tree_all_finite(of_all(LOSSES, jnp.asarray(LARGE[dtype] * SCORES, dtype)))


def test_a_square_that_float32_cannot_hold_is_infinite_and_its_gradient_finite():
    error = jnp.array([1e30, -1e30])
    for loss in (losses.squared_error, lambda a, b: losses.squared_hinge(a, jnp.sign(-a))):
        value, slope = with_slope(lambda z, loss=loss: loss(z, 0 * z), error)
        assert jnp.isinf(value).all()
        np.testing.assert_allclose(slope, [2e30, -2e30], rtol=1e-6)


def test_the_root_of_a_mean_square_is_found_where_the_square_overflows():
    value, slope = with_slope(lambda z: losses.rmse(z, 0 * z), jnp.array([[3e30, -4e30], [0, 0]]))
    np.testing.assert_allclose(value, [np.sqrt(12.5) * 1e30, 0], rtol=1e-6)
    np.testing.assert_allclose(slope, [[3 / np.sqrt(50), -4 / np.sqrt(50)], [0, 0]], rtol=1e-6)
    tiny = losses.rmse(jnp.array([[3e-30, -4e-30]]), jnp.zeros((1, 2)))
    np.testing.assert_allclose(tiny, [np.sqrt(12.5) * 1e-30], rtol=1e-6)


def test_an_error_as_large_as_its_variance_has_a_likelihood():
    found = losses.gaussian_nll(jnp.array(1e30), jnp.array(0.0), jnp.array(1e32))
    np.testing.assert_allclose(found, 0.5 * (np.log(1e32) + 1e28), rtol=1e-6)


def test_the_rate_of_a_poisson_is_pulled_back_from_anywhere():
    log_rate = jnp.array([50.0, 70.0, 71.0, 1e4, 1e18])
    value, slope = with_slope(lambda z: losses.poisson_nll(z, 0 * z), log_rate)
    np.testing.assert_allclose(value[:3], np.exp([50.0, 70, 70]) * [1, 1, 2], rtol=1e-5)
    np.testing.assert_allclose(slope, np.exp([50.0, 70, 70, 70, 70]), rtol=1e-5)


NORMS = {
    "layer_norm": (layers.layer_norm(), (2, 4)),
    "rms_norm": (layers.rms_norm(), (2, 4)),
    "batch_norm": (layers.batch_norm(), (4, 2)),
    "group_norm": (layers.group_norm(2), (2, 3, 4)),
}


@pytest.mark.parametrize("name", NORMS)
def test_norms_of_large_numbers_are_those_of_small_ones(name):
    layer, shape = NORMS[name]
    x = jax.random.normal(jax.random.key(0), shape)
    x = x / jnp.max(jnp.abs(x))
    params, state = layer.init(jax.random.key(1), x)

    @jax.jit
    def normed(x):
        return with_slope(lambda x: layer.apply(params, state, x, train=True)[0], x)

    usual = normed(100 * x)[0]  # beside which the epsilons are nothing
    for dtype, size, atol in (
        ("float32", 1e18, 1e-3),
        ("bfloat16", 1e18, 0.03),
        ("float16", 3e4, 0.03),
    ):
        y, slope = normed(jnp.asarray(size * x, dtype))
        chex.assert_tree_all_finite((y, slope))
        np.testing.assert_allclose(np.asarray(y, float), usual, atol=atol)


def test_attention_in_float16_is_a_mean_of_values_though_its_scores_do_not_fit():
    q = jnp.asarray(300 * jax.random.normal(jax.random.key(0), (1, 5, 2, 16)), jnp.float16)
    v = jnp.asarray(jax.random.normal(jax.random.key(1), (1, 5, 2, 16)), jnp.float16)
    y, slope = with_slope(lambda q: fnn.functional.attention(q, q, v), q)
    chex.assert_tree_all_finite((y, slope))
    np.testing.assert_allclose(y, v, atol=2e-3)  # each place attends to itself alone
