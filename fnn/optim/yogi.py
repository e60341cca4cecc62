"""Yogi: Adam whose second moment moves by steps that do not depend on how large it is."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.optim.base import Optimizer, advance, each, filled
from fnn.optim.hypers import Hyper, HyperLeaf, Hypers


class YogiState(NamedTuple):
    """Yogi's moments and hyperparameters.

    Attributes:
      count: updates done so far.
      mu: like params, the running average of the gradients.
      nu: like params, the second moment.
      learning_rate: eta of the latest update. b1, b2, eps, initial_accumulator: as given.
    """

    count: jax.Array
    mu: Any
    nu: Any
    learning_rate: HyperLeaf
    b1: HyperLeaf
    b2: HyperLeaf
    eps: HyperLeaf
    initial_accumulator: HyperLeaf


def yogi(
    learning_rate: Hyper = 1e-2,
    *,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper = 1e-3,
    initial_accumulator: Hyper = 1e-6,
) -> Optimizer:
    r"""Adam with a second moment that is raised or lowered by a share of the squared gradient.

    .. math::
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t \\
        v_t &= v_{t-1} - (1 - \beta_2) \operatorname{sign}(v_{t-1} - g_t^2) \, g_t^2 \\
        u_t &= -\eta \, \frac{m_t / (1 - \beta_1^t)}{\sqrt{v_t / (1 - \beta_2^t)} + \epsilon}

    Where gradients become small, Adam forgets the large ones by a share of v at each step and its
    steps grow fast; Yogi forgets by a share of the small squares, which takes longer.

    Args:
      learning_rate: eta; >= 0, or a schedule.
      b1: decay of the average gradient, in [0, 1).
      b2: in [0, 1); a step changes v by at most 1 - b2 times the squared gradient.
      eps: added to the root, in units of the gradient; larger than Adam's, as the paper advises.
      initial_accumulator: with which m and v begin, >= 0.

    Where implementations disagree: on the start. The paper averages the squares of a first batch;
    optax, and this, begin both moments at 1e-6 and correct their bias.

    Source: Zaheer et al. 2018, algorithm 2,
      https://papers.nips.cc/paper/8186-adaptive-methods-for-nonconvex-optimization
    Same as: optax.yogi

    >>> optimizer = yogi(0.1, eps=0.0, initial_accumulator=0.0)
    >>> updates, _ = optimizer.update(jnp.array([5.0]), optimizer.init(jnp.ones(1)))
    >>> print(round(float(updates[0]), 4))
    -0.1
    """
    hypers = Hypers(
        "yogi",
        learning_rate=learning_rate,
        b1=b1,
        b2=b2,
        eps=eps,
        initial_accumulator=initial_accumulator,
    )

    def init(params):
        now = hypers.init()
        mu, nu = (filled(params, now["initial_accumulator"]) for _ in range(2))
        return YogiState(jnp.zeros((), jnp.int32), mu, nu, **now)

    def update(grads, state, params=None):
        def rule(h, g, m, v):
            m = h.b1 * m + (1 - h.b1) * g
            v = v - (1 - h.b2) * jnp.sign(v - g**2) * g**2
            root = jnp.sqrt(v * h.debias("b2"))
            return -h.learning_rate * (m * h.debias("b1") / (root + h.eps)), m, v

        now = hypers.at(state.count, state)
        updates, mu, nu = each(rule, now, grads, state.mu, state.nu, count=state.count)
        return updates, YogiState(advance(state.count), mu, nu, **now)

    return Optimizer(init, update)
