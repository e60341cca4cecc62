"""LAMB and LARS: each layer's step is a share of the layer's own size."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.optim.adam import AdamwState
from fnn.optim.base import Optimizer, advance, each, kept_by, need_params, one_of, zeros
from fnn.optim.hypers import Hyper, HyperLeaf, Hypers
from fnn.trees import norm


class LarsState(NamedTuple):
    """LARS's momentum and hyperparameters.

    Attributes:
      count: updates done so far.
      velocity: like params, the momentum; it holds the learning rates of its steps.
      learning_rate: eta of the latest update. decay, trust, weight_decay: as given.
    """

    count: jax.Array
    velocity: Any
    learning_rate: HyperLeaf
    decay: HyperLeaf
    trust: HyperLeaf
    weight_decay: HyperLeaf


def lamb(
    learning_rate: Hyper = 1e-3,
    *,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper = 1e-6,
    eps_root: Hyper = 0.0,
    weight_decay: Hyper = 0.0,
    mask: Any = None,
) -> Optimizer:
    r"""Adam's direction, at each leaf scaled to the size of the leaf's parameters.

    .. math::
        d_t &= \frac{\hat m_t}{\sqrt{\hat v_t} + \epsilon} + \lambda \theta_{t-1} \\
        u_t &= -\eta \, \frac{\lVert \theta_{t-1} \rVert}{\lVert d_t \rVert} \, d_t

    with the bias-corrected moments of `adam`; the fraction is 1 where a norm is 0. Made for batches
    of thousands, where one learning rate cannot suit all layers.

    Args:
      learning_rate: eta, the relative size of each leaf's step; >= 0, or a schedule.
      b1: decay of the average gradient, in [0, 1).
      b2: decay of the average square, in [0, 1).
      eps: added to the root, in units of the gradient.
      eps_root: added inside the root, in units of the gradient squared.
      weight_decay: lambda >= 0, added to the direction before it is scaled.
      mask: which parameters decay; as in `add_decayed_weights`.

    Raises:
      ValueError: in update, if it is called without the parameters.

    Where implementations disagree: the paper lets a function phi bound the parameters' norm; here,
    as in optax, it is the norm itself. Many leave biases and scales unscaled: `partition` does.

    Source: You et al. 2020, algorithm 2, https://arxiv.org/abs/1904.00962
    Same as: optax.lamb

    >>> optimizer, params = lamb(0.1), jnp.array([3.0, 4.0])
    >>> updates, _ = optimizer.update(jnp.array([7.0, 7.0]), optimizer.init(params), params)
    >>> print(round(float(jnp.linalg.norm(updates)), 4))  # a tenth of 5
    0.5
    """
    hypers = Hypers(
        "lamb",
        learning_rate=learning_rate,
        b1=b1,
        b2=b2,
        eps=eps,
        eps_root=eps_root,
        weight_decay=weight_decay,
    )

    def init(params):
        return AdamwState(jnp.zeros((), jnp.int32), zeros(params), zeros(params), **hypers.init())

    def update(grads, state, params=None):
        need_params("lamb", params, "it measures its step by")
        now = hypers.at(state.count, state)
        decayed = kept_by(mask, params, "lamb")

        def rule(h, g, m, v, shrinking, p):
            m = h.b1 * m + (1 - h.b1) * g
            v = h.b2 * v + (1 - h.b2) * g**2
            root = jnp.sqrt(v * h.debias("b2") + h.eps_root)
            d = m * h.debias("b1") / (root + h.eps) + h.weight_decay * shrinking
            return -h.learning_rate * _trust(norm(p), norm(d)) * d, m, v, shrinking

        updates, mu, nu, _ = each(
            rule, now, grads, state.mu, state.nu, decayed, params=params, count=state.count
        )
        return updates, AdamwState(advance(state.count), mu, nu, **now)

    return Optimizer(init, update)


def lars(
    learning_rate: Hyper = 1.0,
    *,
    decay: Hyper = 0.9,
    trust: Hyper = 1e-3,
    weight_decay: Hyper = 0.0,
    mask: Any = None,
    form: str = "paper",
) -> Optimizer:
    r"""Momentum whose gradients are, at each leaf, scaled to the size of the leaf's parameters.

    .. math::
        d_t &= g_t + \lambda \theta_{t-1} \\
        v_t &= \gamma v_{t-1} - \eta \, \tau
              \frac{\lVert \theta_{t-1} \rVert}
                   {\lVert g_t \rVert + \lambda \lVert \theta_{t-1} \rVert} \, d_t, \qquad u_t = v_t

    The factor of eta is 1 where the numerator or the denominator is 0.

    Args:
      learning_rate: eta; >= 0, or a schedule. eta tau is the relative size of a single step.
      decay: gamma, of the momentum, in [0, 1).
      trust: tau, the trust coefficient, >= 0.
      weight_decay: lambda >= 0, an L2 penalty, added before the gradient is scaled.
      mask: which parameters decay; as in `add_decayed_weights`.
      form: "paper", or "optax", which divides by the norm of d in place of the sum of norms.

    Raises:
      ValueError: if `form` is another word; in update, if it is called without the parameters.

    Where implementations disagree: on the denominator, which differs where there is weight decay:
    the sum of norms bounds the norm of d, which the two parts may also cancel.

    Source: You et al. 2017, algorithm 1, https://arxiv.org/abs/1708.03888
    Same as: optax.lars with form="optax"; without weight decay also with the paper's

    >>> optimizer, params = lars(1.0, trust=0.1), jnp.array([3.0, 4.0])
    >>> updates, _ = optimizer.update(jnp.array([0.0, 7.0]), optimizer.init(params), params)
    >>> print(round(float(updates[1]), 4))
    -0.5
    """
    one_of("lars", "form", form, ("paper", "optax"))
    hypers = Hypers(
        "lars", learning_rate=learning_rate, decay=decay, trust=trust, weight_decay=weight_decay
    )

    def init(params):
        return LarsState(jnp.zeros((), jnp.int32), zeros(params), **hypers.init())

    def update(grads, state, params=None):
        need_params("lars", params, "it measures its step by")
        now = hypers.at(state.count, state)
        decayed = kept_by(mask, params, "lars")

        def rule(h, g, v, shrinking, p):
            d = g + h.weight_decay * shrinking
            below = norm(g) + h.weight_decay * norm(shrinking) if form == "paper" else norm(d)
            v = h.decay * v - h.learning_rate * _trust(norm(p), below, h.trust) * d
            return v, v, shrinking

        updates, velocity, _ = each(rule, now, grads, state.velocity, decayed, params=params)
        return updates, LarsState(advance(state.count), velocity, **now)

    return Optimizer(init, update)


def _trust(above: jax.Array, below: jax.Array, trust: Any = 1) -> jax.Array:
    """`trust * above / below`, two norms; 1 if either is 0."""
    either = (above == 0) | (below == 0)
    return jnp.where(either, 1, trust * above / jnp.where(below == 0, 1, below))
