"""Schedules of one piece: level, lines, powers, stairs, a half cosine, an inverse root."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from fnn.optim.hypers import Schedule
from fnn.optim.schedules.pieces import cosine, known, positive, time

Number = float | jax.Array


def constant(value: Number) -> Schedule:
    """The same value for ever.

    Same as: optax.constant_schedule

    >>> print(constant(0.5)(100))
    0.5
    """
    return lambda count: time(count) * 0 + value


def linear(start: Number, end: Number, *, steps: Number, begin: Number = 0) -> Schedule:
    r"""A straight line from start to end, level before and after it.

    .. math:: y = s + (e - s) \, f, \quad f = \operatorname{clip}((t - begin) / steps, 0, 1)

    Args:
      start: the value up to step `begin`.
      end: the value from step `begin + steps` on.
      steps: the length of the line, > 0.
      begin: the step at which it starts.

    Same as: optax.linear_schedule

    >>> print(linear(1.0, 0.0, steps=10)(5))
    0.5
    """
    return polynomial(start, end, steps=steps, power=1, begin=begin)


def polynomial(
    start: Number, end: Number, *, steps: Number, power: Number, begin: Number = 0
) -> Schedule:
    r"""From start to end as a power of what remains, level before and after.

    .. math:: y = e + (s - e) (1 - f)^p, \quad f = \operatorname{clip}((t - begin) / steps, 0, 1)

    Args:
      start: the value up to step `begin`.
      end: the value from step `begin + steps` on.
      steps: the length of the way, > 0.
      power: p > 0; above 1 it falls early and arrives gently.
      begin: the step at which it starts.

    Same as: optax.polynomial_schedule

    >>> print(polynomial(1.0, 0.0, steps=10, power=2)(5))
    0.25
    """
    positive("polynomial", steps=steps, power=power)

    def schedule(count):
        rest = 1 - jnp.clip((time(count) - begin) / steps, 0, 1)
        return end + (start - end) * (rest if known(power) and power == 1 else rest**power)

    return schedule


def exponential_decay(
    start: Number,
    *,
    factor: Number,
    steps: Number = 1,
    begin: Number = 0,
    end: Number | None = None,
) -> Schedule:
    r"""Multiply by the factor every so many steps, smoothly.

    .. math:: y = s \, q^{\max(t - begin, 0) / steps}

    Args:
      start: the value up to step `begin`.
      factor: q > 0, what remains of the value after `steps` steps.
      steps: > 0.
      begin: the step at which it starts.
      end: what the value does not cross, if given.

    Same as: optax.exponential_decay

    >>> print(exponential_decay(1.0, factor=0.25, steps=10)(5))
    0.5
    """
    positive("exponential_decay", factor=factor, steps=steps)

    def schedule(count):
        elapsed = jnp.maximum(time(count) - begin, 0)
        value = start * jnp.asarray(factor, elapsed.dtype) ** (elapsed / steps)
        if end is None:
            return value
        return jnp.where(jnp.asarray(factor) < 1, jnp.maximum(value, end), jnp.minimum(value, end))

    return schedule


def step_decay(start: Number, *, factor: Number, every: Number) -> Schedule:
    r"""Multiply by the factor every so many steps, at once.

    .. math:: y = s \, q^{\lfloor t / every \rfloor}

    Args:
      start: the value of the first `every` steps.
      factor: q > 0.
      every: the length of a stair, > 0.

    Same as: optax.exponential_decay(..., staircase=True)

    >>> print(step_decay(1.0, factor=0.5, every=10)(25))
    0.25
    """
    positive("step_decay", factor=factor, every=every)

    def schedule(count):
        stair = jnp.floor(time(count) / every)
        return start * jnp.asarray(factor, stair.dtype) ** stair

    return schedule


def piecewise(start: Number, factors: Mapping[int, Number]) -> Schedule:
    """Multiply by a factor at each of the given steps.

    Args:
      start: the value before the first of them.
      factors: {step: factor}; from that step on the value has the factor in it.

    Same as: optax.piecewise_constant_schedule

    >>> print(piecewise(1.0, {10: 0.5, 20: 0.5})(20))
    0.25
    """

    def schedule(count):
        t = time(count)
        value = t * 0 + start
        for step, factor in factors.items():
            value = value * jnp.where(t >= step, factor, 1.0)
        return value

    return schedule


def cosine_decay(start: Number, *, steps: Number, end: Number = 0.0) -> Schedule:
    r"""Half a wave of a cosine from start down to end, and level from there.

    .. math:: y = e + (s - e) \tfrac12 (1 + \cos(\pi \min(t / steps, 1)))

    Args:
      start: the first value.
      steps: the length of the way, > 0. PyTorch's cosine rises again after it, this one stays.
      end: the last value.

    Source: Loshchilov & Hutter 2017, equation 5, https://arxiv.org/abs/1608.03983
    Same as: optax.cosine_decay_schedule(start, steps, alpha=end / start)

    >>> print(round(float(cosine_decay(1.0, steps=10)(5)), 6))
    0.5
    """
    positive("cosine_decay", steps=steps)
    return lambda count: cosine(start, end, time(count) / steps)


def inverse_sqrt(peak: Number, *, warmup_steps: Number) -> Schedule:
    r"""A straight line up to peak, then down as one over the root of the step.

    .. math:: y = peak \cdot \min(n / w, \sqrt{w / n}), \quad n = t + 1

    Args:
      peak: the largest value, at count w - 1. Vaswani et al. have peak = (width * w)^(-1/2).
      warmup_steps: w > 0.

    Source: Vaswani et al. 2017, equation 3, https://arxiv.org/abs/1706.03762

    >>> [float(inverse_sqrt(1.0, warmup_steps=4)(count)) for count in (0, 3, 15)]
    [0.25, 1.0, 0.5]
    """
    positive("inverse_sqrt", warmup_steps=warmup_steps)

    def schedule(count):
        n = time(count) + 1
        return peak * jnp.minimum(n / warmup_steps, jnp.sqrt(warmup_steps / n))

    return schedule
