"""Averaged stochastic gradient descent: long steps, and the mean of where they led."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.checks import check_count
from fnn.optim.base import Optimizer, advance, each, need_params, zeros
from fnn.optim.hypers import Hyper, HyperLeaf, Hypers


class AsgdState(NamedTuple):
    """The mean of the parameters and the hyperparameters.

    Attributes:
      count: updates done so far.
      mean: like params, their mean since `start`.
      learning_rate: eta_0. weight_decay, power: as given.
    """

    count: jax.Array
    mean: Any
    learning_rate: HyperLeaf
    weight_decay: HyperLeaf
    power: HyperLeaf

    def eval_params(self, params: Any) -> Any:
        """The mean of the parameters so far; before the first update, the parameters."""

        def one(p, m):
            return jnp.where(self.count > 0, m, p).astype(jnp.result_type(p))

        return jax.tree.map(one, params, self.mean)


def asgd(
    learning_rate: Hyper = 1e-2,
    *,
    weight_decay: Hyper = 1e-4,
    power: Hyper = 0.75,
    start: int = 0,
) -> Optimizer:
    r"""Step down the gradient, by a rate that falls slowly, and keep the mean of all points.

    .. math::
        \eta_t &= \eta_0 \, (1 + \lambda \eta_0 (t - 1))^{-\alpha} \\
        \theta_t &= (1 - \lambda \eta_t) \theta_{t-1} - \eta_t g_t \\
        \bar\theta_t &= \bar\theta_{t-1} + \mu_t (\theta_t - \bar\theta_{t-1}), \quad
        \mu_t = 1 / \max(1, t - 1 - t_0)

    The mean reaches the best possible rate whatever eta_0, as long as the rate falls more slowly
    than 1/t: the noise averages out of it. `fnn.optim.eval_params(opt_state, params)` gives it.

    Args:
      learning_rate: eta_0 >= 0, or a schedule.
      weight_decay: lambda >= 0, twice: an L2 penalty of lambda/2, and how soon the rate falls,
        after about 1 / (lambda eta_0) steps. The theory's best is the loss's least curvature.
      power: alpha, in (1/2, 1) by the theory; 0 keeps the rate.
      start: t_0 >= 0; until then the mean is the latest point. After the first passes, which are
        far from the end and would weigh on the mean as much as the last.

    Raises:
      ValueError: in update, if it is called without the parameters.

    Where implementations disagree: PyTorch's start (its t0) is 10^6, so that in most runs its
    average is but a copy; its learning rate is 0.01, as here, its names lambd and alpha. Polyak's
    plain form has lambda = 0 and a rate of its own: `asgd(schedule, weight_decay=0.0)`.

    Source: Polyak & Juditsky 1992, https://doi.org/10.1137/0330046; the rate and t_0: Xu 2011,
      section 5, https://arxiv.org/abs/1107.2490
    Same as: PyTorch's ASGD(lr, lambd=weight_decay, alpha=power, t0=start)

    >>> from fnn.optim import eval_params
    >>> optimizer, x = asgd(0.5, weight_decay=0.0), jnp.array(8.0)
    >>> state = optimizer.init(x)
    >>> for _ in range(3):
    ...     updates, state = optimizer.update(x, state, x)
    ...     x = x + updates
    >>> print(x, eval_params(state, x))  # (2 + 1) / 2
    1.0 1.5
    """
    owner = "asgd"
    check_count(owner, "start", start, low=0)
    hypers = Hypers(owner, learning_rate=learning_rate, weight_decay=weight_decay, power=power)

    def init(params):
        return AsgdState(jnp.zeros((), jnp.int32), zeros(params), **hypers.init())

    def update(grads, state, params=None):
        def rule(h, g, mean, p):
            decay = h.weight_decay
            eta = h.learning_rate / (1 + decay * h.learning_rate * (h.t - 1)) ** h.power
            step = -eta * (g + decay * p)
            mu = 1 / jnp.maximum(1, h.t - 1 - start)
            return step, mean + mu * (p + step - mean)

        need_params(owner, params, "its average needs")
        now = hypers.at(state.count, state)
        updates, mean = each(rule, now, grads, state.mean, params=params, count=state.count)
        return updates, AsgdState(advance(state.count), mean, **now)

    return Optimizer(init, update)
