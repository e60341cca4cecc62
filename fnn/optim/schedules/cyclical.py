"""Schedules that go up and down again and again, and one that does it once in straight lines."""

import jax
import jax.numpy as jnp

from fnn.optim.hypers import Schedule
from fnn.optim.schedules.decay import linear
from fnn.optim.schedules.joined import join
from fnn.optim.schedules.pieces import known, positive, time

Number = float | jax.Array


def triangular(low: Number, high: Number, *, steps: Number) -> Schedule:
    r"""Straight up from low to high and down again, for ever.

    .. math:: y = l + (h - l) \, z, \quad z = \max(0, 1 - |t / s - 2 c + 1|), \quad
        c = \lfloor 1 + t / (2 s) \rfloor

    Args:
      low: the value at the beginning and end of each cycle.
      high: the value in its middle.
      steps: s > 0, the length of the way up, half a cycle. The paper takes 2 to 10 passes over the
        data.

    Source: Smith 2017, section 3.1, https://arxiv.org/abs/1506.01186
    Same as: PyTorch's CyclicLR(mode="triangular")

    >>> [float(v) for v in triangular(0.0, 1.0, steps=2)(jnp.arange(7))]
    [0.0, 0.5, 1.0, 0.5, 0.0, 0.5, 1.0]
    """
    positive("triangular", steps=steps)
    return _cyclical(low, high, steps, lambda t, cycle: 1.0)


def triangular2(low: Number, high: Number, *, steps: Number) -> Schedule:
    r"""`triangular` whose peaks stand half as far above low at each cycle.

    .. math:: y = l + (h - l) \, z \, / \, 2^{c - 1}

    with z and c as in `triangular`.

    Args:
      low: the value at the beginning and end of each cycle.
      high: the value in the middle of the first.
      steps: s > 0, half a cycle.

    Source: Smith 2017, section 3.1, https://arxiv.org/abs/1506.01186
    Same as: PyTorch's CyclicLR(mode="triangular2")

    >>> [float(v) for v in triangular2(0.0, 1.0, steps=2)(jnp.arange(7))]
    [0.0, 0.5, 1.0, 0.5, 0.0, 0.25, 0.5]
    """
    positive("triangular2", steps=steps)
    return _cyclical(low, high, steps, lambda t, cycle: 0.5 ** (cycle - 1))


def exp_range(low: Number, high: Number, *, steps: Number, factor: Number) -> Schedule:
    r"""`triangular` whose height above low shrinks by the factor at each step.

    .. math:: y = l + (h - l) \, z \, q^t

    with z as in `triangular`.

    Args:
      low: the value at the beginning and end of each cycle.
      high: what the first peak would be without the factor.
      steps: s > 0, half a cycle.
      factor: q > 0; the paper takes 0.99994. Above 1 the peaks grow.

    Source: Smith 2017, section 3.1, https://arxiv.org/abs/1506.01186; its text lets the bounds
      themselves shrink, its code and PyTorch's the height between them, as here.
    Same as: PyTorch's CyclicLR(mode="exp_range", gamma=factor)

    >>> [float(v) for v in exp_range(0.0, 1.0, steps=2, factor=0.5)(jnp.arange(4))]
    [0.0, 0.25, 0.25, 0.0625]
    """
    positive("exp_range", steps=steps, factor=factor)
    return _cyclical(low, high, steps, lambda t, cycle: jnp.asarray(factor, t.dtype) ** t)


def _cyclical(low: Number, high: Number, steps: Number, height) -> Schedule:
    def schedule(count):
        t = time(count)
        cycle = jnp.floor(1 + t / (2 * steps))
        z = jnp.maximum(0, 1 - jnp.abs(t / steps - 2 * cycle + 1))
        return low + (high - low) * z * height(t, cycle)

    return schedule


def linear_one_cycle(
    peak: Number,
    *,
    steps: Number,
    warmup_share: Number = 0.3,
    final_share: Number = 0.85,
    divisor: Number = 25.0,
    final_divisor: Number = 1e4,
) -> Schedule:
    r"""Straight up to peak, straight back to the start, and from there far below it.

    .. math:: peak / divisor \to peak \to peak / divisor \to peak / (divisor \cdot final\_divisor)

    Args:
      peak: the largest value, at step `floor(warmup_share * steps)`.
      steps: the length of all three lines together, > 0.
      warmup_share: the share of the steps that goes up, in (0, final_share).
      final_share: the share of the steps at which the last line begins, in (warmup_share, 1).
      divisor: peak over the first value, > 0.
      final_divisor: the first value over the last, > 0.

    Where implementations disagree: this is the paper's shape, a cycle of straight lines and then a
    fall by orders of magnitude; `one_cycle` is the later habit of two half cosines. The paper's way
    down is as long as its way up, so final_share = 2 * warmup_share; the defaults are optax's.
    PyTorch turns and ends one step earlier.

    Source: Smith & Topin 2018, section 3, https://arxiv.org/abs/1708.07120
    Same as: optax.linear_onecycle_schedule

    >>> schedule = linear_one_cycle(1.0, steps=100, divisor=10.0, final_divisor=10.0)
    >>> [round(float(schedule(count)), 2) for count in (0, 15, 30, 85, 100)]
    [0.1, 0.55, 1.0, 0.1, 0.01]
    """
    positive("linear_one_cycle", steps=steps, divisor=divisor, final_divisor=final_divisor)
    if known(warmup_share, final_share) and not 0 < warmup_share < final_share < 1:
        raise ValueError(
            "linear_one_cycle: warmup_share and final_share must rise in (0, 1), got"
            f" {warmup_share} and {final_share}"
        )
    turn, back = (
        int(share * steps) if known(share, steps) else jnp.floor(share * steps)
        for share in (warmup_share, final_share)
    )
    start = peak / divisor
    lines = [
        linear(start, peak, steps=max(turn, 1) if known(turn) else jnp.maximum(turn, 1)),
        linear(peak, start, steps=back - turn),
        linear(start, start / final_divisor, steps=steps - back),
    ]
    return join(lines, [turn, back])
