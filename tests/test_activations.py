"""Activations are their formulas, stay finite far out, and are what they are said to be."""

import math
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from fnn import activations as a

INF = math.inf

# name: function, its formula in NumPy float64, kinks, jumps, range, linear?
ELEMENTWISE = {
    "identity": (a.identity, lambda x: x, (), (), (-INF, INF)),
    "linear": (partial(a.linear, slope=3.0), lambda x: 3 * x, (), (), (-INF, INF)),
    "relu": (a.relu, lambda x: np.maximum(x, 0), (0,), (), (0, INF)),
    "relu6": (a.relu6, lambda x: np.clip(x, 0, 6), (0, 6), (), (0, 6)),
    "leaky_relu": (
        partial(a.leaky_relu, slope=0.1),
        lambda x: np.where(x > 0, x, 0.1 * x),
        (0,),
        (),
        (-INF, INF),
    ),
    "hard_tanh": (a.hard_tanh, lambda x: np.clip(x, -1, 1), (-1, 1), (), (-1, 1)),
    "hard_sigmoid": (a.hard_sigmoid, lambda x: np.clip(x / 6 + 0.5, 0, 1), (-3, 3), (), (0, 1)),
    "hard_silu": (
        a.hard_silu,
        lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
        (-3, 3),
        (),
        (-0.375, INF),
    ),
    "softshrink": (
        a.softshrink,
        lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0),
        (-0.5, 0.5),
        (),
        (-INF, INF),
    ),
    "hardshrink": (
        a.hardshrink,
        lambda x: np.where(np.abs(x) > 0.5, x, 0),
        (),
        (-0.5, 0.5),
        (-INF, INF),
    ),
    "threshold": (
        partial(a.threshold, level=1.0, value=-2.0),
        lambda x: np.where(x > 1, x, -2),
        (),
        (1,),
        (-2, INF),
    ),
    "sparse_plus": (
        a.sparse_plus,
        lambda x: np.where(x <= -1, 0, np.where(x >= 1, x, (x + 1) ** 2 / 4)),
        (),
        (),
        (0, INF),
    ),
    "sparse_sigmoid": (
        a.sparse_sigmoid,
        lambda x: np.clip((x + 1) / 2, 0, 1),
        (-1, 1),
        (),
        (0, 1),
    ),
    "sigmoid": (a.sigmoid, special.expit, (), (), (0, 1)),
    "log_sigmoid": (a.log_sigmoid, special.log_expit, (), (), (-INF, 0)),
    "tanh": (a.tanh, np.tanh, (), (), (-1, 1)),
    "tanhshrink": (a.tanhshrink, lambda x: x - np.tanh(x), (), (), (-INF, INF)),
    "softplus": (a.softplus, lambda x: np.logaddexp(x, 0), (), (), (0, INF)),
    "softsign": (a.softsign, lambda x: x / (1 + np.abs(x)), (), (), (-1, 1)),
    "squareplus": (a.squareplus, lambda x: (x + np.hypot(x, 2)) / 2, (), (), (0, INF)),
    "elu": (a.elu, lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))), (), (), (-1, INF)),
    "steep elu": (
        partial(a.elu, alpha=2.0),
        lambda x: np.where(x > 0, x, 2 * np.expm1(np.minimum(x, 0))),
        (0,),
        (),
        (-2, INF),
    ),
    "celu": (
        partial(a.celu, alpha=2.0),
        lambda x: np.where(x > 0, x, 2 * np.expm1(np.minimum(x, 0) / 2)),
        (),
        (),
        (-2, INF),
    ),
    "selu": (
        a.selu,
        lambda x: 1.05070098 * np.where(x > 0, x, 1.67326324 * np.expm1(np.minimum(x, 0))),
        (0,),
        (),
        (-1.7580993, INF),
    ),
    "gelu": (a.gelu, lambda x: x * special.ndtr(x), (), (), (-0.1699712, INF)),
    "gelu_tanh": (
        a.gelu_tanh,
        lambda x: x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
        (),
        (),
        (-0.1700408, INF),
    ),
    "silu": (a.silu, lambda x: x * special.expit(x), (), (), (-0.2784645, INF)),
    "mish": (a.mish, lambda x: x * np.tanh(np.logaddexp(x, 0)), (), (), (-0.3088431, INF)),
}
rows = pytest.mark.parametrize("row", ELEMENTWISE.values(), ids=ELEMENTWISE.keys())


