r"""Line searches: how far to go along a direction.

Both take the function along the line, `phi(step) -> (value, slope, extra)`, where value is
f(x + step p), slope its derivative grad . p, and extra whatever shall come back with the accepted
step, such as the gradient there. Both are one loop with one evaluation in it, so that they compile
once and run under `vmap`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from fnn.optim.minimizers.base import Point, Problem

Phi = Callable[[jax.Array], tuple[jax.Array, jax.Array, Any]]


class Search(NamedTuple):
    """What a line search found.

    Attributes:
      step: the step to take; 0 if none was found that lowers the function.
      value: f there.
      slope: the derivative along the direction there.
      extra: what `phi` returned with them.
      evaluations: how often `phi` was called.
      satisfied: whether the search's conditions hold at the step.
    """

    step: jax.Array
    value: jax.Array
    slope: jax.Array
    extra: Any
    evaluations: jax.Array
    satisfied: jax.Array


class _Trial(NamedTuple):
    """A step that was tried, as `Search`'s first fields."""

    step: jax.Array
    value: jax.Array
    slope: jax.Array


class _Zoom(NamedTuple):
    """What `strong_wolfe` carries: the interval's ends and the step to try next."""

    low: _Trial
    high: _Trial
    extra: Any  # phi's extra at low
    next: jax.Array
    bracketed: jax.Array
    satisfied: jax.Array
    evaluations: jax.Array


def rounding(value: jax.Array) -> jax.Array:
    """Four units in the last place of a value: below that a difference of values is noise."""
    return 4 * jnp.finfo(value.dtype).eps * jnp.abs(value)


def noise(value: jax.Array) -> jax.Array:
    """A thousand units in the last place: how far off a value may be that sums many terms."""
    return 1000 * jnp.finfo(value.dtype).eps * jnp.abs(value)


def backtracking(
    phi: Phi,
    value: jax.Array,
    slope: jax.Array,
    extra: Any,
    *,
    initial: float | jax.Array = 1.0,
    c1: float | jax.Array = 1e-4,
    shrink: float | jax.Array = 0.5,
    limit: int = 40,
) -> Search:
    r"""Shrink the step until the function falls by a share of what its slope promised.

    .. math:: \phi(\alpha) \le \phi(0) + c_1 \alpha \, \phi'(0)

    Args:
      phi: the function along the line, as in this module's head.
      value: phi(0).
      slope: phi'(0) < 0.
      extra: what phi would return with them; it comes back if no step is found.
      initial: the first step tried, > 0; 1 for Newton's directions.
      c1: the share in (0, 1); larger accepts fewer steps.
      shrink: factor of the next step, in (0, 1); larger searches more finely.
      limit: evaluations after which the search gives up.

    A value that is not finite counts as too large. The condition is relaxed by four units in the
    last place of phi(0): closer to a minimum than that, values say nothing.

    Source: Armijo 1966; Nocedal & Wright 2006, algorithm 3.1

    >>> def phi(a):
    ...     return (a - 1) ** 2, 2 * (a - 1), None
    >>> found = backtracking(phi, 1.0, -2.0, None, initial=8.0)
    >>> print(found.step, found.value, found.evaluations)
    1.0 0.0 4
    """
    value = jnp.asarray(value)
    slope, step = jnp.asarray(slope, value.dtype), jnp.asarray(initial, value.dtype)

    def go(search):
        return ~search.satisfied & (search.evaluations < limit)

    def body(search):
        trial, now, more = phi(search.step)
        bound = value + c1 * search.step * slope + rounding(value)
        ok = jnp.isfinite(now) & jnp.isfinite(trial) & (trial <= bound)
        new_step = jnp.where(ok, search.step, shrink * search.step)
        return Search(new_step, trial, now, more, search.evaluations + 1, ok)

    start = Search(step, value, slope, extra, jnp.zeros((), jnp.int32), jnp.asarray(False))
    found = lax.while_loop(go, body, start)
    none = start._replace(step=jnp.zeros_like(step), evaluations=found.evaluations)
    return jax.tree.map(lambda a, b: jnp.where(found.satisfied, a, b), found, none)


