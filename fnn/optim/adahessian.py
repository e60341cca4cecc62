"""AdaHessian: Adam with the diagonal of the Hessian where the gradient's size stands."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.checks import check_given_key
from fnn.optim.base import Optimizer, advance, check_alike, each, need_params, zeros
from fnn.optim.hypers import Hyper, HyperLeaf, Hypers
from fnn.optim.sophia import hessian_probe, need_value_fn


class AdahessianState(NamedTuple):
    """The averages of gradient and squared curvature, the key, the hyperparameters.

    Attributes:
      count: updates done so far.
      key: of all the random signs; the update t draws from `fold_in(key, t)`.
      mu: like params, the running average of the gradients.
      nu: like params, the running average of the squares of the measured diagonals.
      learning_rate: eta of the latest update. b1, b2, eps, power: as given.
    """

    count: jax.Array
    key: jax.Array
    mu: Any
    nu: Any
    learning_rate: HyperLeaf
    b1: HyperLeaf
    b2: HyperLeaf
    eps: HyperLeaf
    power: HyperLeaf


def adahessian(
    learning_rate: Hyper = 0.15,
    *,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper = 1e-4,
    power: Hyper = 1.0,
    key: jax.Array | None = None,
) -> Optimizer:
    r"""Step by the average gradient over the root of the average squared curvature.

    .. math::
        D_t &= s \odot \nabla^2 f(\theta_{t-1}) s, \quad s_i = \pm 1 \\
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t \\
        v_t &= \beta_2 v_{t-1} + (1 - \beta_2) D_t^2 \\
        u_t &= -\eta \, \frac{m_t / (1 - \beta_1^t)}
               {\left( \sqrt{v_t / (1 - \beta_2^t)} \right)^k + \epsilon}

    On a quadratic along the axes this is Newton's step times eta, whatever the units of the
    parameters. Each update costs about two gradients more, for the Hessian times s.

    `update` needs the loss as a function, by keyword: `value_fn`, params -> one number. fnn's own
    train step passes it.

    Args:
      learning_rate: eta, the share of Newton's step; >= 0, or a schedule.
      b1: decay of the average gradient, in [0, 1).
      b2: decay of the average squared curvature, in [0, 1).
      eps: added to the root, in units of the curvature.
      power: k from 0 to 1: 1 divides by curvature, 0 by 1.
      key: of the random signs; `jax.random.key(0)` if left out.

    Raises:
      ValueError: in update, if it is called without the parameters or without `value_fn`.

    Where implementations disagree: the paper also averages D over small blocks of parameters, such
    as the places of a kernel, which damps its noise; here each parameter has its own.

    Source: Yao et al. 2021, algorithm 1, https://arxiv.org/abs/2006.00719

    >>> def f(x):
    ...     return 50.0 * x[0] ** 2 + 0.5 * x[1] ** 2
    >>> optimizer, x = adahessian(1.0), jnp.array([0.5, 3.0])
    >>> updates, _ = optimizer.update(jax.grad(f)(x), optimizer.init(x), x, value_fn=f)
    >>> print(jnp.round(x + updates, 3))
    [0. 0.]
    """
    signs_key = jax.random.key(0) if key is None else key
    check_given_key(signs_key, "adahessian")
    hypers = Hypers("adahessian", learning_rate=learning_rate, b1=b1, b2=b2, eps=eps, power=power)

    def init(params):
        kept = jax.tree.map(jnp.copy, signs_key)  # a copy, because the state may be donated
        averages = zeros(params), zeros(params)
        return AdahessianState(jnp.zeros((), jnp.int32), kept, *averages, **hypers.init())

    def update(grads, state, params=None, *, value_fn: Any = None):
        need_params("adahessian", params, "it measures the curvature at")
        need_value_fn("adahessian", value_fn)
        check_alike("adahessian", grads, state.mu, "state")
        drawn = jax.random.fold_in(state.key, state.count)
        curvature = hessian_probe(value_fn, params, drawn)

        def rule(h, g, m, v, d):
            m = h.b1 * m + (1 - h.b1) * g
            v = h.b2 * v + (1 - h.b2) * d**2
            size = jnp.sqrt(v * h.debias("b2")) ** h.power
            return -h.learning_rate * (m * h.debias("b1") / (size + h.eps)), m, v

        now = hypers.at(state.count, state)
        updates, mu, nu = each(
            rule, now, grads, state.mu, state.nu, params=curvature, count=state.count
        )
        return updates, AdahessianState(advance(state.count), state.key, mu, nu, **now)

    return Optimizer(init, update)
