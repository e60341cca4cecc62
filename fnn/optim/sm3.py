"""SM3: Adagrad's sums of squares, remembered by rows and columns instead of one for each number."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.optim.base import Optimizer, advance, zeros
from fnn.optim.blocks import each_block
from fnn.optim.hypers import Hyper, HyperLeaf, Hypers


class Covered(NamedTuple):
    """What one leaf keeps: `mu`, its momentum; and `sums`, for each axis a bound for each slice."""

    mu: jax.Array
    sums: tuple[jax.Array, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The leaf's."""
        return self.mu.shape


class Sm3State(NamedTuple):
    """The slices' sums of squares, the momenta, the hyperparameters.

    Attributes:
      count: updates done so far.
      blocks: like params, with a `Covered` in place of each leaf.
      learning_rate: eta of the latest update. b1, eps: as given.
    """

    count: jax.Array
    blocks: Any
    learning_rate: HyperLeaf
    b1: HyperLeaf
    eps: HyperLeaf


def sm3(learning_rate: Hyper = 0.1, *, b1: Hyper = 0.9, eps: Hyper = 1e-8) -> Optimizer:
    r"""Adagrad with one sum of squares for each row and column; a number takes the lesser.

    .. math::
        \nu_t(i) &= \min_{r \ni i} \mu_{t-1}(r) + g_t(i)^2 \\
        \mu_t(r) &= \max_{i \in r} \nu_t(i) \\
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1) \, g_t / \sqrt{\nu_t + \epsilon} \\
        u_t &= -\eta \, m_t

    with r running over the rows and columns of a matrix, over the slices along each axis of a
    tensor, over the numbers of a vector, where this is Adagrad itself. Where all squares have been
    0 the quotient is 0. A matrix of m by n keeps m + n numbers besides its momentum, and nu is
    never less than Adagrad's sum.

    Args:
      learning_rate: eta, about the size of each parameter's first steps; >= 0, or a schedule.
      b1: decay of the average of the scaled gradients, in [0, 1).
      eps: added inside the root, in units of the gradient squared.

    Where implementations disagree: this is SM3-II, the tighter of the paper's two, with momentum as
    in its experiments and optax's eps, which the paper has not.

    Source: Anil et al. 2019, algorithm SM3-II, https://arxiv.org/abs/1901.11150
    Same as: optax.sm3

    >>> optimizer, w = sm3(1.0, b1=0.0), jnp.zeros((2, 3))
    >>> g = jnp.array([[1.0, 2.0, 3.0], [0.0, 0.0, 4.0]])
    >>> _, state = optimizer.update(g, optimizer.init(w))
    >>> print([axis.ravel().tolist() for axis in state.blocks.sums])
    [[9.0, 16.0], [1.0, 4.0, 16.0]]
    """
    hypers = Hypers("sm3", learning_rate=learning_rate, b1=b1, eps=eps)

    def init(params):
        blocks = jax.tree.map(lambda mu: Covered(mu, _slices(mu)), zeros(params))
        return Sm3State(jnp.zeros((), jnp.int32), blocks, **hypers.init())

    def update(grads, state, params=None):
        def rule(h, g, block):
            nu = functools.reduce(jnp.minimum, block.sums) + g**2
            scaled = jnp.where(nu > 0, g * jax.lax.rsqrt(nu + h.eps), 0)
            mu = h.b1 * block.mu + (1 - h.b1) * scaled
            return -h.learning_rate * mu, Covered(mu, _slices(nu))

        now = hypers.at(state.count, state)
        updates, blocks = each_block(rule, now, grads, state.blocks, (Covered,), count=state.count)
        return updates, Sm3State(advance(state.count), blocks, **now)

    return Optimizer(init, update)


def _slices(nu: jax.Array) -> tuple[jax.Array, ...]:
    """For each axis the maximum over all others, kept as axes of size 1; a number is its own."""
    if nu.ndim < 2:
        return (nu,)
    axes = range(nu.ndim)
    return tuple(
        jnp.max(nu, axis=tuple(a for a in axes if a != axis), keepdims=True) for axis in axes
    )
