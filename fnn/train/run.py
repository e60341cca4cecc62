"""A whole training run as one pure function, to be jitted, swept by vmap, or run in chunks."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fnn.checks import check_count
from fnn.core import Layer, key_for
from fnn.data import arrays, take
from fnn.data.orders import Order, shuffled
from fnn.optim.base import Optimizer
from fnn.train.step import Loss, Step, TrainState, init, make_step


class Trace(NamedTuple):
    """What a run recorded, one row for each check.

    Attributes:
      step: steps done by then.
      loss: mean training loss over the steps since the check before.
      measures: what `measure` returned, stacked; None without it.
    """

    step: jax.Array
    loss: jax.Array
    measures: Any


def run(
    key: jax.Array,
    net: Layer,
    x: Any,
    y: Any,
    *,
    loss: Loss,
    optimizer: Optimizer,
    steps: int,
    batch_size: int | None = 32,
    checks: int = 1,
    measure: Callable[[TrainState], Any] | None = None,
    penalty: Callable[[Any], jax.Array] | None = None,
    order: Order = shuffled,
) -> tuple[TrainState, Trace]:
    """Train from fresh parameters for a number of steps, without a host side: pure, vmappable.

    The examples of each step are computed inside the program as a function of the key and the step:
    by default each pass goes through a permutation of its own.

    Args:
      key: seeds parameters, order and layers. Equal keys give bit-identical runs.
      net: the network.
      x: arrays (or pytrees) whose first axis counts the examples.
      y: the targets, likewise.
      loss: one number per example, as in `make_step`.
      optimizer: ours or optax's; its hyperparameters may be traced.
      steps: how many steps to take.
      batch_size: examples a step, at most all; None takes the whole set at each step.
      checks: at how many evenly spread steps, the last among them, to record.
      measure: a function of the train state to record at each check, such as a test accuracy.
      penalty: a function of the parameters added to the loss.
      order: which examples a step takes, such as `fnn.data.orders.curriculum(...)`.

    Returns:
      The last train state and the trace.

    >>> import fnn
    >>> x, y = fnn.datasets.linear(jax.random.key(0), n=64)
    >>> def final_loss(rate):
    ...     _, trace = run(jax.random.key(1), fnn.layers.dense(1), x, y[:, None], steps=50,
    ...                    loss=fnn.losses.squared_error, optimizer=fnn.optim.sgd(rate))
    ...     return trace.loss[-1]
    >>> jax.vmap(final_loss)(jnp.array([0.001, 0.01, 0.1])).shape
    (3,)
    """
    n = arrays.examples("run", x, y)  # of y too: a gather would repeat its last row in silence
    check_budget(steps, batch_size, n)
    if not 1 <= checks <= steps:
        raise ValueError(f"run: checks must be from 1 to steps = {steps}, got {checks}")
    advance = make_advance(make_step(net, loss, optimizer, penalty=penalty), n, batch_size, order)
    ends = np.linspace(0, steps, checks + 1).round().astype(np.int32)[1:]
    counts = np.diff(ends, prepend=0)

    def stretch(train_state, count):
        train_state, progress = advance(train_state, (x, y), count)
        measured = None if measure is None else measure(train_state)
        return train_state, Trace(train_state.step, progress.loss_sum / count, measured)

    start = init(net, optimizer, key, jax.tree.map(lambda a: a[:1], x))
    return lax.scan(stretch, start, counts)


class Progress(NamedTuple):
    """What a stretch of steps gives back beside the train state.

    Attributes:
      loss_sum: the sum of the steps' losses.
      first_bad: the number of the first step, from 1, whose loss was not finite; 0 if none.
    """

    loss_sum: Any
    first_bad: Any


def no_progress() -> Progress:
    """That of no steps: of NumPy, as to make arrays on a device takes longer than a small check."""
    return Progress(np.zeros((), np.float32), np.zeros((), np.int32))


def make_advance(
    step: Step, n: int, batch_size: int | None, order: Order = shuffled
) -> Callable[..., tuple[TrainState, Progress]]:
    """`advance(train_state, (x, y), count, progress)`: that many steps; the count may be traced.

    One compiled program serves chunks of every length, and chunks of any lengths give the same
    numbers as one long run, since each step depends on its train state alone; so do the sums of
    losses, if each chunk is given the progress of the one before.
    """
    batch_at = make_batch_at(n, batch_size, order)

    def advance(train_state, data, count, progress=None):
        def body(_, carry):
            train_state, progress = carry
            train_state, info = step(train_state, batch_at(train_state, data))
            bad = ~jnp.isfinite(info.loss) & (progress.first_bad == 0)
            return train_state, Progress(
                progress.loss_sum + info.loss.astype(jnp.float32),
                jnp.where(bad, train_state.step, progress.first_bad),
            )

        progress = no_progress() if progress is None else progress
        return lax.fori_loop(0, count, body, (train_state, progress))

    return advance


def make_batch_at(
    n: int, batch_size: int | None, order: Order = shuffled
) -> Callable[[TrainState, tuple[Any, Any]], tuple[Any, Any]]:
    """`batch_at(train_state, (x, y))`: the batch of the step that follows this train state."""
    if batch_size is None and order is not shuffled:
        raise ValueError("train: an order needs a batch_size, got None, which takes all examples")

    def batch_at(train_state, data):
        if batch_size is None or (batch_size == n and order is shuffled):
            return data  # the order of a whole pass does not matter to its mean
        key = key_for(train_state.key, "order")
        return take(data, order(key, train_state.step, n=n, batch_size=batch_size))

    return batch_at


def examples(x: Any) -> int:
    """How many examples a pytree of arrays holds: the size of its first axis.

    Raises:
      ValueError: if there is no array, no example, or arrays of different length.
    """
    sizes = {a.shape[0] if a.ndim else 0 for a in jax.tree.leaves(x)}
    if len(sizes) != 1 or 0 in sizes:
        raise ValueError(
            f"the data must be arrays with one shared first axis of at least one example,"
            f" got first axes {sorted(sizes)}"
        )
    return sizes.pop()


def check_budget(steps: int, batch_size: int | None, n: int) -> None:
    """Raise an error for a number of steps or a batch size that cannot be, or that is no int."""
    check_count("train", "steps", steps)
    if batch_size is None:
        return
    if not 1 <= check_count("train", "batch_size", batch_size, low=-math.inf) <= n:
        raise ValueError(
            f"train: batch_size must be from 1 to the {n} examples there are, got {batch_size};"
            " batch_size=None takes them all at each step"
        )
