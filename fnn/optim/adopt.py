"""ADOPT: Adam mended so that it converges with any b2."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.optim.base import Optimizer, advance, each, zeros
from fnn.optim.hypers import Hyper, HyperLeaf, Hypers


class AdoptState(NamedTuple):
    """ADOPT's moments and hyperparameters.

    Attributes:
      count: updates done so far.
      mu: like params, the running average of the gradients over their roots.
      nu: like params, the running average of the squared gradients.
      learning_rate: eta of the latest update. b1, b2, eps: as given.
    """

    count: jax.Array
    mu: Any
    nu: Any
    learning_rate: HyperLeaf
    b1: HyperLeaf
    b2: HyperLeaf
    eps: HyperLeaf


def adopt(
    learning_rate: Hyper = 1e-3, *, b1: Hyper = 0.9, b2: Hyper = 0.9999, eps: Hyper = 1e-6
) -> Optimizer:
    r"""Divide each gradient by the root mean square of those before it, and average afterwards.

    .. math::
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1)
              \operatorname{clip}\left( \frac{g_t}{\max(\sqrt{v_{t-1}}, \epsilon)},
              \pm (t - 1)^{1/4} \right) \\
        v_t &= \beta_2 v_{t-1} + (1 - \beta_2) g_t^2, \qquad u_t = -\eta \, m_t

    from the second step on; the first only sets v to the squared gradient and moves nothing. In
    Adam the gradient stands in its own denominator, which is why it may fail to converge.

    Args:
      learning_rate: eta, about the size of each parameter's step; >= 0, or a schedule.
      b1: decay of the average direction, in [0, 1).
      b2: decay of the average square, in [0, 1).
      eps: the least that the root counts as, in units of the gradient.

    Where implementations disagree: the clipping is of the paper's revision and its published code,
    as in optax; the first version had none.

    Source: Taniguchi et al. 2024, algorithm 1, https://arxiv.org/abs/2411.02853
    Same as: optax.contrib.adopt

    >>> optimizer, x = adopt(0.1, b1=0.0), jnp.ones(1)
    >>> first, state = optimizer.update(jnp.array([5.0]), optimizer.init(x))
    >>> second, _ = optimizer.update(jnp.array([-5.0]), state)
    >>> print([float(abs(first[0])), round(float(second[0]), 4)])
    [0.0, 0.1]
    """
    hypers = Hypers("adopt", learning_rate=learning_rate, b1=b1, b2=b2, eps=eps)

    def init(params):
        return AdoptState(jnp.zeros((), jnp.int32), zeros(params), zeros(params), **hypers.init())

    def update(grads, state, params=None):
        def rule(h, g, m, v):
            most = (h.t - 1) ** 0.25  # 0 at the first step, which so moves nothing
            direction = jnp.clip(g / jnp.maximum(jnp.sqrt(v), h.eps), -most, most)
            m = h.b1 * m + (1 - h.b1) * direction
            v = jnp.where(h.t == 1, g**2, h.b2 * v + (1 - h.b2) * g**2)
            return -h.learning_rate * m, m, v

        now = hypers.at(state.count, state)
        updates, mu, nu = each(rule, now, grads, state.mu, state.nu, count=state.count)
        return updates, AdoptState(advance(state.count), mu, nu, **now)

    return Optimizer(init, update)
