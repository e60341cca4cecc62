"""Which array of a PyTorch module each array of a layer is, and how it has to be turned.

PyTorch keeps a weight as (outputs, inputs, *window), features first; here it is (*window, inputs,
outputs), so that x w reads from left to right.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from fnn.core import Layer

Turn = Callable[[np.ndarray, Layer, tuple[int, ...]], np.ndarray]


class Rule(NamedTuple):
    """An array of a PyTorch module, and the turn that makes it ours.

    Attributes:
      name: its name within the module, such as "weight".
      turn: from the array, the layer and the shape wanted to the array as the layer has it.
    """

    name: str
    turn: Turn


def rules(layer: Layer, part: str) -> Iterator[Rule]:
    """The arrays of a PyTorch module that may be `part` of a layer, the likeliest first.

    Args:
      layer: the layer that owns the array.
      part: the array's path in it, such as "w" or "q/w".
    """
    if part in ("w/g", "w/v"):  # under weight_norm
        for stem in ("parametrizations.weight.original", "weight_"):
            end = part[-1] if stem == "weight_" else str("gv".index(part[-1]))
            turn = _shaped if part == "w/g" else _KINDS[layer.name]["w"][0].turn
            yield Rule(stem + end, turn)
    elif part in _KINDS.get(layer.name, {}):
        yield from _KINDS[layer.name][part]
    elif "/" in part or layer.name not in _KINDS:
        return
    else:  # a part that is a module of its own, such as one projection of attention
        inner = _PARTS.get(layer.name, "dense")
        yield from _KINDS[inner].get(part, ())


def after_flatten(*shape: int) -> Callable[[np.ndarray], np.ndarray]:
    """The turn for a Linear behind a flatten of (features, *space), which is another order here.

    PyTorch flattens all of one feature, then all of the next; here all features of one place.

    Args:
      *shape: what is flattened, as PyTorch has it: (features, *space).

    >>> turn = after_flatten(2, 3)  # two features in three places
    >>> print(turn(np.array([[1, 2, 3, 10, 20, 30]])).T)
    [[ 1 10  2 20  3 30]]
    """

    def turn(weight):
        weight = np.moveaxis(weight.reshape(-1, *shape), (0, 1), (-1, -2))
        return weight.reshape(-1, weight.shape[-1])

    return turn


def _same(a: np.ndarray, layer: Layer, shape: tuple[int, ...]) -> np.ndarray:
    return a


def _shaped(a: np.ndarray, layer: Layer, shape: tuple[int, ...]) -> np.ndarray:
    """The array in another shape; an array of another size stays as it is, for the error."""
    return a.reshape(shape) if a.size == np.prod(shape, dtype=int) else a


def _matrix(a: np.ndarray, layer: Layer, shape: tuple[int, ...]) -> np.ndarray:
    """(outputs, inputs) -> (inputs, outputs), and to several axes of each for `dense_general`."""
    return _shaped(a.T, layer, shape) if layer.name == "dense_general" else a.T


def _window(a: np.ndarray, layer: Layer, shape: tuple[int, ...]) -> np.ndarray:
    """(outputs, inputs / groups, *window) -> (*window, inputs / groups, outputs)."""
    return np.moveaxis(a, (0, 1), (-1, -2)) if a.ndim > 1 else a


def _painted(a: np.ndarray, layer: Layer, shape: tuple[int, ...]) -> np.ndarray:
    """(inputs, outputs / groups, *window) -> (*window, inputs / groups, outputs)."""
    groups = layer.config.get("groups", 1)
    if a.ndim < 3 or a.shape[0] % groups:
        return a
    inputs, outputs, *window = a.shape
    a = a.reshape(groups, inputs // groups, outputs, *window)
    a = np.moveaxis(a, (1, 0, 2), (-3, -2, -1))  # (*window, inputs / groups, groups, outputs / g)
    return a.reshape(*window, inputs // groups, groups * outputs)


def _pair(a: np.ndarray, layer: Layer, shape: tuple[int, ...]) -> np.ndarray:
    """(outputs, inputs of u, inputs of v) -> (inputs of u, inputs of v, outputs)."""
    return np.moveaxis(a, 0, -1)


def _third(place: int) -> Turn:
    """One of the three projections that `MultiheadAttention` keeps in one array."""

    def turn(a, layer, shape):
        return np.split(a, 3)[place].T if len(a) % 3 == 0 else a

    return turn


def _attention() -> dict[str, list[Rule]]:
    found = {
        "out/w": [Rule("out_proj.weight", _matrix)],
        "out/b": [Rule("out_proj.bias", _same)],
    }
    for place, name in enumerate("qkv"):
        separate = Rule(f"{name}_proj_weight", _matrix)  # where keys have other features
        found[f"{name}/w"] = [Rule("in_proj_weight", _third(place)), separate]
        found[f"{name}/b"] = [Rule("in_proj_bias", _third(place))]
    return found


_BIAS = {"b": [Rule("bias", _same)]}
_CONV = {"w": [Rule("weight", _window)], **_BIAS}
_NORM = {"scale": [Rule("weight", _same)], "offset": [Rule("bias", _same)]}
_TABLE = {"w": [Rule("weight", _same)]}
_KINDS: dict[str, dict[str, list[Rule]]] = {
    "dense": {"w": [Rule("weight", _matrix)], **_BIAS},
    "dense_general": {"w": [Rule("weight", _matrix)], "b": [Rule("bias", _shaped)]},
    "bilinear": {"w": [Rule("weight", _pair)], **_BIAS},
    "bias": _BIAS,
    "conv": _CONV,
    "depthwise_conv": _CONV,
    "separable_conv": {},
    "conv_transpose": {"w": [Rule("weight", _painted)], **_BIAS},
    "embed": _TABLE,
    "position_embed": _TABLE,
    "prelu": {"alpha": [Rule("weight", _shaped)]},
    "layer_norm": _NORM,
    "rms_norm": _NORM,
    "group_norm": _NORM,
    "instance_norm": _NORM,
    "batch_norm": {
        **_NORM,
        "mean": [Rule("running_mean", _same)],
        "var": [Rule("running_var", _same)],
    },
    "attention": _attention(),
}
_PARTS = {"separable_conv": "conv", "attention": "dense"}
