"""Adan: Adam with a third average, of how the gradient changes."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.optim.base import (
    Optimizer,
    advance,
    apply_updates,
    each,
    kept_by,
    need_params,
    one_of,
    zeros,
)
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
    eps_root: Hyper = 0.0,
    weight_decay: Hyper = 0.0,
    mask: Any = None,
    form: str = "paper",
) -> Optimizer:
    r"""Nesterov's look ahead without a second gradient: by the average change of the first.

    .. math::
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t \\
        v_t &= \beta_2 v_{t-1} + (1 - \beta_2) (g_t - g_{t-1}) \\
        n_t &= \beta_3 n_{t-1} + (1 - \beta_3) (g_t + \beta_2 (g_t - g_{t-1}))^2 \\
        \theta_t &= \frac{1}{1 + \eta \lambda} \left( \theta_{t-1} - \eta \,
              \frac{\hat m_t + \beta_2 \hat v_t}
                   {\sqrt{\hat n_t + \epsilon_r} + \epsilon} \right)

    where a hat divides by 1 - beta^t, and g_0 = g_1. The update is what leads from one theta to the
    next.

    Args:
      learning_rate: eta, about the size of each parameter's step; >= 0, or a schedule.
      b1: decay of the average gradient, in [0, 1).
      b2: decay of the average change, in [0, 1), and how far ahead it looks, in steps.
      b3: decay of the average square, in [0, 1).
      eps: added to the root, in units of the gradient.
      eps_root: added inside the root, in units of the gradient squared.
      weight_decay: lambda >= 0; a step takes about the share eta lambda off each parameter.
      mask: which parameters decay; as in `add_decayed_weights`.
      form: "paper", or "optax", which weighs the change by 1 - b2 in place of b2, in n and in the
        step, and decays by subtracting eta lambda theta.

    Raises:
      ValueError: if `form` is another word; in update, if it is called without the parameters.

    Where implementations disagree: the paper's betas are one minus these, which are those of its
    published code. So its weight of the change, one minus beta_2, is b2 here; optax (0.2.8) turned
    the betas around and left 1 - b2, which weighs by 0.08 for 0.92, and has an eps_root of 1e-8.
    Bias is corrected as in the published code and optax; the paper begins m and n at the first
    gradient.

    Source: Xie et al. 2022, algorithm 1, https://arxiv.org/abs/2208.06677, and its code,
      https://github.com/sail-sg/Adan
    Same as: optax.adan with form="optax", eps_root=1e-8

    >>> optimizer = adan(0.1)  # there is no change yet: Adam's first step
    >>> x = jnp.ones(1)
    >>> updates, _ = optimizer.update(jnp.array([5.0]), optimizer.init(x), x)
    >>> print(round(float(updates[0]), 4))
    -0.1
    """
    one_of("adan", "form", form, ("paper", "optax"))
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
        def rule(h, g, m, v, n, before):
            weight = h.b2 if form == "paper" else 1 - h.b2
            change = jnp.where(h.t == 1, 0, g - before)
            m = h.b1 * m + (1 - h.b1) * g
            v = h.b2 * v + (1 - h.b2) * change
            n = h.b3 * n + (1 - h.b3) * (g + weight * change) ** 2
            ahead = m * h.debias("b1") + weight * (v * h.debias("b2"))
            root = jnp.sqrt(n * h.debias("b3") + h.eps_root)
            return -h.learning_rate * (ahead / (root + h.eps)), m, v, n, g

        def pull(h, u, p):
            share = h.learning_rate * h.weight_decay
            return (-share / (1 + share) * (p + u) if form == "paper" else -share * p,)

        need_params("adan", params)
        now = hypers.at(state.count, state)
        steps, *averages = each(rule, now, grads, *state[1:5], count=state.count)
        (pulls,) = each(pull, now, steps, params=params)
        updates = apply_updates(steps, kept_by(mask, pulls, "adan"))
        return updates, AdanState(advance(state.count), *averages, **now)

    return Optimizer(init, update)
