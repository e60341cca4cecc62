"""Adam and its family: steps scaled by running averages of the gradient and of its square."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.optim.base import (
    Optimizer,
    advance,
    each,
    kept_by,
    need_params,
    zeros,
)
from fnn.optim.hypers import Hyper, HyperLeaf, Hypers


class AdamState(NamedTuple):
    """Adam's averages and hyperparameters, each a leaf; Nadam's too.

    Attributes:
      count: updates done so far.
      mu: like params, the running average of the gradients (first moment).
      nu: like params, the running average of their squares (second moment).
      learning_rate: eta of the latest update. b1, b2, eps, eps_root: as given to `adam`.
    """

    count: jax.Array
    mu: Any
    nu: Any
    learning_rate: HyperLeaf
    b1: HyperLeaf
    b2: HyperLeaf
    eps: HyperLeaf
    eps_root: HyperLeaf


class AdamwState(NamedTuple):
    """Adam's averages and hyperparameters, and the weight decay of the latest update."""

    count: jax.Array
    mu: Any
    nu: Any
    learning_rate: HyperLeaf
    b1: HyperLeaf
    b2: HyperLeaf
    eps: HyperLeaf
    eps_root: HyperLeaf
    weight_decay: HyperLeaf


class AdamaxState(NamedTuple):
    """Adam's first moment, the decaying maximum `nu` of the gradients' sizes, hyperparameters."""

    count: jax.Array
    mu: Any
    nu: Any
    learning_rate: HyperLeaf
    b1: HyperLeaf
    b2: HyperLeaf
    eps: HyperLeaf


def adam(
    learning_rate: Hyper = 1e-3,
    *,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper = 1e-8,
    eps_root: Hyper = 0.0,
) -> Optimizer:
    r"""Step by the average gradient over the root of the average squared gradient.

    .. math::
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t \\
        v_t &= \beta_2 v_{t-1} + (1 - \beta_2) g_t^2 \\
        u_t &= -\eta \, \frac{m_t / (1 - \beta_1^t)}{\sqrt{v_t / (1 - \beta_2^t)} + \epsilon}

    Args:
      learning_rate: eta, about the size of each parameter's step; >= 0, or a schedule.
      b1: decay of the average gradient, in [0, 1); more is smoother and slower to turn.
      b2: decay of the average square, in [0, 1); more is a longer memory of the scale.
      eps: added to the root, in units of the gradient; larger makes small gradients step less.
      eps_root: added inside the root, in units of the gradient squared; above 0 it keeps the
        derivative of the step finite where a gradient is 0, for learning by gradients through it.

    Where implementations disagree: eps stands outside the root and after the bias correction, as
    in the paper, optax and PyTorch. Some sheets correct v by the power of b1: a slip.

    Source: Kingma & Ba 2015, algorithm 1, https://arxiv.org/abs/1412.6980
    Same as: optax.adam

    >>> params = jnp.array([1.0])
    >>> optimizer = adam(0.1)
    >>> updates, state = optimizer.update(jnp.array([5.0]), optimizer.init(params))
    >>> print(updates, state.learning_rate)
    [-0.1] 0.1
    """
    hypers = Hypers("adam", learning_rate=learning_rate, b1=b1, b2=b2, eps=eps, eps_root=eps_root)
    return _two_moments(hypers, lambda h, g, m: m * h.debias("b1"))


def nadam(
    learning_rate: Hyper = 2e-3,
    *,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper = 1e-8,
    eps_root: Hyper = 0.0,
) -> Optimizer:
    r"""Adam with Nesterov's look ahead in its first moment.

    .. math::
        \bar m_t &= \frac{\beta_1 m_t}{1 - \beta_1^{t+1}}
                    + \frac{(1 - \beta_1) g_t}{1 - \beta_1^t} \\
        u_t &= -\eta \, \bar m_t \, / \left( \sqrt{v_t / (1 - \beta_2^t)} + \epsilon \right)

    with m and v as in `adam`.

    Args:
      learning_rate: eta, about the size of each parameter's step; >= 0, or a schedule.
      b1: decay of the average gradient, in [0, 1).
      b2: decay of the average square, in [0, 1).
      eps: added to the root, in units of the gradient.
      eps_root: added inside the root, in units of the gradient squared.

    Where implementations disagree: this is optax's, Dozat's with a constant b1. PyTorch and Keras
    let b1 grow with t (psi = 0.004), so their paths differ. Ruder corrects m at t instead of t + 1.
    Dozat's algorithm 2 also multiplies v by b2; like others, this one does not.

    Source: Dozat 2016, algorithm 2, https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ
    Same as: optax.nadam

    >>> optimizer = nadam(0.1)  # the first step is b1 / (1 + b1) + 1 times eta
    >>> updates, _ = optimizer.update(jnp.array([5.0]), optimizer.init(jnp.ones(1)))
    >>> print(round(float(updates[0]), 5))
    -0.14737
    """
    hypers = Hypers("nadam", learning_rate=learning_rate, b1=b1, b2=b2, eps=eps, eps_root=eps_root)

    return _two_moments(hypers, looking_ahead)


def looking_ahead(h: Any, g: jax.Array, m: jax.Array) -> jax.Array:
    """Nesterov's first moment: the average of the next step, and of this gradient its share."""
    ahead = m * h.debias("b1", ahead=1)
    return h.b1 * ahead + (1 - h.b1) * (g * h.debias("b1"))


