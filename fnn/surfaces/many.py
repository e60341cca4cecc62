"""Surfaces with many minima, where the start decides which one is found."""

import math

import jax.numpy as jnp

from fnn.surfaces.base import Surface


def himmelblau() -> Surface:
    r"""Himmelblau's function: four minima of equal depth, and four saddles between them.

    .. math:: f(x, y) = (x^2 + y - 11)^2 + (x + y^2 - 7)^2

    Source: Himmelblau 1972, Applied Nonlinear Programming; minima and saddles to six digits in
      https://en.wikipedia.org/wiki/Himmelblau%27s_function

    >>> print(himmelblau().fun(jnp.array([3.0, 2.0])))
    0.0
    """

    def fun(p):
        x, y = p[..., 0], p[..., 1]
        return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2

    return Surface(
        "himmelblau",
        fun,
        start=(-0.5, -0.5),
        box=((-5.0, 5.0), (-5.0, 5.0)),
        minima=((3.0, 2.0), (-2.805118, 3.131313), (-3.779310, -3.283186), (3.584428, -1.848127)),
        lowest=0.0,
        saddles=(
            (0.086678, 2.884255),
            (3.385154, 0.073852),
            (-3.073026, -0.081353),
            (-0.127961, -1.953715),
        ),
    )


def rastrigin(height: float = 10.0) -> Surface:
    r"""Rastrigin's function: a bowl with a dent about every whole number.

    .. math:: f(p) = \sum_i \left( A + p_i^2 - A \cos 2 \pi p_i \right)

    Works for points of any dimension.

    Args:
      height: A >= 0; the ridges between the dents rise by about 2 A.

    Source: Rastrigin 1974, Systems of Extremal Control; Muhlenbein, Schomisch & Born 1991,
      https://doi.org/10.1016/S0167-8191(05)80052-3

    >>> print(rastrigin().fun(jnp.zeros(2)))
    0.0
    """

    def fun(p):
        return jnp.sum(height + p**2 - height * jnp.cos(2 * math.pi * p), axis=-1)

    return Surface(
        "rastrigin",
        fun,
        start=(2.3, -1.7),
        box=((-3.5, 3.5), (-3.5, 3.5)),
        minima=((0.0, 0.0),),
        lowest=0.0,
    )


def styblinski_tang() -> Surface:
    r"""Styblinski and Tang's function: one minimum in each quarter of the plane, one the lowest.

    .. math:: f(p) = \tfrac12 \sum_i \left( p_i^4 - 16 p_i^2 + 5 p_i \right)

    Works for points of any dimension n; its minimum is -39.16616570 n.

    Source: Styblinski & Tang 1990, https://doi.org/10.1016/0893-6080(90)90035-F

    >>> print(round(float(styblinski_tang().fun(jnp.array([-2.903534, -2.903534]))), 3))
    -78.332
    """

    def fun(p):
        return 0.5 * jnp.sum(p**4 - 16 * p**2 + 5 * p, axis=-1)

    low, high = -2.903534, 2.746803
    return Surface(
        "styblinski_tang",
        fun,
        start=(0.6, 0.3),
        box=((-5.0, 5.0), (-5.0, 5.0)),
        minima=((low, low),),
        lowest=-78.3323314,
        local_minima=((low, high), (high, low), (high, high)),
        saddles=((low, 0.156731), (0.156731, low), (high, 0.156731), (0.156731, high)),
    )
