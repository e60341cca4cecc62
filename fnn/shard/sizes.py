"""What a layout costs: bytes on each device, and what a compiled program sends."""

import math
import re
from typing import Any, NamedTuple

import jax
import numpy as np

_KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
_LINE = re.compile(rf"= (.*?) ({'|'.join(_KINDS)})(?:-start)?\(")
_ARRAY = re.compile(r"([a-z]+)(\d*)[a-z0-9]*\[([\d,]*)\]")  # pred is a byte


class Collective(NamedTuple):
    """One operation of a program by which devices exchange arrays.

    Attributes:
      kind: such as "all-reduce".
      bytes: of each array that it gives on one device.
    """

    kind: str
    bytes: tuple[int, ...]


def bytes_per_device(tree: Any, placed: Any) -> int:
    r"""How many bytes of a tree one device holds.

    .. math:: \sum_a \text{itemsize}_a \prod_i n_{a,i} / d_{a,i}

    where d is the number of devices along the axis that divides dimension i.

    Args:
      tree: arrays, or shapes and dtypes; keys are left out.
      placed: their shardings, as `shardings` gives them.

    >>> import fnn
    >>> whole = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    >>> bytes_per_device(np.ones((3, 4), np.float32), whole)
    48
    """

    def size(leaf, where):
        if not isinstance(leaf.dtype, np.dtype):
            return 0
        return math.prod(where.shard_shape(tuple(leaf.shape))) * leaf.dtype.itemsize

    return sum(jax.tree.leaves(jax.tree.map(size, tree, placed)))


def collectives(compiled: Any) -> list[Collective]:
    """The collectives that stand in a compiled program; one inside a loop counts once.

    Args:
      compiled: what `jax.jit(f).lower(...).compile()` gives, or its text.

    >>> collectives("  %a = f32[8,4]{1,0} all-gather(f32[1,4]{1,0} %b), dimensions={0}")
    [Collective(kind='all-gather', bytes=(128,))]
    >>> collectives("  %a = pred[8] all-gather(pred[1] %b), dimensions={0}")
    [Collective(kind='all-gather', bytes=(8,))]
    """
    text = compiled if isinstance(compiled, str) else compiled.as_text()
    return [Collective(kind, _sizes(types)) for types, kind in _LINE.findall(text)]


def _sizes(types: str) -> tuple[int, ...]:
    return tuple(
        math.prod(int(n) for n in shape.split(",") if n) * max(1, int(bits or 8) // 8)
        for _, bits, shape in _ARRAY.findall(types)
    )
