"""Surfaces have the landmarks that their sources publish, and optimizers walk them as told."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn import surfaces
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
    field = surface.fun(jnp.stack(jnp.meshgrid(x, y), axis=-1))
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
