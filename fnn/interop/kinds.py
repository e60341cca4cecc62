"""Which array of a PyTorch module each array of a layer is, and how it has to be turned.

PyTorch keeps a weight as (outputs, inputs, *window), features first; here it is (*window, inputs,
outputs), so that x w reads from left to right.
"""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from fnn.core import Layer

Turn = Callable[[np.ndarray, Layer, tuple[int, ...]], np.ndarray]


class Rule(NamedTuple):
    """An array of a PyTorch module, or several of one shape, and the turn that makes them ours.

    Attributes:
      names: their names within the module, such as "weight". A "{l}" stands for the layer of a
        module of several, such as "l0" or "l1_reverse".
      turn: from the array (several are stacked), the layer and the shape wanted to the array as the
        layer has it.
    """

    names: tuple[str, ...]
    turn: Turn

    def under(self, module: str) -> Iterator[tuple[str, ...]]:
        """The full names in a module, the likeliest first.

        >>> list(Rule(("weight_ih_{l}",), _matrix).under("lstm.l1"))[:2]
        [('lstm.l1.weight_ih_l0',), ('lstm.weight_ih_l1',)]
        """
        outer, _, layer = module.rpartition(".")
        ways = [(module, "_l0")]
        if re.fullmatch(r"l\d+", layer):
            ways.append((outer, f"_{layer}"))
        ways.append((module, ""))  # a single cell
        for stem, end in ways if "{l}" in self.names[0] else ways[:1]:
            names = (name.replace("_{l}", end) for name in self.names)
            yield tuple(f"{stem}.{name}" if stem else name for name in names)


def rules(layer: Layer, part: str) -> Iterator[Rule]:
    """The arrays of a PyTorch module that may be `part` of a layer, the likeliest first.

    Args:
      layer: the layer that owns the array.
      part: the array's path in it, such as "w" or "q/w".
    """
    kind, part, end = _kind(layer, part)
    if part in ("w/g", "w/v"):  # under weight_norm
        for stem in ("parametrizations.weight.original", "weight_"):
            which = part[-1] if stem == "weight_" else str("gv".index(part[-1]))
            turn = _shaped if part == "w/g" else _KINDS[kind]["w"][0].turn
            yield Rule((stem + which,), turn)
    for rule in _KINDS.get(kind, {}).get(part, ()):
        yield Rule(tuple(name + end for name in rule.names), rule.turn)


def _kind(layer: Layer, part: str) -> tuple[str, str, str]:
    """Whose rules hold for a part of a layer, the part's name there, and how its names end."""
    first, _, rest = part.partition("/")
    if layer.name == "recurrent":
        return layer.config["cell"].name, part, ""
    if layer.name == "bidirectional":
        cell = layer.config["backward"] or layer.config["forward"]
        return cell.name, rest or part, "_reverse" if first == "backward" else ""
    if part not in _KINDS.get(layer.name, {}):  # a module of its own, as a projection may be
        return _PARTS.get(layer.name, layer.name), part, ""
    return layer.name, part, ""


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
        "out/w": [Rule(("out_proj.weight",), _matrix)],
        "out/b": [Rule(("out_proj.bias",), _same)],
    }
    for place, name in enumerate("qkv"):
        separate = Rule((f"{name}_proj_weight",), _matrix)  # where keys have other features
        found[f"{name}/w"] = [Rule(("in_proj_weight",), _third(place)), separate]
        found[f"{name}/b"] = [Rule(("in_proj_bias",), _third(place))]
    return found


def _sum(a: np.ndarray, layer: Layer, shape: tuple[int, ...]) -> np.ndarray:
    """Two biases that only ever stand in a sum."""
    return a.sum(0)


def _gru_bias(a: np.ndarray, layer: Layer, shape: tuple[int, ...]) -> np.ndarray:
    """Two biases that stand in a sum, but for the candidate's."""
    inner = a[1].copy()
    inner[2 * len(inner) // 3 :] = 0
    return a[0] + inner


def _candidate(a: np.ndarray, layer: Layer, shape: tuple[int, ...]) -> np.ndarray:
    """The part of a gated recurrent unit's second bias that its reset gate scales."""
    return a[2 * len(a) // 3 :]


_CELL = {
    "w_x": [Rule(("weight_ih_{l}",), _matrix)],
    "w_h": [Rule(("weight_hh_{l}",), _matrix)],
    "b": [Rule(("bias_ih_{l}", "bias_hh_{l}"), _sum)],
}
_BIAS = {"b": [Rule(("bias",), _same)]}
_CONV = {"w": [Rule(("weight",), _window)], **_BIAS}
_NORM = {"scale": [Rule(("weight",), _same)], "offset": [Rule(("bias",), _same)]}
_TABLE = {"w": [Rule(("weight",), _same)]}
_KINDS: dict[str, dict[str, list[Rule]]] = {
    "dense": {"w": [Rule(("weight",), _matrix)], **_BIAS},
    "dense_general": {"w": [Rule(("weight",), _matrix)], "b": [Rule(("bias",), _shaped)]},
    "bilinear": {"w": [Rule(("weight",), _pair)], **_BIAS},
    "bias": _BIAS,
    "conv": _CONV,
    "depthwise_conv": _CONV,
    "separable_conv": {},
    "conv_transpose": {"w": [Rule(("weight",), _painted)], **_BIAS},
    "embed": _TABLE,
    "position_embed": _TABLE,
    "prelu": {"alpha": [Rule(("weight",), _shaped)]},
    "layer_norm": _NORM,
    "rms_norm": _NORM,
    "group_norm": _NORM,
    "instance_norm": _NORM,
    "batch_norm": {
        **_NORM,
        "mean": [Rule(("running_mean",), _same)],
        "var": [Rule(("running_var",), _same)],
    },
    "attention": _attention(),
    "rnn_cell": _CELL,
    "lstm_cell": _CELL,
    "gru_cell": {
        **_CELL,
        "b": [Rule(("bias_ih_{l}", "bias_hh_{l}"), _gru_bias)],
        "b_h": [Rule(("bias_hh_{l}",), _candidate)],
    },
}
_PARTS = {"separable_conv": "conv", "attention": "dense"}
