"""Gradients that come late: what asynchronous workers do to each other."""

from typing import Any

import jax
import jax.numpy as jnp

from fnn.checks import check_count
from fnn.core import Layer
from fnn.optim.base import Optimizer
from fnn.train.per_example import BatchValue
from fnn.train.step import Loss, TrainState, init
from fnn.train.workers.base import Scheme, WorkersState, copies, keys_of, move, parts, told
from fnn.trees import norm


def delayed(
    net: Layer, loss: Loss, optimizer: Optimizer, *, delay: int, penalty: Any = None
) -> Scheme:
    r"""Update the parameters by a gradient taken where they were some steps ago.

    .. math:: \theta_{t+1} = \theta_t + u\big(\nabla J_t(\theta_{\max(t - \tau, 0)})\big)

    What W asynchronous workers of equal speed do to each other, as in Downpour SGD: while one
    computes, the W - 1 others have moved the parameters, tau = W - 1. In Hogwild tau varies and a
    worker may read parameters half moved; both are left out here. Each step takes one batch.

    Args:
      net: the network.
      loss: one number per example.
      optimizer: the centre's.
      delay: tau >= 0; 0 is `make_step`. Memory: tau + 1 copies of the parameters.
      penalty: a function of the parameters added to the loss.

    For a quadratic of curvature h, gradient descent with this delay is stable for learning rates
    below 2 / h sin(pi / (4 tau + 2)): for long delays pi / (4 tau) of what it may be without.

    Source: Dean et al. 2012, section 4.1, https://papers.nips.cc/paper/4687; Niu et al. 2011,
      https://arxiv.org/abs/1106.5730; Langford et al. 2009, https://arxiv.org/abs/0911.0491

    >>> import fnn
    >>> scheme = delayed(fnn.layers.dense(1), fnn.losses.squared_error, fnn.optim.sgd(0.1), delay=3)
    >>> x, y = jnp.ones((1, 8, 3)), jnp.ones((1, 8, 1))
    >>> state, info = scheme.step(scheme.init(jax.random.key(0), x[0]), (x, y))
    >>> state.own["w"].shape
    (4, 3, 1)
    """
    objective, gradients = parts("delayed", net, loss, optimizer, 1, penalty)
    check_count("delayed", "delay", delay, low=0)

    def start(key, x):
        centre = init(net, optimizer, key, x)
        return WorkersState(centre, copies(centre.params, delay + 1))

    def step(state, batch):
        params, net_state, opt_state, key, count = state.centre
        ring = jax.tree.map(lambda r, p: r.at[count % (delay + 1)].set(p), state.own, params)
        then = jnp.maximum(count - delay, 0) % (delay + 1)
        old = jax.tree.map(lambda r: r[then], ring)
        batch = jax.tree.map(lambda a: a[0], batch)
        now, _ = keys_of(key, count, 1)
        value, own, grads = gradients(old, net_state, batch, now)
        value_fn = BatchValue(objective, net_state, batch, now)
        moved, opt_state = move(net, optimizer, grads, params, opt_state, value, value_fn)
        centre = TrainState(moved, own, opt_state, key, count + 1)
        lag = norm(jax.tree.map(jnp.subtract, params, old))
        return WorkersState(centre, ring), told(value, lag, 2)

    return Scheme(1, start, step)
