"""QHM and QHAdam: a step between the plain gradient and its average."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.optim.base import Optimizer, advance, each, zeros
from fnn.optim.hypers import Hyper, HyperLeaf, Hypers


class QhmState(NamedTuple):
    """QHM's average and hyperparameters.

    Attributes:
      count: updates done so far.
      mu: like params, the running average of the gradients.
      learning_rate: eta of the latest update. decay, weight: as given.
    """

    count: jax.Array
    mu: Any
    learning_rate: HyperLeaf
    decay: HyperLeaf
    weight: HyperLeaf


class QhadamState(NamedTuple):
    """QHAdam's averages and hyperparameters.

    Attributes:
      count: updates done so far.
      mu, nu: like params, the running averages of the gradients and of their squares.
      learning_rate: eta of the latest update. b1, b2, weight, weight2, eps: as given.
    """

    count: jax.Array
    mu: Any
    nu: Any
    learning_rate: HyperLeaf
    b1: HyperLeaf
    b2: HyperLeaf
    weight: HyperLeaf
    weight2: HyperLeaf
    eps: HyperLeaf


def qhm(learning_rate: Hyper = 1.0, *, decay: Hyper = 0.999, weight: Hyper = 0.7) -> Optimizer:
    r"""Quasi-hyperbolic momentum: some of the gradient, and some of its running average.

    .. math::
        m_t = \beta m_{t-1} + (1 - \beta) g_t, \qquad
        u_t = -\eta \left( (1 - \nu) g_t + \nu m_t \right)

    Args:
      learning_rate: eta >= 0, or a schedule. m is an average, not a sum: where `momentum` wants
        eta, this wants eta / (1 - beta).
      decay: beta, of the average, in [0, 1).
      weight: nu, of the average in the step: 0 is `sgd`, 1 momentum in its averaging form, and
        nu = beta Nesterov's.

    Source: Ma & Yarats 2019, equations 3 and 4, https://arxiv.org/abs/1810.06801

    >>> optimizer = qhm(1.0, decay=0.5, weight=0.5)
    >>> updates, _ = optimizer.update(jnp.array([4.0]), optimizer.init(jnp.zeros(1)))
    >>> print(updates)  # half of 4 and half of 2
    [-3.]
    """
    hypers = Hypers("qhm", learning_rate=learning_rate, decay=decay, weight=weight)

    def init(params):
        return QhmState(jnp.zeros((), jnp.int32), zeros(params), **hypers.init())

    def update(grads, state, params=None):
        def rule(h, g, m):
            m = h.decay * m + (1 - h.decay) * g
            return -h.learning_rate * ((1 - h.weight) * g + h.weight * m), m

        now = hypers.at(state.count, state)
        updates, mu = each(rule, now, grads, state.mu)
        return updates, QhmState(advance(state.count), mu, **now)

    return Optimizer(init, update)


def qhadam(
    learning_rate: Hyper = 1e-3,
    *,
    b1: Hyper = 0.995,
    b2: Hyper = 0.999,
    weight: Hyper = 0.7,
    weight2: Hyper = 1.0,
    eps: Hyper = 1e-8,
) -> Optimizer:
    r"""Adam with both moments mixed with what they average.

    .. math::
        u_t = -\eta \, \frac{(1 - \nu_1) g_t + \nu_1 \hat m_t}
                          {\sqrt{(1 - \nu_2) g_t^2 + \nu_2 \hat v_t} + \epsilon}

    with the bias-corrected moments of `adam`.

    Args:
      learning_rate: eta >= 0, or a schedule.
      b1: decay of the average gradient, in [0, 1).
      b2: decay of the average square, in [0, 1).
      weight: nu_1, of the average gradient: 1 is `adam`, 0 an RMSprop with bias correction.
      weight2: nu_2, of the average square, in [0, 1]; below 1 single large gradients step less.
      eps: added to the root, in units of the gradient.

    Raises:
      ValueError: if weight2 is out of its range, where a square could come out negative.

    Where implementations disagree: on the defaults. These are what the authors advise to those who
    come from Adam; their code itself has Adam's, with both weights 1.

    Source: Ma & Yarats 2019, https://arxiv.org/abs/1810.06801; defaults:
      https://facebookresearch.github.io/qhoptim

    >>> optimizer = qhadam(0.1)
    >>> updates, _ = optimizer.update(jnp.array([5.0]), optimizer.init(jnp.ones(1)))
    >>> print(round(float(updates[0]), 4))
    -0.1
    """
    if isinstance(weight2, int | float) and not 0 <= weight2 <= 1:
        raise ValueError(f"qhadam: weight2 must be in [0, 1], got {weight2}; 1 is Adam's square")
    hypers = Hypers(
        "qhadam", learning_rate=learning_rate, b1=b1, b2=b2, weight=weight, weight2=weight2, eps=eps
    )

    def init(params):
        return QhadamState(jnp.zeros((), jnp.int32), zeros(params), zeros(params), **hypers.init())

    def update(grads, state, params=None):
        def rule(h, g, m, v):
            m = h.b1 * m + (1 - h.b1) * g
            v = h.b2 * v + (1 - h.b2) * g**2
            above = (1 - h.weight) * g + h.weight * (m * h.debias("b1"))
            below = (1 - h.weight2) * g**2 + h.weight2 * (v * h.debias("b2"))
            return -h.learning_rate * (above / (jnp.sqrt(below) + h.eps)), m, v

        now = hypers.at(state.count, state)
        updates, mu, nu = each(rule, now, grads, state.mu, state.nu, count=state.count)
        return updates, QhadamState(advance(state.count), mu, nu, **now)

    return Optimizer(init, update)
