"""SOAP: Adam in the eigenbasis of Shampoo's sums."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.checks import check_count
from fnn.optim.base import Optimizer, advance, kept_by, need_params, zeros
from fnn.optim.blocks import each_block
from fnn.optim.hypers import Hyper, HyperLeaf, Hypers


class Rotated(NamedTuple):
    """What one leaf keeps.

    Attributes:
      mu: like the leaf, the running average of the gradients, not rotated.
      nu: like the leaf, the running average of the squares of the rotated gradients.
      averages: for each rotated axis (n, n), the running average of G G^T with the axis in front.
      bases: like `averages`, columns that turned slowly after the eigenvectors of these.
    """

    mu: jax.Array
    nu: jax.Array
    averages: tuple[jax.Array, ...]
    bases: tuple[jax.Array, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The leaf's."""
        return self.mu.shape


class SoapState(NamedTuple):
    """The averages and bases, and the hyperparameters.

    Attributes:
      count: updates done so far.
      blocks: like params, with a `Rotated` in place of each leaf.
      learning_rate: eta of the latest update. b1, b2, eps, weight_decay: as given.
    """

    count: jax.Array
    blocks: Any
    learning_rate: HyperLeaf
    b1: HyperLeaf
    b2: HyperLeaf
    eps: HyperLeaf
    weight_decay: HyperLeaf


def soap(
    learning_rate: Hyper = 3e-3,
    *,
    b1: Hyper = 0.95,
    b2: Hyper = 0.95,
    eps: Hyper = 1e-8,
    weight_decay: Hyper = 0.01,
    mask: Any = None,
    every: int = 10,
    longest: int = 256,
) -> Optimizer:
    r"""Run Adam on gradients turned into the eigenvectors of their rows' and columns' covariances.

    .. math::
        G'_t &= Q_L^T G_t Q_R \\
        M_t &= \beta_1 M_{t-1} + (1 - \beta_1) G_t, \qquad M'_t = Q_L^T M_t Q_R \\
        V_t &= \beta_2 V_{t-1} + (1 - \beta_2) G'_t \odot G'_t \\
        U_t &= -\eta \left( Q_L \frac{M'_t / (1 - \beta_1^t)}
               {\sqrt{V_t / (1 - \beta_2^t)} + \epsilon} Q_R^T + \lambda \theta_{t-1} \right) \\
        L_t &= \beta_2 L_{t-1} + (1 - \beta_2) G_t G_t^T, \qquad
        R_t = \beta_2 R_{t-1} + (1 - \beta_2) G_t^T G_t

    and after each f-th update :math:`Q_L = \operatorname{QR}(L_t Q_L)`, one step of the power
    iteration towards the eigenvectors of L, and Q_R alike. They start as the eigenvectors of the
    first gradient's own squares. Vectors and numbers have no basis: theirs is Adam's step.

    Args:
      learning_rate: eta, about the size of each parameter's step; >= 0, or a schedule.
      b1: decay of the average gradient, in [0, 1).
      b2: decay of the average square and of both covariances, in [0, 1).
      eps: added to the root, in units of the gradient.
      weight_decay: lambda >= 0; a step takes the share eta lambda off each parameter.
      mask: which parameters decay; as in `add_decayed_weights`.
      every: f, updates from one turn of the bases to the next. The paper compares 1 to 100.
      longest: an axis longer than this is not rotated: the paper's one-sided SOAP. Its code has
        10 000; here less, since each step multiplies matrices of this size.

    Raises:
      ValueError: in update, if it is called without the parameters.

    Where implementations disagree: the authors' code takes no step with the first gradient, adds
    eps to a root whose bias is corrected after, and sorts the bases' columns before each turn. This
    is the paper's algorithm with Adam's correction.

    Source: Vyas et al. 2024, algorithms 3 and 4, https://arxiv.org/abs/2409.11321

    >>> optimizer, w = soap(0.1, eps=1e-3, weight_decay=0.0), jnp.zeros((2, 2))
    >>> g = jnp.array([[3.0, 1.0], [1.0, 3.0]])  # rotated, it is 2 and 4; Adam makes both 1
    >>> print(jnp.round(optimizer.update(g, optimizer.init(w), w)[0], 3) + 0)
    [[-0.1  0. ]
     [ 0.  -0.1]]
    """
    check_count("soap", "every", every)
    check_count("soap", "longest", longest)
    hypers = Hypers(
        "soap", learning_rate=learning_rate, b1=b1, b2=b2, eps=eps, weight_decay=weight_decay
    )

    def init(params):
        def block(p):  # each zero an array of its own: the state may be donated
            sizes = [p.shape[axis] for axis in _turned(p, longest)]
            averages, bases = (tuple(jnp.zeros((n, n), p.dtype) for n in sizes) for _ in range(2))
            return Rotated(p, jnp.zeros_like(p), averages, bases)

        blocks = jax.tree.map(block, zeros(params))
        return SoapState(jnp.zeros((), jnp.int32), blocks, **hypers.init())

    def update(grads, state, params=None):
        def rule(h, g, old, p):
            axes, fresh = _turned(g, longest), _squares(g, longest)
            bases = _if(state.count == 0, lambda: _eigenvectors(fresh), old.bases)
            turned = _rotate(g, axes, bases, 0)
            mu = h.b1 * old.mu + (1 - h.b1) * g
            nu = h.b2 * old.nu + (1 - h.b2) * turned**2
            ahead = _rotate(mu * h.debias("b1"), axes, bases, 0)
            step = ahead / (jnp.sqrt(nu * h.debias("b2")) + h.eps)
            u = -h.learning_rate * (_rotate(step, axes, bases, 1) + h.weight_decay * p)
            averages = tuple(
                h.b2 * a + (1 - h.b2) * s for a, s in zip(old.averages, fresh, strict=True)
            )
            due = (state.count + 1) % every == 0
            bases = _if(due, lambda: _power_step(averages, bases), bases)
            return u, Rotated(mu, nu, averages, bases)

        need_params("soap", params)
        now = hypers.at(state.count, state)
        updates, blocks = each_block(
            rule,
            now,
            grads,
            state.blocks,
            (Rotated,),
            params=kept_by(mask, params, "soap"),
            count=state.count,
        )
        return updates, SoapState(advance(state.count), blocks, **now)

    return Optimizer(init, update)


