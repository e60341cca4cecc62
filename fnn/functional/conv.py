"""Convolution over one, two or three spatial axes."""

from collections.abc import Sequence
from typing import Any

import jax
from jax import lax

Padding = str | int | Sequence[int] | Sequence[tuple[int, int]]


def conv(
    x: jax.Array,
    w: jax.Array,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> jax.Array:
    """Slide each of w's kernels over x and take the weighted sum at every place.

    Args:
      x: (batch, *space, inputs).
      w: (*window, inputs / groups, outputs).
      stride: places between two windows, one number or one for each spatial axis.
      padding: "SAME", "VALID", or the zeros to add on either side of each axis.
      dilation: places between two taps of a window.
      groups: into how many the features are split; each output sees only its own.

    >>> import jax.numpy as jnp
    >>> print(conv(jnp.ones((1, 3, 1)), jnp.ones((2, 1, 1)), padding="VALID").ravel())
    [2. 2.]
    """
    n = w.ndim - 2
    each: Any = lambda a: (a,) * n if isinstance(a, int) else tuple(a)  # noqa: E731
    if not isinstance(padding, str):
        padding = [p if isinstance(p, tuple) else (p, p) for p in each(padding)]
    space = "DHW"[-n:]
    return lax.conv_general_dilated(
        x,
        w,
        each(stride),
        padding,
        rhs_dilation=each(dilation),
        dimension_numbers=(f"N{space}C", f"{space}IO", f"N{space}C"),
        feature_group_count=groups,
    )
