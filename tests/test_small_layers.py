"""Embeddings, positions, products over several axes and kinds of noise: numbers and mistakes."""

import functools
import math
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn import compose, residual, serial
from fnn.layers import (
    alpha_dropout,
    bilinear,
    dense,
    dense_general,
    dropout,
    embed,
    gaussian_noise,
    position_embed,
    sinusoidal_position,
    spatial_dropout,
    stochastic_depth,
)

TORCH = np.load(pathlib.Path(__file__).parent / "data" / "norms_torch.npz")


def reads_and_writes(f, ids):
    return f.table(f.body(f.table(ids)))


# --- embed: the table called both ways ---


def test_a_table_that_attends_gives_the_products_with_every_row(key):
    net = embed(5, 3, attend=True)
    params, state = net.init(key, jnp.zeros((2, 3)))
    x = jax.random.normal(key, (2, 4, 3))
    np.testing.assert_allclose(net.apply(params, state, x)[0], x @ params["w"].T, atol=1e-6)


def test_in_compose_one_table_reads_and_writes(x64, key):
    table = embed(7, 3, attend=True)
    net = compose(reads_and_writes, table=table, body=serial(dense(3), jnp.tanh))
    ids = jnp.array([[0, 2, 6], [1, 1, 5]])
    params, state = net.init(key, ids)
    assert sorted(params) == ["body", "table"]
    assert params["table"]["w"].shape == (7, 3)

    def by_hand(reading, writing):
        h = jnp.tanh(reading[ids] @ params["body"]["dense_0"]["w"])
        return jax.nn.log_softmax(h @ writing.T)[..., 0].sum()

    def loss(w):
        y, _ = net.apply({**params, "table": {"w": w}}, state, ids)
        return jax.nn.log_softmax(y)[..., 0].sum()

    w = params["table"]["w"]
    reading, writing = jax.grad(by_hand, (0, 1))(w, w)  # both uses teach the one table
    np.testing.assert_allclose(jax.grad(loss)(w), reading + writing, atol=1e-12)


def test_a_table_that_does_not_attend_says_how_it_could():
    net = embed(5, 3)
    with pytest.raises(TypeError, match=r"integer ids in \[0, 5\).*attend=True"):
        net.init(jax.random.key(0), jnp.zeros((2, 3)))


def test_a_table_that_attends_names_both_sizes(key):
    net = embed(5, 3, attend=True)
    params, state = net.init(key, jnp.zeros(2, int))
    with pytest.raises(ValueError, match="x has 4 features, expected 3"):
        net.apply(params, state, jnp.zeros((2, 4)))
    with pytest.raises(TypeError, match="x must hold integer ids"):
        net.apply(params, state, jnp.zeros((2, 3), bool))


def test_a_table_attends_in_the_dtype_of_its_input(key):
    net = embed(5, 3, attend=True)
    params, state = net.init(key, jnp.zeros(2, int))
    assert net.apply(params, state, jnp.ones((2, 3), jnp.bfloat16))[0].dtype == jnp.bfloat16


# --- positions ---


def test_learned_positions_are_added_and_only_those_in_use_learn(key):
    net = position_embed(6)
    x = jax.random.normal(key, (2, 4, 3))
    params, state = net.init(key, x)
    np.testing.assert_allclose(net.apply(params, state, x)[0] - x, [params["w"][:4]] * 2, atol=1e-6)
    slope = jax.grad(lambda p: net.apply(p, state, x)[0].sum())(params)["w"]
    np.testing.assert_array_equal(slope, np.repeat([[2.0], [0.0]], [4, 2], axis=0) * np.ones(3))


def test_a_sequence_longer_than_its_positions_is_refused(key):
    net = position_embed(4)
    with pytest.raises(ValueError, match="x has 5 places, more than length=4"):
        net.init(key, jnp.zeros((1, 5, 3)))
    params, state = net.init(key, jnp.zeros((1, 2, 3)))
    assert net.apply(params, state, jnp.zeros((7, 4, 3)))[0].shape == (7, 4, 3)
    with pytest.raises(ValueError, match="x has 5 places, more than length=4"):
        net.apply(params, state, jnp.zeros((1, 5, 3)))
    for make in (lambda: position_embed(4), sinusoidal_position):
        with pytest.raises(ValueError, match="x must have a time axis"):
            make().init(key, jnp.zeros(3))


def test_sinusoids_are_those_of_the_paper(x64):
    waves = sinusoidal_position().apply({}, {}, jnp.zeros((50, 6)))[0]
    for t in (0, 1, 49):
        for i in range(3):
            angle = t / 10000 ** (2 * i / 6)
            assert waves[t, 2 * i] == pytest.approx(math.sin(angle), abs=1e-14)
            assert waves[t, 2 * i + 1] == pytest.approx(math.cos(angle), abs=1e-14)


