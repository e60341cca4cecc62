"""Arrays of finite numbers from what people have, and batches of them."""

import math
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from fnn import random


def as_arrays(x: Any, y: Any, *, where: str = "as_arrays") -> tuple[Any, Any]:
    """Inputs and targets as JAX arrays, or an error that says what in them no network can learn.

    Floating data comes in float32 (float64 where JAX has it enabled), integers and booleans stay
    what they are, a frame becomes one array of its columns.

    Args:
      x: an array, a data frame, a list of numbers or rows, or a dict or tuple of them.
      y: the same, with as many examples.
      where: who asks, for the errors.

    Raises:
      ValueError: if there are no examples, their numbers differ, rows are ragged, or a value is
        NaN, infinite, missing, or too large for its dtype (what `jit` traces is not looked at).
      TypeError: if there are text, categories, dates or objects in place of numbers.

    >>> x, y = as_arrays([[0.5, 1.0], [2.0, 3.0]], [0, 1])
    >>> x.shape, x.dtype, y.dtype
    ((2, 2), dtype('float32'), dtype('int32'))
    """
    x, y = tree_of_arrays(f"{where}: x", x), tree_of_arrays(f"{where}: y", y)
    examples(where, x, y)
    return x, y


def take(batch: Any, indices: jax.Array) -> Any:
    """The examples at `indices` of every array in a pytree.

    Args:
      batch: arrays with a shared first axis.
      indices: integers in [0, examples), which is not checked: those beyond are read as the first
        or last (a bound that need not be tested makes the gather faster).

    >>> take({"a": jnp.arange(6).reshape(3, 2)}, jnp.array([2, 0]))["a"].tolist()
    [[4, 5], [0, 1]]
    """
    return jax.tree.map(lambda a: jnp.take(a, indices, axis=0, mode="clip"), batch)


def batches(
    key: jax.Array, x: Any, y: Any, *, batch_size: int, epochs: float = 1
) -> Iterator[tuple[Any, Any]]:
    """The batches of a training loop written by hand, as (x, y) pairs in a fresh order each pass.

    The order is that of `fnn.random.batch_order(key, step)`, which compiled training follows:
    passes stand one behind the other and a batch may hold the end of one and the beginning of the
    next. So all batches have `batch_size` examples and a jitted step is compiled once. There are
    ceil(epochs * examples / batch_size) of them; the last is filled up from the pass that follows.

    Args:
      key: decides the order.
      x: inputs, whatever `as_arrays` takes.
      y: targets.
      batch_size: examples a batch, 1 to all.
      epochs: passes over the data, may be a fraction; `math.inf` never ends.

    Raises:
      ValueError: if the batch is larger than the data, or what `as_arrays` raises.

    >>> x = y = jnp.arange(5)
    >>> [b.tolist() for b, _ in batches(jax.random.key(0), x, y, batch_size=2, epochs=2)]
    [[0, 2], [1, 3], [4, 3], [1, 4], [2, 0]]
    """
    x, y = as_arrays(x, y)
    n = examples("batches", x, y)
    if not 1 <= batch_size <= n:
        raise ValueError(
            f"batches: batch_size={batch_size} does not fit the {n} examples;"
            f" take 1 to {n}, which is all of them at once"
        )
    if not epochs > 0:
        raise ValueError(f"batches: epochs must be > 0, got {epochs}")
    return _batches(key, x, y, n, batch_size, epochs)


def _batches(key, x, y, n, batch_size, epochs):
    steps = math.inf if epochs == math.inf else math.ceil(epochs * n / batch_size)
    host = jax.tree.map(np.asarray, (x, y))  # gathering on the host costs no dispatch
    order, step, passes = np.zeros(0, np.int32), 0, 0
    while step < steps:
        if len(order) < batch_size:
            fresh = random.permutation(random.fold_in(key, passes), n)
            order, passes = np.concatenate([order, np.asarray(fresh)]), passes + 1
        now, order = order[:batch_size], order[batch_size:]
        yield jax.tree.map(lambda a, now=now: jnp.asarray(a[now]), host)
        step += 1


def to_array(name: str, a: Any) -> jax.Array:
    """One array of finite numbers from an array, a data frame or series, or a list.

    Args:
      name: what to call it in an error, with the place before it.
      a: the numbers; an array that `jit` traces, or of which other processes hold parts, is passed
        on unseen.

    Raises:
      ValueError: if a value is NaN, infinite, missing or too large, or if rows are ragged.
      TypeError: if it holds something other than numbers.

    >>> to_array("y", [True, False])
    Array([ True, False], dtype=bool)
    """
    if isinstance(a, Tracer) or (isinstance(a, jax.Array) and not a.is_fully_addressable):
        return a
    if a is None:
        raise TypeError(f"{name} is None; give an array of numbers")
    host, columns = _to_numpy(name, a)
    if jnp.issubdtype(host.dtype, jax.dtypes.prng_key) or not (
        jnp.issubdtype(host.dtype, jnp.number) or host.dtype == bool
    ):
        raise TypeError(
            f"{name} holds {host.dtype}, no numbers;"
            " use a.astype(float) if they are numbers, np.unique(a, return_inverse=True)[1] if they"
            " are classes"
        )
    if jnp.issubdtype(host.dtype, jnp.inexact):
        _check_finite(name, host, columns, "NaN or infinite")
    return a if isinstance(a, jax.Array) else _to_jax(name, host, columns)


