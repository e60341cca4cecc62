"""What a surface is: a function of a point of the plane, and what is known about it."""

from collections.abc import Callable
from typing import NamedTuple

import jax

Point = tuple[float, float]


class Surface(NamedTuple):
    """A function to lead optimizers over, with its published landmarks.

    Attributes:
      name: such as "beale".
      fun: (..., 2) -> (...), the value at each point, in JAX.
      start: where walks begin unless told otherwise.
      box: ((x_low, x_high), (y_low, y_high)), the part that pictures show; a walk that ends outside
        of it has been lost, if the surface has a minimum.
      minima: the points of the global minimum; none if the surface falls without end.
      lowest: the value there; None if there is none.
      local_minima: other points that are lower than all around them.
      saddles: points with gradient zero from which the surface rises one way and falls another.
    """

    name: str
    fun: Callable[[jax.Array], jax.Array]
    start: Point
    box: tuple[Point, Point]
    minima: tuple[Point, ...] = ()
    lowest: float | None = None
    local_minima: tuple[Point, ...] = ()
    saddles: tuple[Point, ...] = ()