def _two_moments(hypers: Hypers, direction: Callable[..., jax.Array]) -> Optimizer:
    """Adam's rule, whose first moment enters the step as `direction(h, g, m)`."""

    def init(params):
        return AdamState(jnp.zeros((), jnp.int32), zeros(params), zeros(params), **hypers.init())

    def update(grads, state, params=None):
        def rule(h, g, m, v):
            m = h.b1 * m + (1 - h.b1) * g
            v = h.b2 * v + (1 - h.b2) * g**2
            root = jnp.sqrt(v * h.debias("b2") + h.eps_root)
            return -h.learning_rate * (direction(h, g, m) / (root + h.eps)), m, v

        now = hypers.at(state.count, state)
        updates, mu, nu = each(rule, now, grads, state.mu, state.nu, count=state.count)
        return updates, AdamState(advance(state.count), mu, nu, **now)

    return Optimizer(init, update)


def adamw(
    learning_rate: Hyper = 1e-3,
    *,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper = 1e-8,
    eps_root: Hyper = 0.0,
    weight_decay: Hyper = 1e-4,
    mask: Any = None,
) -> Optimizer:
    r"""Adam that also shrinks the parameters, outside of its averages.

    .. math::
        u_t = -\eta \left( \frac{m_t / (1 - \beta_1^t)}{\sqrt{v_t / (1 - \beta_2^t)} + \epsilon}
              + \lambda \theta_{t-1} \right)

    with m and v as in `adam`.

    Args:
      learning_rate: eta, about the size of each parameter's step; >= 0, or a schedule.
      b1: decay of the average gradient, in [0, 1).
      b2: decay of the average square, in [0, 1).
      eps: added to the root, in units of the gradient.
      eps_root: added inside the root, in units of the gradient squared.
      weight_decay: lambda >= 0; a step takes the share eta lambda off each parameter.
      mask: which parameters decay; as in `add_decayed_weights`.

    Raises:
      ValueError: in update, if it is called without the parameters.

    Where implementations disagree: on the default decay, 1e-4 here and in optax, 1e-2 in PyTorch;
    and in the paper lambda is multiplied by the schedule but not by eta.

    Source: Loshchilov & Hutter 2019, algorithm 2, https://arxiv.org/abs/1711.05101
    Same as: optax.adamw

    >>> optimizer, params = adamw(0.1, weight_decay=0.5), jnp.array([2.0])
    >>> updates, _ = optimizer.update(jnp.array([5.0]), optimizer.init(params), params)
    >>> print(updates)
    [-0.2]
    """
    hypers = Hypers(
        "adamw",
        learning_rate=learning_rate,
        b1=b1,
        b2=b2,
        eps=eps,
        eps_root=eps_root,
        weight_decay=weight_decay,
    )

    return two_moments_and_decay(hypers, lambda h, g, m: m * h.debias("b1"), mask)


def two_moments_and_decay(
    hypers: Hypers, direction: Callable[..., jax.Array], mask: Any
) -> Optimizer:
    """AdamW's rule, whose first moment enters the step as `direction(h, g, m)`."""

    def init(params):
        return AdamwState(jnp.zeros((), jnp.int32), zeros(params), zeros(params), **hypers.init())

    def update(grads, state, params=None):
        def rule(h, g, m, v, p):
            m = h.b1 * m + (1 - h.b1) * g
            v = h.b2 * v + (1 - h.b2) * g**2
            root = jnp.sqrt(v * h.debias("b2") + h.eps_root)
            step = direction(h, g, m) / (root + h.eps)
            return -h.learning_rate * (step + h.weight_decay * p), m, v

        need_params(hypers.owner, params)
        now = hypers.at(state.count, state)
        decayed = kept_by(mask, params, hypers.owner)
        updates, mu, nu = each(
            rule, now, grads, state.mu, state.nu, params=decayed, count=state.count
        )
        return updates, AdamwState(advance(state.count), mu, nu, **now)

    return Optimizer(init, update)


def adamax(
    learning_rate: Hyper = 2e-3, *, b1: Hyper = 0.9, b2: Hyper = 0.999, eps: Hyper = 1e-8
) -> Optimizer:
    r"""Adam with a decaying maximum of the gradient's size in place of its root mean square.

    .. math::
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t \\
        v_t &= \max(\beta_2 v_{t-1}, |g_t| + \epsilon) \\
        u_t &= -\eta \, \frac{m_t / (1 - \beta_1^t)}{v_t}

    Args:
      learning_rate: eta, an upper bound of each parameter's step, nearly; >= 0, or a schedule.
      b1: decay of the average gradient, in [0, 1).
      b2: decay of the maximum, in [0, 1).
      eps: added to the size of each gradient, in its units.

    Where implementations disagree: the paper and Ruder have no eps and divide 0 by 0 where a
    gradient has always been 0; optax and PyTorch add it inside the maximum, as here.

    Source: Kingma & Ba 2015, algorithm 2, https://arxiv.org/abs/1412.6980
    Same as: optax.adamax

    >>> optimizer = adamax(0.1)
    >>> updates, _ = optimizer.update(jnp.array([5.0]), optimizer.init(jnp.ones(1)))
    >>> print(updates)
    [-0.1]
    """
    hypers = Hypers("adamax", learning_rate=learning_rate, b1=b1, b2=b2, eps=eps)

    def init(params):
        return AdamaxState(jnp.zeros((), jnp.int32), zeros(params), zeros(params), **hypers.init())

    def update(grads, state, params=None):
        def rule(h, g, m, v):
            m = h.b1 * m + (1 - h.b1) * g
            v = jnp.maximum(h.b2 * v, jnp.abs(g) + h.eps)
            return -h.learning_rate * (m * h.debias("b1") / v), m, v

        now = hypers.at(state.count, state)
        updates, mu, nu = each(rule, now, grads, state.mu, state.nu, count=state.count)
        return updates, AdamaxState(advance(state.count), mu, nu, **now)

    return Optimizer(init, update)