def test_sinusoids_tell_distances_and_not_places(x64):
    waves = sinusoidal_position(period=100.0).apply({}, {}, jnp.zeros((30, 8)))[0]
    products = waves @ waves.T
    for k in range(5):
        np.testing.assert_allclose(jnp.diagonal(products, k), products[0, k], atol=1e-12)


def test_far_places_lose_no_digits_in_float32():
    waves = sinusoidal_position().apply({}, {}, jnp.zeros((100_001, 2)))[0]
    assert waves[100_000, 0] == pytest.approx(math.sin(100_000), abs=1e-7)


def test_sinusoids_suit_odd_features_and_need_a_period():
    waves = sinusoidal_position().apply({}, {}, jnp.zeros((2, 3)))[0]
    assert waves[1, 2] == pytest.approx(math.sin(10000 ** (-2 / 3)))
    with pytest.raises(ValueError, match="period must be > 0"):
        sinusoidal_position(period=0)


# --- products of several axes ---


def test_several_axes_are_a_dense_layer_of_flattened_ones(key):
    x = jax.random.normal(key, (3, 2, 4))
    net, flat = dense_general((5, 2), axes=2), dense(10)
    (params, _), (flattened, _) = net.init(key, x), flat.init(key, x.reshape(3, 8))
    np.testing.assert_array_equal(params["w"].reshape(8, 10), flattened["w"])
    b = jnp.arange(10.0)
    y, _ = net.apply({"w": params["w"], "b": b.reshape(5, 2)}, {}, x)
    wanted, _ = flat.apply({"w": flattened["w"], "b": b}, {}, x.reshape(3, 8))
    np.testing.assert_allclose(y.reshape(3, 10), wanted, atol=1e-5)


def test_one_axis_each_way_is_dense(key):
    x = jax.random.normal(key, (3, 4))
    (y, _), (wanted, _) = (net.apply(*net.init(key, x), x) for net in (dense_general(5), dense(5)))
    np.testing.assert_allclose(y, wanted, atol=1e-6)


def test_axes_that_do_not_fit_are_named(key):
    net = dense_general(2, axes=2)
    params, state = net.init(key, jnp.zeros((1, 3, 4)))
    with pytest.raises(ValueError, match=r"x has the last axes \(4, 3\), expected \(3, 4\)"):
        net.apply(params, state, jnp.zeros((1, 4, 3)))
    with pytest.raises(ValueError, match="x must have at least 2 axes"):
        net.init(key, jnp.zeros(3))
    with pytest.raises(ValueError, match="features must be at least 1, got 0"):
        dense_general((3, 0))


def test_bilinear_is_linear_in_each_input(x64, key):
    u, v, w = (jax.random.normal(k, (5, 3)) for k in jax.random.split(key, 3))
    net = bilinear(4, bias=False)
    params, state = net.init(key, (u, v))

    def y(u, v):
        return net.apply(params, state, (u, v))[0]

    np.testing.assert_allclose(y(2 * u + w, v), 2 * y(u, v) + y(w, v), atol=1e-12)
    np.testing.assert_allclose(y(u, 2 * v + w), 2 * y(u, v) + y(u, w), atol=1e-12)


def test_bilinear_keeps_the_variance_of_independent_inputs(key):
    u, v = (jax.random.normal(k, (500, 64)) for k in jax.random.split(key))
    net = bilinear(64, bias=False)
    assert net.apply(*net.init(key, (u, v)), (u, v))[0].var() == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize(
    ("x", "error", "match"),
    [
        (jnp.ones((2, 3)), TypeError, r"x must be a pair of arrays \(u, v\), got float32"),
        ((jnp.ones((2, 3)),) * 3, TypeError, "x must be a pair of arrays"),
        ((jnp.ones((2, 3)), jnp.ones((1, 3))), ValueError, "alike but for their last axis"),
        ((jnp.ones(3), jnp.ones(3, jnp.bfloat16)), ValueError, "alike but for their last axis"),
        ((jnp.ones(3), jnp.ones(3, int)), TypeError, "x must be floating point"),
        ((jnp.ones(3), jnp.ones(2)), ValueError, "x has 2 features, expected 3"),
    ],
)
def test_bilinear_refuses_what_is_no_pair(x, error, match, key):
    net = bilinear(2)
    params, state = net.init(key, (jnp.ones(3), jnp.ones(3)))
    with pytest.raises(error, match=match):
        net.apply(params, state, x)


# --- noise ---

RATES = [dropout, spatial_dropout, stochastic_depth, alpha_dropout]
NOISES = [*RATES, gaussian_noise]


def noisy(net, x, seed=0):
    return net.apply({}, {}, x, key=jax.random.key(seed), train=True)[0]


