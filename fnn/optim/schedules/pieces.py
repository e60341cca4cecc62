"""What the schedules share."""

from typing import Any

import jax
import jax.numpy as jnp


def time(count: Any) -> jax.Array:
    """Count as a float: float32, float64 under x64."""
    return jnp.asarray(count, jnp.zeros(()).dtype)


def cosine(start: Any, end: Any, fraction: jax.Array) -> jax.Array:
    """Half a cosine wave from start, at fraction 0, to end, at 1 and beyond."""
    return end + (start - end) * 0.5 * (1 + jnp.cos(jnp.pi * jnp.clip(fraction, 0, 1)))


def known(*numbers: Any) -> bool:
    """True if these are numbers whose value is known now, not arrays that may be traced."""
    return all(isinstance(number, int | float) for number in numbers)


def positive(owner: str, **numbers: Any) -> None:
    """Raise a `ValueError` for a number known to be 0 or less."""
    for name, number in numbers.items():
        if known(number) and not number > 0:
            raise ValueError(f"{owner}: {name} must be > 0, got {number}")
