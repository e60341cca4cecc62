"""The leaves of a tree as arrays that safetensors has, and back."""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np

from fnn import trees

DTYPES: dict[str, Any] = {
    "BOOL": np.bool_, "I8": np.int8, "I16": np.int16, "I32": np.int32, "I64": np.int64,
    "U8": np.uint8, "U16": np.uint16, "U32": np.uint32, "U64": np.uint64,
    "F16": np.float16, "F32": np.float32, "F64": np.float64, "BF16": ml_dtypes.bfloat16,
    "F8_E4M3": ml_dtypes.float8_e4m3fn, "F8_E5M2": ml_dtypes.float8_e5m2, "C64": np.complex64,
}  # fmt: skip
NAMES = {np.dtype(dtype): name for name, dtype in DTYPES.items()}
SCALARS = {"bool": bool, "int": int, "float": float}
KEYS = {"key<fry>": "threefry2x32", "key<rbg>": "rbg", "key<urbg>": "unsafe_rbg"}


class CheckpointError(ValueError):
    """A file that is no checkpoint, is damaged, or does not hold what was asked for."""


def damaged(path: pathlib.Path, why: str) -> CheckpointError:
    """The error for a file that cannot be what it says it is; the caller raises it."""
    return CheckpointError(f"load: {path} is damaged or no checkpoint: {why}; use an earlier one")


def to_arrays(tree: Any) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Every leaf by its path as a contiguous NumPy array, and the kinds of those that are none."""
    numbers, kinds = numbers_of(tree)
    arrays = {}
    for name, leaf in numbers.items():
        array = np.asarray(leaf, order="C")
        if array.dtype not in NAMES:
            raise TypeError(f"save: {name!r} has dtype {array.dtype}, which safetensors lacks")
        arrays[name] = array
    return arrays, kinds


def numbers_of(tree: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """Every leaf by its path, keys as their data, and the kinds of those that are no plain arrays.

    Raises:
      TypeError: for a leaf that is neither an array nor a number.
      ValueError: for names that could not be told apart.
    """
    check_names(tree)
    numbers, kinds = {}, {}
    for name, leaf in trees.paths(tree).items():
        kind = kind_of(leaf)
        if kind is None and not hasattr(leaf, "dtype"):
            raise TypeError(
                f"save: {name!r} is {type(leaf).__name__}, {leaf!r}, expected an array or a number;"
                " text belongs in note={...}"
            )
        if kind is not None:
            kinds[name] = kind
        numbers[name] = jax.random.key_data(leaf) if is_key(leaf) else leaf
    return numbers, kinds


def kind_of(leaf: Any) -> str | None:
    """What a leaf is that is no plain array: a name of `SCALARS` or of `KEYS`."""
    if type(leaf) in SCALARS.values():
        return type(leaf).__name__
    return str(leaf.dtype) if is_key(leaf) else None


def is_key(leaf: Any) -> bool:
    """Whether a leaf is a typed PRNG key, or several."""
    dtype = getattr(leaf, "dtype", None)
    return dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)


def check_names(tree: Any) -> None:
    """Raise a `ValueError` if two leaves have one path, or a key has a slash in it."""
    found = jax.tree_util.tree_flatten_with_path(tree)[0]
    seen = set()
    for keys, _ in found:
        name = trees.path_text(keys)
        if name in seen or name.count("/") != max(0, len(keys) - 1):
            raise ValueError(
                f"save: the path {name!r} is not one alone or has a key with a slash in it;"
                " give each leaf a name of its own without slashes"
            )
        seen.add(name)


def empty_dicts(tree: Any) -> list[str]:
    """The paths of empty dicts, which have no leaf to be remembered by."""
    nodes = jax.tree_util.tree_flatten_with_path(tree, is_leaf=_is_empty)[0]
    return [trees.path_text(keys) for keys, node in nodes if _is_empty(node)]


def _is_empty(node: Any) -> bool:
    return isinstance(node, dict) and not node


def as_leaf(path: pathlib.Path, array: np.ndarray, kind: str | None, like: Any = None) -> Any:
    """An array of the file as what it was when it was saved, or as what `like` has there."""
    try:
        if kind in SCALARS:
            return SCALARS[kind](array[()])
        if kind is not None:
            return jax.random.wrap_key_data(jnp.asarray(array), impl=KEYS[kind])
    except (TypeError, ValueError) as error:
        raise damaged(path, f"an array of {array.shape} is no {kind}") from error
    if isinstance(like, np.ndarray | np.generic):
        return array
    kept = jax.dtypes.canonicalize_dtype(array.dtype) == array.dtype
    return jnp.asarray(array) if kept else array
