"""AdaBelief: Adam that trusts a gradient the more, the better its average foretold it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.optim.base import Optimizer, advance, each, zeros
from fnn.optim.hypers import Hyper, HyperLeaf, Hypers


class AdabeliefState(NamedTuple):
    """The average gradient, the average square of its surprise, and the hyperparameters.

    Attributes:
      count: updates done so far.
      mu: like params, the running average of the gradients.
      nu: like params, the running average of the squared distance between gradient and average.
      learning_rate: eta of the latest update. b1, b2, eps, eps_root: as given.
    """

    count: jax.Array
    mu: Any
    nu: Any
    learning_rate: HyperLeaf
    b1: HyperLeaf
    b2: HyperLeaf
    eps: HyperLeaf
    eps_root: HyperLeaf


def adabelief(
    learning_rate: Hyper = 1e-3,
    *,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper = 1e-16,
    eps_root: Hyper = 1e-16,
) -> Optimizer:
    r"""Step by the average gradient over the root mean square of what it did not foresee.

    .. math::
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t \\
        s_t &= \beta_2 s_{t-1} + (1 - \beta_2) (g_t - m_t)^2 + \epsilon_r \\
        u_t &= -\eta \, \frac{m_t / (1 - \beta_1^t)}{\sqrt{s_t / (1 - \beta_2^t)} + \epsilon}

    Where gradients are steady the denominator falls and steps are long; where they turn about
    they are short.

    Args:
      learning_rate: eta; >= 0, or a schedule. Steps may be longer than it, unlike Adam's.
      b1: decay of the average gradient, in [0, 1).
      b2: decay of the average squared surprise, in [0, 1).
      eps: added to the root, in units of the gradient.
      eps_root: added to s at each step, in units of the gradient squared. It bounds the steps
        where gradients do not change: there s tends to eps_root / (1 - b2).

    Where implementations disagree: the paper adds one eps in both places; its published code and
    optax have 1e-16 by default, as here, the paper's text 1e-8.

    Source: Zhuang et al. 2020, algorithm 2, https://arxiv.org/abs/2010.07468
    Same as: optax.adabelief

    >>> optimizer = adabelief(0.1)  # at first the average is a tenth of the gradient
    >>> updates, _ = optimizer.update(jnp.array([5.0]), optimizer.init(jnp.ones(1)))
    >>> print(round(float(updates[0]), 4))  # 1 / 0.9
    -0.1111
    """
    hypers = Hypers(
        "adabelief", learning_rate=learning_rate, b1=b1, b2=b2, eps=eps, eps_root=eps_root
    )

    def init(params):
        return AdabeliefState(
            jnp.zeros((), jnp.int32), zeros(params), zeros(params), **hypers.init()
        )

    def update(grads, state, params=None):
        def rule(h, g, m, s):
            m = h.b1 * m + (1 - h.b1) * g
            s = h.b2 * s + (1 - h.b2) * (g - m) ** 2 + h.eps_root
            root = jnp.sqrt(s * h.debias("b2"))
            return -h.learning_rate * (m * h.debias("b1") / (root + h.eps)), m, s

        now = hypers.at(state.count, state)
        updates, mu, nu = each(rule, now, grads, state.mu, state.nu, count=state.count)
        return updates, AdabeliefState(advance(state.count), mu, nu, **now)

    return Optimizer(init, update)
