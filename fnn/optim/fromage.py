"""Fromage: each layer turns by one angle, whatever the size of its gradient."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from fnn.optim.base import Optimizer, advance, check_params, each, need_params
from fnn.optim.hypers import Hyper, HyperLeaf, Hypers
from fnn.trees import norm


class FromageState(NamedTuple):
    """`count`: updates done so far. `learning_rate`, `min_norm`: of the latest update."""

    count: jax.Array
    learning_rate: HyperLeaf
    min_norm: HyperLeaf


def fromage(learning_rate: Hyper = 1e-2, *, min_norm: Hyper = 1e-6) -> Optimizer:
    r"""Step each leaf down its gradient by a share of its own norm, and shrink what came of it.

    .. math::
        \theta_{t+1} = \frac{1}{\sqrt{1 + \eta^2}} \left( \theta_t
          - \eta \, \lVert \theta_t \rVert \frac{g_t}{\lVert g_t \rVert} \right)

    The step alone would let norms grow: at a right angle to the parameters, by
    :math:`\sqrt{1 + \eta^2}` each time. The prefactor takes just that back.

    Args:
      learning_rate: eta, the relative size of each leaf's step; >= 0, or a schedule. 0.01 changes
        every layer by a hundredth.
      min_norm: the least that either norm counts as; above 0 a leaf of zeros can move.

    Raises:
      ValueError: in update, if it is called without the parameters.

    Where implementations disagree: the paper's has no `min_norm` and steps by plain gradient
    descent where a norm is 0; this is optax's. A leaf counts as a layer, biases too.

    Source: Bernstein et al. 2020, algorithm 1, https://arxiv.org/abs/2002.03432
    Same as: optax.fromage

    >>> optimizer, x = fromage(0.75), jnp.array([3.0, 0.0])  # a right angle: the norm stays 3
    >>> updates, _ = optimizer.update(jnp.array([0.0, 7.0]), optimizer.init(x), x)
    >>> print([round(float(a), 4) for a in x + updates])
    [2.4, -1.8]
    """
    hypers = Hypers("fromage", learning_rate=learning_rate, min_norm=min_norm)

    def init(params):
        check_params(params)
        return FromageState(jnp.zeros((), jnp.int32), **hypers.init())

    def update(grads, state, params=None):
        def rule(h, g, p):
            ratio = jnp.maximum(norm(p), h.min_norm) / jnp.maximum(norm(g), h.min_norm)
            hypotenuse = jnp.sqrt(1 + h.learning_rate**2)
            shrunk = h.learning_rate**2 / (hypotenuse * (hypotenuse + 1))  # 1 - 1 / hypotenuse
            return (-h.learning_rate / hypotenuse * ratio * g - shrunk * p,)

        need_params("fromage", params, "it measures its step by")
        now = hypers.at(state.count, state)
        (updates,) = each(rule, now, grads, params=params)
        return updates, FromageState(advance(state.count), **now)

    return Optimizer(init, update)
