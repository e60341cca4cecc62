"""The three classic questions about an activation, answered by measurement.

Is it non-linear? Without that, layers of neurons are worth one layer. Is it differentiable
everywhere? Backpropagation multiplies slopes. Has it a fixed range? Then no neuron can blow up.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

REACH = 50.0  # how far from 0 the function is looked at closely
FAR = 10 ** np.arange(2, 6.1, 0.25)  # where it is asked whether it still grows
HUGE = 1e300  # what an overflow far out counts as


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
    division. Kinks and jumps are looked for from -50 to 50. What a function does between the points
    of a grid of a thousandth, or only beyond a million, is not seen; nor are jumps below 0.001 seen
    to be more than kinks.

    Args:
      function: elementwise, from an array to one of the same shape; not called with gradients.

    Raises:
      ValueError: if it is not elementwise or gives no finite numbers.

    >>> print(properties(jax.nn.relu))
    non-linear; not differentiable: a kink at 0; range from 0 to inf
    >>> print(properties(jax.numpy.tanh))
    non-linear; differentiable everywhere; fixed range from -1 to 1
    """

    def f(x, *, far=False):
        size = 1 << max(8, (x.size - 1).bit_length())  # few sizes: each new one compiles anew
        given = np.pad(x.ravel(), (0, size - x.size), mode="edge")
        with jax.enable_x64(True):
            y = np.asarray(function(jax.numpy.asarray(given, "float64")), np.float64)
        bad = np.isnan(y) if far else ~np.isfinite(y)  # an exponential may overflow far out
        if y.shape != given.shape or bad.any():
            raise ValueError(
                "properties: the function must give one finite number for each,"
                f" got shape {y.shape} for {given.shape}, {np.sum(bad)} of them not finite"
            )
        return y[: x.size].reshape(x.shape)

    # an offset that no round number meets, so that kinks lie between points of the grid
    x = np.arange(-REACH, REACH, 1e-3) + 0.000317
    y = f(x)
    jumps = _breaks(f, x, y, slope=False)
    # narrowing down a kink beside a jump ends at the jump
    kinks = tuple(
        p for p in _breaks(f, x, y, slope=True) if not any(abs(p - j) < 1e-5 for j in jumps)
    )
    far = [np.clip(f(side, far=True), -HUGE, HUGE) for side in (FAR, -FAR)]
    lower, upper = _range(f, x, y, far)
    return Properties(_nonlinear(x, y, far), kinks, jumps, lower, upper)


def _nonlinear(x: np.ndarray, y: np.ndarray, far: list[np.ndarray]) -> bool:
    line = np.polynomial.Polynomial.fit(x, y, 1)
    near = np.abs(y - line(x)).max() > 1e-9 * (1 + np.abs(y).max())
    beyond = (
        np.abs(v - line(side)).max() > 1e-7 * (1 + np.abs(v).max())
        for v, side in zip(far, (FAR, -FAR), strict=True)
    )
    return bool(near or any(beyond))


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
    left = x[np.flatnonzero(peak)]
    points = np.sort(_narrow(f, left, left + (2 * h if slope else h), slope=slope))
    apart = np.diff(points, prepend=-np.inf) > 1e-5  # neighbouring cells find the same break
    return tuple(0.0 if abs(p) < 1e-6 else round(float(p), 6) for p in points[apart])


def _narrow(
    f: Callable[[np.ndarray], np.ndarray], left: np.ndarray, right: np.ndarray, *, slope: bool
) -> np.ndarray:
    """Narrow every [left, right] towards the break in it; drop those whose change fades with it."""
    order, parts = (2 if slope else 1), 8
    # below this width the rounding of float64 would pass for a change of slope
    least = 1e-6 if slope else 1e-11
    first = None
    while left.size and (right - left).max() > least:
        points = np.linspace(left, right, parts + 1, axis=1)
        change = np.abs(np.diff(f(points), order, axis=1))
        if slope:
            change /= (right - left)[:, None] / parts
        best = change.argmax(1)[:, None]
        change = np.take_along_axis(change, best, 1)[:, 0]
        first = change if first is None else first
        kept = change >= 0.3 * first
        left = np.take_along_axis(points, best, 1)[kept, 0]
        right = np.take_along_axis(points, best + order, 1)[kept, 0]
        first = first[kept]
    return (left + right) / 2


def _range(
    f: Callable[[np.ndarray], np.ndarray], x: np.ndarray, y: np.ndarray, far: list[np.ndarray]
) -> tuple[float, float]:
    """The bounds: those seen, and what is approached or passed far out on either side."""
    h = x[1] - x[0]
    closer = [f(x[i] + np.linspace(-h, h, 2001)) for i in (np.argmin(y), np.argmax(y))]
    lower, upper = closer[0].min(), closer[1].max()
    for side in far:
        if not _grows(side):
            lower, upper = min(lower, side.min()), max(upper, side.max())
        elif side[-1] < side[0]:
            lower, upper = -np.inf, max(upper, side.max())
        else:
            lower, upper = min(lower, side.min()), np.inf
    return float(_tidy(lower)), float(_tidy(upper))


def _grows(side: np.ndarray) -> bool:
    """Whether the values at ever farther points run away, if only as a logarithm does.

    A logarithm takes equal steps from one power of ten to the next, a function with a limit
    smaller and smaller ones, and one that swings goes up and down.
    """
    if abs(side[-1]) == HUGE:
        return True
    steps = np.diff(side)
    onward = (steps > 0).all() or (steps < 0).all()
    steady = bool(onward and abs(steps[-1]) > 0.9 * abs(steps[-2]))
    return steady or bool(abs(side[-1]) > 2 * abs(side[-5]) + 1)


def _tidy(value: float) -> float:
    """A bound that is a whole number but for rounding is that number."""
    return round(value) if np.isfinite(value) and abs(value - round(value)) < 1e-4 else value
