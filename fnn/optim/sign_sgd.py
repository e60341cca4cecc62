"""signSGD and Signum: steps of one size, whatever the gradient's."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.optim.base import Optimizer, advance, check_params, each, zeros
from fnn.optim.hypers import Hyper, HyperLeaf, Hypers


class SignState(NamedTuple):
    """`count`: updates done so far. `learning_rate`: eta of the latest update."""

    count: jax.Array
    learning_rate: HyperLeaf


class SignumState(NamedTuple):
    """The average gradient and the hyperparameters.

    Attributes:
      count: updates done so far.
      mu: like params, the running average of the gradients.
      learning_rate: eta of the latest update. decay: as given.
    """

    count: jax.Array
    mu: Any
    learning_rate: HyperLeaf
    decay: HyperLeaf


def sign_sgd(learning_rate: Hyper = 1e-4) -> Optimizer:
    r"""Step each parameter by one size, against the sign of its gradient.

    .. math:: u_t = -\eta \operatorname{sign}(g_t)

    Workers that send signs send one bit a parameter. Give the sum of their signs for the gradient,
    and the step is that of the majority: with noise that is symmetric about the gradient, a vote of
    many is wrong more and more rarely.

    Args:
      learning_rate: eta, the size of each parameter's step, in its units; >= 0, or a schedule. The
        parameters end no nearer than about eta; let a schedule take it to 0.

    Source: Bernstein et al. 2018, algorithms 1 and 3, https://arxiv.org/abs/1802.04434
    Same as: optax.sign_sgd

    >>> optimizer, g = sign_sgd(0.1), jnp.array([-3.0, 0.0, 1e-9])
    >>> print(optimizer.update(g, optimizer.init(g))[0] + 0)
    [ 0.1  0.  -0.1]
    """
    hypers = Hypers("sign_sgd", learning_rate=learning_rate)

    def init(params):
        check_params(params)
        return SignState(jnp.zeros((), jnp.int32), **hypers.init())

    def update(grads, state, params=None):
        now = hypers.at(state.count, state)
        (updates,) = each(lambda h, g: (-h.learning_rate * jnp.sign(g),), now, grads)
        return updates, SignState(advance(state.count), **now)

    return Optimizer(init, update)


def signum(learning_rate: Hyper = 1e-4, *, decay: Hyper = 0.9) -> Optimizer:
    r"""Step each parameter by one size, against the sign of its average gradient.

    .. math::
        m_t &= \beta m_{t-1} + (1 - \beta) g_t \\
        u_t &= -\eta \operatorname{sign}(m_t)

    Args:
      learning_rate: eta, the size of each parameter's step, in its units; >= 0, or a schedule.
      decay: beta in [0, 1); more takes more gradients of the other sign to turn a step.

    Where implementations disagree: nowhere that shows; the sign of a sum of gradients with the same
    decay, or of an average freed from its bias, is the same. `lion` looks at two averages.

    Source: Bernstein et al. 2018, algorithm 2, https://arxiv.org/abs/1802.04434
    Same as: optax.signum

    >>> optimizer, g = signum(0.1, decay=0.5), jnp.array([3.0])
    >>> _, state = optimizer.update(g, optimizer.init(g))
    >>> print(optimizer.update(-0.1 * g, state)[0])  # one weak gradient does not turn it
    [-0.1]
    """
    hypers = Hypers("signum", learning_rate=learning_rate, decay=decay)

    def init(params):
        return SignumState(jnp.zeros((), jnp.int32), zeros(params), **hypers.init())

    def update(grads, state, params=None):
        def rule(h, g, m):
            m = h.decay * m + (1 - h.decay) * g
            return -h.learning_rate * jnp.sign(m), m

        now = hypers.at(state.count, state)
        updates, mu = each(rule, now, grads, state.mu)
        return updates, SignumState(advance(state.count), mu, **now)

    return Optimizer(init, update)
