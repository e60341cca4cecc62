"""Rprop: a step size for each parameter, which sees the signs of gradients and not their sizes."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.optim.base import Optimizer, advance, each, zeros
from fnn.optim.hypers import Hyper, HyperLeaf, Hypers


class RpropState(NamedTuple):
    """The step sizes, the latest signs, the hyperparameters.

    Attributes:
      count: updates done so far.
      sizes: like params, each parameter's step size; 0 before the first update.
      signs: like params, int8: the sign of the latest gradient, 0 where it had just turned.
      learning_rate: Delta_0, the size of the first step. eta_minus, eta_plus, min_step, max_step:
        as given.
    """

    count: jax.Array
    sizes: Any
    signs: Any
    learning_rate: HyperLeaf
    eta_minus: HyperLeaf
    eta_plus: HyperLeaf
    min_step: HyperLeaf
    max_step: HyperLeaf


def rprop(
    learning_rate: Hyper = 1e-2,
    *,
    eta_minus: Hyper = 0.5,
    eta_plus: Hyper = 1.2,
    min_step: Hyper = 1e-6,
    max_step: Hyper = 50.0,
) -> Optimizer:
    r"""Lengthen a parameter's step while its gradient keeps its sign, shorten it where that turns.

    .. math::
        \Delta_t &= \begin{cases}
            \min(\eta^+ \Delta_{t-1}, \Delta_{max}) & g_{t-1} g_t > 0 \\
            \max(\eta^- \Delta_{t-1}, \Delta_{min}), \; g_t := 0 & g_{t-1} g_t < 0 \\
            \Delta_{t-1} & \text{else} \end{cases} \\
        u_t &= -\operatorname{sign}(g_t) \, \Delta_t

    For whole batches: the noise of small ones turns signs, and the steps shrink to nothing.

    Args:
      learning_rate: Delta_0, the size of the first step, in units of the parameters; >= 0. Steps
        find their own size after that, so only its value at the first update counts.
      eta_minus: what a step is multiplied by when the sign has turned, in [0, 1).
      eta_plus: what a step is multiplied by when the sign has stayed, >= 1.
      min_step: the least size of a step, in units of the parameters.
      max_step: the largest.

    Where implementations disagree: on what follows a turned sign. This is iRprop- of Igel & Hüsken,
    as in PyTorch: stand still once, and forget the gradient. The first Rprop takes the step back as
    well; Rprop- goes on by the shorter step. Optax's (0.2.8) has the same rule but passes on the
    step of the update before, so it is one gradient late. Delta_0 is 0.1 in the paper, 0.01 here
    and in PyTorch.

    Source: Riedmiller & Braun 1993, https://doi.org/10.1109/ICNN.1993.298623;
      Igel & Hüsken 2003, table 4, https://doi.org/10.1016/S0925-2312(01)00700-7
    Same as: torch.optim.Rprop

    >>> optimizer, x = rprop(1.0), jnp.zeros(1)
    >>> state = optimizer.init(x)
    >>> for g in (5.0, 0.1, -3.0, -3.0):
    ...     updates, state = optimizer.update(jnp.array([g]), state)
    ...     print(updates + 0)
    [-1.]
    [-1.2]
    [0.]
    [0.6]
    """
    hypers = Hypers(
        "rprop",
        learning_rate=learning_rate,
        eta_minus=eta_minus,
        eta_plus=eta_plus,
        min_step=min_step,
        max_step=max_step,
    )

    def init(params):
        sizes = zeros(params)
        signs = jax.tree.map(lambda s: jnp.zeros(s.shape, jnp.int8), sizes)
        return RpropState(jnp.zeros((), jnp.int32), sizes, signs, **hypers.init())

    def update(grads, state, params=None):
        def rule(h, g, size, sign):
            turn = g * sign
            grown = jnp.clip(size * h.eta_plus, h.min_step, h.max_step)
            shrunk = jnp.clip(size * h.eta_minus, h.min_step, h.max_step)
            size = jnp.where(turn > 0, grown, jnp.where(turn < 0, shrunk, size))
            size = jnp.where(h.t == 1, h.learning_rate, size)
            sign = jnp.where(turn < 0, 0, jnp.sign(g))
            return -sign * size, size, sign

        now = hypers.at(state.count, state)
        updates, sizes, signs = each(rule, now, grads, state.sizes, state.signs, count=state.count)
        return updates, RpropState(advance(state.count), sizes, signs, **now)

    return Optimizer(init, update)
