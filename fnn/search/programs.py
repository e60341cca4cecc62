"""The compiled programs of a selection: one lane each, kept for data sets of equal shapes.

Width and batch are static; depth, activation, decay, rate and the number of steps are traced, so
that one program serves all networks of a width and runs of every length.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fnn import optim
from fnn.compiler import compiled
from fnn.losses import cross_entropy, squared_error
from fnn.search.bounded import bounded_mlp
from fnn.search.linear import logistic_path
from fnn.search.plan import ACTIVATIONS
from fnn.search.problem import Scaling
from fnn.train.lanes import over_lanes
from fnn.train.run import make_advance
from fnn.train.step import init, make_step


class Shape(NamedTuple):
    """What a program is compiled for, beside the shapes of its arrays.

    Attributes:
      classes: how many; None in regression.
      width, depth: the bounds of the network.
      batch_size: of a `Plan`.
    """

    classes: int | None
    width: int
    depth: int
    batch_size: int


@functools.cache
def trial_program(shape: Shape) -> Callable[..., Any]:
    """`trials(setting, split, rows, kept, weight, shared=(x, y, key, ends)) -> (losses, errors)`.

    Shapes:
      setting: leaves (lanes,). split: (lanes,), which numbers the seeds. rows: (lanes, n_train).
      kept, weight: (lanes, n_val). ends: (checks,), the steps to measure after.
      losses, errors: (lanes, checks), the means of what is held out.
    """

    def trial(setting, split, rows, kept, weight, shared):
        x_all, y_all, key, ends = shared
        net, optimizer, loss = _parts(shape, setting, ends[-1])
        x, y, units = _standardised(shape, x_all[rows], y_all[rows])
        x_kept, y_kept = (x_all[kept] - units.mean) / units.scale, y_all[kept]

        def measured(train_state):
            out = net.apply(train_state.params, train_state.state, x_kept)[0]
            if shape.classes is None:
                losses = (out[:, 0] * units.y_scale + units.y_mean - y_kept) ** 2
                errors = losses
            else:
                losses, errors = loss(out, y_kept), out.argmax(-1) != y_kept
            return (losses * weight).sum() / weight.sum(), (errors * weight).sum() / weight.sum()

        def stretch(train_state, count):
            train_state, _ = advance(train_state, (x, y), count)
            return train_state, measured(train_state)

        advance, start = _runs(shape, net, loss, optimizer, x, jax.random.fold_in(key, split))
        return lax.scan(stretch, start, jnp.diff(ends, prepend=0))[1]

    return _compiled(trial, chunk=8)


@functools.cache
def train_program(shape: Shape) -> Callable[..., Any]:
    """`train(setting, count, seed, rows, shared=(x, y, key, horizon)) -> (params, scaling)`.

    It takes `count` of the steps, which is traced: runs may end at different times.
    """

    def train(setting, count, seed, rows, shared):
        x_all, y_all, key, horizon = shared
        net, optimizer, loss = _parts(shape, setting, horizon)
        x, y, units = _standardised(shape, x_all[rows], y_all[rows])
        advance, start = _runs(shape, net, loss, optimizer, x, jax.random.fold_in(key, seed))
        return advance(start, (x, y), count)[0].params, units

    return _compiled(train, chunk=1)


@functools.cache
def logistic_program(classes: int) -> Callable[..., Any]:
    """`weights(weight, mean, scale, shared=(x, y))`: `logistic_path` of each lane, of all rows."""

    def lane(weight, mean, scale, shared):
        x, y = shared
        return logistic_path((x - mean) / scale, y, classes=classes, weight=weight)

    return _compiled(lane, chunk=2)


def _compiled(lane: Callable[..., Any], *, chunk: int) -> Callable[..., Any]:
    """`lanes(*arguments, shared)` by one compiled program, whatever their number.

    On a CPU, where they run one after another, the program is of `chunk` lanes a device and called
    as often as it takes.
    """
    on_cpu = jax.default_backend() == "cpu"
    program = compiled(over_lanes(lane))

    def lanes(*arguments, shared):
        n = jax.tree.leaves(arguments)[0].shape[0]
        size = chunk * len(jax.devices()) if on_cpu else n
        index = np.minimum(np.arange(-(-n // size) * size), n - 1).reshape(-1, size)
        parts = [jax.tree.map(lambda a: a[own], arguments) for own in index]  # noqa: B023
        found = [program(*part, shared=shared) for part in parts]  # all are under way at once
        return jax.tree.map(lambda *a: np.concatenate(a)[:n], *found)

    return lanes


def _runs(shape: Shape, net: Any, loss: Any, optimizer: Any, x: Any, key: Any) -> tuple[Any, Any]:
    """`advance` of `train.run`, for any number of steps, and where it starts."""
    step = make_step(net, loss, optimizer)
    advance = make_advance(step, len(x), min(shape.batch_size, len(x)))
    return advance, init(net, optimizer, key, x[:1])


def _parts(shape: Shape, setting: Any, horizon: Any) -> tuple[Any, Any, Any]:
    """The network, the optimizer and the loss of a setting, whose numbers are traced."""
    net = bounded_mlp(
        shape.classes or 1,
        max_width=shape.width,
        max_depth=shape.depth,
        activations=tuple(ACTIVATIONS.values()),
        depth=setting["depth"],
        activation=setting["activation"],
    )
    schedule = optim.schedules.cosine_decay(setting["rate"], steps=horizon)
    optimizer = optim.adamw(schedule, weight_decay=setting["decay"])
    return net, optimizer, squared_error if shape.classes is None else cross_entropy


def _standardised(shape: Shape, x: Any, y: Any) -> tuple[Any, Any, Scaling]:
    """Training rows in units of their own, and these units."""
    mean, scale = x.mean(0), x.std(0)
    scale = jnp.where(scale > 1e-6 * jnp.maximum(jnp.abs(mean), 1e-30), scale, 1.0)
    if shape.classes is not None:
        return (x - mean) / scale, y, Scaling(mean, scale)
    middle, unit = y.mean(), jnp.maximum(y.std(), 1e-6)
    return (x - mean) / scale, ((y - middle) / unit)[:, None], Scaling(mean, scale, middle, unit)
