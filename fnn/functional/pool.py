"""Pooling: the largest or the mean number of every window."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax


def max_pool(
    x: jax.Array,
    window: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Any = "VALID",
) -> jax.Array:
    """The largest number of every window, feature by feature; stride None is the window's size."""
    return _pool(x, window, stride, padding, -jnp.inf, lax.max)


def avg_pool(
    x: jax.Array,
    window: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Any = "VALID",
    count_padding: bool = False,
) -> jax.Array:
    """The mean of every window, feature by feature; stride None is the window's size."""
    total = _pool(x, window, stride, padding, 0.0, lax.add)
    ones = jnp.ones_like(x) if not count_padding else None
    if ones is None:
        sizes = (window,) * (x.ndim - 2) if isinstance(window, int) else tuple(window)
        count = 1
        for size in sizes:
            count *= size
        return total / count
    return total / _pool(ones, window, stride, padding, 0.0, lax.add)


def _pool(x, window, stride, padding, start, combine):
    n = x.ndim - 2

    def each(a):
        return (a,) * n if isinstance(a, int) else tuple(a)

    stride = window if stride is None else stride
    if not isinstance(padding, str):
        padding = [(0, 0), *(p if isinstance(p, tuple) else (p, p) for p in each(padding)), (0, 0)]
    return lax.reduce_window(
        x,
        jnp.asarray(start, x.dtype),
        combine,
        (1, *each(window), 1),
        (1, *each(stride), 1),
        padding,
    )
