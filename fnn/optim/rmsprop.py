"""RMSprop: steps divided by the running size of the gradient; plain and centred."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from fnn.optim.base import Optimizer, advance, each, filled, one_of, zeros
from fnn.optim.chain import chain
from fnn.optim.hypers import Hyper, HyperLeaf, Hypers, check_hyper
from fnn.optim.momentum import trace

EpsPlace = Literal["inside", "outside"]


class RmspropState(NamedTuple):
    """RMSprop's average and hyperparameters.

    Attributes:
      count: updates done so far.
      nu: like params, the running average of the squared gradients.
      learning_rate: eta of the latest update. decay, eps: as given.
    """

    count: jax.Array
    nu: Any
    learning_rate: HyperLeaf
    decay: HyperLeaf
    eps: HyperLeaf


class CenteredRmspropState(NamedTuple):
    """Centred RMSprop's averages and hyperparameters.

    Attributes:
      count: updates done so far.
      mu: like params, the running average of the gradients.
      nu: like params, the running average of their squares.
      learning_rate: eta of the latest update. decay, eps: as given.
    """

    count: jax.Array
    mu: Any
    nu: Any
    learning_rate: HyperLeaf
    decay: HyperLeaf
    eps: HyperLeaf


def rmsprop(
    learning_rate: Hyper = 1e-3,
    *,
    decay: Hyper = 0.9,
    eps: Hyper = 1e-8,
    eps_place: EpsPlace = "inside",
    initial_scale: float | jax.Array = 0.0,
    momentum: Hyper | None = None,
) -> Optimizer:
    r"""Step by the gradient over its running root mean square.

    .. math::
        v_t &= \gamma v_{t-1} + (1 - \gamma) g_t^2 \\
        u_t &= -\eta \, g_t / \sqrt{v_t + \epsilon}

    Args:
      learning_rate: eta, about the size of each parameter's step; >= 0, or a schedule.
      decay: gamma in [0, 1), the memory of the average square.
      eps: keeps the division finite; larger makes small gradients step less.
      eps_place: "inside" the root, sqrt(v + eps), in units of the gradient squared, or "outside"
        it, sqrt(v) + eps, in units of the gradient.
      initial_scale: v_0 >= 0. At 0 the first step is 1/sqrt(1 - decay) times a steady one. Read by
        `init` alone, so it is no leaf of the state.
      momentum: decay in [0, 1) of a decaying sum of the steps, `chain(rmsprop(...),
        trace(momentum))`. For Nesterov's form `chain` it with `nesterov_trace(momentum)` instead.

    Where implementations disagree: the default is optax's and Ruder's, eps inside and decay 0.9.
    PyTorch: `decay=0.99, eps_place="outside"`; its momentum multiplies by eta afterwards, which is
    the same while eta stays.

    Source: Tieleman & Hinton 2012, lecture 6e of Neural Networks for Machine Learning,
      https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf
    Same as: optax.rmsprop

    >>> optimizer = rmsprop(0.1, decay=0.75)
    >>> updates, _ = optimizer.update(jnp.array([8.0]), optimizer.init(jnp.zeros(1)))
    >>> print(updates)
    [-0.2]
    """
    hypers = Hypers("rmsprop", learning_rate=learning_rate, decay=decay, eps=eps)
    check_hyper("rmsprop", "initial_scale", initial_scale)
    one_of("rmsprop", "eps_place", eps_place, ("inside", "outside"))

    def init(params):
        nu = filled(params, initial_scale)
        return RmspropState(jnp.zeros((), jnp.int32), nu, **hypers.init())

    def update(grads, state, params=None):
        def rule(h, g, v):
            v = h.decay * v + (1 - h.decay) * g**2
            return -h.learning_rate * (_inverse_root(v, h.eps, eps_place) * g), v

        now = hypers.at(state.count, state)
        updates, nu = each(rule, now, grads, state.nu)
        return updates, RmspropState(advance(state.count), nu, **now)

    plain = Optimizer(init, update)
    return plain if momentum is None else chain(plain, trace(momentum))


def centered_rmsprop(
    learning_rate: Hyper = 1e-3,
    *,
    decay: Hyper = 0.9,
    eps: Hyper = 1e-8,
    eps_place: EpsPlace = "inside",
    initial_scale: float | jax.Array = 0.0,
    momentum: Hyper | None = None,
) -> Optimizer:
    r"""Step by the gradient over its running standard deviation.

    .. math::
        m_t &= \gamma m_{t-1} + (1 - \gamma) g_t, \quad
        v_t = \gamma v_{t-1} + (1 - \gamma) g_t^2 \\
        u_t &= -\eta \, g_t / \sqrt{v_t - m_t^2 + \epsilon}

    A steady gradient has a small deviation, so the steps along it grow.

    Args:
      learning_rate: eta >= 0, or a schedule.
      decay: gamma in [0, 1), the memory of both averages.
      eps: keeps the division finite, also where rounding makes the variance slightly negative;
        in float32 a steady gradient much above sqrt(eps / 1e-7) needs a larger one.
      eps_place: "inside" the root or "outside" it, as in `rmsprop`.
      initial_scale: v_0 >= 0, as in `rmsprop`.
      momentum: decay of a sum of the steps, as in `rmsprop`.

    Source: Graves 2013, equations 38-41, https://arxiv.org/abs/1308.0850
      (with momentum=0.9, decay=0.95, eps=1e-4)
    Same as: optax.rmsprop(..., centered=True)

    >>> optimizer = centered_rmsprop(0.1, decay=0.5)
    >>> updates, _ = optimizer.update(jnp.array([8.0]), optimizer.init(jnp.zeros(1)))
    >>> print(updates)  # the variance is 8^2 / 2 - (8 / 2)^2 = 4^2
    [-0.2]
    """
    hypers = Hypers("centered_rmsprop", learning_rate=learning_rate, decay=decay, eps=eps)
    check_hyper("centered_rmsprop", "initial_scale", initial_scale)
    one_of("centered_rmsprop", "eps_place", eps_place, ("inside", "outside"))

    def init(params):
        mu, nu = zeros(params), filled(params, initial_scale)
        return CenteredRmspropState(jnp.zeros((), jnp.int32), mu, nu, **hypers.init())

    def update(grads, state, params=None):
        def rule(h, g, m, v):
            m = h.decay * m + (1 - h.decay) * g
            v = h.decay * v + (1 - h.decay) * g**2
            return -h.learning_rate * (_inverse_root(v - m**2, h.eps, eps_place) * g), m, v

        now = hypers.at(state.count, state)
        updates, mu, nu = each(rule, now, grads, state.mu, state.nu)
        return updates, CenteredRmspropState(advance(state.count), mu, nu, **now)

    plain = Optimizer(init, update)
    return plain if momentum is None else chain(plain, trace(momentum))


def _inverse_root(v: jax.Array, eps: jax.Array, place: EpsPlace) -> jax.Array:
    return lax.rsqrt(v + eps) if place == "inside" else 1 / (jnp.sqrt(v) + eps)
