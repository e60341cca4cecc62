"""The heavy ball in Polyak's form, and Nesterov's gradient in his own: told by positions."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.optim.base import Optimizer, advance, check_params, each, need_params, zeros
from fnn.optim.hypers import Hyper, HyperLeaf, Hypers
from fnn.trees import wide


class HeavyBallState(NamedTuple):
    """The position before this one, and the hyperparameters.

    Attributes:
      count: updates done so far.
      previous: like params, where they stood before the latest update.
      learning_rate: alpha of the latest update. decay: beta, as given.
    """

    count: jax.Array
    previous: Any
    learning_rate: HyperLeaf
    decay: HyperLeaf


class NagState(NamedTuple):
    """The velocity, and by how much of it the parameters stand ahead.

    Attributes:
      count: updates done so far.
      velocity: like params, the latest step of the point that is not ahead, eta in it.
      learning_rate: eta of the latest update.
      decay: gamma: the parameters are the point less gamma times the velocity.
    """

    count: jax.Array
    velocity: Any
    learning_rate: HyperLeaf
    decay: HyperLeaf

    def eval_params(self, params: Any) -> Any:
        """theta, the point that is not ahead: params + gamma v, in the dtype of the parameters."""

        def behind(p, v):
            return (p + self.decay * v).astype(jnp.result_type(p))

        return jax.tree.map(behind, params, self.velocity)


def heavy_ball(learning_rate: Hyper, *, decay: Hyper = 0.9) -> Optimizer:
    r"""Step down the gradient and on by a share of the latest displacement.

    .. math::
        \theta_{t+1} = \theta_t - \alpha \, g_t + \beta \, (\theta_t - \theta_{t-1})

    On a quadratic with curvatures from mu to L the best constants are
    :math:`\alpha = (2 / (\sqrt L + \sqrt\mu))^2` and
    :math:`\beta = ((\sqrt L - \sqrt\mu) / (\sqrt L + \sqrt\mu))^2`; the error then shrinks by
    :math:`\sqrt\beta` a step, where the gradient alone shrinks it by (L - mu) / (L + mu).

    Args:
      learning_rate: alpha >= 0, or a schedule; it multiplies each gradient as it enters.
      decay: beta in [0, 1), the share of the displacement that is kept.

    Raises:
      ValueError: in update, if it is called without the parameters.

    Where implementations disagree: PyTorch's and optax's momentum keeps a sum of gradients and
    multiplies it by the present rate; for a constant rate both walk one path, under a schedule they
    part. And this one remembers a position: whatever else moves the parameters, such as a link
    after it in a `chain` or a rounding to 16 bits, is part of the displacement.

    Source: Polyak 1964, equation 9, https://doi.org/10.1016/0041-5553(64)90137-5

    >>> optimizer, x = heavy_ball(1.0, decay=0.5), jnp.array(0.0)
    >>> state = optimizer.init(x)
    >>> for _ in range(3):
    ...     updates, state = optimizer.update(jnp.array(1.0), state, x)
    ...     x = x + updates
    >>> print(updates)  # 1 + 1/2 + 1/4
    -1.75
    """
    hypers = Hypers("heavy_ball", learning_rate=learning_rate, decay=decay)

    def init(params):
        check_params(params)
        # a copy, because the parameters may be donated
        previous = jax.tree.map(lambda p: jnp.array(p, wide(jnp.result_type(p))), params)
        return HeavyBallState(jnp.zeros((), jnp.int32), previous, **hypers.init())

    def update(grads, state, params=None):
        def rule(h, g, previous, p):
            return -h.learning_rate * g + h.decay * (p - previous), p

        need_params("heavy_ball", params, "its displacement is measured by")
        now = hypers.at(state.count, state)
        updates, previous = each(rule, now, grads, state.previous, params=params)
        return updates, HeavyBallState(advance(state.count), previous, **now)

    return Optimizer(init, update)


def nag(learning_rate: Hyper, *, decay: Hyper = 0.9) -> Optimizer:
    r"""Nesterov's accelerated gradient, taken at the point ahead as in his own form.

    .. math::
        v_t &= \gamma v_{t-1} + \eta \, \nabla f(\theta_{t-1} - \gamma v_{t-1}) \\
        \theta_t &= \theta_{t-1} - v_t

    `update` is given the gradient where the parameters stand. So the parameters in training *are*
    the point ahead, :math:`\varphi_t = \theta_t - \gamma v_t`, which steps by

    .. math:: u_t = \varphi_t - \varphi_{t-1} = \gamma v_{t-1} - v_t - \gamma v_t

    and `fnn.optim.eval_params(opt_state, params)` gives :math:`\theta_t = \varphi_t + \gamma v_t`.
    At the start v = 0, and both are one.

    Args:
      learning_rate: eta >= 0, or a schedule; it multiplies each gradient as it enters.
      decay: gamma in [0, 1), the weight of the old velocity, or a schedule.

    Where implementations disagree: `nesterov`, optax's and PyTorch's, walks the same points ahead
    for a constant eta and evaluates there; under a schedule it multiplies the whole velocity by the
    present eta.

    Source: Nesterov 1983; Sutskever et al. 2013, equations 3 and 4,
      https://proceedings.mlr.press/v28/sutskever13.html; Ruder 2016, equation 5

    >>> from fnn.optim import eval_params
    >>> optimizer, x = nag(1.0, decay=0.5), jnp.array(0.0)
    >>> updates, state = optimizer.update(jnp.array(1.0), optimizer.init(x), x)
    >>> print(x + updates, eval_params(state, x + updates))
    -1.5 -1.0
    """
    hypers = Hypers("nag", learning_rate=learning_rate, decay=decay)

    def init(params):
        return NagState(jnp.zeros((), jnp.int32), zeros(params), **hypers.init())

    def update(grads, state, params=None):
        now = hypers.at(state.count, state)
        now["ahead"] = hypers.at(advance(state.count), state)["decay"]  # where the next one looks

        def rule(h, g, v):
            new = h.decay * v + h.learning_rate * g
            return h.decay * v - new - h.ahead * new, new

        updates, velocity = each(rule, now, grads, state.velocity)
        rate, ahead = now["learning_rate"], now["ahead"]
        return updates, NagState(advance(state.count), velocity, rate, ahead)

    return Optimizer(init, update)
