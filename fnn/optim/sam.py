"""Sharpness-aware minimization: the gradient from the worst point nearby."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.optim.base import Optimizer, advance, need_params
from fnn.optim.hypers import Hyper, HyperLeaf, Hypers
from fnn.optim.sums import inner_extras, ratio
from fnn.trees import norm


class SamState(NamedTuple):
    """`count`: updates done so far. `inner`: the inner optimizer's state. `rho`: as given."""

    count: jax.Array
    inner: Any
    rho: HyperLeaf


class AsamState(NamedTuple):
    """As `SamState`; `eta`: as given."""

    count: jax.Array
    inner: Any
    rho: HyperLeaf
    eta: HyperLeaf


def sam(inner: Any, rho: Hyper = 0.05) -> Optimizer:
    r"""Hand the inner optimizer the gradient at the point uphill, at distance rho, not here.

    .. math::
        \hat\epsilon &= \rho \, g / \lVert g \rVert, \quad g = \nabla L(\theta) \\
        \hat g &= \nabla L(\theta + \hat\epsilon)

    So a minimum is worth what the worst point about it is worth, and flat ones win over sharp ones.
    Each step costs two gradients. `update` takes the loss of the batch as a function of the
    parameters, `value_fn`, which the training step gives it.

    Args:
      inner: any optimizer, ours or optax's; it takes the gradient from uphill.
      rho: >= 0, the distance, in units of the parameters; 0.02 to 0.2. At 0 this is the inner
        optimizer.

    Raises:
      ValueError: in update, if it is called without the parameters or without `value_fn`.

    Where implementations disagree: optax.contrib.sam climbs with an optimizer of choice and by
    several steps; this is its opaque mode with normalised gradient ascent. For micro-batches of a
    large batch write `sam(accumulate(...))`: each climbs by itself, as in the paper's m-sharpness.

    Source: Foret et al. 2021, algorithm 1, https://arxiv.org/abs/2010.01412
    Same as: optax.contrib.sam(inner, chain(normalize(), sgd(rho)), opaque_mode=True)

    >>> from fnn.optim import sgd
    >>> optimizer, x = sam(sgd(1.0), rho=0.5), jnp.array(3.0)
    >>> updates, _ = optimizer.update(2 * x, optimizer.init(x), x, value_fn=lambda x: x**2)
    >>> print(updates)  # 2 (3 + 0.5)
    -7.0
    """

    def ascent(now, grads, params):
        scale = ratio(now["rho"], norm(grads))
        return jax.tree.map(lambda g: scale.astype(jnp.result_type(g)) * g, grads)

    return _sharp("sam", inner, ascent, SamState, Hypers("sam", rho=rho))


def asam(inner: Any, rho: Hyper = 0.5, *, eta: Hyper = 0.01) -> Optimizer:
    r"""`sam` in units of each parameter's own size, so that rescaling a layer changes nothing.

    .. math::
        \hat\epsilon = \rho \, T^2 g / \lVert T g \rVert, \quad T = |\theta| + \eta

    Args:
      inner: any optimizer, ours or optax's; it takes the gradient from uphill.
      rho: >= 0, the distance against the parameters' sizes; 0.5 to 2.
      eta: >= 0, added to the sizes, in their units, so that small parameters move too.

    Raises:
      ValueError: in update, if it is called without the parameters or without `value_fn`.

    Where implementations disagree: the authors' code adds eta to the weights' sizes alone, and T
    is 1 for biases on demand; here all parameters are alike.

    Source: Kwon et al. 2021, algorithm 1, https://arxiv.org/abs/2102.11600

    >>> from fnn.optim import sgd
    >>> optimizer, x = asam(sgd(1.0), rho=0.5, eta=0.0), jnp.array(3.0)
    >>> updates, _ = optimizer.update(2 * x, optimizer.init(x), x, value_fn=lambda x: x**2)
    >>> print(updates)  # 2 (3 + 0.5 * 3)
    -9.0
    """

    def ascent(now, grads, params):
        def size(p):
            return jnp.abs(p) + now["eta"].astype(jnp.result_type(p))

        bent = jax.tree.map(lambda g, p: size(p) * g, grads, params)
        scale = ratio(now["rho"], norm(bent))
        return jax.tree.map(lambda b, p: scale.astype(b.dtype) * size(p) * b, bent, params)

    return _sharp("asam", inner, ascent, AsamState, Hypers("asam", rho=rho, eta=eta))


def _sharp(
    owner: str, inner: Any, ascent: Callable[..., Any], state_of: Any, hypers: Hypers
) -> Optimizer:
    pick = inner_extras(owner, inner)

    def init(params):
        return state_of(jnp.zeros((), jnp.int32), inner.init(params), **hypers.init())

    def update(grads, state, params=None, *, value_fn=None, **extra):
        need_params(owner, params, "its ascent needs")
        if value_fn is None:
            raise ValueError(
                f"{owner}: update was called without value_fn, the loss of this batch as a function"
                " of the parameters; call update(grads, state, params, value_fn=loss)"
            )
        now = hypers.at(state.count, state)
        climb = ascent(now, grads, params)
        above = jax.tree.map(lambda p, e: (p + e).astype(jnp.result_type(p)), params, climb)
        uphill = jax.grad(value_fn)(above)
        given = pick({**extra, "value_fn": value_fn, "grad": uphill})
        updates, kept = inner.update(uphill, state.inner, params, **given)
        return updates, state_of(advance(state.count), kept, **now)

    return Optimizer(init, update)
