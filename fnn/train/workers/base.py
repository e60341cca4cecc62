"""What the schemes share: their state, what one may look at, and a worker's step."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn import random
from fnn.checks import check_count
from fnn.combine import resting
from fnn.core import Layer, key_for
from fnn.optim.base import Optimizer, accepted, apply_updates
from fnn.train.arguments import check_parts
from fnn.train.per_example import BatchValue
from fnn.train.step import Loss, TrainState, make_objective
from fnn.trees import norm


class Worker(NamedTuple):
    """What a worker has of its own; in a `WorkersState` every leaf has a first axis of workers."""

    params: Any
    state: Any
    opt_state: Any


class WorkersState(NamedTuple):
    """All that is carried from step to step.

    Attributes:
      centre: what the workers hold in common, and what one evaluates: a train state.
      own: the workers' own parameters and states, or the last parameters in a delay; () if none.
    """

    centre: TrainState
    own: Any


class WorkersInfo(NamedTuple):
    """What one may look at after a step.

    Attributes:
      loss: mean over the workers of their batches' losses, each where it took its gradient.
      spread: root mean square distance of the workers' parameters from their mean, before they
        meet; in a delay the distance from the parameters of the gradient to the present ones.
      sent: how many vectors as long as the parameters went between a worker and the centre.
    """

    loss: jax.Array
    spread: jax.Array
    sent: jax.Array


class Scheme(NamedTuple):
    """How many workers learn together.

    Attributes:
      workers: how many batches a step takes.
      init: `init(key, x) -> WorkersState`; all workers begin at the same parameters.
      step: `step(state, (x, y)) -> (state, info)`, pure; all of x and y is (workers, batch, ...).
    """

    workers: int
    init: Callable[[jax.Array, Any], WorkersState]
    step: Callable[[WorkersState, tuple[Any, Any]], tuple[WorkersState, WorkersInfo]]


def parts(
    owner: str, net: Layer, loss: Loss, optimizer: Optimizer, workers: int, penalty: Any
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The objective, and `gradients(params, state, batch, key) -> (value, state, grads)`."""
    check_parts(owner, net, loss, optimizer)
    check_count(owner, "workers", workers)
    objective = make_objective(net, loss, penalty)

    def gradients(params, state, batch, key):
        slope = jax.value_and_grad(objective, has_aux=True)
        (value, state), grads = slope(params, state, *batch, key)
        return value, state, grads

    return objective, gradients


def keys_of(key: jax.Array, count: jax.Array, workers: int) -> tuple[jax.Array, jax.Array]:
    """The key of this step, as in `make_step`, and one for each worker."""
    now = random.fold_in(key_for(key, "layers"), count)
    return now, jax.vmap(lambda w: random.fold_in(now, w))(jnp.arange(workers))


def move(
    net: Layer,
    optimizer: Optimizer,
    grads: Any,
    params: Any,
    opt_state: Any,
    value: Any,
    value_fn: BatchValue,
) -> tuple[Any, Any]:
    """The parameters and the optimizer's state after a step; what is frozen stays."""
    extra = accepted(optimizer.update, {"value": value, "grad": grads, "value_fn": value_fn})
    updates, opt_state = optimizer.update(grads, opt_state, params, **extra)
    return apply_updates(params, resting(net, updates)), opt_state


def each_step(
    net: Layer,
    objective: Any,
    gradients: Any,
    optimizer: Optimizer,
    state: WorkersState,
    batch: Any,
) -> tuple[Worker, jax.Array]:
    """Every worker's own step, side by side, and its loss."""

    def one(worker, batch, key):
        value, net_state, grads = gradients(worker.params, worker.state, batch, key)
        value_fn = BatchValue(objective, worker.state, batch, key)
        moved = move(net, optimizer, grads, worker.params, worker.opt_state, value, value_fn)
        return Worker(moved[0], net_state, moved[1]), value

    workers = jax.tree.leaves(batch)[0].shape[0]
    _, keys = keys_of(state.centre.key, state.centre.step, workers)
    return jax.vmap(one)(state.own, batch, keys)


def apart(centre: TrainState, workers: int) -> WorkersState:
    """Every worker at the same start, with an optimizer of its own; the centre has none."""
    own = Worker(*copies((centre.params, centre.state, centre.opt_state), workers))
    return WorkersState(centre._replace(opt_state=()), own)


def copies(tree: Any, workers: int) -> Any:
    return jax.tree.map(lambda a: jnp.broadcast_to(a, (workers, *jnp.shape(a))), tree)


def mean(tree: Any) -> Any:
    """The mean over the first axis; of what are no floats, such as counts, the first."""

    def leaf(a):
        return a.mean(0) if jnp.issubdtype(a.dtype, jnp.floating) else a[0]

    return jax.tree.map(leaf, tree)


def spread_of(params: Any) -> jax.Array:
    """The root mean square distance from the mean of the first axis."""
    workers = jax.tree.leaves(params)[0].shape[0]
    return norm(jax.tree.map(lambda p: p - p.mean(0), params)) / jnp.sqrt(workers)


def told(loss: jax.Array, spread: Any, sent: Any) -> WorkersInfo:
    return WorkersInfo(loss, jnp.asarray(spread, jnp.float32), jnp.asarray(sent, jnp.int32))
