"""Data whose rows are divided among devices, of which each process loads its own."""

import itertools
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from fnn.checks import check_count
from fnn.shard.rules import axis_size


class Divided(NamedTuple):
    """Rows that lie in equal parts on the devices along a mesh's axis.

    Attributes:
      arrays: a pytree of arrays with `n` rows, and as many more as make the parts equal.
      n: the rows that count.
    """

    arrays: Any
    n: int


def own_rows(n: int, mesh: Mesh, axis: str = "data") -> slice:
    """The rows of n that this process' devices hold, and so those that it has to load.

    Args:
      n: rows in all.
      mesh: of all processes' devices.
      axis: of the mesh, along which rows are divided.

    Raises:
      ValueError: if this process' rows are not in one piece.

    >>> own_rows(100, jax.make_mesh((1,), ("data",)))
    slice(0, 100, None)
    """
    check_count("own_rows", "n", n)
    begin, end = _span(n, mesh, axis)
    return slice(min(n, begin), min(n, end), None)


def joined(rows: Any, n: int, mesh: Mesh, axis: str = "data") -> Divided:
    """All n rows, of which each process gives its own.

    `fnn.fit(..., mesh=mesh)` leaves them where they are: a batch's rows come from wherever they
    lie, by one exchange as large as the batch.

    Args:
      rows: this process' rows of a pytree of arrays: `data[own_rows(n, mesh)]`.
      n: rows of all processes together.
      mesh: of all processes' devices.
      axis: of the mesh.

    Raises:
      ValueError: if there are more or fewer rows than `own_rows` says, or one is not finite.

    >>> mesh = jax.make_mesh((1,), ("data",))
    >>> x = np.arange(6.0, dtype="float32").reshape(3, 2)
    >>> joined(x[own_rows(3, mesh)], 3, mesh).arrays.shape
    (3, 2)
    """
    own = own_rows(n, mesh, axis)
    begin, end = _span(n, mesh, axis)
    total = _part(n, mesh, axis) * axis_size(mesh, axis, "joined")
    sharding = _by_rows(mesh, axis)

    def join(a):
        a = np.asarray(a)
        if len(a) != own.stop - own.start:
            raise ValueError(
                f"joined: this process holds rows {own.start} to {own.stop}, got {len(a)} rows;"
                " give data[own_rows(n, mesh)]"
            )
        a = a.astype(jax.dtypes.canonicalize_dtype(a.dtype))
        if a.dtype.kind == "f" and not np.isfinite(a).all():
            first = own.start + int(np.argwhere(~np.isfinite(a))[0][0])
            raise ValueError(f"joined: row {first} is NaN or infinite; leave it out")
        more = np.zeros((end - begin - len(a), *a.shape[1:]), a.dtype)
        shape = (total, *a.shape[1:])
        return jax.make_array_from_process_local_data(sharding, np.concatenate([a, more]), shape)

    return Divided(jax.tree.map(join, rows), n)


def undivided(x: Any, y: Any) -> tuple[Any, Any, int | None]:
    """Inputs and targets as trees of arrays, and how many of their rows count if they are divided.

    Raises:
      ValueError: if one is divided and the other is not, or their rows differ in number.
    """
    given = [part.n if isinstance(part, Divided) else None for part in (x, y)]
    if given[0] != given[1]:
        said = ["whole" if n is None else f"{n} divided rows" for n in given]
        raise ValueError(
            f"fit: x and y must be divided alike, got {said[0]} and {said[1]};"
            " make both by fnn.shard.joined"
        )
    if given[0] is None:
        return x, y, None
    return x.arrays, y.arrays, given[0]


def _part(n: int, mesh: Mesh, axis: str) -> int:
    """Rows a device."""
    return -(-n // axis_size(mesh, axis, "own_rows"))


def _span(n: int, mesh: Mesh, axis: str) -> tuple[int, int]:
    """Where this process' rows begin and end, those that only make parts equal among them."""
    total = _part(n, mesh, axis) * axis_size(mesh, axis, "own_rows")
    pieces = _by_rows(mesh, axis).addressable_devices_indices_map((total,)).values()
    spans = sorted({piece[0].indices(total)[:2] for piece in pieces if piece is not None})
    for (_, end), (begin, _) in itertools.pairwise(spans):
        if end != begin:
            raise ValueError(
                f"own_rows: this process' rows {spans} are not in one piece; order the mesh's"
                " devices by process, as jax.make_mesh does"
            )
    return spans[0][0], spans[-1][1]


def _by_rows(mesh: Mesh, axis: str) -> NamedSharding:
    plain = Mesh(mesh.devices, mesh.axis_names)
    return NamedSharding(plain, PartitionSpec(axis))
