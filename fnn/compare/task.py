"""What is learned: the data in their three parts, the loss, and the score that counts."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn import datasets, losses, metrics
from fnn.core import Layer, spec
from fnn.data import as_arrays
from fnn.train.run import examples

SPLIT_SEED = 20  # of the validation split: one split for every comparison


class Data(NamedTuple):
    """Arrays in three parts: training chooses weights, validation rates, and test nothing."""

    x_train: Any
    y_train: Any
    x_val: Any
    y_val: Any
    x_test: Any
    y_test: Any


class Task(NamedTuple):
    """A data set ready to race on.

    Attributes:
      name: of the data set.
      data: the arrays.
      outputs: how many numbers the network must give for an example.
      loss: one number per example.
      score: of a whole set; more is better, 1 is perfect.
      score_name: "accuracy" or "R2".
    """

    name: str
    data: Data
    outputs: int
    loss: Callable[[Any, Any], jax.Array]
    score: Callable[[Any, Any], jax.Array]
    score_name: str


def make_task(data: Any) -> Task:
    """Take a data set apart into training, validation and test data.

    A tenth of the training data, or up to 300 of its examples where it is small, are set aside for
    validation. Tables (x of two axes) and numeric targets are standardised by the mean and the
    deviation of what is left for training; images stay as they are.

    Args:
      data: a name for `fnn.datasets.load`, a `Dataset`, or a pair of arrays `(x, y)`, of which a
        fifth becomes the test set. Integer targets are classes, all others numbers. A `Task` stays
        as it is.

    Raises:
      ValueError: for an unknown name, or too few examples to split.

    >>> x, y = np.arange(40.0).reshape(20, 2), np.arange(20) % 2
    >>> task = make_task((x, y))
    >>> [len(part) for part in task.data[::2]], task.outputs, task.score_name
    ([12, 4, 4], 2, 'accuracy')
    """
    if isinstance(data, Task):
        return data
    name, train, test, classify = _parts(data)
    n = examples(train[0])
    held_out = int(max(0.1 * n, min(0.3 * n, 300)))
    if not 1 <= held_out < n:
        raise ValueError(f"compare: too few training examples to set some aside, got {n}")
    order = np.random.default_rng(SPLIT_SEED).permutation(n)
    fit, val = (_rows(train, index) for index in (order[held_out:], order[:held_out]))
    sets = [list(part) for part in (fit, val, test)]
    if not classify:
        for part in sets:
            part[1] = part[1].reshape(len(part[1]), -1)
        _standardise(sets, 1)
    if np.ndim(sets[0][0]) == 2:
        _standardise(sets, 0)
    outputs = int(max(part[1].max() for part in sets)) + 1 if classify else sets[0][1].shape[1]
    arrays = Data(*(jnp.asarray(array) for part in sets for array in part))
    if classify:
        return Task(name, arrays, outputs, losses.cross_entropy, metrics.accuracy, "accuracy")
    return Task(name, arrays, outputs, _squared_error, metrics.r2, "R2")


def check_net(net: Layer, task: Task) -> None:
    """Raise a `ValueError` if the network does not give what the task's loss needs."""
    x = jax.tree.map(lambda a: a[:1], task.data.x_train)
    out = jax.eval_shape(lambda k: net.apply(*net.init(k, spec(x)), x)[0], jax.random.key(0))
    shape = getattr(out, "shape", None)
    if shape != (1, task.outputs):
        raise ValueError(
            f"compare: {task.name} needs {task.outputs} outputs for each example, got a network"
            f" that gives shape {shape} for one; end it with fnn.layers.dense({task.outputs})"
        )


def _parts(data: Any) -> tuple[str, tuple[Any, Any], tuple[Any, Any], bool]:
    """Name, training and test arrays on the host, and whether the targets are classes."""
    if isinstance(data, str):
        data = datasets.load(data)
    if hasattr(data, "x_train"):
        name = getattr(data, "name", "data")
        pairs = (data.x_train, data.y_train), (data.x_test, data.y_test)
    elif isinstance(data, tuple) and len(data) == 2:
        x, y = _host(data)
        order = np.random.default_rng(SPLIT_SEED).permutation(examples(x))
        cut = len(order) // 5
        name = "your data"
        pairs = _rows((x, y), order[cut:]), _rows((x, y), order[:cut])
    else:
        raise TypeError(
            "compare: data must be a name, a Dataset or a pair (x, y) of arrays,"
            f" got {type(data).__name__}"
        )
    train, test = (_host(pair) for pair in pairs)
    return name, train, test, np.issubdtype(train[1].dtype, np.integer)


def _host(pair: tuple[Any, Any]) -> tuple[Any, Any]:
    return jax.tree.map(np.asarray, as_arrays(*pair))


def _rows(pair: tuple[Any, Any], index: np.ndarray) -> tuple[Any, Any]:
    return jax.tree.map(lambda a: np.asarray(a)[index], pair)


def _standardise(sets: list[list[Any]], place: int) -> None:
    """Give entry `place` of all sets mean 0 and deviation 1, as measured on the first set."""
    mean, deviation = sets[0][place].mean(axis=0), sets[0][place].std(axis=0)
    deviation = np.where(deviation == 0, 1, deviation)
    for part in sets:
        part[place] = ((part[place] - mean) / deviation).astype(part[place].dtype)


def _squared_error(prediction: jax.Array, y: jax.Array) -> jax.Array:
    return losses.squared_error(prediction, y)