def _to_jax(name: str, host: np.ndarray, columns: list[str] | None) -> jax.Array:
    """The array in the dtype that JAX computes in, or an error if its values do not fit."""
    dtype = jax.dtypes.canonicalize_dtype(host.dtype)
    if host.dtype.kind in "iu" and host.size and dtype != host.dtype:
        limits = np.iinfo(dtype)
        if host.min() < limits.min or host.max() > limits.max:
            raise ValueError(
                f"{name} holds {host.dtype} numbers beyond {dtype};"
                " subtract an offset, or use np.unique(a, return_inverse=True)[1] if they are ids"
            )
    with np.errstate(over="ignore"):
        narrow = host.astype(dtype)
    if host.dtype.kind == "f":
        _check_finite(name, narrow, columns, f"too large for {dtype}")
    return jnp.asarray(narrow)


def _to_numpy(name: str, a: Any) -> tuple[np.ndarray, list[str] | None]:
    """The values on the host, and the names of the columns where there are any."""
    if not hasattr(a, "to_numpy"):
        try:
            return np.asarray(a), None
        except RuntimeError as error:  # as PyTorch's tensors that have a gradient
            raise TypeError(
                f"{name} is {type(a).__name__}, of which NumPy makes no array ({error})"
            ) from error
        except ValueError as error:
            raise ValueError(
                f"{name} is no array: its rows differ in length or kind; make each row"
                " as long as the others, or give a tuple or dict of arrays"
            ) from error
    columns = [str(c) for c in a.columns] if hasattr(a, "columns") else None
    dtypes = list(a.dtypes) if columns is not None else [a.dtype]
    for column, dtype in zip(columns or [None], dtypes, strict=True):
        if getattr(dtype, "kind", "f") not in "biufc":
            where, _, short = name.rpartition(": ")
            of = f"{where}: column {column!r} of {short}" if column is not None else name
            raise TypeError(
                f"{of} holds {dtype}, no numbers; use pandas.factorize(column)[0] for"
                " classes, pandas.get_dummies(frame) for one column per category, or leave it out"
            )
    values = a.to_numpy()
    if values.dtype == object:  # mixed kinds, or a nullable dtype with values missing
        values = a.to_numpy(dtype=float, na_value=np.nan)
    return values, columns


def _check_finite(name: str, host: np.ndarray, columns: list[str] | None, what: str) -> None:
    finite = np.isfinite(host)
    if finite.all():
        return
    where = np.argwhere(~finite)
    place = where[0].tolist()
    at = f"row {place[0]}" if place else "its only value"
    if columns is not None:
        at += f", column {columns[place[1]]!r}"
    elif len(place) == 2:
        at += f", column {place[1]}"
    elif len(place) > 2:
        at += f", at {tuple(place)}"
    count = "1 value" if len(where) == 1 else f"{len(where)} values"
    rows = len(np.unique(where[:, 0])) if place else 1
    raise ValueError(
        f"{name} has {count} that {'is' if len(where) == 1 else 'are'} {what},"
        f" the first in {at}; leave out the {rows} such rows, or put a number in their place"
    )


def is_leaf(a: Any) -> bool:
    """What is an array here although JAX would look inside it."""
    return a is None or isinstance(a, list) or hasattr(a, "to_numpy")


def tree_of_arrays(name: str, tree: Any) -> Any:
    """Every leaf by `to_array`, called by its path; a list is an array, not a pytree."""

    def leaf(path, a):
        return to_array(name + jax.tree_util.keystr(path), a)

    return jax.tree_util.tree_map_with_path(leaf, tree, is_leaf=is_leaf)


def examples(where: str, x: Any, y: Any) -> int:
    """How many examples there are, or an error if x and y do not agree or there are none."""
    sizes = {}
    for name, tree in (("x", x), ("y", y)):
        for path, a in jax.tree_util.tree_leaves_with_path(tree):
            name_here = name + jax.tree_util.keystr(path)
            if not jnp.shape(a):
                raise ValueError(
                    f"{where}: {name_here} is one number; its first axis must count the examples:"
                    " of a list make jnp.asarray(list)"
                )
            sizes[name_here] = jnp.shape(a)[0]
    if len(set(sizes.values())) > 1:
        told = ", ".join(f"{name} has {size}" for name, size in sizes.items())
        raise ValueError(f"{where}: the numbers of examples differ: {told}")
    if not sizes or 0 in sizes.values():
        raise ValueError(f"{where}: there are no examples, got {sizes or 'no arrays'}")
    return next(iter(sizes.values()))
