"""Surfaces with one way down that is hard to go: curved, narrow, or suddenly flat."""

import math

from fnn.surfaces.base import Surface


def beale() -> Surface:
    r"""Beale's function: steep walls, a flat floor, and a saddle beside the way to the minimum.

    .. math::
        f(x, y) = (1.5 - x + xy)^2 + (2.25 - x + xy^2)^2 + (2.625 - x + xy^3)^2

    Its minimum is 0 at (3, 0.5); at (0, 1) there is a saddle of height 14.203125. The start stands
    on a wall, so that the first gradients are a hundred times those of the floor.

    Source: More, Garbow & Hillstrom 1981, problem 5, https://doi.org/10.1145/355934.355936; it is
      the surface of Ruder 2016, image 5a, https://arxiv.org/abs/1609.04747

    >>> import jax.numpy as jnp
    >>> print(beale().fun(jnp.array([3.0, 0.5])))
    0.0
    """

    def fun(p):
        x, y = p[..., 0], p[..., 1]
        return (
            (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y * y * y) ** 2
        )

    return Surface(
        "beale",
        fun,
        start=(1.0, 1.5),
        box=((-1.0, 4.5), (-1.5, 2.0)),
        minima=((3.0, 0.5),),
        lowest=0.0,
        saddles=((0.0, 1.0),),
    )


def rosenbrock(a: float = 1.0, b: float = 100.0) -> Surface:
    r"""Rosenbrock's banana: a curved valley whose floor hardly falls.

    .. math:: f(x, y) = (a - x)^2 + b (y - x^2)^2

    Args:
      a: the minimum is 0 at (a, a^2).
      b: > 0, how steep the walls are.

    Source: Rosenbrock 1960, section 3, https://doi.org/10.1093/comjnl/3.3.175, who also starts at
      (-1.2, 1)

    >>> import jax.numpy as jnp
    >>> print(rosenbrock().fun(jnp.array([[1.0, 1.0], [0.0, 0.0]])))
    [0. 1.]
    """

    def fun(p):
        x, y = p[..., 0], p[..., 1]
        return (a - x) ** 2 + b * (y - x**2) ** 2

    return Surface(
        "rosenbrock",
        fun,
        start=(-1.2, 1.0),
        box=((-2.0, 2.0), (-1.0, 3.0)),
        minima=((a, a * a),),
        lowest=0.0,
    )


def quadratic(condition: float = 100.0, angle: float = 0.0) -> Surface:
    r"""A bowl that is `condition` times as curved along one axis as along the other.

    .. math::
        f(p) = \tfrac12 q^\top \operatorname{diag}(1, \kappa) \, q,
        \qquad q = R_{-\alpha} \, p

    Gradient descent is stable for rates below 2 / condition. Methods with a rate for each
    coordinate undo the condition if the axes of the bowl are the coordinates', and else do not.

    Args:
      condition: kappa >= 1, the largest curvature; the smallest is 1.
      angle: alpha in degrees, by which the bowl is turned against the coordinates.

    Raises:
      ValueError: if condition is less than 1.

    >>> import jax.numpy as jnp
    >>> print(quadratic(100.0).fun(jnp.array([[1.0, 0.0], [0.0, 1.0]])))
    [ 0.5 50. ]
    """
    if not condition >= 1:
        raise ValueError(f"quadratic: condition must be >= 1, got {condition}")
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))

    def fun(p):
        x, y = p[..., 0], p[..., 1]
        along, across = cos * x + sin * y, cos * y - sin * x
        return 0.5 * (along**2 + condition * across**2)

    return Surface(
        "rotated_quadratic" if angle else "quadratic",
        fun,
        start=(-4.0, 1.5),
        box=((-5.0, 5.0), (-3.0, 3.0)),
        minima=((0.0, 0.0),),
        lowest=0.0,
    )
