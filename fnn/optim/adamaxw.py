"""AdamaxW: Adamax that also shrinks the parameters, outside of its averages."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.optim.base import Optimizer, advance, each, kept_by, need_params, zeros
from fnn.optim.hypers import Hyper, HyperLeaf, Hypers


class AdamaxwState(NamedTuple):
    """Adamax's moments and hyperparameters, and the weight decay.

    Attributes:
      count: updates done so far.
      mu: like params, the running average of the gradients.
      nu: like params, the decaying maximum of their sizes.
      learning_rate: eta of the latest update. b1, b2, eps, weight_decay: as given.
    """

    count: jax.Array
    mu: Any
    nu: Any
    learning_rate: HyperLeaf
    b1: HyperLeaf
    b2: HyperLeaf
    eps: HyperLeaf
    weight_decay: HyperLeaf


def adamaxw(
    learning_rate: Hyper = 2e-3,
    *,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper = 1e-8,
    weight_decay: Hyper = 1e-4,
    mask: Any = None,
) -> Optimizer:
    r"""`adamax`'s step and a share of the parameters.

    .. math::
        v_t &= \max(\beta_2 v_{t-1}, |g_t| + \epsilon) \\
        u_t &= -\eta \left( \frac{m_t / (1 - \beta_1^t)}{v_t} + \lambda \theta_{t-1} \right)

    with m as in `adamax`.

    Args:
      learning_rate: eta, about the size of each parameter's step at most; >= 0, or a schedule.
      b1: decay of the average gradient, in [0, 1).
      b2: decay of the maximum, in [0, 1).
      eps: added to the size of each gradient, in its units.
      weight_decay: lambda >= 0; a step takes the share eta lambda off each parameter.
      mask: which parameters decay; as in `add_decayed_weights`.

    Raises:
      ValueError: in update, if it is called without the parameters.

    Where implementations disagree: on the default decay, as for `adamw`; PyTorch's Adamax has only
    an L2 penalty, which enters the averages.

    Source: Kingma & Ba 2015, algorithm 2, https://arxiv.org/abs/1412.6980; decay:
      Loshchilov & Hutter 2019, algorithm 2, https://arxiv.org/abs/1711.05101
    Same as: optax.adamaxw

    >>> optimizer, params = adamaxw(0.1, weight_decay=0.5), jnp.array([2.0])
    >>> updates, _ = optimizer.update(jnp.array([5.0]), optimizer.init(params), params)
    >>> print(updates)  # adamax's first step, and 0.1 * 0.5 * 2
    [-0.2]
    """
    hypers = Hypers(
        "adamaxw", learning_rate=learning_rate, b1=b1, b2=b2, eps=eps, weight_decay=weight_decay
    )

    def init(params):
        return AdamaxwState(jnp.zeros((), jnp.int32), zeros(params), zeros(params), **hypers.init())

    def update(grads, state, params=None):
        def rule(h, g, m, v, p):
            m = h.b1 * m + (1 - h.b1) * g
            v = jnp.maximum(h.b2 * v, jnp.abs(g) + h.eps)
            return -h.learning_rate * (m * h.debias("b1") / v + h.weight_decay * p), m, v

        need_params("adamaxw", params)
        now = hypers.at(state.count, state)
        decayed = kept_by(mask, params, "adamaxw")
        updates, mu, nu = each(
            rule, now, grads, state.mu, state.nu, params=decayed, count=state.count
        )
        return updates, AdamaxwState(advance(state.count), mu, nu, **now)

    return Optimizer(init, update)
