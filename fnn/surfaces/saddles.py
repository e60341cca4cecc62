"""Surfaces with a saddle near the start, where the gradient says little about the way down."""

from fnn.surfaces.base import Surface


def saddle(offset: float = 1e-3) -> Surface:
    r"""The plain saddle, which rises along x and falls along y without end.

    .. math:: f(x, y) = x^2 - y^2

    The start lies a hair beside the ridge, where the gradient leads to the saddle first. So it is
    in Radford's animation of optimizers at a saddle, image 5b of Ruder's overview; he published
    the picture, not its formula.

    Args:
      offset: how far beside the ridge y = 0 the start lies; on it no rule without noise leaves.

    Source: Ruder 2016, image 5b, https://arxiv.org/abs/1609.04747

    >>> import jax.numpy as jnp
    >>> print(saddle().fun(jnp.array([[1.0, 0.0], [0.0, 1.0]])))
    [ 1. -1.]
    """

    def fun(p):
        return p[..., 0] ** 2 - p[..., 1] ** 2

    box = ((-1.5, 1.5), (-1.5, 1.5))
    return Surface("saddle", fun, start=(1.0, offset), box=box, saddles=((0.0, 0.0),))


def monkey_saddle(offset: float = 1e-2) -> Surface:
    r"""A saddle with three ways down, for two legs and a tail; even its curvature is zero.

    .. math:: f(x, y) = x^3 - 3 x y^2

    Args:
      offset: how far beside the ridge y = 0 the start lies.

    Source: Hilbert & Cohn-Vossen 1932, Anschauliche Geometrie, section 29

    >>> import jax.numpy as jnp
    >>> print(monkey_saddle().fun(jnp.array([1.0, 1.0])))
    -2.0
    """

    def fun(p):
        x, y = p[..., 0], p[..., 1]
        return x**3 - 3 * x * y**2

    box = ((-1.5, 1.5), (-1.5, 1.5))
    return Surface("monkey_saddle", fun, start=(1.0, offset), box=box, saddles=((0.0, 0.0),))


def two_wells(offset: float = 1e-3) -> Surface:
    r"""A saddle between two minima: what gradient descent takes for the end, if it comes straight.

    .. math:: f(x, y) = \tfrac12 x^2 + \tfrac14 y^4 - \tfrac12 y^2

    Its minima are -1/4 at (0, -1) and (0, 1), its saddle is at (0, 0).

    Args:
      offset: how far beside the ridge y = 0 the start lies; from the ridge itself, gradient descent
        converges to the saddle.

    Source: Nesterov 2004, Introductory Lectures on Convex Optimization, example 1.2.2

    >>> import jax.numpy as jnp
    >>> print(two_wells().fun(jnp.array([0.0, 1.0])))
    -0.25
    """

    def fun(p):
        x, y = p[..., 0], p[..., 1]
        return 0.5 * x**2 + 0.25 * y**4 - 0.5 * y**2

    return Surface(
        "two_wells",
        fun,
        start=(1.0, offset),
        box=((-1.5, 1.5), (-1.5, 1.5)),
        minima=((0.0, -1.0), (0.0, 1.0)),
        lowest=-0.25,
        saddles=((0.0, 0.0),),
    )
