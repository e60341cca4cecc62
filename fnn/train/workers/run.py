"""A whole run by a scheme as one pure function."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fnn.checks import check_count
from fnn.core import key_for
from fnn.data import arrays, take
from fnn.data.orders import Order, shuffled
from fnn.train.run import check_budget
from fnn.train.workers.base import Scheme, WorkersState


class WorkersTrace(NamedTuple):
    """What a run recorded, one row for each check.

    Attributes:
      step: steps done by then.
      loss: mean of the workers' losses over the steps since the check before.
      spread: of the step at the check, as in `WorkersInfo`.
      sent: vectors sent since the beginning.
      measures: what `measure` returned, stacked; None without it.
    """

    step: jax.Array
    loss: jax.Array
    spread: jax.Array
    sent: jax.Array
    measures: Any


def run(
    key: jax.Array,
    scheme: Scheme,
    x: Any,
    y: Any,
    *,
    steps: int,
    batch_size: int = 32,
    checks: int = 1,
    measure: Callable[[WorkersState], Any] | None = None,
    order: Order = shuffled,
) -> tuple[WorkersState, WorkersTrace]:
    """Train by a scheme for a number of steps: pure, to be jitted, as `train.run`.

    Args:
      key: seeds parameters, order and layers, as in `train.run`.
      scheme: how the workers learn together.
      x: arrays (or pytrees) whose first axis counts the examples.
      y: the targets, likewise.
      steps: how many steps to take.
      batch_size: examples of each worker at a step; the workers' batches are the parts of one batch
        that is `workers` times as large, so no example is seen by two of them.
      checks: at how many evenly spread steps, the last among them, to record.
      measure: a function of the state to record at each check.
      order: which examples a step takes.

    >>> import fnn
    >>> x, y = fnn.datasets.linear(jax.random.key(0), n=64)
    >>> from fnn.train.workers import local_sgd
    >>> scheme = local_sgd(fnn.layers.dense(1), fnn.losses.squared_error, fnn.optim.sgd(0.1),
    ...                    workers=4, local_steps=8)
    >>> state, trace = run(jax.random.key(1), scheme, x, y[:, None], steps=80, batch_size=4)
    >>> bool(trace.loss[-1] < 1), int(trace.sent[-1])
    (True, 80)
    """
    n = arrays.examples("workers.run", x, y)
    size = scheme.workers * check_count("workers.run", "batch_size", batch_size)
    check_budget(steps, size, n)
    if not 1 <= checks <= steps:
        raise ValueError(f"workers.run: checks must be from 1 to steps = {steps}, got {checks}")
    ends = np.linspace(0, steps, checks + 1).round().astype(np.int32)[1:]
    counts = np.diff(ends, prepend=0)

    def one(_, carry):
        state, total, sent, _ = carry
        order_key = key_for(state.centre.key, "order")
        batch = take((x, y), order(order_key, state.centre.step, n=n, batch_size=size))
        parts = jax.tree.map(lambda a: a.reshape(scheme.workers, batch_size, *a.shape[1:]), batch)
        state, info = scheme.step(state, parts)
        return state, total + info.loss.astype(jnp.float32), sent + info.sent, info.spread

    def stretch(carry, count):
        state, sent = carry
        begin = (state, jnp.zeros((), jnp.float32), sent, jnp.zeros(()))
        state, total, sent, spread = lax.fori_loop(0, count, one, begin)
        measured = None if measure is None else measure(state)
        row = WorkersTrace(state.centre.step, total / count, spread, sent, measured)
        return (state, sent), row

    start = scheme.init(key, jax.tree.map(lambda a: a[:1], x))
    (state, _), trace = lax.scan(stretch, (start, jnp.zeros((), jnp.int32)), counts)
    return state, trace
