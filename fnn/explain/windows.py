"""What one neuron of a convolution sees: "some" synapses, where a dense layer has "all"."""

import math
from typing import Any, NamedTuple

from fnn import combine, layers
from fnn.core import Layer
from fnn.functional.conv import for_each

_POOLS = (layers.max_pool, layers.avg_pool)
_CONVOLUTIONS = (layers.conv, layers.depthwise_conv)


class Window(NamedTuple):
    """The synapses of a convolution for one example; `print` it for the sentence.

    Attributes:
      window: places that a neuron sees, such as (3, 3).
      each: how many synapses a neuron has, those that look at padding among them.
      neurons: how many there are: features at each place.
      weights: how many weights they share.
      some: each * neurons.
      every: how many synapses a dense layer between the same two has.
      field: the receptive field: how many places of the network's input reach a neuron, on each
        axis; None where a layer before it mixes all places, or is not known here.
    """

    window: tuple[int, ...]
    each: int
    neurons: int
    weights: int
    some: int
    every: int
    field: tuple[int, ...] | None

    def __str__(self) -> str:
        seen = "x".join(map(str, self.window))
        field = ""
        if self.field is not None:
            field = f"; {'x'.join(map(str, self.field))} places of the network's input reach it"
        return (
            f"each of {self.neurons:,} neurons sees a window of {seen} by {self.each:,} synapses:"
            f" some, {self.some:,}, where a dense layer has all, {self.every:,};"
            f" they share {self.weights:,} weights{field}"
        )


def window_of(layer: Layer, params: Any, takes: Any, gives: Any, field: Any) -> Window | None:
    """The window of a convolution; None for any other layer.

    Args:
      layer: the layer.
      params: its own parameters, or their shapes.
      takes: the shape of its input, (batch, *space, features).
      gives: that of its output.
      field: its receptive field, of `fields`.
    """
    if layer.made_by not in _CONVOLUTIONS:
        return None
    shape = params["w"].shape[-len(takes) :]  # in a `repeat` one more axis comes first
    each, neurons = math.prod(shape[:-1]), math.prod(gives[1:])
    every = math.prod(takes[1:]) * neurons
    return Window(shape[:-2], each, neurons, math.prod(shape), each * neurons, every, field)


def fields(net: Layer, axes: int) -> dict[str, tuple[int, ...] | None]:
    r"""The receptive field of every layer by path: places of the network's input on each axis.

    .. math:: r' = r + d (k - 1) j, \qquad j' = s j

    for a window of k places, dilation d and stride s; j is how far apart in the input two
    neighbours are. Of branches side by side the wider counts.

    Source: Araujo, Norris & Sim 2019, eq. 2, https://doi.org/10.23915/distill.00021

    >>> net = combine.serial(layers.conv(4, 3), layers.max_pool(2), layers.conv(4, 3))
    >>> fields(net, 2)["conv_2"]
    (8, 8)
    """
    found: dict[str, tuple[int, ...] | None] = {}
    _walk(net, "", ((1,) * axes, (1,) * axes), found)
    return found


Reach = tuple[tuple[int, ...], tuple[int, ...]] | None  # field and jump on each axis; None: all


def _walk(layer: Layer, path: str, reach: Reach, found: dict[str, Any]) -> Reach:
    def inner(name, reach):
        return _walk(layer.children[name], f"{path}/{name}" if path else name, reach, found)

    if layer.made_by in (combine.residual, combine.parallel):
        ends = [inner(name, reach) for name in layer.children]
        reach = None if None in ends else max(end for end in ends if end is not None)
    elif layer.children:
        turns = layer.config.get("n", 1) if layer.made_by in (combine.repeat, combine.shared) else 1
        for _ in range(turns):
            for name in layer.children:
                reach = inner(name, reach)
    else:
        reach = _after(layer, reach)
    found[path] = None if reach is None else reach[0]
    return reach


def _after(layer: Layer, reach: Reach) -> Reach:
    if reach is None or layer.made_by not in (*_CONVOLUTIONS, *_POOLS):
        mixes = layer.name in ("flatten", "attention", "recurrent", "dense_general")
        return None if mixes or layer.name.startswith(("global", "adaptive")) else reach
    field, jump = reach
    n, config = len(field), layer.config
    size = for_each(config["kernel" if "kernel" in config else "window"], n)
    stride = for_each(config["stride"] or size, n)
    dilation = for_each(config.get("dilation", 1), n)
    rows = zip(field, jump, size, dilation, strict=True)
    grown = tuple(r + d * (k - 1) * j for r, j, k, d in rows)
    return grown, tuple(s * j for s, j in zip(stride, jump, strict=True))
