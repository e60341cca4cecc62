"""One pytree whose arrays lie on several devices or processes: each writes the part that it has.

The engine is Orbax (`pip install 'fnn[sharded]'`). A checkpoint is a folder, which appears under
its name when every process has written its part. Beside the arrays lies our header, and in it a sum
of each array that does not depend on how the array is divided: Orbax itself has none, and would
hand over a flipped bit as it is.
"""

import json
import os
import pathlib
import zlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fnn import processes, trees
from fnn.checkpoint.header import Description, check_fits, check_header, header_of, text_of
from fnn.checkpoint.leaves import SCALARS, check_names, damaged, is_key, kind_of, numbers_of

_ARRAYS, _HEADER = "arrays", "header"


class Writer:
    """Saves such trees one after the other while the program goes on.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     writer = Writer()
    ...     writer.save(pathlib.Path(folder, "a"), {"w": jnp.ones(2)}, note={"step": 1})
    ...     writer.close()
    ...     print(load(pathlib.Path(folder, "a"), {"w": jnp.zeros(2)}))
    {'w': Array([1., 1.], dtype=float32)}
    """

    def __init__(self):
        self._orbax = _orbax("Writer")
        handler = self._orbax.CompositeCheckpointHandler()
        self._engine = self._orbax.AsyncCheckpointer(handler)

    def save(
        self, path: str | os.PathLike[str], tree: Any, *, note: Mapping[str, Any] | None = None
    ) -> None:
        """Begin to save a tree; all processes call it with the same path, step by step.

        Args:
          path: a folder that all processes see; it must not be there.
          tree: what `fnn.checkpoint.save` takes; it may be donated as soon as this returns.
          note: what else to remember.

        Raises:
          TypeError, ValueError: as `fnn.checkpoint.save`.
        """
        numbers, kinds = numbers_of(tree)
        arrays = {name: jnp.asarray(leaf) for name, leaf in numbers.items()}
        shapes = {name: text_of(leaf, kind_of(leaf)) for name, leaf in trees.paths(tree).items()}
        header = header_of(tree, kinds, note)
        header |= {"arrays": shapes, "sums": _sums(arrays)}
        header["checksum"] = _checksum(header)
        # Orbax has no arrays without numbers; the header's shapes are all there is to know of them
        full = {name: array for name, array in arrays.items() if array.size}
        args = self._orbax.args
        parts = {_ARRAYS: args.StandardSave(full), _HEADER: args.JsonSave(header)}
        self._engine.save(pathlib.Path(path).absolute(), args=args.Composite(**parts))

    def wait(self) -> None:
        """Wait until what was begun is on the disk; raise what went wrong."""
        self._engine.wait_until_finished()

    def close(self) -> None:
        """Wait, and let go of the engine's threads."""
        self._engine.close()


def load(path: str | os.PathLike[str], like: Any) -> Any:
    """Read such a tree, whatever number of processes wrote it.

    Args:
      path: the folder.
      like: the wanted structure, shapes and dtypes; arrays come to lie as those of `like` lie,
        `jax.ShapeDtypeStruct`s with a sharding among them.

    Raises:
      CheckpointError: if the folder is no such checkpoint, is damaged, or does not fit `like`.
    """
    path = pathlib.Path(path).absolute()
    header = _header(path)
    check_names(like)
    wanted = trees.paths(like)
    check_fits(path, header["arrays"], wanted, every=True)
    shapes = {name: _struct(leaf) for name, leaf in wanted.items()}
    found, failed = {}, None
    try:
        found = _restored(path, {name: a for name, a in shapes.items() if a.size})
    except Exception as error:
        failed = error
    if processes.from_all([failed is not None]).any():  # of one is of all
        why = str(failed).splitlines()[0] if failed else "another process could not read its part"
        raise damaged(path, why) from failed
    found |= {name: jnp.zeros(a.shape, a.dtype) for name, a in shapes.items() if not a.size}
    if _sums(found) != header["sums"]:
        raise damaged(path, "the sums of its arrays are not those in its header")
    return trees.map_with_path(lambda name, leaf: _as_leaf(found[name], leaf), like)


def describe(path: str | os.PathLike[str]) -> Description:
    """What such a checkpoint holds, from its header alone."""
    header = _header(pathlib.Path(path))
    return Description(header["note"], header["versions"], header["arrays"])


