"""Momentum: a velocity that remembers the gradients, plain and with Nesterov's look ahead."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.optim.base import Optimizer, advance, each, zeros
from fnn.optim.hypers import Hyper, HyperLeaf, Hypers


class MomentumState(NamedTuple):
    """The velocity and the hyperparameters.

    Attributes:
      count: updates done so far.
      velocity: like params, the decaying sum of the gradients.
      learning_rate: eta of the latest update. decay: as given.
    """

    count: jax.Array
    velocity: Any
    learning_rate: HyperLeaf
    decay: HyperLeaf


class TraceState(NamedTuple):
    """The decaying sum of what came in.

    Attributes:
      count: updates done so far.
      velocity: like params.
      decay: as given to `trace` or `nesterov_trace`.
    """

    count: jax.Array
    velocity: Any
    decay: HyperLeaf


def momentum(learning_rate: Hyper, *, decay: Hyper = 0.9) -> Optimizer:
    r"""Step along a decaying sum of the gradients, as a ball with friction rolls.

    .. math::
        v_t &= \gamma v_{t-1} + g_t \\
        u_t &= -\eta \, v_t

    Under a constant gradient the velocity grows towards g / (1 - decay): with decay = 0.9 the steps
    become ten times those of `sgd`.

    Args:
      learning_rate: eta >= 0, or a schedule.
      decay: gamma in [0, 1), the weight of the old velocity; more is longer memory.

    Where implementations disagree: this is the form of optax and PyTorch, where eta multiplies the
    whole velocity. In Ruder's form, v = gamma v + eta g, eta multiplies each gradient as it enters:
    the same path for a constant eta, another under a schedule. It is
    `chain(sgd(learning_rate), trace(decay))`. The averaging form, v = gamma v + (1 - gamma) g, is
    this one with eta times (1 - gamma).

    Source: Polyak 1964, https://doi.org/10.1016/0041-5553(64)90137-5; Ruder 2016, equation 4
    Same as: optax.sgd(learning_rate, momentum=decay)

    >>> optimizer, g = momentum(1.0, decay=0.5), jnp.array(1.0)
    >>> state = optimizer.init(g)
    >>> for _ in range(3):
    ...     updates, state = optimizer.update(g, state)
    >>> print(updates)  # 1 + 1/2 + 1/4
    -1.75
    """
    return _moving("momentum", lambda h, g, v: v, learning_rate, decay)


def nesterov(learning_rate: Hyper, *, decay: Hyper = 0.9) -> Optimizer:
    r"""Momentum that corrects its course by where the velocity is about to carry it.

    .. math::
        v_t &= \gamma v_{t-1} + g_t \\
        u_t &= -\eta \, (g_t + \gamma v_t)

    Args:
      learning_rate: eta >= 0, or a schedule.
      decay: gamma in [0, 1), the weight of the old velocity.

    Where implementations disagree: Nesterov's and Ruder's form takes the gradient at the point
    ahead, theta - gamma v. This one, of optax and PyTorch, takes it where the parameters stand; its
    parameters *are* the points ahead of the other form, so for a constant eta and gamma both walk
    one path, seen at different points.

    Source: Nesterov 1983; Sutskever et al. 2013, https://proceedings.mlr.press/v28/sutskever13.html
    Same as: optax.sgd(learning_rate, momentum=decay, nesterov=True)

    >>> optimizer, g = nesterov(1.0, decay=0.5), jnp.array(1.0)
    >>> print(optimizer.update(g, optimizer.init(g))[0])
    -1.5
    """
    return _moving("nesterov", lambda h, g, v: g + h.decay * v, learning_rate, decay)


def trace(decay: Hyper = 0.9) -> Optimizer:
    r"""A link for `chain`: pass on the decaying sum of what comes in.

    .. math:: v_t = \gamma v_{t-1} + g_t, \quad u_t = v_t

    Args:
      decay: gamma in [0, 1), the weight of the old sum.

    Same as: optax.trace(decay)

    >>> link, g = trace(0.5), jnp.array(1.0)
    >>> _, state = link.update(g, link.init(g))
    >>> print(link.update(g, state)[0])
    1.5
    """
    return _tracing("trace", lambda h, g, v: v, decay)


def nesterov_trace(decay: Hyper = 0.9) -> Optimizer:
    r"""A link for `chain`: pass on what comes in plus the decayed sum that it has joined.

    .. math:: v_t = \gamma v_{t-1} + g_t, \quad u_t = g_t + \gamma v_t

    Args:
      decay: gamma in [0, 1), the weight of the old sum.

    Same as: optax.trace(decay, nesterov=True)

    >>> link, g = nesterov_trace(0.5), jnp.array(1.0)
    >>> print(link.update(g, link.init(g))[0])
    1.5
    """
    return _tracing("nesterov_trace", lambda h, g, v: g + h.decay * v, decay)


def _moving(owner: str, direction: Callable, learning_rate: Hyper, decay: Hyper) -> Optimizer:
    hypers = Hypers(owner, learning_rate=learning_rate, decay=decay)

    def init(params):
        return MomentumState(jnp.zeros((), jnp.int32), zeros(params), **hypers.init())

    def update(grads, state, params=None):
        def rule(h, g, v):
            v = h.decay * v + g
            return -h.learning_rate * direction(h, g, v), v

        now = hypers.at(state.count, state)
        updates, velocity = each(rule, now, grads, state.velocity)
        return updates, MomentumState(advance(state.count), velocity, **now)

    return Optimizer(init, update)


def _tracing(owner: str, direction: Callable, decay: Hyper) -> Optimizer:
    hypers = Hypers(owner, decay=decay)

    def init(params):
        return TraceState(jnp.zeros((), jnp.int32), zeros(params), **hypers.init())

    def update(grads, state, params=None):
        def rule(h, g, v):
            v = h.decay * v + g
            return direction(h, g, v), v

        now = hypers.at(state.count, state)
        updates, velocity = each(rule, now, grads, state.velocity)
        return updates, TraceState(advance(state.count), velocity, **now)

    return Optimizer(init, update)
