"""One pytree in one file: safetensors, with a header that people can read, and a checksum.

The file is an ordinary safetensors file, https://github.com/huggingface/safetensors: a header of
JSON, then the arrays' bytes. Reading one runs no code. Two entries of its metadata are ours: "fnn",
a JSON text, and "checksum", over that text and all arrays with their names, shapes and dtypes.
"""

import concurrent.futures
import fnmatch
import json
import os
import pathlib
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from fnn import trees
from fnn.checkpoint.atomic import write_atomically
from fnn.checkpoint.header import Description, check_fits, check_header, header_of, text_of
from fnn.checkpoint.leaves import (
    DTYPES,
    NAMES,
    CheckpointError,
    as_leaf,
    check_names,
    damaged,
    to_arrays,
)
from fnn.checks import check_path

THREADS = 2  # that take sums: one keeps up with a disk of about 1 GB/s
_NONE = "00000000"  # in the place of a checksum that is not known yet


def save(path: str | os.PathLike[str], tree: Any, *, note: Mapping[str, Any] | None = None) -> None:
    """Write a pytree to a file, whole or not at all.

    Arrays of every dtype keep every bit; so do PRNG keys and Python's own numbers. Names are the
    paths of `fnn.trees.paths`.

    Args:
      path: where; its folder must exist. ".safetensors" is the usual ending.
      tree: a pytree of arrays, PRNG keys, and Python's ints, floats and bools.
      note: what else to remember, such as the network's repr: anything that JSON holds.

    Raises:
      TypeError: for a leaf of another kind, or a note that is not JSON.
      ValueError: for names that could not be told apart.
      OSError: if it cannot be written; what was there before is untouched.
    """
    path = check_path("save", path)
    if path.is_dir():
        raise IsADirectoryError(f"save: {path} is a folder; give the name of a file in it")
    arrays, kinds = to_arrays(tree)
    text = json.dumps(header_of(tree, kinds, note))
    if "__metadata__" in arrays:
        raise ValueError("save: '__metadata__' is safetensors' own name; give the leaf another")
    write_atomically(path, lambda new: _write(new, text, arrays))


def load(
    path: str | os.PathLike[str], like: Any = None, *, only: str = "*", foreign: bool = False
) -> Any:
    """Read a pytree from a file that `save` wrote, and check it.

    Args:
      path: the file.
      like: a pytree of the wanted structure, shapes and dtypes, such as what `init` gives, or
        `jax.eval_shape` of it; the result has its structure. Without it the result is nested
        dicts, which is what params and state are anyway.
      only: a shell pattern of paths, such as "body/*"; all other leaves are those of `like`.
      foreign: also read safetensors files of other programs, which have no checksum.

    Returns:
      The tree; arrays are JAX's, or NumPy's where `like` has those, and where JAX would not keep
      their dtype (64 bits without `jax_enable_x64`).

    Raises:
      CheckpointError: if the file is no checkpoint or damaged, or does not fit `like`; one message
        lists all differences.
      OSError: if it cannot be read.

    >>> import tempfile, jax, jax.numpy as jnp
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "a.safetensors")
    ...     save(path, {"step": 3, "key": jax.random.key(0), "w": jnp.ones(2, jnp.bfloat16)})
    ...     print(load(path)["step"], load(path)["w"].dtype, load(path)["key"].dtype)
    3 bfloat16 key<fry>
    """
    path = check_path("load", path)
    arrays, header = _read(path, foreign)
    kinds = header["kinds"]
    if like is None:
        if only != "*":
            raise ValueError("load: only=... needs like=..., whose other leaves stay")
        found = {name: as_leaf(path, array, kinds.get(name)) for name, array in arrays.items()}
        return _nested(path, found, header["empty"])
    if callable(getattr(like, "init", None)):
        raise TypeError(
            f"load: like must be a tree of arrays, got {type(like).__name__}; give the params and"
            " state that its init returns"
        )
    check_names(like)
    wanted = {name: leaf for name, leaf in trees.paths(like).items() if _matches(name, only)}
    if not wanted and trees.paths(like):
        there = ", ".join(trees.paths(like))
        raise ValueError(f"load: no path of like matches {only!r}; there are {there}")
    there = {name: text_of(array, kinds.get(name)) for name, array in arrays.items()}
    check_fits(path, there, wanted, every=only == "*")

    def filled(name, leaf):
        return as_leaf(path, arrays[name], kinds.get(name), leaf) if name in wanted else leaf

    return trees.map_with_path(filled, like)


def describe(path: str | os.PathLike[str]) -> Description:
    """What a checkpoint holds, read from its header alone; the arrays are not checked.

    Raises:
      CheckpointError: if the file is no checkpoint, or its header is damaged.
    """
    from safetensors import SafetensorError, safe_open

    path = pathlib.Path(path)
    _check_file(path)
    try:
        with safe_open(str(path), framework="numpy") as file:
            header = _header(path, file.metadata() or {})
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            arrays = {
                name: f"{part.get_dtype()}{part.get_shape()}" for name, part in slices.items()
            }
    except SafetensorError as error:
        raise damaged(path, str(error)) from error
    return Description(header["note"], header["versions"], arrays)