def test_spatial_dropout_drops_a_map_at_all_its_places_or_none():
    y = noisy(spatial_dropout(0.3), jnp.ones((50, 2, 3, 40)))
    maps = y.reshape(50, 6, 40)
    np.testing.assert_array_equal(maps, maps[:, :1].repeat(6, axis=1))
    assert (maps[:, 0] == 0).mean() == pytest.approx(0.3, abs=0.03)
    assert not jnp.array_equal(maps[0], maps[1])  # each example its own
    np.testing.assert_allclose(y[y != 0], 1 / 0.7, rtol=1e-6)


def test_stochastic_depth_passes_dropped_examples_around_the_branch(key):
    x = jax.random.normal(key, (1000, 2, 3))
    net = residual(serial(jnp.sin, stochastic_depth(0.25)))
    y = noisy(net, x)
    whole = jnp.isclose(y, x + jnp.sin(x) / 0.75, atol=1e-6).all((1, 2))
    passed = (y == x).all((1, 2))
    assert bool((whole | passed).all())
    assert passed.mean() == pytest.approx(0.25, abs=0.04)
    np.testing.assert_allclose(net.apply({}, {}, x)[0], x + jnp.sin(x), rtol=1e-6)


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.5])
def test_alpha_dropout_keeps_mean_and_variance_of_standardised_input(key, rate):
    x = jax.random.normal(key, (200_000,))
    x = (x - x.mean()) / x.std()
    y = noisy(alpha_dropout(rate), x)
    assert y.mean() == pytest.approx(0, abs=0.01)
    assert y.var() == pytest.approx(1, abs=0.01)
    _, times = np.unique(y, return_counts=True)  # selu's floor, rescaled, is the one value to recur
    assert times.max() / y.size == pytest.approx(rate, abs=0.01)


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_alpha_dropout_has_pytorchs_two_values(rate, x64):
    two = jnp.unique(noisy(alpha_dropout(rate), jnp.ones(100)))
    np.testing.assert_allclose(two, TORCH[f"alpha_dropout {rate}"], rtol=1e-10)


def test_a_deep_selu_network_keeps_its_variance_through_alpha_dropout(key):
    layer = [dense(256), jax.nn.selu, alpha_dropout(0.1)]
    net = serial(*layer * 8)
    x = jax.random.normal(key, (256, 256))
    params, state = net.init(key, x)
    y, _ = jax.jit(functools.partial(net.apply, train=True))(params, state, x, key=key)
    assert y.mean() == pytest.approx(0, abs=0.15)
    assert y.var() == pytest.approx(1, abs=0.25)


def test_gaussian_noise_has_the_deviation_it_is_told(key):
    x = jax.random.normal(key, (50_000,))
    added = noisy(gaussian_noise(0.3), x, seed=1) - x
    assert added.mean() == pytest.approx(0, abs=0.005)
    assert added.std() == pytest.approx(0.3, abs=0.005)
    assert abs(jnp.corrcoef(added, x)[0, 1]) < 0.02


@pytest.mark.parametrize("make", NOISES)
def test_noise_ends_with_training_and_at_zero(make, key):
    x = jax.random.normal(key, (3, 4))
    assert make(0.5).apply({}, {}, x)[0] is x
    assert make(0.0).apply({}, {}, x, train=True)[0] is x
    assert make(0).init(key, x) == ({}, {})


@pytest.mark.parametrize("make", NOISES)
def test_noise_can_be_swept_by_vmap(make, key):
    x = jax.random.normal(key, (6, 4))
    swept = jax.vmap(lambda rate: noisy(make(rate), x))(jnp.array([0.0, 0.25, 0.5]))
    for y, rate in zip(swept, (0.0, 0.25, 0.5), strict=True):
        wanted = noisy(make(rate), x) if rate else x
        np.testing.assert_allclose(y, wanted, atol=1e-6)


@pytest.mark.parametrize("make", NOISES)
def test_noise_names_itself_in_its_errors(make, key):
    name, x = make.__name__, jnp.ones((2, 3))
    with pytest.raises(ValueError, match=f"{name}: train=True is random here and needs a key"):
        make(0.5).apply({}, {}, x, train=True)
    with pytest.raises(TypeError, match=f"{name}: x must be floating point"):
        make(0.5).init(key, x.astype(int))
    with pytest.raises(ValueError, match=f"{name}: .*got -0.1"):
        make(-0.1)
    with pytest.raises(TypeError, match=f"{name}: .* must be one number, got '0.5'"):
        make("0.5")


@pytest.mark.parametrize("make", RATES)
def test_rates_end_below_one(make):
    with pytest.raises(ValueError, match=r"probability to drop and must be in \[0, 1\), got 1"):
        make(1.0)


def test_what_has_no_batch_or_feature_axis_has_no_maps_or_examples(key):
    with pytest.raises(ValueError, match=r"spatial_dropout: x must have the shape \(batch, \*sp"):
        spatial_dropout(0.5).init(key, jnp.ones(3))
    with pytest.raises(
        ValueError, match=r"stochastic_depth: x must have the shape \(batch, \.\.\."
    ):
        stochastic_depth(0.5).init(key, jnp.float32(1))
