"""Guards shared by layers, and the address that an error is given on its way out of a network.

Each guard raises at trace time, free of cost afterwards, and says where, what was wrong, what it
got and what to do.
"""

import operator
import os
import pathlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp

from fnn.show import spec_text


def check_count(where: str, name: str, value: Any, low: float = 1) -> int:
    """`value` as an int, or an error if it is no whole number or lies below `low`.

    >>> check_count("dense", "features", 3)
    3
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise TypeError(
            f"{where}: {name} must be an int, got {value!r} of type {type(value).__name__}"
        )
    if number < low:
        raise ValueError(f"{where}: {name} must be at least {low}, got {number}")
    return number


def check_path(where: str, path: Any) -> pathlib.Path:
    """`path` as a `pathlib.Path`, or a `TypeError` if it is none."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(
            f"{where}: the path must be a str or a pathlib.Path, got {type(path).__name__};"
            ' give where the file is, such as "run/weights.safetensors"'
        )
    return pathlib.Path(path)


def check_key(key: Any, where: str) -> jax.Array | None:
    """`key` itself if it is None or a PRNG key, or else a `TypeError` that says how to make one."""
    if key is None:
        return None
    dtype, shape = getattr(key, "dtype", None), getattr(key, "shape", ())
    typed = dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)
    if (typed and shape == ()) or (dtype == jnp.uint32 and len(shape) == 1):
        return key
    cure = "; for many keys at once use jax.vmap" if typed else ""
    raise TypeError(
        f"{where}: key must be one PRNG key such as jax.random.key(0),"
        f" got {spec_text(key) if dtype is not None else repr(key)}{cure}"
    )


def check_given_key(key: Any, where: str) -> jax.Array:
    """`check_key` where None will not do either."""
    if check_key(key, where) is None:
        raise TypeError(f"{where}: key must be one PRNG key such as jax.random.key(0), got None")
    return key


def need_key(key: jax.Array | None, where: str) -> jax.Array:
    """`key`, or a `ValueError` that says what to do where a random layer was given none."""
    if key is None:
        raise ValueError(
            f"{where}: train=True is random here and needs a key, got key=None;"
            " call apply(params, state, x, key=key, train=True)"
        )
    return key


def need(tree: Mapping[str, Any], name: str, *, where: str, kind: str) -> jax.Array:
    """The array `name` of a layer's params or state, or an error that says what is there.

    Args:
      tree: the layer's own `params` or `state`.
      name: the entry wanted, such as "w".
      where: the layer's kind, such as "dense".
      kind: "params" or "state", for the message.
    """
    if name not in tree:
        raise ValueError(
            f"{where}: {kind} must hold {name!r}, got {spec_text(dict(tree))};"
            f" pass the {kind} that init returned: apply(params, state, x)"
        )
    value = tree[name]
    if not hasattr(value, "shape"):
        raise TypeError(
            f"{where}: {name!r} in {kind} must be an array, got {value!r}"
            f" of type {type(value).__name__}"
        )
    return jnp.asarray(value)


def check_tree(tree: Any, *, where: str, kind: str) -> None:
    """Raise a `TypeError` unless `tree` is a nested dict of arrays with names as its keys."""
    if isinstance(tree, dict):
        for name, entry in tree.items():
            if not isinstance(name, str) or not name or "/" in name:
                raise TypeError(
                    f"{where}: names in {kind} must be strings without a slash, got {name!r}"
                )
            if not (hasattr(entry, "shape") and hasattr(entry, "dtype")):
                check_tree(entry, where=where, kind=f"{kind}[{name!r}]")
        return
    raise TypeError(
        f"{where}: init must return nested dicts of arrays, but {kind} is {tree!r}"
        f" of type {type(tree).__name__}; use jnp.asarray for numbers and {{}} for nothing"
    )


