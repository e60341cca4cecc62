"""A network opened as one chain: neurons whose synapses have names, and functions between them."""

import contextlib
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn.checks import located
from fnn.core import Layer
from fnn.inspect.chain import WEIGHING, links, weighs
from fnn.inspect.summary import branch
from fnn.show import spec_text

_WIDE = 2048  # numbers a layer may take or give: the slopes between them are a square
RESHAPES = ("flatten", "reshape", "dropout")  # at inference each passes on the numbers it takes

Parts = tuple[tuple[str, Layer], ...]  # the layers of a chain, each with its path


class Step(NamedTuple):
    """One layer of a chain, with what it took and gave in a forward pass.

    Attributes:
      path: where its variables are.
      layer: the layer.
      params: its own parameters.
      state: its own state.
      x: what it took, one example with its batch axis.
      y: what it gave.
      slopes: (outputs, inputs), of a function its derivatives; of neurons, (inputs, outputs), the
        number of the weight between each two, from 1, and 0 for none.
    """

    path: str
    layer: Layer
    params: Any
    state: Any
    x: jax.Array
    y: jax.Array
    slopes: jax.Array


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
      groups: its layers of neurons.
    """

    steps: tuple[Step, ...]
    groups: tuple[Group, ...]


def flat(a: Any) -> np.ndarray:
    """All numbers of an array in float64, in their order."""
    return np.asarray(a, np.float64).reshape(-1)


def opened(where: str, net: Layer, params: Any, state: Any, x: Any, limit: int) -> Chain | str:
    """The network as a chain of neurons and functions; or in words why it is not one.

    Raises:
      ValueError: if it is one, but x holds not one example.
    """
    if not (hasattr(x, "shape") and hasattr(x, "dtype")) or not x.ndim:
        return f"x is no single array but {spec_text(x)}"
    parts = tuple(links(net))
    one = (1, *x.shape[1:]) if x.ndim > 1 else x.shape
    left, shape = limit, jax.ShapeDtypeStruct(one, x.dtype)
    for path, layer in parts:
        own = branch(params, path), branch(state, path)
        if layer.made_by in WEIGHING:
            if layer.config.get("padding") in ("REFLECT", "REPLICATE", "CIRCULAR"):
                return f"'{path}' pads with what it sees: one input has several synapses"
        elif layer.children or jax.tree.leaves(own):
            return f"'{path or layer.name}' ({layer.name}) is neither neurons nor a function of x"
        with located(path, layer, shape) if path else contextlib.nullcontext():
            given = jax.eval_shape(layer.apply, *own, shape)[0]
        why, left = _fits(path, layer, own[0], shape, given, left)
        if why:
            return why
        shape = given
    if not any(weighs(layer) for _, layer in parts):
        return "it has no layer of neurons"
    if x.ndim < 2 or len(x) != 1:
        raise ValueError(
            f"explain.{where}: x must hold one example, (1, ...), got {x.shape};"
            " give one row with its batch axis, such as x[:1] and y[:1], or by='layers' for a batch"
        )
    return _grouped(_passed_through(parts, params, state, x))


def _passed_through(parts: Parts, params: Any, state: Any, x: jax.Array) -> list[Step]:
    own = [(branch(params, path), branch(state, path)) for path, _ in parts]
    with jax.default_matmul_precision("highest"):  # what is explained is not TF32's rounding
        passes = _pass(parts, own, x)
    return [
        Step(path, layer, *variables, *one)
        for (path, layer), variables, one in zip(parts, own, passes, strict=True)
    ]


@functools.partial(jax.jit, static_argnums=0)
def _pass(parts: Parts, own: list[Any], x: jax.Array) -> list[Any]:
    """A forward pass in one program, compiled once for a network: each x, y and slopes."""
    found = []
    for (_, layer), (params, state) in zip(parts, own, strict=True):
        y, _ = layer.apply(params, state, x)
        about = _marks if weighs(layer) else _slopes
        found.append((x, y, about(layer, params, state, x)))
        x = y
    return found


def _slopes(layer: Layer, params: Any, state: Any, x: jax.Array) -> jax.Array:
    """(outputs, inputs): the derivatives of a function of x."""

    def function(a):
        return layer.apply(params, state, a.reshape(x.shape))[0].reshape(-1)

    return slopes_of(function, x.reshape(-1))


def slopes_of(function: Callable[[jax.Array], jax.Array], a: jax.Array) -> jax.Array:
    """The derivatives of one function alone, at one point, forward in mode.

    Backward for a function that brings its own rule for that (`jax.custom_vjp`) and none forward.

    >>> print(slopes_of(jnp.square, jnp.array([1.0, 3.0])))
    [[2. 0.]
     [0. 6.]]
    """
    try:
        return jax.jacfwd(function)(a)
    except TypeError:
        return jax.jacrev(function)(a)


def _marks(layer: Layer, params: Any, state: Any, x: jax.Array) -> jax.Array:
    """(inputs, outputs): the number, from 1, of the weight between the two; 0 for no synapse.

    Every weight is given its own number in place of its value, and every input is switched on
    alone: what comes out is the number of the weight between the two.
    """
    w = params["w"]
    numbers = {"w": jnp.arange(1, w.size + 1, dtype=jnp.float32).reshape(w.shape)}
    if "b" in params:
        numbers["b"] = jnp.zeros_like(params["b"], jnp.float32)
    alone = jnp.eye(x.size, dtype=jnp.float32).reshape(-1, *x.shape[1:])
    y, _ = layer.apply(numbers, state, alone)
    return y.reshape(x.size, -1)


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


def _grouped(steps: list[Step]) -> Chain:
    starts = [place for place, step in enumerate(steps) if weighs(step.layer)]
    groups = []
    for start, end in zip(starts, [*starts[1:], len(steps)], strict=True):
        weighted, activation, after = steps[start], [], list(steps[start + 1 : end])
        while after and after[0].y.size == weighted.y.size:
            activation.append(after.pop(0))
        groups.append(
            Group(
                weighted,
                np.asarray(weighted.slopes, np.float64).round().astype(int) - 1,
                tuple(activation),
                _together(activation, weighted.y.size),
                tuple(after),
                _together(after, weighted.y.size),
            )
        )
    return Chain(tuple(steps), tuple(groups))


def _together(steps: list[Step], size: int) -> np.ndarray:
    """The derivatives of what the functions give by what the first takes."""
    found = np.eye(size)
    for step in steps:
        found = np.asarray(step.slopes, np.float64) @ found
    return found
