"""Adadelta: steps in the units of the parameters, with no learning rate to choose."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.optim.base import Optimizer, advance, each, zeros
from fnn.optim.hypers import Hyper, HyperLeaf, Hypers


class AdadeltaState(NamedTuple):
    """Adadelta's two averages and hyperparameters.

    Attributes:
      count: updates done so far.
      nu: like params, the running average of the squared gradients.
      delta: like params, the running average of the squared steps (before the learning rate).
      learning_rate: eta of the latest update. decay, eps: as given.
    """

    count: jax.Array
    nu: Any
    delta: Any
    learning_rate: HyperLeaf
    decay: HyperLeaf
    eps: HyperLeaf


def adadelta(learning_rate: Hyper = 1.0, *, decay: Hyper = 0.9, eps: Hyper = 1e-6) -> Optimizer:
    r"""Step by the gradient times the ratio of typical steps to typical gradients.

    .. math::
        v_t &= \rho v_{t-1} + (1 - \rho) g_t^2 \\
        d_t &= -\sqrt{x_{t-1} + \epsilon} \, / \sqrt{v_t + \epsilon} \cdot g_t \\
        x_t &= \rho x_{t-1} + (1 - \rho) d_t^2, \qquad u_t = \eta \, d_t

    The units of the gradient cancel: the same loss in other units walks the same path, but for eps,
    which alone sets off the first steps.

    Args:
      learning_rate: eta >= 0, or a schedule. The method needs none: 1 is Zeiler's rule.
      decay: rho in [0, 1), the memory of both averages.
      eps: under both roots; its root is the scale of the first steps.

    Where implementations disagree: the cheat sheets' formula still shows an eta; the paper has
    none. As in optax and PyTorch, eta multiplies the step after the average has taken it in.

    Source: Zeiler 2012, algorithm 1, https://arxiv.org/abs/1212.5701
    Same as: optax.adadelta(1.0, rho=decay, eps=eps)

    >>> optimizer = adadelta(eps=1e-4)
    >>> updates, _ = optimizer.update(jnp.array([50.0]), optimizer.init(jnp.zeros(1)))
    >>> print(round(float(updates[0]), 4))  # -sqrt(eps / 0.1)
    -0.0316
    """
    hypers = Hypers("adadelta", learning_rate=learning_rate, decay=decay, eps=eps)

    def init(params):
        return AdadeltaState(
            jnp.zeros((), jnp.int32), zeros(params), zeros(params), **hypers.init()
        )

    def update(grads, state, params=None):
        def rule(h, g, v, x):
            v = h.decay * v + (1 - h.decay) * g**2
            d = -jnp.sqrt(x + h.eps) / jnp.sqrt(v + h.eps) * g
            x = h.decay * x + (1 - h.decay) * d**2
            return h.learning_rate * d, v, x

        now = hypers.at(state.count, state)
        updates, nu, delta = each(rule, now, grads, state.nu, state.delta)
        return updates, AdadeltaState(advance(state.count), nu, delta, **now)

    return Optimizer(init, update)