def check_given(tree: Any, *, where: str, kind: str) -> None:
    """Raise a `TypeError` if what apply was given as `params` or `state` is no dict."""
    if not isinstance(tree, Mapping):
        got = type(tree).__name__ if isinstance(tree, tuple) or tree is None else spec_text(tree)
        raise TypeError(
            f"{where}: {kind} must be a dict such as init returns, got {got};"
            " write params, state = net.init(key, x) and net.apply(params, state, x)"
        )


def check_owners(where: str, names: Any, params: Mapping[str, Any], state: Mapping[str, Any]):
    """Raise a `ValueError` if a container is given variables that belong to none of its layers."""
    for kind, tree in (("params", params), ("state", state)):
        if strangers := [name for name in tree if name not in names]:
            raise ValueError(
                f"{where}: {kind} holds {strangers[0]!r}, but the layers here are"
                f" {', '.join(names) or 'none'}; pass the {kind} that this network's own init"
                " returned: apply(params, state, x)"
            )


def check_no_list(x: Any, where: str) -> None:
    """Raise a `TypeError` if x is a list of numbers: to JAX each number would be an array."""
    first = x
    while isinstance(first, list) and first:
        first = first[0]
    if isinstance(x, list) and isinstance(first, int | float):
        raise TypeError(f"{where}: x must hold arrays, got a list of numbers; use jnp.asarray(x)")


def one_array(x: Any, where: str) -> Any:
    """x itself if it is one array, or a `TypeError` that says what it is and what to do."""
    if not (hasattr(x, "shape") and hasattr(x, "dtype")):
        cure = "take one of its entries, as compose(lambda f, x: f.name(x[0]), name=...) can"
        scalars = all(getattr(n, "shape", ()) == () for n in jax.tree.leaves(x))
        if isinstance(x, list | tuple) and scalars:
            cure = "use jnp.asarray(x), or jax.ShapeDtypeStruct(shape, jnp.float32) for a shape"
        elif x is None or isinstance(x, str) or hasattr(x, "to_numpy"):  # the last: a data frame
            cure = "give numbers, such as jnp.asarray(x)"
        raise TypeError(f"{where}: x must be one array, got {_cut(spec_text(x))}; {cure}")
    return x


def features_of(x: Any, where: str) -> int:
    """The size of x's feature axis, its last, or an error if it has none or holds no floats."""
    one_array(x, where)
    if not x.shape:
        raise ValueError(
            f"{where}: x must have a feature axis, got a scalar; give x of shape (batch, features)"
        )
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        raise TypeError(
            f"{where}: x must be floating point, got {spec_text(x)};"
            " use x.astype(jnp.float32), or the layer embed for integer ids"
        )
    return x.shape[-1]


def check_features(x: Any, expected: int, where: str) -> None:
    """Raise unless x is one floating array whose last axis has the size the weights are for."""
    got = features_of(x, where)
    if got != expected:
        raise ValueError(
            f"{where}: x has {got} features, expected {expected}; give x of shape"
            f" (..., {expected}), or call init again with inputs like this one"
        )


@contextmanager
def located(name: str, layer: Any, x: Any) -> Iterator[None]:
    """Give an error that leaves this block the address of the child it came from.

    The error keeps its type and its words. One note is added, by the innermost layer, and every
    container on the way out puts its name before the path.
    """
    try:
        yield
    except Exception as error:
        path, about, before = getattr(error, "_fnn_at", ("", "", ""))
        path = f"{name}/{path}" if path else name
        about = about or f"{_cut(repr(layer))}, given x: {_cut(spec_text(x), 200)}"
        note = f"in layer '{path}': {about}"
        notes = getattr(error, "__notes__", [])
        if before in notes:  # others, JAX among them, may have added notes of their own since
            notes[notes.index(before)] = note
        else:
            error.add_note(note)
        error._fnn_at = (path, about, note)  # type: ignore[attr-defined]
        raise


def _cut(text: str, limit: int = 80) -> str:
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 3] + "..."
