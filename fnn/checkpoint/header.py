"""The header of a checkpoint, which people can read: what it holds, and what wrote it."""

import contextlib
import importlib.metadata
import json
import pathlib
import platform
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from fnn.checkpoint.leaves import KEYS, SCALARS, CheckpointError, damaged, empty_dicts, kind_of

FORMAT = 2


class Description(NamedTuple):
    """What a checkpoint holds, without its arrays.

    Attributes:
      note: what the caller of `save` wanted to remember.
      versions: of Python and the packages that wrote it.
      arrays: each array's name with its dtype and shape in words.
    """

    note: dict[str, Any]
    versions: dict[str, str]
    arrays: dict[str, str]


def header_of(tree: Any, kinds: Mapping[str, str], note: Mapping[str, Any] | None) -> dict:
    """Our header of a checkpoint, or a `TypeError` for a note that JSON does not hold."""
    try:
        json.dumps(note := dict(note or {}))
    except (TypeError, ValueError) as error:
        raise TypeError(f"save: note must hold what JSON holds, {error}") from error
    header = {"format": FORMAT, "note": note, "versions": _versions()}
    return {**header, "kinds": dict(kinds), "empty": empty_dicts(tree)}


def check_header(path: pathlib.Path, header: Any) -> None:
    """Raise a `CheckpointError` unless this is a header as `header_of` makes them."""
    try:
        version = header["format"]
        parts = [header[name] for name in ("note", "versions", "kinds", "empty")]
    except (KeyError, TypeError) as error:
        raise damaged(path, f"its header cannot be read, {error}") from error
    if version != FORMAT:
        raise CheckpointError(
            f"load: {path} has format {version!r}, this version of fnn reads {FORMAT}; use the one"
            " that wrote it, or a newer"
        )
    if not (all(isinstance(part, dict) for part in parts[:3]) and isinstance(parts[3], list)):
        raise damaged(path, "its header has entries of a wrong kind")
    if not all(kind in SCALARS or kind in KEYS for kind in map(str, header["kinds"].values())):
        raise damaged(path, f"its header has leaves of unknown kinds, {header['kinds']}")


def check_fits(
    path: pathlib.Path, there: Mapping[str, str], wanted: Mapping[str, Any], *, every: bool
) -> None:
    """Raise one error with all names, shapes and dtypes that are not as `like` has them.

    Args:
      path: of the checkpoint.
      there: what it holds, by name as `text_of` says it.
      wanted: the leaves of `like` by name.
      every: whether the checkpoint may hold no more.
    """
    wrong = [f"{name}: not in the file" for name in wanted if name not in there]
    if every:
        wrong += [f"{name}: only in the file" for name in there if name not in wanted]
    for name, leaf in wanted.items():
        expected = text_of(leaf, kind_of(leaf))
        if there.get(name, expected) != expected:
            wrong.append(f"{name}: {there[name]} in the file, expected {expected}")
    if wrong:
        cure = "give the tree that was saved" + (", or load a part by only=" if every else "")
        lines = "\n  ".join(wrong)
        raise CheckpointError(f"load: {path} does not fit like:\n  {lines}\n{cure}")


def text_of(leaf: Any, kind: str | None) -> str:
    """Dtype and shape in words, for comparison and for messages."""
    if kind in SCALARS:
        return kind
    if kind is not None:
        shape = np.shape(leaf)[:-1] if isinstance(leaf, np.ndarray) else leaf.shape
        return f"{kind}{list(shape)}"
    return f"{np.dtype(leaf.dtype).name}{list(np.shape(leaf))}"


def _versions() -> dict[str, str]:
    packages = ("jax", "jaxlib", "numpy", "fnn")
    found = {"python": platform.python_version()}
    for package in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found
