"""AdEMAMix: Adam with a second, much longer memory of the gradients."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.optim.base import Optimizer, advance, each, kept_by, need_params, zeros
from fnn.optim.hypers import Hyper, HyperLeaf, Hypers


class AdemamixState(NamedTuple):
    """AdEMAMix's three averages and the hyperparameters.

    Attributes:
      count: updates done so far.
      mu, slow: like params, the running averages of the gradients, short and long.
      nu: like params, the running average of their squares.
      learning_rate: eta of the latest update. b1, b2, b3, alpha, eps, eps_root, weight_decay: as
        given, or as their schedules say.
    """

    count: jax.Array
    mu: Any
    slow: Any
    nu: Any
    learning_rate: HyperLeaf
    b1: HyperLeaf
    b2: HyperLeaf
    b3: HyperLeaf
    alpha: HyperLeaf
    eps: HyperLeaf
    eps_root: HyperLeaf
    weight_decay: HyperLeaf


def ademamix(
    learning_rate: Hyper = 1e-3,
    *,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    b3: Hyper = 0.9999,
    alpha: Hyper = 5.0,
    eps: Hyper = 1e-8,
    eps_root: Hyper = 0.0,
    weight_decay: Hyper = 0.0,
    mask: Any = None,
) -> Optimizer:
    r"""Step by a short and a long average of the gradients together.

    .. math::
        s_t &= \beta_3 s_{t-1} + (1 - \beta_3) g_t \\
        u_t &= -\eta \left( \frac{\hat m_t + \alpha s_t}{\sqrt{\hat v_t} + \epsilon}
              + \lambda \theta_{t-1} \right)

    with the bias-corrected moments of `adam`; s is not corrected, so that it fills slowly.

    Args:
      learning_rate: eta; >= 0, or a schedule.
      b1: decay of the short average, in [0, 1).
      b2: decay of the average square, in [0, 1).
      b3: decay of the long average, in [0, 1); it remembers about 1 / (1 - b3) steps. A schedule
        from b1 upwards keeps the start calm: the paper's is `schedules.half_life(b1, b3, steps=T)`.
      alpha: weight of the long average, >= 0, or a schedule from 0 upwards; 0 is `adamw`.
      eps: added to the root, in units of the gradient.
      eps_root: added inside the root, in units of the gradient squared.
      weight_decay: lambda >= 0, decoupled, times the learning rate.
      mask: which parameters decay; as in `add_decayed_weights`.

    Raises:
      ValueError: in update, if it is called without the parameters.

    Where implementations disagree: the paper warms alpha and b3 up, mostly for T steps, the whole
    length of a training; optax and this do if they are given as schedules, alpha's being
    `schedules.linear(0, alpha, steps=T)`, and by default not. The paper counts their steps from 1,
    schedules here count from 0.

    Source: Pagliardini et al. 2024, algorithm 1, https://arxiv.org/abs/2409.03137
    Same as: optax.contrib.ademamix

    >>> optimizer = ademamix(0.1, b3=0.5, alpha=1.0)  # 1 of Adam, and half of the gradient's sign
    >>> x = jnp.ones(1)
    >>> updates, _ = optimizer.update(jnp.array([5.0]), optimizer.init(x), x)
    >>> print(round(float(updates[0]), 4))
    -0.15
    """
    hypers = Hypers(
        "ademamix",
        learning_rate=learning_rate,
        b1=b1,
        b2=b2,
        b3=b3,
        alpha=alpha,
        eps=eps,
        eps_root=eps_root,
        weight_decay=weight_decay,
    )

    def init(params):
        averages = (zeros(params) for _ in range(3))
        return AdemamixState(jnp.zeros((), jnp.int32), *averages, **hypers.init())

    def update(grads, state, params=None):
        def rule(h, g, m, s, v, p):
            m = h.b1 * m + (1 - h.b1) * g
            s = h.b3 * s + (1 - h.b3) * g
            v = h.b2 * v + (1 - h.b2) * g**2
            root = jnp.sqrt(v * h.debias("b2") + h.eps_root)
            step = (m * h.debias("b1") + h.alpha * s) / (root + h.eps)
            return -h.learning_rate * (step + h.weight_decay * p), m, s, v

        need_params("ademamix", params)
        now = hypers.at(state.count, state)
        updates, *averages = each(
            rule,
            now,
            grads,
            *state[1:4],
            params=kept_by(mask, params, "ademamix"),
            count=state.count,
        )
        return updates, AdemamixState(advance(state.count), *averages, **now)

    return Optimizer(init, update)
