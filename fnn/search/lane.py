"""The two programs of a group of lanes: their start, and a stretch of steps with a look at its end.

A lane is one whole training run. Its numbers (learning rate, decay, seed, which rows it trains on)
are arguments, so that all lanes of a group share both programs, and so does every strategy: a sweep
calls the stretch check by check, halving calls it for those that are left.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn.core import Layer
from fnn.data import take
from fnn.data.orders import Order, shuffled
from fnn.optim import eval_params
from fnn.optim.base import Optimizer
from fnn.random import fold_in
from fnn.train.evaluate import Metric, evaluate
from fnn.train.lanes import dealt_lanes
from fnn.train.run import make_advance
from fnn.train.step import Loss, TrainState, init, make_step
from fnn.trees import all_finite

Build = Callable[..., Any]


class Candidate(NamedTuple):
    """What `build(**config)` gives: a network, an optimizer, and a penalty on the parameters."""

    net: Layer
    optimizer: Optimizer
    penalty: Callable[[Any], jax.Array] | None = None


class Lane(NamedTuple):
    """What makes a lane this lane; the leaves of many lanes begin with them.

    Attributes:
      values: the floats of its configuration, by name.
      seed: of its weights and batches.
      seeded: whether it has a seed; else its key is the sweep's own.
      rows: the rows that it trains on, or None for all.
      held_out: the rows that it is measured on, or None for the validation data.
    """

    values: dict[str, Any]
    seed: Any
    seeded: Any
    rows: Any = None
    held_out: Any = None


class Carry(NamedTuple):
    """What a lane carries from check to check: its train state, and the best it has been.

    Attributes:
      train_state: as in `train.run`.
      params, state: those at the check with the least loss.
      loss: that loss, infinity before the first; of the held-out data, of training without them.
      step: when that was.
    """

    train_state: TrainState
    params: Any
    state: Any
    loss: jax.Array
    step: jax.Array


class Look(NamedTuple):
    """What a check sees: mean training loss since the last one, held-out loss, metrics by name."""

    loss: Any
    val_loss: Any
    metrics: dict[str, Any]


class Setting(NamedTuple):
    """What all lanes of a sweep share, and what its programs are made from."""

    build: Build
    loss: Loss
    metrics: Mapping[str, Metric]
    batch_size: int | None
    key: jax.Array
    devices: list[Any]


class Shared(NamedTuple):
    """The data, on every device: training rows, and validation rows or None."""

    x: Any
    y: Any
    validation: Any


class Programs(NamedTuple):
    """What `dealt_lanes` made of them; both take lanes dealt to the devices.

    Attributes:
      start: `start(lanes, shared) -> Carry`.
      stretch: `stretch((lanes, carry), (count, shared)) -> (Carry, Look)`.
    """

    start: Any
    stretch: Any


def candidate_of(
    setting: Setting, values: Mapping[str, Any], shaping: Mapping[str, Any]
) -> Candidate:
    """`build(**config)`; `seed` and `batch_size` are passed only if it asks for them.

    Raises:
      TypeError: if it does not give a network and an optimizer, or decides by a number that varies.
    """
    config = {**values, **shaping}
    names = inspect.signature(setting.build).parameters
    for name in ("seed", "batch_size"):
        if name not in names:
            config.pop(name, None)
    takes_any = any(of.kind is of.VAR_KEYWORD for of in names.values())
    if not takes_any and (unknown := [name for name in config if name not in names]):
        raise TypeError(
            f"sweep: build takes {', '.join(names) or 'nothing'}, but configurations have"
            f" {', '.join(map(repr, unknown))}; give it arguments of these names"
        )
    try:
        built = setting.build(**config)
    except jax.errors.ConcretizationTypeError as error:
        raise TypeError(
            "sweep: build decides by a number that varies within one compiled program"
            f" ({', '.join(values)}); wrap its values by search.static(...), so that each is a"
            " program of its own"
        ) from error
    parts = tuple(built) if isinstance(built, tuple) else (built,)
    if len(parts) not in (2, 3) or not isinstance(parts[0], Layer):
        raise TypeError(
            "sweep: build must return search.Candidate(net, optimizer) or that pair, got"
            f" {type(built).__name__}"
        )
    return Candidate(*parts)


def make_programs(setting: Setting, shaping: Mapping[str, Any], *, seeded: bool) -> Programs:
    """The programs of all lanes whose configurations share `shaping`, what is not a float.

    `seeded` says whether the configurations have a seed, for a `build` that asks for it.
    """
    batch_size = shaping.get("batch_size", setting.batch_size)

    def candidate(lane: Lane) -> Candidate:
        seed = {"seed": lane.seed} if seeded else {}
        return candidate_of(setting, {**lane.values, **seed}, shaping)

    def start(lane: Lane, shared: Shared) -> Carry:
        net, optimizer, _ = candidate(lane)
        own = jax.random.key_data(fold_in(setting.key, lane.seed))
        data = jnp.where(lane.seeded, own, jax.random.key_data(setting.key))
        key = jax.random.wrap_key_data(data, impl=jax.random.key_impl(setting.key))
        first = jax.tree.map(lambda a: a[:1], shared.x)
        train_state = init(net, optimizer, key, first)
        params, state = train_state.params, train_state.state
        return Carry(train_state, params, state, jnp.array(jnp.inf), jnp.zeros((), jnp.int32))

    def stretch(dealt: tuple[Lane, Carry], common: Any) -> tuple[Carry, Look]:
        (lane, carry), (count, shared) = dealt, common
        net, optimizer, penalty = candidate(lane)
        x, y, order = shared.x, shared.y, shuffled
        n = jax.tree.leaves(x)[0].shape[0]
        if lane.rows is not None:
            n = lane.rows.shape[0]
            if batch_size is None or batch_size == n:
                x, y = take((x, y), lane.rows)
            else:
                order = _within(lane.rows)
        step = make_step(net, setting.loss, optimizer, penalty=penalty)
        advance = make_advance(step, n, batch_size, order)
        train_state, progress = advance(carry.train_state, (x, y), count)
        held = shared.validation
        if lane.held_out is not None:
            held = take((shared.x, shared.y), lane.held_out)
        return _judged(net, setting, carry, train_state, progress.loss_sum / count, held)

    return Programs(dealt_lanes(start, setting.devices), dealt_lanes(stretch, setting.devices))


def _within(rows: jax.Array) -> Order:
    """The shuffled order of a part of the rows."""

    def order(key, step, *, n, batch_size):
        return rows[shuffled(key, step, n=n, batch_size=batch_size)]

    return order


def _judged(
    net: Layer, setting: Setting, carry: Carry, train_state: TrainState, loss: Any, held: Any
) -> tuple[Carry, Look]:
    """Measure, and keep the parameters if they are the best so far."""
    params = eval_params(train_state.opt_state, train_state.params)
    if held is None:
        found = {name: jnp.array(jnp.nan) for name in setting.metrics}
        val_loss, judged = jnp.array(jnp.nan), loss
    else:
        how = {"loss": setting.loss, "metrics": setting.metrics}
        found = evaluate(net, params, train_state.state, *held, **how)
        val_loss = judged = found.pop("loss")
    sound = jnp.isfinite(loss) & all_finite((params, train_state.state))
    judged = jnp.where(sound, judged, jnp.nan).astype(carry.loss.dtype)
    better = judged < carry.loss  # NaN is not
    best = jax.tree.map(
        lambda new, old: jnp.where(better, new, old),
        (params, train_state.state, judged, train_state.step),
        (carry.params, carry.state, carry.loss, carry.step),
    )
    return Carry(train_state, *best), Look(loss, val_loss, found)


def pick(tree: Any, at: Any) -> Any:
    """Some lanes of many."""
    index = np.asarray(at)
    return jax.tree.map(lambda a: a[index], tree)
