"""What the attention layer is given: x, a context, a mask; checked."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from fnn.checks import features_of
from fnn.show import spec_text

INPUTS = ("x", "context", "mask")


def attention_inputs(x: Any, cache: int | None) -> tuple[Any, Any, Any]:
    """x, the context and the mask (or None) from what the layer was given; checked."""
    given = x if isinstance(x, Mapping) else {"x": x}
    if "x" not in given or set(given) - set(INPUTS):
        raise ValueError(
            "attention: x must be an array or a dict with 'x' and perhaps 'context' and 'mask',"
            f" got the entries {', '.join(map(repr, given)) or 'none'}"
        )
    x, mask = given["x"], given.get("mask")
    context = given.get("context", x)
    for name, a in (("x", x), ("context", context)):
        features_of(a, "attention")
        if len(a.shape) != 3:
            raise ValueError(
                f"attention: {name} must be (batch, time, features), got {spec_text(a)};"
                " reshape places to one time axis"
            )
    if x.shape[0] != context.shape[0]:
        raise ValueError(
            f"attention: x has {x.shape[0]} examples and context {context.shape[0]};"
            " each example needs a context of its own"
        )
    if cache is not None and "context" in given:
        raise ValueError("attention: a cache is for self-attention; give no context")
    if mask is not None:
        batch, time, keys = x.shape[0], x.shape[1], cache or context.shape[1]
        _check_mask(mask, batch, time, keys)
    return x, context, mask


def _check_mask(mask: Any, batch: int, time: int, keys: int) -> None:
    """Raise unless a mask is boolean and of one of the three shapes there are."""
    shape = tuple(getattr(mask, "shape", ()))
    full = (batch, shape[1] if len(shape) == 4 else 1, time, keys)
    wanted = {2: (batch, keys), 3: (batch, time, keys), 4: full}.get(len(shape))
    if wanted is None or any(a not in (1, b) for a, b in zip(shape, wanted, strict=True)):
        raise ValueError(
            f"attention: mask must be (batch, keys) = {(batch, keys)}, (batch, queries, keys) ="
            f" {(batch, time, keys)} or (batch, heads, queries, keys), got {spec_text(mask)}"
        )
    if mask.dtype != jnp.bool_:
        raise TypeError(
            f"attention: mask must be boolean, True where a key is real, got {spec_text(mask)}"
        )


def per_head(mask: Any) -> Any:
    """The mask with an axis for the heads, and one for the queries if it has none."""
    if mask is None or mask.ndim == 4:
        return mask
    return mask[:, None, None, :] if mask.ndim == 2 else mask[:, None]