def _turned(g: jax.Array, longest: int) -> list[int]:
    """The axes with a basis: of matrices and tensors, those that are not too long."""
    return [axis for axis, n in enumerate(g.shape) if g.ndim > 1 and n <= longest]


def _squares(g: jax.Array, longest: int) -> tuple[jax.Array, ...]:
    sides = (jnp.moveaxis(g, a, 0).reshape(g.shape[a], -1) for a in _turned(g, longest))
    return tuple(side @ side.T for side in sides)


def _eigenvectors(matrices: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
    return tuple(jnp.linalg.eigh(m)[1] for m in matrices)


def _power_step(matrices: tuple[jax.Array, ...], bases: tuple[jax.Array, ...]):
    return tuple(jnp.linalg.qr(m @ q)[0] for m, q in zip(matrices, bases, strict=True))


def _if(condition: jax.Array, then: Any, otherwise: tuple[jax.Array, ...]):
    return jax.lax.cond(condition, then, lambda: otherwise) if otherwise else ()


def _rotate(x: jax.Array, axes: list[int], bases: tuple[jax.Array, ...], side: int) -> jax.Array:
    """Into the bases (side 0: by Q^T along each axis), or back out of them (side 1: by Q)."""
    for axis, q in zip(axes, bases, strict=True):
        x = jnp.moveaxis(jnp.tensordot(q, x, (side, axis)), 0, axis)
    return x
