"""RAdam: Adam that steps by momentum alone until its second moment can be trusted."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.optim.base import Optimizer, advance, each, zeros
from fnn.optim.hypers import Hyper, HyperLeaf, Hypers


class RadamState(NamedTuple):
    """Adam's averages and hyperparameters, and the length from which they are trusted.

    Attributes:
      count: updates done so far.
      mu, nu: like params, the running averages of the gradients and of their squares.
      learning_rate: eta of the latest update. b1, b2, eps, eps_root, threshold: as given.
    """

    count: jax.Array
    mu: Any
    nu: Any
    learning_rate: HyperLeaf
    b1: HyperLeaf
    b2: HyperLeaf
    eps: HyperLeaf
    eps_root: HyperLeaf
    threshold: HyperLeaf


def radam(
    learning_rate: Hyper = 1e-3,
    *,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper = 1e-8,
    eps_root: Hyper = 0.0,
    threshold: Hyper = 5.0,
) -> Optimizer:
    r"""Adam with its step shortened as the few squares seen so far make it uncertain.

    .. math::
        \rho_\infty &= \frac{2}{1 - \beta_2} - 1, \qquad
        \rho_t = \rho_\infty - \frac{2 t \beta_2^t}{1 - \beta_2^t} \\
        r_t &= \sqrt{\frac{(\rho_t - 4)(\rho_t - 2) \rho_\infty}
                       {(\rho_\infty - 4)(\rho_\infty - 2) \rho_t}} \\
        u_t &= -\eta \, r_t \, \frac{\hat m_t}{\sqrt{\hat v_t} + \epsilon}
            \quad \text{if } \rho_t \ge \text{threshold, else} \quad u_t = -\eta \, \hat m_t

    with the bias-corrected moments of `adam`. rho is how many squares the average amounts to; the
    variance of the step is finite above 4 of them. The factor r is a warm-up that needs no setting.

    Args:
      learning_rate: eta; >= 0, or a schedule. In the first steps it multiplies the gradient itself.
      b1: decay of the average gradient, in [0, 1).
      b2: decay of the average square, in [0, 1). Up to 1 - 2 / (threshold + 1), which is 2/3 for 5,
        rho never comes to the threshold and the step stays momentum's.
      eps: added to the root, in units of the gradient.
      eps_root: added inside the root, in units of the gradient squared.
      threshold: rho from which the second moment is used, >= 4.

    Where implementations disagree: the paper rectifies above 4, its published code and optax from
    5 and PyTorch above 5; with b2 = 0.999 these are the fifth step and the sixth. PyTorch adds eps
    before the bias correction of the root. rho is the difference of two large numbers, which in
    float32 and with b2 = 0.9999 others miss by 1 and more in the first steps; here it is exact to
    some thousandths.

    Source: Liu et al. 2020, algorithm 2, https://arxiv.org/abs/1908.03265
    Same as: optax.radam

    >>> optimizer = radam(0.1)  # at first momentum alone
    >>> updates, _ = optimizer.update(jnp.array([5.0]), optimizer.init(jnp.ones(1)))
    >>> print(round(float(updates[0]), 4))
    -0.5
    """
    hypers = Hypers(
        "radam",
        learning_rate=learning_rate,
        b1=b1,
        b2=b2,
        eps=eps,
        eps_root=eps_root,
        threshold=threshold,
    )

    def init(params):
        return RadamState(jnp.zeros((), jnp.int32), zeros(params), zeros(params), **hypers.init())

    def update(grads, state, params=None):
        def rule(h, g, m, v):
            m = h.b1 * m + (1 - h.b1) * g
            v = h.b2 * v + (1 - h.b2) * g**2
            rho, r = _rectifier(h.b2, h.t)
            ahead = m * h.debias("b1")
            root = jnp.sqrt(v * h.debias("b2") + h.eps_root)
            step = jnp.where(rho >= h.threshold, r * (ahead / (root + h.eps)), ahead)
            return -h.learning_rate * step, m, v

        now = hypers.at(state.count, state)
        updates, mu, nu = each(rule, now, grads, state.mu, state.nu, count=state.count)
        return updates, RadamState(advance(state.count), mu, nu, **now)

    return Optimizer(init, update)


def _rectifier(b2: jax.Array, t: jax.Array) -> tuple[jax.Array, jax.Array]:
    """rho_t, and r_t where rho_t is above 4 (elsewhere it has no meaning and is not used)."""
    most = 2 / (1 - b2) - 1
    # b2^t / (1 - b2^t) as 1 / (b2^-t - 1): in float32 1 - b2^t itself would lose the small rho
    rho = most - 2 * t / jnp.expm1(-t * jnp.log1p(b2 - 1))
    ratio = (rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho)
    return rho, jnp.sqrt(jnp.maximum(ratio, 0))
