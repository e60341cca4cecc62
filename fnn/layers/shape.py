"""Layers that rearrange each example and leave every number alone."""

import math
from typing import Any

import jax.numpy as jnp

from fnn.checks import check_count, one_array
from fnn.core import Layer, Variables


def flatten() -> Layer:
    """Make one vector of each example; the first axis, the batch, stays.

    Shapes:
      x: (batch, ...) -> y: (batch, features), features the product of the other sizes.
      params: {}. state: {}.

    Raises:
      ValueError: if x has no batch axis.

    >>> flatten().apply({}, {}, jnp.ones((32, 28, 28, 1)))[0].shape
    (32, 784)
    """

    def apply(params, state, x, /, *, key=None, train=False):
        del params, key, train
        batch, example = _split("flatten", x)
        return jnp.reshape(x, (batch, math.prod(example))), state

    return Layer(_nothing, apply, name="flatten", made_by=flatten)


def reshape(*shape: int) -> Layer:
    """Give each example another shape; the first axis, the batch, stays.

    Args:
      *shape: the sizes of one example's axes, without the batch; one may be -1, to be worked out.

    Shapes:
      x: (batch, ...) -> y: (batch, *shape), of the same number of entries.
      params: {}. state: {}.

    Raises:
      ValueError: at construction if a size is negative and not -1, or two are -1; in apply if x has
        no batch axis or its examples another number of entries.
      TypeError: at construction if a size is no int.

    >>> reshape(28, 28, 1).apply({}, {}, jnp.ones((32, 784)))[0].shape
    (32, 28, 28, 1)
    >>> reshape(-1, 7).apply({}, {}, jnp.ones((32, 784)))[0].shape
    (32, 112, 7)
    """
    if len(shape) == 1 and isinstance(shape[0], tuple | list):
        raise TypeError(f"reshape: give the sizes one by one, {_call(shape[0])}, got {shape[0]!r}")
    shape = tuple(check_count("reshape", "each size", size, -1) for size in shape)
    if shape.count(-1) > 1:
        raise ValueError(f"reshape: only one size may be -1, got {_call(shape)}")
    known = math.prod(size for size in shape if size != -1)

    def apply(params, state, x, /, *, key=None, train=False):
        del params, key, train
        batch, example = _split("reshape", x)
        entries = math.prod(example)
        if entries % known if -1 in shape and known else entries != known:
            raise ValueError(
                f"reshape: each example has shape {example}, {entries} entries, which do not fill"
                f" {shape}; sizes are per example, without the batch axis"
            )
        sizes = tuple(entries // known if size == -1 else size for size in shape)
        return jnp.reshape(x, (batch, *sizes)), state

    return Layer(_nothing, apply, name="reshape", config={"shape": shape}, made_by=reshape)


def _call(shape: Any) -> str:
    return f"reshape({', '.join(str(size) for size in shape)})"


def _split(where: str, x: Any) -> tuple[int, tuple[int, ...]]:
    """The size of the batch axis, and the shape of one example."""
    if not one_array(x, where).shape:
        raise ValueError(f"{where}: x must have a batch axis, got a scalar; use x[None]")
    return x.shape[0], x.shape[1:]


def _nothing(key, x, /):
    del key, x
    return Variables({}, {})
