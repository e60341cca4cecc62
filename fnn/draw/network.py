"""A network as neurons and synapses: weights by sign and size, activations by colour."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn import layers
from fnn.checks import check_count
from fnn.core import Layer, as_jax
from fnn.draw.network_scene import page, scene
from fnn.draw.scene import Scene, save
from fnn.draw.units import (
    Column,
    Stage,
    Synapses,
    activations_of,
    between,
    biases,
    chosen,
    names_of,
    stages,
)
from fnn.inspect.chain import links, weighs
from fnn.inspect.summary import branch
from fnn.show import spec_text


class Drawing(NamedTuple):
    """A network drawn; notebooks show it, `save` writes it.

    Attributes:
      columns: the units drawn, from the input to the output.
      synapses: between each two columns, with the weights of all frames.
      labels: what each frame is called.
      title: stands above.
    """

    columns: tuple[Column, ...]
    synapses: tuple[Synapses, ...]
    labels: tuple[str, ...]
    title: str

    def scene(self, frame: int = -1) -> Scene:
        """The pieces of one frame."""
        return scene(self, range(len(self.labels))[frame])

    def svg(self, frame: int = -1) -> str:
        """One frame, the last by default, as SVG."""
        return self.scene(frame).svg()

    def png(self, frame: int = -1) -> bytes:
        """One frame as PNG; needs matplotlib."""
        return self.scene(frame).png()

    def html(self) -> str:
        """A page of one file: rest on a neuron to see its synapses, scrub through the frames."""
        return page(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write .svg, .png (the last frame) or .html (all frames), whole or not at all.

        Raises:
          ValueError: for another ending.
        """
        kinds = {".svg": self.svg, ".png": self.png, ".html": self.html}
        save("Drawing.save", path, kinds)

    def _repr_svg_(self) -> str:
        return self.svg()


def network(
    net: Layer,
    params: Any,
    state: Any = None,
    x: Any = None,
    *,
    labels: Sequence[str] | None = None,
    inputs: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
    most: int = 10,
    title: str = "",
) -> Drawing:
    r"""A network as a diagram of its neurons and synapses.

    A line is a synapse: blue for a positive weight, red for a negative one, the thicker the larger
    beside the largest of its layer. A circle is a neuron, filled by its activation for the example
    x, beside the largest of its layer. The square nodes are inputs, or what a function such as
    pooling gives.

    Of a large layer `most` units are drawn, and the heading says of how many: those whose weights
    have the largest norm; in space, neighbours in a row through the middle of the first channel, so
    that a convolution shows as *some* synapses, a window each, and a dense layer as *all*.

    Args:
      net: a chain (`fnn.serial`) of dense and convolutional layers and functions.
      params: its parameters; or a list of them, frames to scrub through, such as
        `trees.unstack(trace.measures)` of a run that recorded them.
      state: its state, the same for all frames; empty if None.
      x: one example, (1, ...), or only its `jax.ShapeDtypeStruct`; may be left out where the first
        layer is dense.
      labels: what the frames are called, such as "epoch 3"; their numbers if None.
      inputs: names of the features.
      outputs: names of the outputs.
      most: how many units of a layer are drawn.
      title: stands above.

    Raises:
      ValueError: if the network is no such chain, or x, labels or names do not fit.

    >>> import fnn
    >>> net = fnn.serial(fnn.layers.dense(3), jax.numpy.tanh, fnn.layers.dense(1))
    >>> params, state = net.init(jax.random.key(0), jax.numpy.ones((1, 2)))
    >>> drawing = network(net, params, state)
    >>> [column.title for column in drawing.columns], len(drawing.synapses[0].start)
    (['input', 'hidden 1', 'output'], 6)
    >>> drawing.svg()[:4]
    '<svg'
    """
    frames = list(params) if isinstance(params, list | tuple) else [params]
    if not frames:
        raise ValueError("draw.network: params is an empty list; give at least one frame")
    most = check_count("draw.network", "most", most, 2)
    state = {} if state is None else state
    _check_variables(net, frames, state)
    x, shape = _example(net, frames[-1], x)
    found = stages(net, frames[-1], state, shape)
    picked = chosen(found, frames[-1], shape, most)
    given = None
    if x is not None:
        each = [activations_of(net, found, params, state, x) for params in frames]
        given = [np.stack(column) for column in zip(*each, strict=True)]
    columns = _columns(found, frames, shape, picked, given, {"input": inputs, "output": outputs})
    synapses = tuple(
        between(stage, frames, state, picked[i], picked[i + 1]) for i, stage in enumerate(found)
    )
    numbers = tuple(map(str, range(len(frames)))) if labels is None else tuple(map(str, labels))
    if len(numbers) != len(frames):
        raise ValueError(
            f"draw.network: {len(numbers)} labels for {len(frames)} frames; give one for each"
        )
    return Drawing(columns, synapses, numbers, title)


