"""Weights that are the same network: hidden units in another order, or turned by a sign."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn.core import Layer


def hidden_layers(net: Layer) -> list[tuple[str, str, bool]]:
    """The hidden layers of a chain whose units may change places.

    They are dense layers behind which stand functions of single numbers, and then a dense layer.

    Returns:
      For each its name, the name of the dense layer that follows, and whether the functions between
      are odd, so that a unit may also change its sign.

    >>> import fnn
    >>> hidden_layers(fnn.serial(fnn.layers.dense(3), jnp.tanh, fnn.layers.dense(1)))
    [('dense_0', 'dense_2', True)]
    >>> hidden_layers(fnn.serial(fnn.layers.dense(3), jax.nn.softmax, fnn.layers.dense(1)))
    []
    """
    found, latest, between = [], None, []
    for name, layer in net.children.items():
        if layer.name == "dense":
            if latest is not None and all(_is_pointwise(f) for f in between):
                found.append((latest, name, all(_is_odd(f) for f in between)))
            latest, between = name, []
        else:
            between.append(layer)
    return found


def canonical(net: Layer, params: Mapping[str, Any]) -> dict[str, Any]:
    r"""The same network with its hidden units in an order, and with signs, of its own kind.

    With a permutation P of the hidden units, and for odd activations a diagonal D of signs,

    .. math:: W_2 \, a(W_1 x + b_1) = W_2 P^\top D \; a(D P (W_1 x + b_1))

    Units come in the order of their largest weight towards the next layer, which is made positive
    where it may be. Two networks that differ by order and signs alone have one canonical form, if
    no two units have the same weights.

    Args:
      net: a chain (`fnn.serial`) with dense layers.
      params: its parameters.

    Source: Chen, Lu & Hecht-Nielsen 1993, theorem 1, https://doi.org/10.1162/neco.1993.5.6.910

    >>> import fnn
    >>> net = fnn.serial(fnn.layers.dense(2), jnp.tanh, fnn.layers.dense(1))
    >>> params = {"dense_0": {"b": np.zeros(2), "w": np.array([[1.0, 2.0]])},
    ...           "dense_2": {"b": np.zeros(1), "w": np.array([[3.0], [-4.0]])}}
    >>> canonical(net, params)["dense_2"]["w"].ravel().tolist()
    [4.0, 3.0]
    """
    found = {name: jax.tree.map(np.asarray, own) for name, own in params.items()}
    for first, second, odd in hidden_layers(net):
        into, out = dict(found[first]), dict(found[second])
        rows = out["w"]
        largest = rows[np.arange(len(rows)), np.abs(rows).argmax(1)]
        sign = np.where(largest < 0, -1.0, 1.0) if odd else np.ones(len(rows))
        order = np.lexsort((_tie(into["w"] * sign), -largest * sign))
        into = {name: (a * sign)[..., order] for name, a in into.items()}
        out["w"] = (rows * sign[:, None])[order]
        found |= {first: into, second: out}
    return found


def _tie(w: np.ndarray) -> np.ndarray:
    """What orders units whose largest outgoing weights are equal: their first incoming one."""
    return w[0] if w.ndim > 1 else w


_POINTS = np.linspace(-3.1, 3.1, 13, dtype=np.float32)


def _is_pointwise(layer: Layer) -> bool:
    """Whether each number it gives is a function of the one in its place."""
    if layer.children or layer.name in ("flatten", "reshape") or _has_variables(layer):
        return False
    together = _of(layer, _POINTS[None])
    if together is None or together.shape != (1, len(_POINTS)):
        return False
    alone = [_of(layer, _POINTS[None, [i]]) for i in range(len(_POINTS))]
    each = [one.item() for one in alone if one is not None and one.shape == (1, 1)]
    return len(each) == len(_POINTS) and np.allclose(together[0], each, atol=1e-6)


def _is_odd(layer: Layer) -> bool:
    here, there = _of(layer, _POINTS[None]), _of(layer, -_POINTS[None])
    return here is not None and there is not None and np.allclose(here, -there, atol=1e-6)


def _has_variables(layer: Layer) -> bool:
    try:
        shapes = jax.eval_shape(layer.init, jax.random.key(0), jnp.asarray(_POINTS[None]))
    except Exception:  # it asks for more than a vector
        return True
    return bool(jax.tree.leaves(shapes))


def _of(layer: Layer, x: np.ndarray) -> np.ndarray | None:
    """What a layer without variables gives at inference; None if it cannot."""
    try:
        return np.asarray(layer.apply({}, {}, jnp.asarray(x))[0])
    except Exception:
        return None
