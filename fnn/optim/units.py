"""Links that see the units of a layer: `centralize` their gradients, or clip them by their size."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.optim.base import Optimizer, advance, each, need_params, one_of
from fnn.optim.hypers import Hyper, HyperLeaf, Hypers


class AdaptiveClipState(NamedTuple):
    """`count`: updates done so far. `max_ratio`, `eps`: as given."""

    count: jax.Array
    max_ratio: HyperLeaf
    eps: HyperLeaf


def centralize(*, units: str = "last") -> Optimizer:
    r"""Subtract from each unit's gradient its mean, so that the unit's weights keep their sum.

    .. math:: u_{ij} = g_{ij} - \operatorname{mean}_i g_{ij}

    for leaves of two or more axes; vectors, such as biases, pass as they are.

    Args:
      units: which axis counts the units, "last" or "first"; the mean is over all others. Here
        kernels are (inputs, units) and (height, width, inputs, units).

    Where implementations disagree: optax takes the axis first, as in PyTorch's layout, whatever the
    kernels' own is: `centralize(units="first")`.

    Source: Yong et al. 2020, equation 1, https://arxiv.org/abs/2004.01461
    Same as: optax.centralize, for units="first"

    >>> link, g = centralize(), jnp.array([[1.0, 2.0], [3.0, 8.0]])
    >>> print(link.update(g, link.init(g))[0])
    [[-1. -3.]
     [ 1.  3.]]
    """
    one_of("centralize", "units", units, ("last", "first"))

    def rule(h, g):
        if g.ndim < 2:
            return (g,)
        axes = tuple(range(g.ndim - 1)) if units == "last" else tuple(range(1, g.ndim))
        return (g - jnp.mean(g, axes, keepdims=True),)

    def update(grads, state, params=None):
        return each(rule, {}, grads)[0], state

    return Optimizer(lambda params: (), update)


def adaptive_clip(max_ratio: Hyper = 0.01, *, eps: Hyper = 1e-3) -> Optimizer:
    r"""Shorten each unit's gradient to a share of the norm of its weights.

    .. math::
        u_i = g_i \cdot \min\left( 1, \lambda
              \frac{\max(\lVert \theta_i \rVert, \epsilon)}{\lVert g_i \rVert} \right)

    A unit i is what the last axis of a kernel counts; a vector or a number is one unit.

    Args:
      max_ratio: lambda >= 0, the largest norm of a gradient against that of the weights; less is
        stricter, and larger batches want less.
      eps: in units of the parameters, so that weights of 0 can leave it.

    Raises:
      ValueError: in update, if it is called without the parameters.

    Where implementations disagree: the paper leaves the last layer's kernel unclipped; here that is
    `masked(adaptive_clip(), ...)`. Optax keeps one more 10^-6 under the fraction.

    Source: Brock et al. 2021, equation 3, https://arxiv.org/abs/2102.06171
    Same as: optax.adaptive_grad_clip(max_ratio)

    >>> link, w = adaptive_clip(0.5), jnp.array([[3.0, 0.0], [4.0, 2.0]])
    >>> print(link.update(2 * w, link.init(w), w)[0])
    [[1.5 0. ]
     [2.  1. ]]
    """
    hypers = Hypers("adaptive_clip", max_ratio=max_ratio, eps=eps)

    def init(params):
        return AdaptiveClipState(jnp.zeros((), jnp.int32), **hypers.init())

    def update(grads, state, params=None):
        def rule(h, g, p):
            size, allowed = _unit_norm(g), h.max_ratio * jnp.maximum(_unit_norm(p), h.eps)
            return (g * jnp.where(size > allowed, allowed / size, 1),)

        need_params("adaptive_clip", params, "whose norms bound the gradient's")
        now = hypers.at(state.count, state)
        (updates,) = each(rule, now, grads, params=params)
        return updates, AdaptiveClipState(advance(state.count), **now)

    return Optimizer(init, update)


def _unit_norm(a: Any) -> jax.Array:
    axes = tuple(range(a.ndim - 1)) if a.ndim > 1 else None
    return jnp.sqrt(jnp.sum(a**2, axes, keepdims=True))
