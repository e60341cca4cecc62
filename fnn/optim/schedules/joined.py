"""Schedules of several pieces: joined, warmed up, restarted, one cycle."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from fnn.optim.hypers import Schedule
from fnn.optim.schedules.decay import cosine_decay, linear
from fnn.optim.schedules.pieces import cosine, known, positive, time

Number = float | jax.Array


def join(schedules: Sequence[Schedule], boundaries: Sequence[Number]) -> Schedule:
    """One schedule after another, each counting from its own beginning.

    Args:
      schedules: at least one.
      boundaries: the step at which each but the first takes over, rising.

    Same as: optax.join_schedules

    >>> from fnn.optim.schedules import constant
    >>> print(join([constant(1.0), linear(1.0, 0.0, steps=10)], [100])(105))
    0.5
    """
    if len(boundaries) != len(schedules) - 1:
        raise ValueError(
            f"join: boundaries must be one fewer than schedules, got {len(boundaries)}"
            f" for {len(schedules)}"
        )

    def schedule(count):
        value = schedules[0](count)
        for boundary, later in zip(boundaries, schedules[1:], strict=True):
            value = jnp.where(count < boundary, value, later(count - boundary))
        return value

    return schedule


def warmup(then: Schedule, *, steps: Number, start: Number = 0.0) -> Schedule:
    """A straight line up to where another schedule begins, then that schedule from its step 0.

    Args:
      then: what follows.
      steps: the length of the line, > 0.
      start: the first value.

    >>> from fnn.optim.schedules import constant
    >>> [float(v) for v in warmup(constant(1.0), steps=4)(jnp.arange(6))]
    [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    """
    positive("warmup", steps=steps)

    def rise(count):
        # asked here and not outside, so that it is float64 if the step runs under x64
        return linear(start, then(jnp.zeros((), jnp.int32)), steps=steps)(count)

    return join([rise, then], [steps])


def warmup_cosine(
    peak: Number, *, steps: Number, warmup_steps: Number, start: Number = 0.0, end: Number = 0.0
) -> Schedule:
    """A straight line from start to peak, then a cosine down to end.

    Args:
      peak: the largest value.
      steps: the length of both together, > warmup_steps.
      warmup_steps: the length of the line, > 0.
      start: the first value.
      end: the last value.

    Same as: optax.warmup_cosine_decay_schedule(start, peak, warmup_steps, steps, end)

    >>> [round(float(v), 2) for v in warmup_cosine(1.0, steps=6, warmup_steps=2)(jnp.arange(7))]
    [0.0, 0.5, 1.0, 0.85, 0.5, 0.15, 0.0]
    """
    positive("warmup_cosine", warmup_steps=warmup_steps)
    if known(steps, warmup_steps) and steps <= warmup_steps:
        raise ValueError(
            f"warmup_cosine: steps must be more than warmup_steps={warmup_steps}, which they"
            f" include, got {steps}"
        )
    return warmup(
        cosine_decay(peak, steps=steps - warmup_steps, end=end), steps=warmup_steps, start=start
    )


def cosine_restarts(
    start: Number, *, steps: Number, cycles: int, growth: float = 1.0, end: Number = 0.0
) -> Schedule:
    r"""Cosine decay that starts anew, each time for longer; at the end after the last cycle.

    .. math:: y = e + (s - e) \tfrac12 (1 + \cos(\pi t_i / T_i)), \quad T_i = steps \cdot growth^i

    with t_i the steps since the i-th start.

    Args:
      start: the first value of every cycle.
      steps: the length of the first cycle, > 0.
      cycles: how many there are, > 0.
      growth: how many times longer than the last each cycle is, > 0.
      end: what each cycle comes down to.

    Source: Loshchilov & Hutter 2017, equation 5, https://arxiv.org/abs/1608.03983
    Same as: optax.sgdr_schedule without warm-up

    >>> [round(float(v), 3) for v in cosine_restarts(1.0, steps=2, cycles=2)(jnp.arange(5))]
    [1.0, 0.5, 1.0, 0.5, 0.0]
    """
    positive("cosine_restarts", steps=steps, cycles=cycles, growth=growth)
    lengths = growth ** np.arange(cycles)  # in units of the first cycle
    starts = np.cumsum(lengths) - lengths

    def schedule(count):
        t = time(count)
        i = jnp.sum(t[..., None] >= jnp.asarray(starts[1:], t.dtype) * steps, axis=-1)
        begun, length = (jnp.asarray(a, t.dtype)[i] * steps for a in (starts, lengths))
        return cosine(start, end, (t - begun) / length)

    return schedule


def one_cycle(
    peak: Number,
    *,
    steps: Number,
    warmup_share: Number = 0.3,
    divisor: Number = 25.0,
    final_divisor: Number = 1e4,
) -> Schedule:
    r"""Half a cosine wave up to peak, then a longer one down to far below the start.

    .. math:: peak / divisor \to peak \to peak / (divisor \cdot final\_divisor)

    Args:
      peak: the largest value, at step `floor(warmup_share * steps)`.
      steps: the length of both waves together, > 0.
      warmup_share: the share of the steps that goes up, in (0, 1).
      divisor: peak over the first value, > 0.
      final_divisor: the first value over the last, > 0.

    Where implementations disagree: the last value is the first over `final_divisor`, as in PyTorch
    and optax 0.2.8. To end at peak over some number f, give `final_divisor=f / divisor`. PyTorch
    reaches peak and end one step earlier than optax and this one.

    Source: Smith & Topin 2018, https://arxiv.org/abs/1708.07120
    Same as: optax.cosine_onecycle_schedule

    >>> schedule = one_cycle(1.0, steps=100, divisor=10.0, final_divisor=10.0)
    >>> [round(float(schedule(count)), 2) for count in (0, 15, 30, 65, 100)]
    [0.1, 0.55, 1.0, 0.5, 0.01]
    """
    positive("one_cycle", steps=steps, divisor=divisor, final_divisor=final_divisor)
    if known(warmup_share) and not 0 < warmup_share < 1:
        raise ValueError(f"one_cycle: warmup_share must be in (0, 1), got {warmup_share}")
    turn = warmup_share * steps
    turn = int(turn) if known(turn) else jnp.floor(turn)

    def schedule(count):
        t, start = time(count), peak / divisor
        up = cosine(start, peak, t / jnp.maximum(turn, 1))
        down = cosine(peak, start / final_divisor, (t - turn) / (steps - turn))
        return jnp.where(t < turn, up, down)

    return schedule
