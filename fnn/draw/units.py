"""Which units of a network stand in its diagram, and the synapses between those."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn.checks import located
from fnn.core import Layer
from fnn.inspect.chain import links, weighs
from fnn.inspect.summary import branch


class Stage(NamedTuple):
    """A layer of neurons, or a function that changes how many numbers there are, such as pooling.

    Attributes:
      path: of its first link.
      layer: that link.
      after: the functions behind it that keep the count, such as activations.
      shape: of one example of what they give.
      neurons: whether it weighs.
      takes: the shape of one example of what the link takes.
    """

    path: str
    layer: Layer
    after: tuple[tuple[str, Layer], ...]
    shape: tuple[int, ...]
    neurons: bool
    takes: tuple[int, ...]

    @property
    def words(self) -> str:
        """Such as "dense(8), relu"."""
        after = [layer.name for _, layer in self.after]
        own = [f"{self.layer.name}({self._features})"] if self.neurons else []
        return ", ".join(own + after)

    @property
    def _features(self) -> int:
        return self.layer.config.get("features", self.shape[-1])


class Column(NamedTuple):
    """The units drawn of one stage, or of the input.

    Attributes:
      title: "input", "hidden 1", "output", or the function's name.
      words: what it is made of.
      names: of the units drawn.
      units: their places among all numbers of an example.
      shape: of one example.
      neurons: whether they are neurons.
      note: which of how many are drawn; "" if all.
      a: (frames, units) activations; None without an input.
      b: (frames, units) biases; None without.
    """

    title: str
    words: str
    names: tuple[str, ...]
    units: np.ndarray
    shape: tuple[int, ...]
    neurons: bool
    note: str
    a: np.ndarray | None
    b: np.ndarray | None


class Synapses(NamedTuple):
    """The connections between two neighbouring columns.

    Attributes:
      start, end: places in the two columns.
      w: (frames, connections) weights; None where a function such as pooling leads.
    """

    start: np.ndarray
    end: np.ndarray
    w: np.ndarray | None


def stages(net: Layer, params: Any, state: Any, shape: tuple[int, ...]) -> list[Stage]:
    """The network as stages, for examples of this shape.

    Raises:
      ValueError: if it is no chain of neurons and functions.
    """
    found: list[Stage] = []
    x = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    for path, layer in links(net):
        if layer.children:
            raise ValueError(_refusal(path, layer, "is neither neurons nor a function of them"))
        own = branch(params, path), branch(state, path)
        with located(path, layer, x):
            y: Any = jax.eval_shape(layer.apply, *own, x)[0]
        if not (hasattr(y, "shape") and len(y.shape) > 1 and y.shape[0] == 1):
            raise ValueError(_refusal(path, layer, "gives no single array of examples"))
        keeps = y.size == x.size and not weighs(layer)
        if jax.tree.leaves(own[0]) and not (weighs(layer) or keeps):
            raise ValueError(_refusal(path, layer, "is neither neurons nor a function of them"))
        if keeps and found:
            last = found[-1]
            found[-1] = last._replace(after=(*last.after, (path, layer)))
        elif not keeps:
            found.append(Stage(path, layer, (), y.shape[1:], weighs(layer), x.shape[1:]))
        x = y
    if not any(stage.neurons for stage in found):
        raise ValueError("draw.network: there is no layer of neurons in this network")
    return found


def _refusal(path: str, layer: Layer, why: str) -> str:
    return (
        f"draw.network: '{path or layer.name}' ({layer.name}) {why}, and a diagram of neurons shows"
        " chains of dense and convolutional layers; draw.architecture draws any network"
    )


def activations_of(
    net: Layer, found: Sequence[Stage], params: Any, state: Any, x: jax.Array
) -> list[np.ndarray]:
    """What each stage gives for one example, as rows of numbers; the input first."""

    @jax.jit
    def all_of(params, state, x):
        ends = {(stage.after[-1][0] if stage.after else stage.path) for stage in found}
        given = []
        for path, layer in links(net):
            x, _ = layer.apply(branch(params, path), branch(state, path), x)
            if path in ends:
                given.append(x)
        return given

    return [np.asarray(a, float).reshape(-1) for a in (x, *all_of(params, state, x))]


def chosen(
    found: Sequence[Stage], params: Any, shape: tuple[int, ...], most: int
) -> list[np.ndarray]:
    """The places of the units to draw in each column, the input first.

    In space neighbours in a row through the middle, so that windows are seen; elsewhere those whose
    weights, in and out, have the largest norm.
    """
    shapes = [shape, *(stage.shape for stage in found)]
    picked, across = [], most
    for place, one in enumerate(shapes):
        if len(one) > 1 and int(np.prod(one)) > most:
            if place and len(shapes[place - 1]) > 1:  # as many as the units before have windows
                across = max(2, round(len(picked[-1]) * one[-2] / shapes[place - 1][-2]))
            picked.append(_in_a_row(one, min(across, most)))
        else:
            picked.append(_strongest(place, int(np.prod(one)), found, params, most))
    return picked


def _in_a_row(shape: tuple[int, ...], count: int) -> np.ndarray:
    """Neighbours along the last axis of space, in the middle of all others, of channel 0."""
    row = shape[-2]
    start = max(0, (row - count) // 2)
    across = np.arange(start, min(row, start + count))
    middle = [np.full(len(across), n // 2) for n in shape[:-2]]
    return np.ravel_multi_index([*middle, across, np.zeros(len(across), int)], shape)


def _strongest(place: int, size: int, found: Sequence[Stage], params: Any, most: int) -> np.ndarray:
    """The units of a column whose weights, in and out, have the largest norm."""
    weight = np.zeros(size)
    if place and found[place - 1].layer.name == "dense":
        w = np.asarray(branch(params, found[place - 1].path)["w"], float)
        weight += np.linalg.norm(w.reshape(-1, size), axis=0) if w.shape[-1] == size else 0
    if place < len(found) and found[place].layer.name == "dense":
        w = np.asarray(branch(params, found[place].path)["w"], float)
        weight += np.linalg.norm(w, axis=1) if len(w) == size else 0
    return np.sort(np.argsort(-weight, kind="stable")[:most])


def between(
    stage: Stage,
    frames: Sequence[Any],
    state: Any,
    before: np.ndarray,
    after: np.ndarray,
) -> Synapses:
    """The connections from the units drawn before a stage to those drawn of it.

    Weights are what a layer without its bias makes of one input at 1 and all others at 0. Which
    connections there are, it tells with weights of 1; a function, by which outputs become NaN when
    an input is.
    """
    alone = np.zeros((len(before), int(np.prod(stage.takes))), np.float32)
    one = 1.0 if stage.neurons else np.nan
    alone[np.arange(len(before)), before] = one
    x = jnp.asarray(alone.reshape(len(before), *stage.takes))
    own = branch(state, stage.path)

    @jax.jit
    def spread(params):
        with jax.default_matmul_precision("highest"):
            y = stage.layer.apply(params, own, x)[0]
        return y.reshape(len(before), -1)[:, after]

    if not stage.neurons:
        start, end = np.nonzero(np.isnan(np.asarray(spread(branch(frames[-1], stage.path)))))
        return Synapses(start, end, None)
    bare = [_with_bias_0(branch(params, stage.path)) for params in frames]
    ones = _with_bias_0(jax.tree.map(jnp.ones_like, bare[-1]))
    start, end = np.nonzero(np.asarray(spread(ones)))
    w = np.stack([np.asarray(spread(own_params), float)[start, end] for own_params in bare])
    return Synapses(start, end, w)


def _with_bias_0(params: Any) -> dict[str, Any]:
    return {
        name: jnp.zeros_like(a) if name == "b" else jnp.asarray(a) for name, a in params.items()
    }


def biases(stage: Stage, frames: Sequence[Any], units: np.ndarray) -> np.ndarray | None:
    """(frames, units): the biases of the units drawn."""
    if not stage.neurons or "b" not in branch(frames[-1], stage.path):
        return None
    each = [
        np.broadcast_to(np.asarray(branch(params, stage.path)["b"], float), stage.shape)
        for params in frames
    ]
    return np.stack([b.reshape(-1)[units] for b in each])


def names_of(letter: str, shape: tuple[int, ...], units: np.ndarray) -> tuple[str, ...]:
    """Such as "h1[3]", or "h1[0, 2, 1]" in space."""
    places = np.stack(np.unravel_index(units, shape), axis=-1)
    return tuple(f"{letter}[{', '.join(map(str, place))}]" for place in places)
