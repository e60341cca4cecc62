"""Polyak's step: as long as the loss and its lowest value say."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from fnn.optim.base import Optimizer, advance, check_params, each
from fnn.optim.hypers import Hyper, HyperLeaf, Hypers
from fnn.optim.sums import joined, ratio
from fnn.trees import norm


class PolyakState(NamedTuple):
    """The latest step's length and the hyperparameters.

    Attributes:
      count: updates done so far.
      step_size: what the latest gradient was multiplied by.
      learning_rate: the largest step size. f_min, c, eps: as given.
    """

    count: jax.Array
    step_size: jax.Array
    learning_rate: HyperLeaf
    f_min: HyperLeaf
    c: HyperLeaf
    eps: HyperLeaf


def polyak_step(
    learning_rate: Hyper = 1.0, *, f_min: Hyper = 0.0, c: Hyper = 1.0, eps: Hyper = 0.0
) -> Optimizer:
    r"""Step down the gradient to where a line from here would meet the lowest loss.

    .. math::
        \eta_t &= \min\left( \frac{\max(f(\theta_t) - f^*, 0)}{c \lVert g_t \rVert^2 + \epsilon},
                  \eta_{max} \right) \\
        u_t &= -\eta_t \, g_t

    `update` takes the loss as `value`, which the training step gives it.

    Args:
      learning_rate: eta_max >= 0, the largest step size, or a schedule. With batches it matters:
        without it one batch of a small gradient throws the parameters far.
      f_min: f*, the lowest value of the loss (of each batch's loss, for batches); about 0 for a net
        that can fit its data. Too low a value makes the steps too long.
      c: > 0; 1 is Polyak's step, 1/2 is twice as long and exact on a round quadratic, more is
        shorter. Loizou et al. take 1/2 for strongly convex losses.
      eps: added to the squared norm, in its units.

    Raises:
      ValueError: in update, if it is called without `value`.

    Where implementations disagree: optax's variant "sps" steps uphill where the loss is below
    f_min; here, as in its "sps+", such a step is 0. c has no counterpart there.

    Source: Polyak 1987, Introduction to Optimization, 5.3; SPS_max: Loizou et al. 2021,
      https://arxiv.org/abs/2002.10542
    Same as: optax.polyak_sgd(variant="sps+")

    >>> optimizer, x = polyak_step(c=0.5), jnp.array([3.0, 4.0])
    >>> updates, _ = optimizer.update(2 * x, optimizer.init(x), value=jnp.sum(x**2))
    >>> print(x + updates)
    [0. 0.]
    """
    owner = "polyak_step"
    hypers = Hypers(owner, learning_rate=learning_rate, f_min=f_min, c=c, eps=eps)

    def init(params):
        check_params(params)
        return PolyakState(jnp.zeros((), jnp.int32), jnp.zeros(()), **hypers.init())

    def update(grads, state, params=None, *, value=None):
        if value is None:
            raise ValueError(
                f"{owner}: update was called without value, the loss that sets the step; call"
                " update(grads, state, params, value=loss)"
            )
        now = hypers.at(state.count, state)
        gap = jnp.maximum(jnp.asarray(value) - now["f_min"], 0)
        slope = now["c"] * norm(grads) ** 2 + now["eps"]
        size = jnp.minimum(ratio(gap, slope), now["learning_rate"]).astype(state.step_size.dtype)
        (updates,) = each(lambda h, g: (-h.size * g,), joined(now, size=size), grads)
        return updates, PolyakState(advance(state.count), size, **now)

    return Optimizer(init, update)
