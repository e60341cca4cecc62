"""Pytrees by path: the names, the selection, the sums and the casts that every room needs.

A path is the keys from the root joined by slashes: `body/dense_0/w`. Paths are the coordinates of
everything in fnn: errors, summaries, checkpoints, masks and surgery all speak of the same ones.
"""

import fnmatch
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

Tree = Any


def wide(dtype: Any) -> Any:
    """The dtype to compute in: float32 for 16-bit floats, the dtype itself for wider ones.

    >>> print(wide(jnp.bfloat16), wide(jnp.float32))
    float32 float32
    """
    dtype = jnp.dtype(dtype)
    if jnp.issubdtype(dtype, jnp.floating) and jnp.finfo(dtype).bits < 32:
        return jnp.dtype(jnp.float32)
    return dtype