def _check_variables(net: Layer, frames: Sequence[Any], state: Any) -> None:
    if not isinstance(state, Mapping):
        raise TypeError(
            f"draw.network: state must be a dict, as of net.init, got {spec_text(state)};"
            " an example is given as x="
        )
    for path, layer in links(net):
        if weighs(layer) and not all("w" in branch(params, path) for params in frames):
            raise ValueError(
                f"draw.network: params have no weights at '{path}'; give those of net.init, or of a"
                " training, in front of the state"
            )


def _example(net: Layer, params: Any, x: Any) -> tuple[Any, tuple[int, ...]]:
    """The example as an array, None if there is none, and its shape."""
    if x is None:
        path, first = next(links(net))
        if first.made_by is not layers.dense:
            raise ValueError(
                "draw.network: the shape of the input is not known from the first layer; give x,"
                " one example (1, ...) or its jax.ShapeDtypeStruct"
            )
        return None, (branch(params, path)["w"].shape[0],)
    x = x if isinstance(x, jax.ShapeDtypeStruct) else as_jax(x)
    if not hasattr(x, "shape") or len(x.shape) < 2 or x.shape[0] != 1:
        raise ValueError(
            "draw.network: x must hold one example with its batch axis, (1, ...), got"
            f" {spec_text(x)}; give one row, such as x[:1]"
        )
    if isinstance(x, jax.ShapeDtypeStruct):
        return None, tuple(x.shape[1:])
    x = x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(jnp.float32)
    return x, tuple(x.shape[1:])


def _columns(
    found: Sequence[Stage], frames: Sequence[Any], shape: Any, picked: Any, given: Any, named: Any
) -> tuple[Column, ...]:
    """The columns of the diagram, the input first."""
    last = max(i for i, stage in enumerate(found) if stage.neurons)
    columns, hidden = [], 0
    _check_names(named, {"input": shape, "output": found[last].shape})
    for i, (stage, units) in enumerate(zip((None, *found), picked, strict=True)):
        one = shape if stage is None else stage.shape
        if stage is None:
            title, letter = "input", "x"
        elif not stage.neurons:
            title, letter = stage.layer.name, stage.layer.name
        elif i == last + 1:
            title, letter = "output", "out"
        else:
            hidden += 1
            title, letter = f"hidden {hidden}", f"h{hidden}"
        names = names_of(letter, one, units)
        if named.get(title):
            names = tuple(str(named[title][unit]) for unit in units)
        size = int(np.prod(one))
        columns.append(
            Column(
                title,
                "" if stage is None else stage.words,
                names,
                units,
                one,
                stage is not None and stage.neurons,
                f"{len(units)} of {size:,}" if size > len(units) else "",
                None if given is None else given[i][:, units],
                None if stage is None else biases(stage, frames, units),
            )
        )
    return tuple(columns)


def _check_names(named: Any, shapes: Any) -> None:
    for place, words in named.items():
        size = int(np.prod(shapes[place]))
        if words is not None and len(words) != size:
            raise ValueError(
                f"draw.network: {place}s= has {len(words)} names, but there are {size:,} {place}s"
            )