def strong_wolfe(
    phi: Phi,
    value: jax.Array,
    slope: jax.Array,
    extra: Any,
    *,
    initial: float | jax.Array = 1.0,
    c1: float | jax.Array = 1e-4,
    c2: float | jax.Array = 0.9,
    limit: int = 30,
) -> Search:
    r"""A step that lowers the function enough and leaves the slope nearly level.

    .. math::
        \phi(\alpha) &\le \phi(0) + c_1 \alpha \, \phi'(0) \\
        |\phi'(\alpha)| &\le c_2 |\phi'(0)|

    The step is doubled until an interval is known to hold such a point; then `zoom` narrows it by
    the minimum of the cubic through both ends, or by half where that lies too near to an end.

    Args:
      phi: the function along the line, as in this module's head.
      value: phi(0).
      slope: phi'(0) < 0.
      extra: what phi would return with them; it comes back if no step is found.
      initial: the first step tried, > 0; 1 for Newton's and quasi-Newton directions.
      c1: share of the promised fall, in (0, c2).
      c2: share of the slope that may be left, in (c1, 1): 0.9 for quasi-Newton, 0.1 for conjugate
        gradients; smaller searches longer and ends nearer to the minimum along the line.
      limit: evaluations after which the lowest point so far is taken if it is lower than the
        start; it satisfies the first condition, `satisfied` is False.

    A value or slope that is not finite counts as too large: the step is halved until it is.

    Where implementations disagree: the book leaves open how the step grows; here it doubles. And it
    has no word on rounding: near a minimum values differ by less than they are off, and no search
    would end. So where the value is within 1000 units in the last place of phi(0), Hager and
    Zhang's form of the first condition will do, which asks the slope: phi'(a) <= (2 c_1 - 1)
    phi'(0), the same on a quadratic. SciPy reports a failure there.

    Source: Nocedal & Wright 2006, algorithms 3.5 and 3.6, the cubic of equation 3.59;
      Hager & Zhang 2005, equation 4.1, https://doi.org/10.1137/030601880

    >>> def phi(a):
    ...     return (a - 1) ** 2, 2 * (a - 1), None
    >>> found = strong_wolfe(phi, 1.0, -2.0, None, initial=0.1, c2=0.1)
    >>> print(bool(found.satisfied), round(float(found.step), 4), found.evaluations)
    True 1.0 6
    """
    value = jnp.asarray(value)
    slope = jnp.asarray(slope, value.dtype)
    start = _Trial(jnp.zeros_like(value), value, slope)

    def go(z):
        width = jnp.abs(z.high.step - z.low.step)
        open_ = ~z.bracketed | (
            width > jnp.finfo(value.dtype).eps * jnp.maximum(z.high.step, z.low.step)
        )
        return ~z.satisfied & open_ & (z.evaluations < limit)

    def body(z):
        trial_value, trial_slope, more = phi(z.next)
        trial = _Trial(z.next, trial_value, trial_slope)
        low_enough = (trial_value <= value + c1 * z.next * slope) & (trial_value < z.low.value)
        tilted = (trial_value <= value + noise(value)) & (trial_slope <= (2 * c1 - 1) * slope)
        good = jnp.isfinite(trial_value) & jnp.isfinite(trial_slope) & (low_enough | tilted)
        satisfied = good & (jnp.abs(trial_slope) <= c2 * jnp.abs(slope))
        ahead = jnp.where(z.bracketed, jnp.sign(z.high.step - z.low.step), 1.0)
        turned = good & (trial_slope * ahead >= 0)
        new_high = _choose(good, _choose(turned, z.low, z.high), trial)
        new_low = _choose(good, trial, z.low)
        bracketed = z.bracketed | ~good | turned
        following = jnp.where(bracketed, _interpolate(new_low, new_high), 2 * z.next)
        extra_now = _choose(good, more, z.extra)
        return _Zoom(
            new_low, new_high, extra_now, following, bracketed, satisfied, z.evaluations + 1
        )

    first = jnp.asarray(initial, value.dtype)
    zero = jnp.zeros((), jnp.int32)
    found = lax.while_loop(
        go, body, _Zoom(start, start, extra, first, jnp.asarray(False), jnp.asarray(False), zero)
    )
    usable = found.satisfied | (found.low.value < value - rounding(value))
    low, extra = _choose(usable, (found.low, found.extra), (start, extra))
    return Search(low.step, low.value, low.slope, extra, found.evaluations, found.satisfied)


def _choose(which: jax.Array, a: Any, b: Any) -> Any:
    return jax.tree.map(lambda x, y: jnp.where(which, x, y), a, b)


def _interpolate(low: _Trial, high: _Trial) -> jax.Array:
    """The minimum of the cubic through both ends (equation 3.59), or the middle.

    The middle where the cubic has no minimum, an end is not finite, or the minimum lies within a
    twentieth of the interval from an end, where it would hardly narrow.
    """
    width = high.step - low.step
    d1 = low.slope + high.slope + 3 * (low.value - high.value) / width
    d2 = jnp.sign(width) * jnp.sqrt(d1**2 - low.slope * high.slope)
    step = high.step - width * (high.slope + d2 - d1) / (high.slope - low.slope + 2 * d2)
    share = (step - low.step) / width
    usable = jnp.isfinite(share) & (share > 0.05) & (share < 0.95)
    return jnp.where(usable, step, low.step + width / 2)


def along(problem: Problem, point: Point, p: jax.Array) -> Phi:
    """phi of the line from a point in the direction p; its extra is the gradient."""

    def phi(step):
        value, grad = problem.value_and_grad(point.x + step * p)
        return value, grad @ p, grad

    return phi


def moved(point: Point, p: jax.Array, search: Search) -> Point:
    """The point after the step that a search along p found."""
    return Point(
        point.x + search.step * p,
        search.value,
        search.extra,
        point.evaluations + search.evaluations,
        point.products,
    )
