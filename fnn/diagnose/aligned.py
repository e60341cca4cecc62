"""Two trained networks with their hidden units in one order, by the weights that match."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from fnn import trees
from fnn.core import Layer
from fnn.diagnose.symmetry import hidden_layers

_SWEEPS = 100  # over all layers; a few are enough, and each can only come nearer


def aligned(net: Layer, params: Mapping[str, Any], onto: Mapping[str, Any]) -> dict[str, Any]:
    r"""The same network as params, its hidden units in the order that lies nearest to `onto`.

    A hidden layer's units may be permuted, and turned by a sign where the activation is odd,
    without a change of the function. Layer by layer the permutation is taken that maximises

    .. math:: \sum_i \langle w_i^{\text{onto}}, \, s_{i} w_{\pi(i)} \rangle

    over weights in, bias and weights out: a linear assignment, solved exactly; the layers are gone
    through until nothing changes, from two orders to begin with, and the nearer end is taken.

    Args:
      net: a chain (`fnn.serial`) with dense layers.
      params: the parameters to bring into order.
      onto: those of a network of the same kind.

    Raises:
      ValueError: if the two differ in structure, or no hidden layer may be permuted.
      ImportError: if scipy is missing.

    Source: Ainsworth, Hayase & Srinivasa 2023, algorithm 1, https://arxiv.org/abs/2209.04836

    >>> import fnn, jax.numpy as jnp
    >>> net = fnn.serial(fnn.layers.dense(3), jnp.tanh, fnn.layers.dense(1))
    >>> params, _ = net.init(jax.random.key(0), jnp.ones((1, 2)))
    >>> order = jnp.array([2, 0, 1])
    >>> other = {"dense_0": {"w": params["dense_0"]["w"][:, order], "b": jnp.zeros(3)},
    ...          "dense_2": params["dense_2"] | {"w": -params["dense_2"]["w"][order]}}
    >>> other["dense_0"]["w"] = -other["dense_0"]["w"]
    >>> trees.differences(aligned(net, other, params), jax.tree.map(np.asarray, params))
    {}
    """
    check_alike("aligned: params and onto", params, onto)
    hidden = hidden_layers(net)
    if not hidden:
        raise ValueError(
            "aligned: no hidden layer of this network may be permuted; it must be a chain of dense"
            " layers with functions of single numbers between"
        )
    start, goal = ({name: _float64(own) for name, own in tree.items()} for tree in (params, onto))
    # from the order it has, and from one that looks at what comes into each unit alone
    starts = (start, _matched(start, goal, hidden, behind=False)[0])
    ends = [_settled(one, goal, hidden) for one in starts]
    best = min(ends, key=lambda tree: _distance(tree, goal))
    return jax.tree.map(lambda a, b: a.astype(np.asarray(b).dtype), best, dict(params))


def check_alike(which: str, params: Any, other: Any) -> None:
    """Refuse the parameters of two networks that are not of one kind."""
    if different := trees.differences(params, other):
        path, why = next(iter(different.items()))
        raise ValueError(f"{which} differ in structure at '{path}': {why}")


def _settled(found: Any, goal: Any, hidden: Any) -> Any:
    for _ in range(_SWEEPS):
        found, changed = _matched(found, goal, hidden, behind=True)
        if not changed:
            break
    return found


def _matched(found: Any, goal: Any, hidden: Any, *, behind: bool) -> tuple[Any, bool]:
    """Each hidden layer once in the order that suits best, and whether that changed anything.

    Args:
      found: the parameters to bring into order.
      goal: those they are to match.
      hidden: the hidden layers, as of `hidden_layers`.
      behind: whether the weights behind a unit count too.
    """
    from scipy.optimize import linear_sum_assignment

    changed = False
    for first, second, odd in hidden:
        match = _rows(goal, first, second, behind) @ _rows(found, first, second, behind).T
        _, order = linear_sum_assignment(-(np.abs(match) if odd else match))
        places = np.arange(len(order))
        sign = np.where(odd & (match[places, order] < 0), -1.0, 1.0)
        if (order != places).any() or (sign < 0).any():
            changed = True
            into = {name: a[..., order] * sign for name, a in found[first].items()}
            w = found[second]["w"][order] * sign[:, None]
            found = found | {first: into, second: found[second] | {"w": w}}
    return found, changed


def _float64(tree: Any) -> Any:
    return jax.tree.map(lambda a: np.asarray(a, np.float64), tree)


def _distance(tree: Any, other: Any) -> float:
    return sum(float(((a - b) ** 2).sum())
               for a, b in zip(*map(jax.tree.leaves, (tree, other)), strict=True))  # fmt: skip


def _rows(params: Any, first: str, second: str, behind: bool) -> np.ndarray:
    """(units, numbers): what goes into each hidden unit, and out of it if `behind`."""
    into = [np.atleast_2d(a).T for a in jax.tree.leaves(params[first])]
    return np.concatenate([*into, params[second]["w"]] if behind else into, axis=1)
