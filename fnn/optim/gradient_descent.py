"""Gradient descent: the plain rule, on all of the data or on a sample of it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from fnn.optim.base import Optimizer, advance, check_params, each
from fnn.optim.hypers import Hyper, HyperLeaf, Hypers


class DescentState(NamedTuple):
    """Plain descent remembers nothing but its hyperparameter.

    Attributes:
      count: updates done so far.
      learning_rate: eta of the latest update.
    """

    count: jax.Array
    learning_rate: HyperLeaf


def gradient_descent(learning_rate: Hyper) -> Optimizer:
    r"""Step against the gradient of the loss over all of the data.

    .. math:: u_t = -\eta \, g_t

    The rule is that of `sgd`, to the last bit. What differs is what the caller differentiates:
    batch gradient descent takes g over the whole data set, so that for a small eta every step
    lowers the loss and on a convex loss the path ends at the minimum.

    Args:
      learning_rate: eta >= 0, in units of parameter per gradient, or a schedule. On a quadratic
        loss it must stay below 2 over the largest curvature.

    Source: Cauchy 1847; Ruder 2016, section 2.1, https://arxiv.org/abs/1609.04747
    Same as: optax.sgd(learning_rate)

    >>> optimizer, x = gradient_descent(0.25), jnp.array(4.0)
    >>> state = optimizer.init(x)
    >>> for _ in range(3):
    ...     updates, state = optimizer.update(2 * x, state)  # the gradient of x^2
    ...     x = x + updates
    >>> print(x)
    0.5
    """
    return _descent("gradient_descent", learning_rate)


def sgd(learning_rate: Hyper) -> Optimizer:
    r"""Step against the gradient of the loss over a batch, which estimates that over the data.

    .. math:: u_t = -\eta \, g_t

    With one example a batch this is stochastic gradient descent in the strict sense, with more it
    is mini-batch descent. The noise of the estimate keeps it from settling unless eta decays: the
    sum of the rates must diverge and the sum of their squares converge.

    Args:
      learning_rate: eta >= 0, in units of parameter per gradient, or a schedule.

    Source: Robbins & Monro 1951, https://doi.org/10.1214/aoms/1177729586
    Same as: optax.sgd(learning_rate)

    >>> optimizer = sgd(0.1)
    >>> updates, _ = optimizer.update(jnp.array([1.0, -2.0]), optimizer.init(jnp.zeros(2)))
    >>> print(updates)
    [-0.1  0.2]
    """
    return _descent("sgd", learning_rate)


def _descent(owner: str, learning_rate: Hyper) -> Optimizer:
    hypers = Hypers(owner, learning_rate=learning_rate)

    def init(params):
        check_params(params)
        return DescentState(jnp.zeros((), jnp.int32), **hypers.init())

    def update(grads, state, params=None):
        def rule(h, g):
            return (-h.learning_rate * g,)

        now = hypers.at(state.count, state)
        (updates,) = each(rule, now, grads)
        return updates, DescentState(advance(state.count), **now)

    return Optimizer(init, update)
