"""A network opened as one chain: neurons whose synapses have names, and functions between them."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn import combine, layers
from fnn.core import Layer
from fnn.inspect.summary import branch
from fnn.show import spec_text

_WIDE = 2048  # numbers a layer may take or give: the slopes between them are a square
WEIGHING = (layers.dense, layers.conv, layers.depthwise_conv)
RESHAPES = ("flatten", "reshape", "dropout")  # at inference each passes on the numbers it takes


class Step(NamedTuple):
    """One layer of a chain, with what it took and gave in a forward pass.

    Attributes:
      path: where its variables are.
      layer: the layer.
      params: its own parameters.
      state: its own state.
      x: what it took, one example with its batch axis.
      y: what it gave.
    """

    path: str
    layer: Layer
    params: Any
    state: Any
    x: jax.Array
    y: jax.Array


class Group(NamedTuple):
    """A layer of neurons: a weighted sum, the activation behind it, and what stands after that.

    Attributes:
      weighted: the step that weighs its inputs and adds a bias.
      taps: (inputs, outputs), which entry of w the synapse between the two pays; -1 for none.
      activation: the functions behind it that keep its size: together they make a of z.
      slopes: (neurons, neurons), da/dz: rows a, columns z.
      after: the functions that follow, such as pooling, up to the next group.
      passed: (their outputs, neurons), the slopes of those.
    """

    weighted: Step
    taps: np.ndarray
    activation: tuple[Step, ...]
    slopes: np.ndarray
    after: tuple[Step, ...]
    passed: np.ndarray

    @property
    def z(self) -> np.ndarray:
        return flat(self.weighted.y)

    @property
    def a(self) -> np.ndarray:
        return flat((self.activation or (self.weighted,))[-1].y)

    @property
    def w(self) -> np.ndarray:
        return flat(self.weighted.params["w"])

    @property
    def effective(self) -> np.ndarray:
        """(inputs, outputs): the weight between each two, 0 where there is no synapse."""
        return np.where(self.taps >= 0, self.w[self.taps], 0.0)


class Chain(NamedTuple):
    """An opened network.

    Attributes:
      steps: its layers in the order of their running.
      before: the functions ahead of the first neurons.
      groups: its layers of neurons.
    """

    steps: tuple[Step, ...]
    before: tuple[Step, ...]
    groups: tuple[Group, ...]


def flat(a: Any) -> np.ndarray:
    """All numbers of an array in float64, in their order."""
    return np.asarray(a, np.float64).reshape(-1)


def opened(net: Layer, params: Any, state: Any, x: Any, limit: int) -> Chain | str:
    """The network as a chain of neurons and functions; or in words why it is not one."""
    if not (hasattr(x, "shape") and hasattr(x, "dtype")) or not x.ndim:
        return f"x is no single array but {spec_text(x)}"
    parts = list(_parts(net, ""))
    left = limit
    for path, layer in parts:
        own = branch(params, path)
        if layer.made_by in WEIGHING:
            if layer.config.get("padding") in ("REFLECT", "REPLICATE", "CIRCULAR"):
                return f"'{path}' pads with what it sees: one input has several synapses"
        elif layer.children or jax.tree.leaves([own, branch(state, path)]):
            return f"'{path or layer.name}' ({layer.name}) is neither neurons nor a function of x"
    steps = []
    for path, layer in parts:
        own = branch(params, path)
        shape = jax.eval_shape(lambda p, s, x, f=layer: f.apply(p, s, x)[0], own,
                               branch(state, path), x)  # fmt: skip
        why, left = _fits(path, layer, own, x, shape, left)
        if why:
            return why
        y, _ = layer.apply(own, branch(state, path), x)
        steps.append(Step(path, layer, own, branch(state, path), x, y))
        x = y
    if not any(map(_weighs, steps)):
        return "it has no layer of neurons"
    return _grouped(steps)


def _parts(layer: Layer, path: str) -> Iterator[tuple[str, Layer]]:
    if layer.made_by is combine.serial:
        for name, child in layer.children.items():
            yield from _parts(child, f"{path}/{name}" if path else name)
    else:
        yield path, layer


def _fits(path: str, layer: Layer, own: Any, x: Any, y: Any, left: int) -> tuple[str, int]:
    """Why the layer cannot be opened, "" if it can; and how many synapses are left to list."""
    name = f"'{path or layer.name}' ({layer.name})"
    if not (hasattr(y, "dtype") and jnp.issubdtype(y.dtype, jnp.floating)) or not y.ndim:
        return f"{name} gives {spec_text(y)}, no single array of floats", left
    if max(x.size, y.size) > _WIDE:
        return f"{name} takes {x.size:,} numbers and gives {y.size:,}, too many to name", left
    if layer.made_by in WEIGHING:
        each = int(np.prod(own["w"].shape[:-1]))  # those at an edge look at padding, and have fewer
        left -= each * y.size
        if left < 0:
            return f"{name} has {each * y.size:,} synapses, more than limit= allows", left
    return "", left


def _weighs(step: Step) -> bool:
    return step.layer.made_by in WEIGHING


def _grouped(steps: list[Step]) -> Chain:
    starts = [place for place, step in enumerate(steps) if _weighs(step)]
    groups = []
    for start, end in zip(starts, [*starts[1:], len(steps)], strict=True):
        activation, after = [], list(steps[start + 1 : end])
        while after and after[0].y.size == steps[start].y.size:
            activation.append(after.pop(0))
        groups.append(
            Group(
                steps[start],
                _taps(steps[start]),
                tuple(activation),
                _slopes(activation, steps[start].y.size),
                tuple(after),
                _slopes(after, steps[start].y.size),
            )
        )
    return Chain(tuple(steps), tuple(steps[: starts[0]]), tuple(groups))


def _slopes(steps: list[Step], size: int) -> np.ndarray:
    """The derivatives of what the functions give by what they take, one function after the other.

    Each function's own are taken forward in mode: no gradient of the loss is involved.
    """
    found = np.eye(size)
    for step in steps:

        def function(a, step=step):
            y, _ = step.layer.apply(step.params, step.state, a.reshape(step.x.shape))
            return y.reshape(-1)

        found = np.asarray(jax.jacfwd(function)(step.x.reshape(-1)), np.float64) @ found
    return found


def _taps(step: Step) -> np.ndarray:
    """Which entry of w is between each input and each output; -1 where there is no synapse.

    Every weight is given its own number in place of its value, and every input is switched on
    alone: what comes out is the number of the weight between the two.
    """
    w = step.params["w"]
    if step.layer.made_by is layers.dense and step.x.ndim == 2:
        return np.arange(w.size).reshape(w.shape)
    numbers = jnp.arange(1, w.size + 1, dtype=jnp.float32).reshape(w.shape)
    params = {"w": numbers}
    if "b" in step.params:
        params["b"] = jnp.zeros_like(step.params["b"], jnp.float32)
    alone = jnp.eye(step.x.size, dtype=jnp.float32).reshape(-1, *step.x.shape[1:])
    with jax.default_matmul_precision("highest"):
        y, _ = step.layer.apply(params, step.state, alone)
    return np.asarray(y, np.float64).reshape(step.x.size, -1).round().astype(int) - 1
