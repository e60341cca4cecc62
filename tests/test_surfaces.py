"""Surfaces have the landmarks that their sources publish, and show what Ruder tells of optimizers.

Source of the claims: Ruder 2016, section 4.10 and image 5, https://arxiv.org/abs/1609.04747
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn import surfaces
from fnn.compare.surface import walk
from fnn.optim import adadelta, adagrad, momentum, nesterov, rmsprop, sgd
from fnn.surfaces.names import NAMES


def curvatures(surface, point):
    return np.linalg.eigvalsh(jax.hessian(surface.fun)(jnp.asarray(point)))


@pytest.mark.parametrize("name", NAMES)
def test_published_landmarks_are_where_the_gradient_is_zero(name, x64):
    surface = surfaces.find(name)
    slope = jax.jit(jax.grad(surface.fun))
    for point in (*surface.minima, *surface.local_minima, *surface.saddles):
        # the sources give six decimals; the gradient is at most 100 times as far off
        np.testing.assert_allclose(slope(jnp.asarray(point)), 0, atol=1e-4)


@pytest.mark.parametrize("name", [name for name, make in NAMES.items() if make().minima])
def test_at_minima_the_surface_is_lowest_and_curves_upwards(name, x64):
    surface = surfaces.find(name)
    for point in surface.minima:
        assert (curvatures(surface, point) > 0).all()
        assert float(surface.fun(jnp.asarray(point))) == pytest.approx(surface.lowest, abs=1e-6)
    for point in surface.local_minima:
        assert (curvatures(surface, point) > 0).all()
        assert float(surface.fun(jnp.asarray(point))) > surface.lowest + 1
    x, y = (np.linspace(*side, 201) for side in surface.box)
    field = jax.jit(surface.fun)(jnp.stack(jnp.meshgrid(x, y), axis=-1))
    assert float(field.min()) >= surface.lowest - 1e-6


@pytest.mark.parametrize("name", [name for name, make in NAMES.items() if make().saddles])
def test_at_saddles_one_curvature_is_negative_and_one_positive(name, x64):
    surface = surfaces.find(name)
    for point in surface.saddles:
        low, high = curvatures(surface, point)
        if name == "monkey_saddle":
            assert (low, high) == (0, 0)  # where its name comes from: the third order decides
        else:
            assert low < 0 < high


def test_beales_saddle_is_where_all_three_residuals_are_the_constants(x64):
    height = surfaces.beale().fun(jnp.array([0.0, 1.0]))
    assert float(height) == 1.5**2 + 2.25**2 + 2.625**2


def test_a_turned_bowl_keeps_its_curvatures(x64):
    turned = surfaces.quadratic(50.0, angle=37.0)
    np.testing.assert_allclose(curvatures(turned, (0.3, -2.0)), [1, 50], rtol=1e-9)
    with pytest.raises(ValueError, match=r"condition must be >= 1, got 0\.5"):
        surfaces.quadratic(0.5)


def test_starts_lie_in_the_box_and_off_the_ridges():
    for make in NAMES.values():
        surface = make()
        for at, (low, high) in zip(surface.start, surface.box, strict=True):
            assert low < at < high
        slope = jax.grad(surface.fun)(jnp.array(surface.start))
        assert (np.asarray(slope) != 0).all()


def test_surfaces_take_many_points_at_once():
    points = jnp.array([[0.3, -0.4], [1.0, 2.0], [-1.5, 0.1]])
    for make in NAMES.values():
        fun = make().fun
        one_by_one = jnp.stack([fun(point) for point in points])
        np.testing.assert_allclose(fun(points), one_by_one, rtol=1e-6)


# Ruder's claims

RATE = 0.1
STEPS = 40  # N: by then those that scale have left, and those that do not are still there

# Adagrad as Duchi et al. and Ruder write it. Ours, optax's and others' default puts 0.1 into the
# sum of squares first, and that is large beside the gradients at a saddle.
SCALING = {
    "adagrad": (partial(adagrad, initial_accumulator=0.0), RATE),
    "adadelta": (adadelta, 1.0),  # Zeiler's rule has no rate
    "rmsprop": (rmsprop, RATE),
}
PLAIN = {"sgd": (sgd, RATE), "momentum": (momentum, RATE)}


def steps_to_leave(some, offset, steps=1000):
    """For each rule, how many steps until it is half a unit off the ridge of the saddle."""
    makes = {name: make for name, (make, _) in some.items()}
    rates = {name: [rate] for name, (_, rate) in some.items()}
    walks = walk(surfaces.saddle(offset), makes, rates, steps)
    off = {name: np.abs(paths[0, 0, :, 1]) > 0.5 for name, paths in walks.paths.items()}
    return {name: int(np.argmax(far)) if far.any() else None for name, far in off.items()}


@pytest.fixture(scope="module")
def left():
    return {offset: steps_to_leave(SCALING | PLAIN, offset) for offset in (1e-3, 1e-6, 1e-9)}


def test_sgd_and_momentum_stay_near_a_saddle_that_rules_with_scales_leave(left):
    steps = left[1e-9]
    assert all(steps[name] < STEPS for name in SCALING)
    assert all(steps[name] > STEPS for name in PLAIN)


def test_how_long_they_stay_is_the_logarithm_of_how_near_they_came(left):
    # off the ridge, y' = (1 + 2 eta) y: each factor of 1000 costs log 1000 / log 1.2 = 37.9 steps
    near, nearer, nearest = (left[offset]["sgd"] for offset in (1e-3, 1e-6, 1e-9))
    assert nearer - near == pytest.approx(37.9, abs=1)
    assert nearest - nearer == pytest.approx(37.9, abs=1)
    # with gamma = 0.9, by the larger root of z^2 - (1.9 + 2 eta) z + 0.9
    root = max(np.roots([1, -(1.9 + 2 * RATE), 0.9]))
    momentums = [left[offset]["momentum"] for offset in (1e-3, 1e-6, 1e-9)]
    np.testing.assert_allclose(np.diff(momentums), np.log(1000) / np.log(root), atol=1)


def test_rules_with_scales_hardly_see_how_near_they_came(left):
    for name in ("adagrad", "rmsprop"):
        assert left[1e-9][name] - left[1e-3][name] <= 3
    assert left[1e-9]["adadelta"] - left[1e-3]["adadelta"] <= 12  # its eps is above such gradients


def test_what_does_not_hold_a_slow_adagrad_leaves_after_momentum():
    slow = {"momentum": (momentum, 0.01), "adagrad": (SCALING["adagrad"][0], 0.01)}
    steps = steps_to_leave(slow, 1e-3)
    assert steps["momentum"] < steps["adagrad"]
    with_start = {"adagrad": (adagrad, RATE), "momentum": (momentum, RATE)}
    steps = steps_to_leave(with_start, 1e-6)  # 0.1 in the sum: no quicker than momentum, nearly
    assert abs(steps["adagrad"] - steps["momentum"]) <= 5


RATES = [2e-3, 3e-3, 4e-3, 5e-3]


@pytest.fixture(scope="module")
def on_beale():
    makes = {"sgd": sgd, "momentum": momentum, "nesterov": nesterov}
    return walk(surfaces.beale(), makes, RATES, 400)


def climbed(values):
    return np.maximum(np.diff(values, axis=-1), 0).sum(-1)


def test_momentum_overshoots_on_beale_where_sgd_does_not(on_beale):
    values = {name: values[0] for name, values in on_beale.values.items()}
    assert (climbed(values["sgd"]) < 1e-6).all()
    assert (climbed(values["momentum"]) > 3).all()  # of the start's 41
    lowest = {name: paths[0, :, :, 1].min(-1) for name, paths in on_beale.paths.items()}
    assert (lowest["sgd"] > 0).all()  # the valley's floor lies at y > 0 there
    assert (lowest["momentum"] < -1.3).all()


def test_nesterov_overshoots_less_and_is_back_sooner(on_beale):
    paths = {name: paths[0, :, :, 1] for name, paths in on_beale.paths.items()}
    values = {name: values[0] for name, values in on_beale.values.items()}
    assert (climbed(values["nesterov"]) < climbed(values["momentum"]) / 3).all()
    assert (paths["nesterov"].min(-1) > paths["momentum"].min(-1) + 0.3).all()

    def back(some):  # the last step at which it was below -0.5
        return np.array([np.flatnonzero(y < -0.5)[-1] for y in some])

    assert (back(paths["nesterov"]) < back(paths["momentum"])).all()


@pytest.fixture(scope="module")
def on_a_slope():
    everywhere = ((-1e4, 1e4), (-1e4, 1e4))
    slope = surfaces.Surface("slope", lambda p: jnp.sum(p, -1), (0.0, 0.0), everywhere)
    makes = {"adagrad": SCALING["adagrad"][0], "adadelta": adadelta, "rmsprop": rmsprop}
    walks = walk(slope, makes, [1.0], 400)
    return {name: np.abs(np.diff(paths[0, 0, :, 0])) for name, paths in walks.paths.items()}


def test_adagrads_rate_decays_as_one_over_the_root_of_the_step(on_a_slope):
    steps = np.arange(1, 401)
    np.testing.assert_allclose(on_a_slope["adagrad"], 1 / np.sqrt(steps), rtol=2e-3)


def test_adadeltas_and_rmsprops_rates_do_not_decay(on_a_slope):
    assert (np.diff(on_a_slope["adadelta"]) > -1e-6).all()  # it even grows
    assert on_a_slope["adadelta"][399] > 1.5 * on_a_slope["adadelta"][99]
    np.testing.assert_allclose(on_a_slope["rmsprop"][100:], 1.0, rtol=1e-3)
