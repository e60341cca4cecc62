"""Adan: Adam with a third average, of how the gradient changes."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.optim.base import Optimizer, advance, each, kept_by, need_params, zeros
from fnn.optim.hypers import Hyper, HyperLeaf, Hypers


class AdanState(NamedTuple):
    """Adan's three averages, the gradient before, and the hyperparameters.

    Attributes:
      count: updates done so far.
      mu, change, nu: like params, the running averages of the gradients, of their differences,
        and of the squared gradient as it is foreseen.
      before: like params, the latest gradient.
      learning_rate: eta of the latest update. b1, b2, b3, eps, eps_root, weight_decay: as given.
    """

    count: jax.Array
    mu: Any
    change: Any
    nu: Any
    before: Any
    learning_rate: HyperLeaf
    b1: HyperLeaf
    b2: HyperLeaf
    b3: HyperLeaf
    eps: HyperLeaf
    eps_root: HyperLeaf
    weight_decay: HyperLeaf


def adan(
    learning_rate: Hyper = 1e-3,
    *,
    b1: Hyper = 0.98,
    b2: Hyper = 0.92,
    b3: Hyper = 0.99,
    eps: Hyper = 1e-8,
    eps_root: Hyper = 1e-8,
    weight_decay: Hyper = 0.0,
    mask: Any = None,
) -> Optimizer:
    r"""Nesterov's look ahead without a second gradient: by the average change of the first.

    .. math::
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t \\
        v_t &= \beta_2 v_{t-1} + (1 - \beta_2) (g_t - g_{t-1}) \\
        n_t &= \beta_3 n_{t-1} + (1 - \beta_3) (g_t + (1 - \beta_2) (g_t - g_{t-1}))^2 \\
        u_t &= -\eta \left( \frac{\hat m_t + (1 - \beta_2) \hat v_t}
                {\sqrt{\hat n_t + \epsilon_r} + \epsilon} + \lambda \theta_{t-1} \right)

    where a hat divides by 1 - beta^t, and g_0 = g_1.

    Args:
      learning_rate: eta, about the size of each parameter's step; >= 0, or a schedule.
      b1: decay of the average gradient, in [0, 1).
      b2: decay of the average change; in [0, 1). 1 - b2 is how far ahead it looks.
      b3: decay of the average square, in [0, 1).
      eps: added to the root, in units of the gradient.
      eps_root: added inside the root, in units of the gradient squared.
      weight_decay: lambda >= 0, decoupled, times the learning rate.
      mask: which parameters decay; as in `add_decayed_weights`.

    Raises:
      ValueError: in update, if it is called without the parameters.

    Where implementations disagree: the paper's betas are one minus these, and it divides by
    1 + eta lambda in place of subtracting the decay; optax's form is here. The paper weighs the
    change by its beta_2's complement, which is this b2; optax, and this, by 1 - b2.

    Source: Xie et al. 2022, algorithm 1, https://arxiv.org/abs/2208.06677
    Same as: optax.adan

    >>> optimizer = adan(0.1, eps_root=0.0)  # there is no change yet: Adam's first step
    >>> x = jnp.ones(1)
    >>> updates, _ = optimizer.update(jnp.array([5.0]), optimizer.init(x), x)
    >>> print(round(float(updates[0]), 4))
    -0.1
    """
    hypers = Hypers(
        "adan",
        learning_rate=learning_rate,
        b1=b1,
        b2=b2,
        b3=b3,
        eps=eps,
        eps_root=eps_root,
        weight_decay=weight_decay,
    )

    def init(params):
        averages = (zeros(params) for _ in range(4))
        return AdanState(jnp.zeros((), jnp.int32), *averages, **hypers.init())

    def update(grads, state, params=None):
        def rule(h, g, m, v, n, before, p):
            change = jnp.where(h.t == 1, 0, g - before)
            m = h.b1 * m + (1 - h.b1) * g
            v = h.b2 * v + (1 - h.b2) * change
            n = h.b3 * n + (1 - h.b3) * (g + (1 - h.b2) * change) ** 2
            ahead = m * h.debias("b1") + (1 - h.b2) * (v * h.debias("b2"))
            root = jnp.sqrt(n * h.debias("b3") + h.eps_root)
            return -h.learning_rate * (ahead / (root + h.eps) + h.weight_decay * p), m, v, n, g

        need_params("adan", params)
        now = hypers.at(state.count, state)
        updates, *averages = each(
            rule,
            now,
            grads,
            *state[1:5],
            params=kept_by(mask, params, "adan"),
            count=state.count,
        )
        return updates, AdanState(advance(state.count), *averages, **now)

    return Optimizer(init, update)
