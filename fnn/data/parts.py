"""Parts of a data set: to train on, to choose by, to test with."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn import random
from fnn.data.arrays import as_arrays, examples, tree_of_arrays


class Split(NamedTuple):
    """The parts of a split, each a pair (x, y)."""

    train: tuple[Any, Any]
    test: tuple[Any, Any]


class ThreeSplit(NamedTuple):
    """The parts of a split in three, each a pair (x, y)."""

    train: tuple[Any, Any]
    validation: tuple[Any, Any]
    test: tuple[Any, Any]


class Fold(NamedTuple):
    """The indices of one fold."""

    train: np.ndarray
    test: np.ndarray


def split(
    key: jax.Array, x: Any, y: Any, *, test: float | int = 0.2, stratify: bool = False
) -> Split:
    """Deal the examples at random into a training and a test part.

    Args:
      key: decides who goes where.
      x: inputs, whatever `as_arrays` takes.
      y: targets.
      test: size of the test part, a share in (0, 1), rounded to whole examples, or a number.
      stratify: keep the share of each class, y being class ids, in both parts within one example.

    Returns:
      `Split(train=(x, y), test=(x, y))`; every example is in exactly one of them.

    Raises:
      ValueError: if a part would be empty, a class has one example only, or for what `as_arrays`
        refuses.

    >>> train, test = split(jax.random.key(0), jnp.arange(10), jnp.arange(10), test=0.3)
    >>> train[0].tolist(), test[0].tolist()
    ([6, 9, 4, 7, 5, 8, 3], [1, 0, 2])
    """
    x, y = as_arrays(x, y)
    n = examples("split", x, y)
    count = part_size("split", "test", test, n)
    kept, held = _deal(key, np.arange(n), count, _classes("split", y, n) if stratify else None)
    return Split(_rows((x, y), kept), _rows((x, y), held))


def split_three(
    key: jax.Array,
    x: Any,
    y: Any,
    *,
    validation: float | int = 0.2,
    test: float | int = 0.2,
    stratify: bool = False,
) -> ThreeSplit:
    """Deal the examples at random into a training, a validation and a test part.

    The test part is that of `split` with the same key, whatever the size of the validation part.

    Args:
      key: decides who goes where.
      x: inputs, whatever `as_arrays` takes.
      y: targets.
      validation: size of the validation part, a share of all in (0, 1) or a number of examples.
      test: size of the test part, likewise.
      stratify: keep the share of each class, y being class ids, within one example.

    Raises:
      ValueError: if a part would be empty, a class has one example only, or for what `as_arrays`
        refuses.

    >>> parts = split_three(jax.random.key(0), jnp.arange(10), jnp.arange(10))
    >>> [len(x) for x, y in parts]
    [6, 2, 2]
    """
    x, y = as_arrays(x, y)
    n = examples("split_three", x, y)
    test = part_size("split_three", "test", test, n)
    validation = part_size("split_three", "validation", validation, n)
    if test + validation >= n:
        raise ValueError(
            f"split_three: validation={validation} and test={test} leave none of the {n} examples"
            " to train on; make them smaller"
        )
    labels = _classes("split_three", y, n) if stratify else None
    rest, tested = _deal(key, np.arange(n), test, labels)
    train, validated = _deal(random.fold_in(key, 1), rest, validation, labels)
    return ThreeSplit(*(_rows((x, y), part) for part in (train, validated, tested)))


def folds(key: jax.Array, n: int, k: int, labels: Any = None) -> list[Fold]:
    """Indices for k-fold cross-validation: each example is tested once, trained on k - 1 times.

    Args:
      key: decides who goes where.
      n: number of examples.
      k: number of folds, 2 to n.
      labels: (n,) class ids; given them, each fold holds its share of each class, within one.

    Returns:
      k times `Fold(train, test)`, sorted int32 indices. Test parts differ in size by one at most,
      the larger ones first; where k divides n all shapes are equal and stack for `vmap`.

    Raises:
      ValueError: if k is out of range, or the labels are not n class ids.

    >>> for train, test in folds(jax.random.key(0), 5, 2):
    ...     print(train, test)
    [0 2] [1 3 4]
    [1 3 4] [0 2]
    """
    if not 2 <= k <= n:
        raise ValueError(f"folds: k must be from 2 to n={n} (leave one out), got {k}")
    order = np.asarray(random.permutation(key, n))
    if labels is not None:
        labels = _classes("folds", tree_of_arrays("folds: labels", labels), n, least=1)
        order = order[np.argsort(labels[order], kind="stable")]  # dealt out class by class
    fold_of = np.empty(n, np.int32)
    fold_of[order] = np.arange(n) % k
    every = np.arange(n, dtype=np.int32)
    return [Fold(every[fold_of != i], every[fold_of == i]) for i in range(k)]


def part_size(where: str, name: str, size: float | int, n: int) -> int:
    """How many of n examples a share or a number means, or an error if a part would be empty."""
    count = round(size * n) if isinstance(size, float) and size < 1 else size
    if isinstance(count, bool) or count != int(count) or not 0 < count < n:
        raise ValueError(
            f"{where}: {name}={size} of {n} examples leaves a part empty;"
            f" give a share between 0 and 1 or a number from 1 to {n - 1}"
        )
    return int(count)


def _classes(where: str, y: Any, n: int, least: int = 2) -> np.ndarray:
    labels = np.asarray(y) if hasattr(y, "shape") else np.zeros(0)
    if labels.shape != (n,) or labels.dtype.kind not in "iub":
        got = f"{labels.dtype} of shape {labels.shape}" if hasattr(y, "shape") else type(y).__name__
        raise ValueError(
            f"{where}: to stratify, labels must be ({n},) integers, got {got};"
            " use jnp.argmax(y, axis=-1) if they are one-hot"
        )
    kinds, counts = np.unique(labels, return_counts=True)
    if counts.min() < least:
        raise ValueError(
            f"{where}: class {kinds[counts.argmin()]} has one example only and cannot be in both"
            " parts; leave it out, or use stratify=False"
        )
    return labels


def _deal(key, members, count, labels) -> tuple[np.ndarray, np.ndarray]:
    """`members` in random order, `count` of them apart; evenly from each class, if given."""
    n = len(members)
    order = members[np.asarray(random.permutation(key, n))]
    if labels is None:
        return order[count:], order[:count]
    by_class = order[np.argsort(labels[order], kind="stable")]
    steps = np.arange(n + 1) * count // n
    apart = np.zeros(n, bool)
    apart[steps[1:] > steps[:-1]] = True  # every (n / count)-th of the examples lined up by class
    inside = np.isin(order, by_class[apart])
    return order[~inside], order[inside]


def _rows(tree: Any, indices: np.ndarray) -> Any:
    return jax.tree.map(lambda a: jnp.asarray(np.asarray(a)[indices]), tree)
