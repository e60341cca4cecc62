"""Lion: the sign of an interpolated momentum."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.optim.base import Optimizer, advance, each, kept_by, need_params, zeros
from fnn.optim.hypers import Hyper, HyperLeaf, Hypers


class LionState(NamedTuple):
    """Lion's average and hyperparameters.

    Attributes:
      count: updates done so far.
      mu: like params, the running average of the gradients.
      learning_rate: eta of the latest update. b1, b2, weight_decay: as given to `lion`.
    """

    count: jax.Array
    mu: Any
    learning_rate: HyperLeaf
    b1: HyperLeaf
    b2: HyperLeaf
    weight_decay: HyperLeaf


def lion(
    learning_rate: Hyper = 1e-4,
    *,
    b1: Hyper = 0.9,
    b2: Hyper = 0.99,
    weight_decay: Hyper = 1e-3,
    mask: Any = None,
) -> Optimizer:
    r"""Step by the sign of the momentum: every number moves by `learning_rate`, plus decay.

    .. math::
        c_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t \\
        u_t &= -\eta \, (\operatorname{sign} c_t + \lambda \theta_{t-1}) \\
        m_t &= \beta_2 m_{t-1} + (1 - \beta_2) g_t

    Args:
      learning_rate: eta, the size of every step; >= 0, or a schedule. Three to ten times less than
        for `adamw`, with as many times more weight decay, is a good start.
      b1: weight of the momentum inside the sign, in [0, 1).
      b2: decay of the momentum, in [0, 1).
      weight_decay: lambda >= 0, decoupled, times the learning rate.
      mask: which parameters decay; as in `add_decayed_weights`.

    Raises:
      ValueError: in update, if it is called without the parameters.

    Where implementations disagree: on the default of the decay alone; 1e-3 is optax's, the paper
    tunes it and its published code has 0.

    Source: Chen et al. 2023, algorithm 2, https://arxiv.org/abs/2302.06675
    Same as: optax.lion

    >>> optimizer, params = lion(0.1, weight_decay=0.0), jnp.zeros(3)
    >>> updates, _ = optimizer.update(jnp.array([5.0, 0.0, -1e-3]), optimizer.init(params), params)
    >>> print(updates)
    [-0.1 -0.   0.1]
    """
    hypers = Hypers("lion", learning_rate=learning_rate, b1=b1, b2=b2, weight_decay=weight_decay)

    def init(params):
        return LionState(jnp.zeros((), jnp.int32), zeros(params), **hypers.init())

    def update(grads, state, params=None):
        def rule(h, g, m, p):
            c = h.b1 * m + (1 - h.b1) * g
            m = h.b2 * m + (1 - h.b2) * g
            return -h.learning_rate * (jnp.sign(c) + h.weight_decay * p), m

        need_params("lion", params)
        now = hypers.at(state.count, state)
        decayed = kept_by(mask, params, "lion")
        updates, mu = each(rule, now, grads, state.mu, params=decayed)
        return updates, LionState(advance(state.count), mu, **now)

    return Optimizer(init, update)
