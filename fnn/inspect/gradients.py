"""What a batch asks of each parameter: gradients beside weights, and the step they would take."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn import trees
from fnn.core import Layer, as_jax
from fnn.inspect.activations import bad_leaves
from fnn.inspect.summary import walk, within
from fnn.inspect.table import Words, cut_start, few, share


@dataclass(frozen=True)
class Gradient:
    """One array of the parameters and its gradient; of a `repeat`, that of one layer in depth.

    Attributes:
      path: of the array, such as "body/dense_0/w".
      place: which layer of the `repeat` around it; None where there is none.
      shape: of the array.
      weights: its Euclidean norm.
      gradient: that of its gradient.
      relative: gradient / weights: which layers learn fast and which slowly, the unit being theirs.
      update: norm of the optimizer's update / weights; None without an optimizer. About 0.001 is
        healthy for most weights in most networks; far more tears them up, far less hardly moves
        them. Biases that start at 0 have no such measure.
      zeros: the share of the gradient that is exactly 0.
      bad: the share of the gradient that is NaN or infinite.
    """

    path: str
    place: int | None
    shape: tuple[int, ...]
    weights: float
    gradient: float
    relative: float
    update: float | None
    zeros: float
    bad: float


@dataclass(frozen=True)
class Gradients:
    """A table of gradients; `print` it or read `rows`.

    Attributes:
      rows: one for each array of the parameters, in the order of the network's layers.
      loss: the batch's mean loss.
      norm: the Euclidean norm of all gradients together.
      notes: what to look at, in sentences.
    """

    rows: tuple[Gradient, ...]
    loss: float
    norm: float
    notes: tuple[str, ...]

    def __getitem__(self, path: str) -> list[Gradient]:
        """The rows of one array; several inside a `repeat`."""
        return [row for row in self.rows if row.path == path]

    def words(self) -> Words:
        """The table in words."""
        sizes = ["|w|", "|grad|", "|grad|/|w|", "|update|/|w|"]
        heads = ["parameters", "at", "shape", *sizes, "zeros", "bad"]
        lines = [
            [
                cut_start(row.path, 32),
                "" if row.place is None else str(row.place),
                "x".join(map(str, row.shape)) or "()",
                *map(few, (row.weights, row.gradient)),
                *(few(ratio, ".1e") for ratio in (row.relative, row.update)),
                *map(share, (row.zeros, row.bad)),
            ]
            for row in self.rows
        ]
        total = f"loss {self.loss:.4g}, norm of all gradients {self.norm:.4g}"
        return Words(heads, lines, [total, *self.notes], left=1)

    def __str__(self) -> str:
        return str(self.words())

    def __rich__(self) -> Any:
        return self.words().rich()


def gradients(
    net: Layer,
    loss: Callable[[Any, Any], jax.Array],
    params: Any,
    state: Any,
    x: Any,
    y: Any,
    *,
    optimizer: Any = None,
    opt_state: Any = None,
    key: Any = None,
    train: bool = True,
) -> Gradients:
    r"""Backpropagate a batch and tell how each parameter's gradient looks, beside the parameter.

    .. math:: g = \nabla_\theta \operatorname{mean}_i L(f_\theta(x_i), y_i)

    Args:
      net: the network.
      loss: `loss(prediction, y)` -> one number per example; the mean is taken here.
      params: its parameters.
      state: its state.
      x: a batch of inputs.
      y: its targets.
      optimizer: ours or optax's, for the size of the update that it would make.
      opt_state: its state; a fresh one if None, whose first steps may be larger than later ones.
      key: for what is random.
      train: whether the network runs as it trains; unlike `apply`, by default it does.

    >>> from fnn import layers, losses
    >>> net = layers.dense(1)
    >>> params = {"w": jnp.array([[2.0]]), "b": jnp.array([0.0])}
    >>> x, y = jnp.array([[1.0]]), jnp.array([[0.0]])
    >>> print(gradients(net, losses.squared_error, params, {}, x, y))
    parameters  shape  |w|  |grad|  |grad|/|w|  zeros  bad
    ------------------------------------------------------
    b               1    0       4           -      .    .
    w             1x1    2       4     2.0e+00      .    .
    loss 4, norm of all gradients 5.657
    """
    x, y, params = as_jax(x), as_jax(y), as_jax(params)
    stacked = [path for path, _, layer in walk(net) if layer.name == "repeat"]

    @jax.jit
    def measure(params, state, x, y, key, opt_state):
        def objective(params):
            losses = loss(net.apply(params, state, x, key=key, train=train)[0], y)
            return jnp.mean(losses, dtype=trees.wide(losses.dtype))

        value, grads = jax.value_and_grad(objective)(params)
        updates = None
        if optimizer is not None:
            updates, _ = optimizer.update(grads, opt_state, params)
        found = {}
        for path, w in trees.paths(params).items():
            kept = sum(within(path, repeat) for repeat in stacked)
            three = (w, trees.paths(grads)[path], updates and trees.paths(updates)[path])
            found[path] = _sizes(*three, kept)
        return value, trees.norm(grads), found

    if optimizer is not None and opt_state is None:
        opt_state = optimizer.init(params)
    value, norm, found = jax.device_get(measure(params, state, x, y, key, opt_state))
    rows = []
    for path in _in_order(net, found):
        rows += _rows(path, trees.paths(params)[path].shape, found[path])
    notes = _notes(rows, float(value), bad_leaves(params))
    return Gradients(tuple(rows), float(value), float(norm), tuple(notes))


def _sizes(w: Any, g: Any, update: Any, kept: int) -> dict[str, jax.Array]:
    """Norms and shares over all axes but the first `kept`."""

    def over(function, a):
        lead = a.shape[:kept]
        return function(a.astype(trees.wide(a.dtype)).reshape(*lead, -1), -1)

    found = {
        "weights": over(_norm, w),
        "gradient": over(_norm, g),
        "zeros": over(jnp.mean, (g == 0).astype(jnp.float32)),
        "bad": over(jnp.mean, (~jnp.isfinite(g)).astype(jnp.float32)),
    }
    return found if update is None else {**found, "update": over(_norm, update)}


def _norm(a: jax.Array, axis: int) -> jax.Array:
    return jnp.sqrt(jnp.sum(jnp.square(a), axis))


def _rows(path: str, shape: tuple[int, ...], found: Mapping[str, Any]) -> list[Gradient]:
    """The rows of one array: one, or one for each layer in depth."""
    lead = found["weights"].shape
    rows = []
    for place, number in enumerate(np.ndindex(*lead)):
        own = {name: float(value[number]) for name, value in found.items()}
        update = _ratio(own["update"], own["weights"]) if "update" in own else None
        rows.append(
            Gradient(
                path=path,
                place=place if lead else None,
                shape=tuple(shape[len(lead) :]),
                weights=own["weights"],
                gradient=own["gradient"],
                relative=_ratio(own["gradient"], own["weights"]),
                update=update,
                zeros=own["zeros"],
                bad=own["bad"],
            )
        )
    return rows


def _in_order(net: Layer, found: Mapping[str, Any]) -> list[str]:
    """The arrays' paths in the order of the layers that own them; trees are sorted by name."""
    owners = [path for path, _, _ in walk(net)]

    def place(path):
        return max(i for i, owner in enumerate(owners) if within(path, owner))

    return sorted(found, key=place)


def _ratio(a: float, b: float) -> float:
    """a / b; 0 for 0 / 0, infinite for another number by 0."""
    return a / b if b else (a if math.isnan(a) or a == 0 else math.inf)


def _notes(rows: list[Gradient], loss: float, bad_params: list[str]) -> list[str]:
    """What to look at, in sentences."""
    notes = []
    if bad_params:
        notes.append(f"not finite before anything ran: {', '.join(bad_params)}")
    if not math.isfinite(loss):
        notes.append("the loss is not finite; inspect.activations names the first layer to blame")
    elif bad := [row.path for row in rows if row.bad]:
        notes.append(
            f"the loss is finite, but not the gradient of {', '.join(dict.fromkeys(bad))}:"
            " some slope is (a square root or a division at 0?)"
        )
    if still := [row.path for row in rows if row.zeros == 1]:
        notes.append(f"no gradient reaches {', '.join(dict.fromkeys(still))}")
    return notes