def _restored(path: pathlib.Path, shapes: Mapping[str, jax.ShapeDtypeStruct]) -> dict[str, Any]:
    orbax = _orbax("load")
    with orbax.Checkpointer(orbax.CompositeCheckpointHandler()) as engine:
        args = orbax.args.Composite(**{_ARRAYS: orbax.args.StandardRestore(dict(shapes))})
        return dict(engine.restore(path, args=args)[_ARRAYS])


def _header(path: pathlib.Path) -> dict[str, Any]:
    if not path.exists():
        raise FileNotFoundError(f"load: there is no folder {path}; is the name the right one?")
    try:
        header = json.loads((path / _HEADER / "metadata").read_text(encoding="utf-8"))
        parts = [header[name] for name in ("arrays", "sums")]
        whole = header.pop("checksum") == _checksum(header)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise damaged(path, f"its header cannot be read, {error}") from error
    if not whole or not all(isinstance(part, dict) for part in parts):
        raise damaged(path, "its header's checksum is not that of its content")
    check_header(path, header)
    return header


def _checksum(header: Mapping[str, Any]) -> str:
    """CRC-32 of a header, in hexadecimal."""
    return f"{zlib.crc32(json.dumps(header, sort_keys=True).encode()):08x}"


def _struct(leaf: Any) -> jax.ShapeDtypeStruct:
    """What Orbax is to make for a leaf: shape, dtype, and where it lies."""
    if is_key(leaf):
        data = jax.eval_shape(jax.random.key_data, jax.ShapeDtypeStruct(leaf.shape, leaf.dtype))
        where = leaf.sharding if getattr(leaf.sharding, "is_fully_replicated", False) else None
        return jax.ShapeDtypeStruct(data.shape, data.dtype, sharding=where or _here())
    array = leaf if hasattr(leaf, "dtype") else np.asarray(leaf)
    dtype = jax.dtypes.canonicalize_dtype(array.dtype)
    where = getattr(leaf, "sharding", None) or _here()
    return jax.ShapeDtypeStruct(array.shape, dtype, sharding=where)


def _as_leaf(array: jax.Array, like: Any) -> Any:
    kind = kind_of(like)
    if kind in SCALARS:
        return SCALARS[kind](np.asarray(array)[()])
    if is_key(like):
        return jax.random.wrap_key_data(array, impl=str(jax.random.key_impl(like)))
    return np.asarray(array) if isinstance(like, np.ndarray | np.generic) else array


def _here() -> jax.sharding.Sharding:
    return jax.sharding.SingleDeviceSharding(jax.local_devices()[0])


def _sums(arrays: Mapping[str, jax.Array]) -> dict[str, list[int]]:
    """Two sums of each array, the same however it is divided among devices."""
    found = {name: sum_of(array) for name, array in arrays.items()}
    return {name: np.asarray(two).tolist() for name, two in found.items()}


@jax.jit
def sum_of(array: jax.Array) -> jax.Array:
    """Sums of the array's words modulo 2^32, each word times an odd number of its own.

    One changed bit changes the first sum for certain: an odd number times a power of two below 2^32
    is no multiple of 2^32.
    """
    words = _words(array).reshape(-1)
    place = lax.iota(jnp.uint32, words.size)
    first = jnp.sum(words * (2 * place + 1), dtype=jnp.uint32)
    second = jnp.sum(
        (words ^ (words >> 15)) * (place * jnp.uint32(2654435761) | 1), dtype=jnp.uint32
    )
    return jnp.stack([first, second])


def _words(array: jax.Array) -> jax.Array:
    """The array's bits as 32-bit words, narrower numbers one to a word."""
    if jnp.iscomplexobj(array):
        array = jnp.stack([array.real, array.imag])
    if array.dtype == bool:
        return array.astype(jnp.uint32)
    bits = min(32, 8 * array.dtype.itemsize)
    return lax.bitcast_convert_type(array, jnp.dtype(f"uint{bits}")).astype(jnp.uint32)


def _orbax(where: str) -> Any:
    try:
        import orbax.checkpoint as orbax
    except ImportError:
        raise ImportError(
            f"{where}: checkpoints of several processes need orbax-checkpoint;"
            " pip install 'fnn[sharded]'"
        ) from None
    return orbax
