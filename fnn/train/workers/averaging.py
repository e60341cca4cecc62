"""Workers that average: their gradients at every step, or their parameters now and then."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from fnn.checks import check_count
from fnn.core import Layer
from fnn.optim.base import Optimizer
from fnn.train.per_example import BatchValue
from fnn.train.step import Loss, TrainState, init
from fnn.train.workers.base import (
    Scheme,
    WorkersState,
    apart,
    copies,
    each_step,
    keys_of,
    mean,
    move,
    parts,
    spread_of,
    told,
)


def synchronous(
    net: Layer, loss: Loss, optimizer: Optimizer, *, workers: int, penalty: Any = None
) -> Scheme:
    r"""Average the workers' gradients at every step: one big batch, cut into parts.

    .. math:: g = \frac{1}{W} \sum_w \nabla J_w(\theta)

    Equal to a step on the batches put together, but for rounding, dropout masks and batch norms,
    which see each worker's part alone; the running averages are the workers' mean.

    Args:
      net: the network.
      loss: one number per example, as in `make_step`.
      optimizer: ours or optax's; the centre's.
      workers: W >= 1.
      penalty: a function of the parameters added to the loss.

    Source: Chen et al. 2016, section 3, https://arxiv.org/abs/1604.00981 (without spare workers)

    >>> import fnn
    >>> scheme = synchronous(fnn.layers.dense(1), fnn.losses.squared_error, fnn.optim.sgd(0.1),
    ...                      workers=4)
    >>> x, y = jnp.ones((4, 8, 3)), jnp.ones((4, 8, 1))
    >>> state, info = scheme.step(scheme.init(jax.random.key(0), x[0]), (x, y))
    >>> int(state.centre.step), int(info.sent)
    (1, 8)
    """
    objective, gradients = parts("synchronous", net, loss, optimizer, workers, penalty)

    def start(key, x):
        return WorkersState(init(net, optimizer, key, x), ())

    def step(state, batch):
        params, net_state, opt_state, key, count = state.centre
        now, keys = keys_of(key, count, workers)
        values, states, grads = jax.vmap(gradients, (None, None, 0, 0))(
            params, net_state, batch, keys
        )
        value, own, grad = mean(values), mean(states), mean(grads)
        together = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), batch)
        value_fn = BatchValue(objective, net_state, together, now)
        moved, opt_state = move(net, optimizer, grad, params, opt_state, value, value_fn)
        centre = TrainState(moved, own, opt_state, key, count + 1)
        return WorkersState(centre, ()), told(value, 0.0, 2 * workers)

    return Scheme(workers, start, step)


def local_sgd(
    net: Layer,
    loss: Loss,
    optimizer: Optimizer,
    *,
    workers: int,
    local_steps: int,
    penalty: Any = None,
) -> Scheme:
    r"""Let every worker take H steps by itself, then go on from the average of their parameters.

    .. math:: \theta_w \gets \theta_w + u_w, \quad
        \text{every } H \text{ steps: } \theta_w \gets \frac{1}{W} \sum_v \theta_v

    One exchange for H steps. With H = 1 and plain gradient descent it is `synchronous`. Each worker
    keeps its own optimizer state; the centre is the average of the latest exchange.

    Args:
      net: the network.
      loss: one number per example.
      optimizer: every worker's.
      workers: W >= 1.
      local_steps: H >= 1, the steps between two averages.
      penalty: a function of the parameters added to the loss.

    Source: Stich 2019, algorithm 1, https://arxiv.org/abs/1805.09767

    >>> import fnn
    >>> scheme = local_sgd(fnn.layers.dense(1), fnn.losses.squared_error, fnn.optim.sgd(0.1),
    ...                    workers=4, local_steps=2)
    >>> x, y = jnp.ones((4, 8, 3)), jnp.ones((4, 8, 1))
    >>> state = scheme.init(jax.random.key(0), x[0])
    >>> for _ in range(3):
    ...     state, info = scheme.step(state, (x, y))
    ...     print(info.sent)
    0
    8
    0
    """
    objective, gradients = parts("local_sgd", net, loss, optimizer, workers, penalty)
    check_count("local_sgd", "local_steps", local_steps)

    def start(key, x):
        return apart(init(net, optimizer, key, x), workers)

    def step(state, batch):
        centre, (own, values) = (
            state.centre,
            each_step(net, objective, gradients, optimizer, state, batch),
        )
        meet = (centre.step + 1) % local_steps == 0

        def averaged(own, centre):
            params, net_state = mean(own.params), mean(own.state)
            own = own._replace(params=copies(params, workers))
            own = own._replace(state=copies(net_state, workers))
            return own, centre._replace(params=params, state=net_state)

        spread = spread_of(own.params)
        own, centre = lax.cond(meet, averaged, lambda *same: same, own, centre)
        centre = centre._replace(step=centre.step + 1)
        return WorkersState(centre, own), told(mean(values), spread, 2 * workers * meet)

    return Scheme(workers, start, step)


def elastic_averaging(
    net: Layer,
    loss: Loss,
    optimizer: Optimizer,
    *,
    workers: int,
    beta: float = 0.9,
    period: int = 1,
    penalty: Any = None,
) -> Scheme:
    r"""Tie every worker to a common centre by a spring, so that they explore and stay together.

    .. math::
        x^i_{t+1} &= x^i_t + u^i_t - \alpha (x^i_t - \tilde x_t) \\
        \tilde x_{t+1} &= (1 - \beta) \tilde x_t + \beta \frac{1}{W} \sum_i x^i_t,
            \qquad \alpha = \beta / W

    with u = -eta g for plain gradient descent, as in the paper.

    Args:
      net: the network.
      loss: one number per example.
      optimizer: every worker's.
      workers: W >= 1.
      beta: how far the centre goes towards the workers' mean at an exchange, in (0, 1]; more ties
        them closer.
      period: steps between two exchanges, >= 1; at the others there is no spring.
      penalty: a function of the parameters added to the loss.

    The network's state at the centre, such as running averages, is the workers' mean.

    Source: Zhang, Choromanska & LeCun 2015, equations 5 and 6, https://arxiv.org/abs/1412.6651; the
      period is that of algorithm 1, here with all workers in step.

    >>> import fnn
    >>> scheme = elastic_averaging(fnn.layers.dense(1), fnn.losses.squared_error,
    ...                            fnn.optim.sgd(0.1), workers=4, period=2)
    >>> x, y = jnp.ones((4, 8, 3)), jnp.ones((4, 8, 1))
    >>> state = scheme.init(jax.random.key(0), x[0])
    >>> for _ in range(3):
    ...     state, info = scheme.step(state, (x, y))
    ...     print(info.sent)
    8
    0
    8
    """
    objective, gradients = parts("elastic_averaging", net, loss, optimizer, workers, penalty)
    check_count("elastic_averaging", "period", period)
    if not 0 < beta <= 1:
        raise ValueError(f"elastic_averaging: beta must be in (0, 1], got {beta}")

    def start(key, x):
        return apart(init(net, optimizer, key, x), workers)

    def step(state, batch):
        centre, before = state.centre, state.own.params
        own, values = each_step(net, objective, gradients, optimizer, state, batch)
        meet = centre.step % period == 0
        now = jnp.where(meet, beta, 0.0)
        pull = jax.tree.map(
            lambda x, c: (now / workers * (x - c)).astype(c.dtype), before, centre.params
        )
        params = jax.tree.map(jnp.subtract, own.params, pull)
        middle = jax.tree.map(lambda c, p: c + p.sum(0), centre.params, pull)
        centre = centre._replace(params=middle, state=mean(own.state), step=centre.step + 1)
        info = told(mean(values), spread_of(params), 2 * workers * meet)
        return WorkersState(centre, own._replace(params=params)), info

    return Scheme(workers, start, step)
