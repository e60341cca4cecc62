"""The three classic questions about an activation, answered by measurement.

Is it non-linear? Without that, layers of neurons are worth one layer. Is it differentiable
everywhere? Backpropagation multiplies slopes. Has it a fixed range? Then no neuron can blow up.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

REACH = 50.0  # how far from 0 the function is looked at closely
FAR = (1e2, 1e3, 1e4, 1e5, 1e6)  # where it is asked whether it still grows


class Properties(NamedTuple):
    """What was found.

    Attributes:
      nonlinear: whether it departs from every straight line.
      kinks: the points, to about 1e-6, where the slope jumps.
      jumps: the points where the value itself does.
      lower: the greatest lower bound, -inf if there is none.
      upper: the least upper bound, inf if there is none.
    """

    nonlinear: bool
    kinks: tuple[float, ...]
    jumps: tuple[float, ...]
    lower: float
    upper: float

    @property
    def differentiable(self) -> bool:
        """Whether it has one slope at every point."""
        return not (self.kinks or self.jumps)

    @property
    def fixed_range(self) -> bool:
        """Whether it is bounded on both sides."""
        return bool(np.isfinite(self.lower) and np.isfinite(self.upper))

    def __str__(self) -> str:
        shape = "non-linear" if self.nonlinear else "linear"
        where = [f"a kink at {x:.6g}" for x in self.kinks] + [
            f"a jump at {x:.6g}" for x in self.jumps
        ]
        slope = "not differentiable: " + ", ".join(where) if where else "differentiable everywhere"
        kind = "fixed range" if self.fixed_range else "range"
        return f"{shape}; {slope}; {kind} from {self.lower:.4g} to {self.upper:.4g}"


def properties(function: Callable[[jax.Array], jax.Array]) -> Properties:
    """Is it non-linear? Differentiable everywhere? Of fixed range?

    The function is called in float64 on a fine grid and far out; suspects are narrowed down by
    halving. What a function does between the points of a grid of a thousandth, or only beyond a
    million, is not seen.

    Args:
      function: elementwise, from an array to one of the same shape; not called with gradients.

    Raises:
      ValueError: if it is not elementwise or gives no finite numbers.

    >>> print(properties(jax.nn.relu))
    non-linear; not differentiable: a kink at 0; range from 0 to inf
    >>> print(properties(jax.numpy.tanh))
    non-linear; differentiable everywhere; fixed range from -1 to 1
    """

    def f(x):
        with jax.enable_x64(True):
            y = np.asarray(function(jax.numpy.asarray(x, "float64")), np.float64)
        if y.shape != x.shape or not np.isfinite(y).all():
            raise ValueError(
                "properties: the function must give one finite number for each,"
                f" got shape {y.shape} for {x.shape}, {np.sum(~np.isfinite(y))} of them not finite"
            )
        return y

    # an offset that no round number meets, so that kinks lie between points of the grid
    x = np.arange(-REACH, REACH, 1e-3) + 0.000317
    y = f(x)
    jumps = _breaks(f, x, y, slope=False)
    kinks = tuple(
        p for p in _breaks(f, x, y, slope=True) if not any(abs(p - j) < 1e-2 for j in jumps)
    )
    lower, upper = _range(f, x, y)
    return Properties(_nonlinear(x, y), kinks, jumps, lower, upper)


def _nonlinear(x: np.ndarray, y: np.ndarray) -> bool:
    line = np.polynomial.Polynomial.fit(x, y, 1)(x)
    return bool(np.abs(y - line).max() > 1e-9 * (1 + np.abs(y).max()))


def _breaks(
    f: Callable[[np.ndarray], np.ndarray], x: np.ndarray, y: np.ndarray, *, slope: bool
) -> tuple[float, ...]:
    """Where the value, or its slope, changes by as much in ever smaller cells.

    Over a smooth cell of width h the value changes by about h, and so does the slope; at a jump or
    a kink the change stays as h shrinks. So cells that stand out are divided, keeping the part with
    the largest change, and where the change does not fade there is a break.
    """
    h = x[1] - x[0]
    change = np.abs(np.diff(y, 2)) / h if slope else np.abs(np.diff(y))
    typical = np.median(change) + 1e-9
    peak = change > np.maximum(5 * typical, 1e-4 if slope else 1e-3)
    found: list[float] = []
    for i in np.flatnonzero(peak):
        left, right = x[i], x[min(i + (2 if slope else 1), len(x) - 1)]
        point = _narrow(f, left, right, slope=slope)
        if point is not None and all(abs(point - other) > 1e-2 for other in found):
            found.append(point)
    return tuple(sorted(0.0 if abs(p) < 1e-6 else round(p, 6) for p in found))


def _narrow(
    f: Callable[[np.ndarray], np.ndarray], left: float, right: float, *, slope: bool
) -> float | None:
    """Halve [left, right] towards the break in it; None if the change vanishes with the width."""
    first = None
    # below this width the rounding of float64 would pass for a change of slope
    least = 1e-6 if slope else 1e-11
    while right - left > least:
        points = np.linspace(left, right, 9)
        y = f(points)
        if slope:
            change = np.abs(np.diff(y, 2)) / (points[1] - points[0])
            best = int(np.argmax(change))
            left, right = points[best], points[best + 2]
        else:
            change = np.abs(np.diff(y))
            best = int(np.argmax(change))
            left, right = points[best], points[best + 1]
        first = change[best] if first is None else first
        if change[best] < 0.3 * first:
            return None
    return (left + right) / 2


def _range(
    f: Callable[[np.ndarray], np.ndarray], x: np.ndarray, y: np.ndarray
) -> tuple[float, float]:
    """The bounds: those seen, and what is approached or passed far out on either side."""
    far = np.array(FAR)
    sides = [f(far), f(-far)]
    h = x[1] - x[0]
    closer = [f(x[i] + np.linspace(-h, h, 2001)) for i in (np.argmin(y), np.argmax(y))]
    lower, upper = closer[0].min(), closer[1].max()
    for side in sides:
        if abs(side[-1]) > 2 * abs(side[-2]) + 1:  # still growing with x
            lower, upper = (-np.inf, upper) if side[-1] < 0 else (lower, np.inf)
        else:
            lower, upper = min(lower, side.min()), max(upper, side.max())
    return float(_tidy(lower)), float(_tidy(upper))


def _tidy(value: float) -> float:
    """A bound that is a whole number but for rounding is that number."""
    return round(value) if np.isfinite(value) and abs(value - round(value)) < 1e-4 else value