@rows
def test_an_activation_is_its_formula_and_its_slope_is_the_formulas(row, x64):
    function, formula, kinks, jumps, _ = row
    x = np.concatenate([np.linspace(-8, 8, 161) + 0.013, [-30.0, 30.0]])
    np.testing.assert_allclose(function(jnp.asarray(x)), formula(x), rtol=1e-7, atol=1e-9)
    smooth = x[[all(abs(p - k) > 1e-4 for k in (*kinks, *jumps)) for p in x]]
    slope = jax.vmap(jax.grad(function))(jnp.asarray(smooth))
    h = 1e-5
    difference = (formula(smooth + h) - formula(smooth - h)) / (2 * h)
    np.testing.assert_allclose(slope, difference, rtol=1e-5, atol=1e-6)


@rows
def test_value_and_slope_are_finite_at_ten_thousand_in_float32(row):
    function, formula = row[:2]
    x = np.array([-1e4, -100, -1e-30, 0, 1e-30, 100, 1e4], np.float32)
    y, slope = jax.vmap(jax.value_and_grad(function))(x)
    chex.assert_tree_all_finite((y, slope))
    np.testing.assert_allclose(y, formula(x.astype(np.float64)), rtol=2e-6, atol=1e-30)


@rows
def test_properties_finds_what_the_function_is(row):
    function, _, kinks, jumps, (lower, upper) = row
    found = a.properties(function)
    np.testing.assert_allclose(found.kinks, kinks, atol=1e-5)
    np.testing.assert_allclose(found.jumps, jumps, atol=1e-5)
    np.testing.assert_allclose((found.lower, found.upper), (lower, upper), atol=2e-4)
    assert found.nonlinear == (function is not a.identity and row is not ELEMENTWISE["linear"])
    assert found.differentiable == (not kinks and not jumps)
    assert found.fixed_range == (np.isfinite(lower) and np.isfinite(upper))


def test_properties_tells_strong_curvature_from_a_kink():
    assert a.properties(lambda x: jax.nn.sigmoid(50 * x)).kinks == ()
    assert a.properties(lambda x: jnp.sqrt(x**2 + 1e-4)).kinks == ()
    assert a.properties(jnp.abs).kinks == (0.0,)
    assert a.properties(jnp.abs).lower == 0
    assert a.properties(jnp.sin).fixed_range


@pytest.mark.parametrize("name", ["elu", "celu", "selu"])
def test_the_slope_at_zero_is_one_of_the_two_beside_it(name, x64):
    function = getattr(a, name)
    left, middle, right = jax.vmap(jax.grad(function))(jnp.array([-1e-12, 0.0, 1e-12]))
    assert min(abs(middle - left), abs(middle - right)) < 1e-9
    if name != "selu":  # these are smooth at 0
        assert float(middle) == 1.0


def test_properties_knows_slow_growth_from_a_limit():
    for grows in (jnp.arcsinh, lambda x: jnp.sign(x) * jnp.log1p(jnp.abs(x)), jnp.cbrt):
        found = a.properties(grows)
        assert (found.lower, found.upper) == (-INF, INF)
    assert a.properties(jnp.arctan).fixed_range
    assert a.properties(lambda x: jnp.exp(-(x**2))).fixed_range
    grown = a.properties(jnp.exp)  # overflows far out
    assert (grown.lower, grown.upper, grown.kinks) == (0, INF, ())


def test_properties_sees_all_kinks_that_lie_apart_and_none_in_a_square():
    assert a.properties(lambda x: jax.nn.relu(x) ** 2).kinks == ()
    two = a.properties(lambda x: jax.nn.relu(x - 0.3) + jax.nn.relu(x - 0.305))
    np.testing.assert_allclose(two.kinks, [0.3, 0.305], atol=1e-5)
    assert a.properties(jnp.floor).jumps == tuple(range(-49, 50))
    assert a.properties(lambda x: jax.nn.relu(x - 60)).nonlinear  # bends beyond the fine grid


