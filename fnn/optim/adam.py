"""Adam and its family: steps scaled by running averages of the gradient and of its square."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.optim.base import Hyper, Hypers, Optimizer, each, zeros


class AdamState(NamedTuple):
    """Adam's averages and hyperparameters, each a leaf.

    Attributes:
      count: updates done so far.
      mu: like params, the running average of the gradients (first moment).
      nu: like params, the running average of their squares (second moment).
      learning_rate: eta of the latest update. b1, b2, eps: as given to `adam`.
    """

    count: jax.Array
    mu: Any
    nu: Any
    learning_rate: jax.Array
    b1: jax.Array
    b2: jax.Array
    eps: jax.Array


def adam(
    learning_rate: Hyper = 1e-3, *, b1: Hyper = 0.9, b2: Hyper = 0.999, eps: Hyper = 1e-8
) -> Optimizer:
    r"""Step by the average gradient over the root of the average squared gradient.

    .. math::
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t \\
        v_t &= \beta_2 v_{t-1} + (1 - \beta_2) g_t^2 \\
        u_t &= -\eta \, \frac{m_t / (1 - \beta_1^t)}{\sqrt{v_t / (1 - \beta_2^t)} + \epsilon}

    Args:
      learning_rate: eta, about the size of each parameter's step; >= 0, or a schedule.
      b1: decay of the average gradient, in [0, 1); more is smoother and slower to turn.
      b2: decay of the average square, in [0, 1); more is a longer memory of the scale.
      eps: added to the root, in units of the gradient; larger makes small gradients step less.

    Where implementations disagree: eps stands outside the root and after the bias correction, as
    in the paper, optax and PyTorch.

    Source: Kingma & Ba 2015, algorithm 1, https://arxiv.org/abs/1412.6980
    Same as: optax.adam

    >>> params = jnp.array([1.0])
    >>> optimizer = adam(0.1)
    >>> updates, state = optimizer.update(jnp.array([5.0]), optimizer.init(params))
    >>> print(updates, state.learning_rate)
    [-0.1] 0.1
    """
    hypers = Hypers("adam", learning_rate=learning_rate, b1=b1, b2=b2, eps=eps)

    def init(params):
        return AdamState(jnp.zeros((), jnp.int32), zeros(params), zeros(params), **hypers.init())

    def update(grads, state, params=None):
        def rule(h, g, m, v):
            m = h.b1 * m + (1 - h.b1) * g
            v = h.b2 * v + (1 - h.b2) * g**2
            m_hat = m / (1 - h.b1**h.t)
            v_hat = v / (1 - h.b2**h.t)
            return -h.learning_rate * m_hat / (jnp.sqrt(v_hat) + h.eps), m, v

        now = hypers.at(state.count, state)
        updates, mu, nu = each(rule, now, grads, state.mu, state.nu, count=state.count)
        return updates, AdamState(state.count + 1, mu, nu, **now)

    return Optimizer(init, update)
