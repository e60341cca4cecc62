"""The compiled programs of a fit: where it starts, how it goes on, what a check measures."""

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
from jax.stages import Wrapped

from fnn.compiler import compiled
from fnn.core import Layer
from fnn.data.orders import Order
from fnn.optim import Optimizer, eval_params
from fnn.shard import Layout
from fnn.train.evaluate import Metric, evaluate
from fnn.train.run import make_advance, no_progress
from fnn.train.step import Loss, TrainState, init, make_step
from fnn.trees import all_finite


class Programs(NamedTuple):
    """Three jitted functions.

    Attributes:
      fresh: `fresh(key, x)`: the train state of step 0.
      advance: `advance(train_state, data, count, progress)`: the train state that many steps later,
        the progress, and whether all weights are finite.
      measure: `measure(train_state, data, with_loss)`: the loss and the metrics by name.
      ready: the shapes that they are compiled for already.
    """

    fresh: Wrapped
    advance: Wrapped
    measure: Wrapped
    ready: set[Any]


@functools.lru_cache(maxsize=8)
def programs_of(
    net: Layer,
    loss: Loss,
    optimizer: Optimizer,
    penalty: Callable[[Any], jax.Array] | None,
    n: int,
    batch_size: int | None,
    order: Order,
    named: tuple[tuple[str, Metric], ...],
    where: Layout | None = None,
) -> Programs:
    """The compiled programs of a fit, kept so that fitting again need not compile again."""
    step = make_step(net, loss, optimizer, penalty=penalty)
    nothing: tuple[dict[str, Any], ...] = ({}, {}, {})
    made, held, told = nothing
    if where is not None:
        step, whole = where.keeping(step), where.whole
        made["out_shardings"] = where.state
        held["in_shardings"] = (where.state, where.data, whole, whole)
        held["out_shardings"] = (where.state, whole, whole)
        told["out_shardings"] = whole

    def measure(train_state, data, with_loss):
        params = eval_params(train_state.opt_state, train_state.params)
        data = data if with_loss else jax.tree.map(lambda a: a[:n], data)
        wanted = loss if with_loss else None
        return evaluate(net, params, train_state.state, *data, loss=wanted, metrics=dict(named))

    run = make_advance(step, n, batch_size, order)

    def advance(train_state, data, count, progress):
        train_state, progress = run(train_state, data, count, progress)
        return train_state, progress, all_finite((train_state.params, train_state.state))

    fresh = compiled(lambda key, x: init(net, optimizer, key, x), **made)
    look = compiled(measure, static_argnums=2, **told)
    return Programs(fresh, compiled(advance, **held), look, set())


Looked = tuple[Any, bool]  # the data that a check looks at, and whether at its loss, too


def looked_at(data: Any, held_out: Any, has_metrics: bool) -> Looked | None:
    """What a check measures: on the held-out data if there are any, else on the training data."""
    if held_out is not None:
        return held_out, True
    return (data, False) if has_metrics else None


def measured(
    programs: Programs, looked: Looked | None, train_state: TrainState
) -> dict[str, float]:
    """What a check finds, by the names that history gives it."""
    if looked is None:
        return {}
    of = "val" if looked[1] else "train"
    found = programs.measure(train_state, *looked)
    return {f"{of}_{name}": float(value) for name, value in found.items()}


def started(
    programs: Programs, key: jax.Array, first: Any, data: Any, looked: Looked | None
) -> TrainState:
    """The train state of step 0; all programs are compiled for it, at once on several cores."""
    leaves, structure = jax.tree.flatten((first, data, looked))
    shapes = structure, *(jax.typeof(leaf) for leaf in leaves)
    if shapes not in programs.ready:
        _make_ready(programs, key, first, data, looked)
        programs.ready.add(shapes)
    return programs.fresh(key, first)


def _make_ready(
    programs: Programs, key: jax.Array, first: Any, data: Any, looked: Looked | None
) -> None:
    fresh = programs.fresh.lower(key, first)
    like = fresh.out_info
    with ThreadPoolExecutor() as others:  # XLA compiles outside of Python's lock
        compiling = [others.submit(fresh.compile)]
        lowered = programs.advance.lower(like, data, 0, no_progress())
        compiling.append(others.submit(lowered.compile))
        if looked is not None:
            compiling.append(others.submit(programs.measure.lower(like, *looked).compile))
        for one in compiling:
            one.result()