def test_properties_refuses_what_is_not_elementwise():
    with pytest.raises(ValueError, match="one finite number for each"):
        a.properties(jnp.sum)
    with pytest.raises(ValueError, match="not finite"):
        a.properties(jnp.log)


def test_squareplus_keeps_its_digits_where_softplus_like_sums_cancel():
    y = a.squareplus(jnp.float32(-1e4))
    np.testing.assert_allclose(y, 1e-4, rtol=1e-6)


def test_prelu_gives_its_slope_the_negative_inputs(x64):
    x = jnp.array([-2.0, 3.0])
    np.testing.assert_array_equal(a.prelu(x, jnp.array(0.25)), [-0.5, 3.0])
    assert float(jax.grad(lambda s: a.prelu(x, s).sum())(0.25)) == -2.0


def test_softmax_sums_to_one_and_its_jacobian_is_the_known_one(x64):
    x = jnp.array([1.0, -2.0, 0.5])
    p = a.softmax(x)
    np.testing.assert_allclose(p, np.exp(x) / np.exp(x).sum(), rtol=1e-12)
    np.testing.assert_allclose(
        jax.jacobian(a.softmax)(x), np.diag(p) - np.outer(p, p), rtol=1e-9, atol=1e-12
    )
    np.testing.assert_allclose(a.softmin(x), a.softmax(-x))
    np.testing.assert_allclose(a.log_softmax(x), np.log(p), rtol=1e-12)


def test_softmax_stands_huge_logits_in_value_and_slope():
    x = jnp.array([1e4, -1e4, 1e4 - 1])
    for function in (a.softmax, a.log_softmax, a.softmin):
        chex.assert_tree_all_finite((function(x), jax.jacobian(function)(x)))


def test_glu_gates_one_half_by_the_other():
    x = jnp.array([[1.0, 2.0, 0.0, 50.0]])
    np.testing.assert_allclose(a.glu(x), [[0.5, 2.0]])
    with pytest.raises(ValueError, match=r"even size, got shape \(1, 3\)"):
        a.glu(x[:, :3])


def test_standardize_keeps_its_digits_far_from_zero():
    y, slope = jax.value_and_grad(lambda x: a.standardize(x)[1])(jnp.array([1e4 - 1, 1e4 + 1]))
    np.testing.assert_allclose(y, 1, atol=1e-4)
    chex.assert_tree_all_finite(slope)


def test_standardize_gives_mean_zero_and_variance_one():
    y = a.standardize(jax.random.normal(jax.random.key(0), (3, 50)) * 7 + 5)
    np.testing.assert_allclose(y.mean(-1), 0, atol=1e-5)
    np.testing.assert_allclose(y.var(-1), 1, rtol=1e-4)


def test_gumbel_softmax_draws_each_class_as_often_as_softmax_says():
    x = jnp.log(jnp.array([0.7, 0.2, 0.1]))
    keys = jax.random.split(jax.random.key(0), 20_000)
    draws = jax.jit(jax.vmap(lambda k: a.gumbel_softmax(k, x, temperature=0.5)))(keys)
    np.testing.assert_allclose(draws.sum(-1), 1.0, rtol=1e-5)
    shares = np.bincount(draws.argmax(-1), minlength=3) / len(keys)
    np.testing.assert_allclose(shares, [0.7, 0.2, 0.1], atol=4 * np.sqrt(0.25 / len(keys)))
    with pytest.raises(ValueError, match="temperature must be > 0"):
        a.gumbel_softmax(keys[0], x, temperature=0.0)


def test_rrelu_draws_slopes_between_its_bounds_and_takes_their_mean_without_a_key():
    x = -jnp.ones(10_000)
    slopes = -a.rrelu(x, key=jax.random.key(0), low=0.1, high=0.3)
    assert slopes.min() >= 0.1
    assert slopes.max() <= 0.3
    np.testing.assert_allclose(slopes.mean(), 0.2, atol=4 * 0.2 / np.sqrt(12 * 10_000))
    np.testing.assert_allclose(a.rrelu(x, low=0.1, high=0.3), -0.2, rtol=1e-6)
    np.testing.assert_array_equal(a.rrelu(-x, key=jax.random.key(0)), -x)
