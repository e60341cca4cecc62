"""Adafactor: Adam's second moment, of a matrix remembered by its rows' and columns' means."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn.optim.base import Optimizer, advance, need_params, one_of, zeros
from fnn.optim.blocks import each_block
from fnn.optim.hypers import Hyper, HyperLeaf, Hypers


class Factored(NamedTuple):
    """The running means of squares over the longest axis and over the next, which stay as 1."""

    row: jax.Array
    col: jax.Array

    @property
    def shape(self) -> tuple[int, ...]:
        """The leaf's."""
        return np.broadcast_shapes(self.row.shape, self.col.shape)


class Whole(NamedTuple):
    """The running average `nu` of squares, of a leaf that is not factored."""

    nu: jax.Array

    @property
    def shape(self) -> tuple[int, ...]:
        """The leaf's."""
        return self.nu.shape


class AdafactorState(NamedTuple):
    """The second moments and the hyperparameters.

    Attributes:
      count: updates done so far.
      moments: like params, with a `Factored` or a `Whole` in place of each leaf.
      learning_rate: of the latest update. power, max_rms, eps, min_scale: as given.
    """

    count: jax.Array
    moments: Any
    learning_rate: HyperLeaf
    power: HyperLeaf
    max_rms: HyperLeaf
    eps: HyperLeaf
    min_scale: HyperLeaf


def relative_step(count: jax.Array) -> jax.Array:
    """The paper's learning rate for `adafactor`: min(0.01, 1 / sqrt(t)) at the step t from 1.

    >>> print(relative_step(0), relative_step(39_999))
    0.01 0.005
    """
    return jnp.minimum(1e-2, 1 / jnp.sqrt(1.0 + count))


def adafactor(
    learning_rate: Hyper = relative_step,
    *,
    power: Hyper = 0.8,
    max_rms: Hyper = 1.0,
    eps: Hyper = 1e-30,
    min_scale: Hyper = 1e-3,
    scaling: str = "relative",
    factor_from: int = 128,
) -> Optimizer:
    r"""Divide by the root of the average square, which a matrix keeps for rows and columns alone.

    .. math::
        \beta_t &= 1 - t^{-c} \\
        R_t &= \beta_t R_{t-1} + (1 - \beta_t) \operatorname{mean}_{col}(g_t^2 + \epsilon_1) \\
        C_t &= \beta_t C_{t-1} + (1 - \beta_t) \operatorname{mean}_{row}(g_t^2 + \epsilon_1) \\
        U_t &= g_t \, / \, \sqrt{R_t C_t / \operatorname{mean}(R_t)} \\
        u_t &= -\rho_t \max(\epsilon_2, \operatorname{rms}(\theta)) \,
               U_t \, / \max(1, \operatorname{rms}(U_t) / d)

    The product of rows and columns is exact where squares are of rank one. A matrix of m by n keeps
    m + n numbers; other leaves keep the average of each square. There is no momentum: put a `trace`
    behind it.

    Args:
      learning_rate: rho, the step relative to the size of the leaf; >= 0, or a schedule.
      power: c > 0: how fast the memory of squares lengthens; at 1 it is their plain mean.
      max_rms: d, the largest root mean square of a leaf's U; smaller holds back more surprises.
      eps: epsilon_1, added to each square.
      min_scale: epsilon_2, the least size that a leaf counts as; above 0 a leaf of zeros can move.
      scaling: "relative" to the leaf's root mean square, or "absolute" steps without that factor.
      factor_from: leaves are factored, along their two longest axes, if both have this length.

    Raises:
      ValueError: in update, if it is called without the parameters.

    Where implementations disagree: the paper and PyTorch factor every matrix, optax from 128 on, as
    here. Optax steps by rho = 1 if none is given; the paper's min(0.01, 1 / sqrt(t)) is
    `relative_step`, the default here.

    Source: Shazeer & Stern 2018, algorithms 4 and 5, https://arxiv.org/abs/1804.04235
    Same as: optax.adafactor, whose decay is rounded to float32

    >>> optimizer, w = adafactor(0.1, scaling="absolute", factor_from=2), jnp.zeros((2, 3))
    >>> g = jnp.array([[1.0], [-5.0]]) * jnp.array([1.0, 10.0, 100.0])  # squares of rank one
    >>> updates, state = optimizer.update(g, optimizer.init(w), w)
    >>> print(jnp.round(10 * updates), state.moments.row.size + state.moments.col.size)
    [[-1. -1. -1.]
     [ 1.  1.  1.]] 5
    """
    one_of("adafactor", "scaling", scaling, ("relative", "absolute"))
    hypers = Hypers(
        "adafactor",
        learning_rate=learning_rate,
        power=power,
        max_rms=max_rms,
        eps=eps,
        min_scale=min_scale,
    )

    def init(params):
        moments = jax.tree.map(lambda nu: _moment(nu, factor_from), zeros(params))
        return AdafactorState(jnp.zeros((), jnp.int32), moments, **hypers.init())

    def update(grads, state, params=None):
        def rule(h, g, old, p):
            decay = 1 - h.t**-h.power
            fresh = _moment(g**2 + h.eps, factor_from)
            new = jax.tree.map(lambda o, f: decay * o + (1 - decay) * f, old, fresh)
            scaled = g * _inverse_root(new)
            size = jnp.maximum(_rms(p), h.min_scale) if scaling == "relative" else 1
            clip = jnp.maximum(1, _rms(scaled) / h.max_rms)
            return -(h.learning_rate * size / clip) * scaled, new

        need_params("adafactor", params, "it measures its step by")
        now = hypers.at(state.count, state)
        updates, moments = each_block(
            rule,
            now,
            grads,
            state.moments,
            (Factored, Whole),
            params=params,
            count=state.count,
        )
        return updates, AdafactorState(advance(state.count), moments, **now)

    return Optimizer(init, update)


def _moment(nu: jax.Array, factor_from: int) -> Factored | Whole:
    """The squares by the means over their two longest axes, or as they are if those are short."""
    if nu.ndim < 2:
        return Whole(nu)
    second, longest = _longest_axes(nu.shape)
    if nu.shape[second] < factor_from:
        return Whole(nu)
    return Factored(
        jnp.mean(nu, axis=longest, keepdims=True), jnp.mean(nu, axis=second, keepdims=True)
    )


def _longest_axes(shape: tuple[int, ...]) -> tuple[int, int]:
    second, longest = np.argsort(shape)[-2:]
    return int(second), int(longest)


def _inverse_root(moment: Factored | Whole) -> jax.Array:
    """One over the root of the second moment, in factors that do not underflow."""
    if isinstance(moment, Whole):
        return jax.lax.rsqrt(moment.nu)
    row, col = moment
    second, _ = _longest_axes(moment.shape)
    return jax.lax.rsqrt(row / jnp.mean(row, axis=second, keepdims=True)) * jax.lax.rsqrt(col)


def _rms(x: jax.Array) -> jax.Array:
    return jnp.sqrt(jnp.mean(x**2))