def _write(path: pathlib.Path, text: str, arrays: dict[str, np.ndarray]) -> None:
    """Header and arrays, as they lie in memory; sums are taken while the disk is at work."""
    header: dict[str, Any] = {"__metadata__": {"checksum": _NONE, "fnn": text}}
    order, end = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name)), 0
    for name in order:  # wide numbers first, so that each lies at a multiple of its size
        begin, end = end, end + arrays[name].nbytes
        dtype, shape = NAMES[arrays[name].dtype], list(arrays[name].shape)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    words = json.dumps(header, separators=(",", ":")).encode()
    words += b" " * (-len(words) % 8)
    with concurrent.futures.ThreadPoolExecutor(THREADS) as threads, open(path, "wb") as file:
        sums = {name: threads.submit(sum_of, name, arrays[name]) for name in order}
        file.write(len(words).to_bytes(8, "little") + words)
        for name in order:
            file.write(_bytes(arrays[name]))
        file.flush()
        os.fsync(file.fileno())  # sums are taken meanwhile
        file.seek(8 + words.index(_NONE.encode()))
        file.write(checksum_of(text, _results(sums)).encode())


def _bytes(array: np.ndarray) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def _matches(name: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(name, pattern)


def _nested(path: pathlib.Path, found: Mapping[str, Any], empty: list[str]) -> Any:
    """Nested dicts from leaves by path; a tree that is one leaf has the empty path."""
    if set(found) == {""}:
        return found[""]
    root: dict[str, Any] = {}
    for name, leaf in [*((name, {}) for name in empty if name), *found.items()]:
        *parents, last = name.split("/")
        node = root
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise damaged(path, f"{name!r} lies inside of an array")
        node[last] = leaf
    return root


def _read(path: pathlib.Path, foreign: bool) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """All arrays and our header, checked."""
    from safetensors import SafetensorError, safe_open

    _check_file(path)
    try:
        with safe_open(str(path), framework="numpy") as file:  # it holds the header to the format
            metadata = file.metadata() or {}
        arrays, checksum = _arrays(path)
    except CheckpointError:
        raise
    except (SafetensorError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise damaged(path, str(error)) from error
    if foreign and "fnn" not in metadata:
        return arrays, {"kinds": {}, "empty": [], "note": {}, "versions": {}}
    header = _header(path, metadata)
    if checksum != metadata.get("checksum"):
        raise damaged(path, "its checksum is not that of its content")
    return arrays, header


def _arrays(path: pathlib.Path) -> tuple[dict[str, np.ndarray], str]:
    """The arrays and their checksum; each thread reads one and takes its sum."""
    with open(path, "rb") as file:
        begin = 8 + int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(begin - 8))
    metadata = header.pop("__metadata__", {})

    def read(name):
        part = header[name]
        if part["dtype"] not in DTYPES:
            raise damaged(path, f"{name!r} has the dtype {part['dtype']}")
        array = np.empty(part["shape"], DTYPES[part["dtype"]])
        with open(path, "rb") as own:
            own.seek(begin + part["data_offsets"][0])
            if own.readinto(_bytes(array)) != array.nbytes:
                raise damaged(path, f"{name!r} ends too soon")
        return array, sum_of(name, array)

    with concurrent.futures.ThreadPoolExecutor(THREADS) as threads:
        found = dict(zip(header, threads.map(read, header), strict=True))
    sums = {name: one for name, (_, one) in found.items()}
    arrays = {name: array for name, (array, _) in found.items()}
    return arrays, checksum_of(metadata.get("fnn", ""), sums)


def _header(path: pathlib.Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    """Our part of the metadata, of the form that `save` gives it."""
    if "fnn" not in metadata:
        raise CheckpointError(
            f"load: {path} is a safetensors file, but not one that fnn.checkpoint.save wrote;"
            " load(path, foreign=True) reads it without a check"
        )
    try:
        header = json.loads(metadata["fnn"])
    except (ValueError, RecursionError) as error:
        raise damaged(path, f"its header cannot be read, {error}") from error
    check_header(path, header)
    return header


def _check_file(path: pathlib.Path) -> None:
    if not path.exists():
        raise FileNotFoundError(f"load: there is no file {path}; is the folder the right one?")
    if not path.is_file():
        raise CheckpointError(f"load: {path} is not a file; give the checkpoint itself")


def sum_of(name: str, array: np.ndarray) -> int:
    """CRC-32 of an array with its name, dtype and shape."""
    words = f"{name} {NAMES[array.dtype]} {list(array.shape)}\n"
    return zlib.crc32(_bytes(array), zlib.crc32(words.encode()))


def _results(sums: Mapping[str, concurrent.futures.Future[int]]) -> dict[str, int]:
    return {name: future.result() for name, future in sums.items()}


def checksum_of(text: str, sums: Mapping[str, int]) -> str:
    """CRC-32 of the header's text and of the arrays' sums in the order of names, in hexadecimal."""
    found = zlib.crc32(text.encode())
    for name in sorted(sums):
        found = zlib.crc32(sums[name].to_bytes(4, "little"), found)
    return f"{found:08x}"
