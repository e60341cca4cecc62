"""Links for `chain`: clipping, weight decay, noise, scaling."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.checks import check_given_key
from fnn.optim.base import Optimizer, advance, each, kept_by, need_params
from fnn.optim.hypers import Hyper, HyperLeaf, Hypers, Schedule
from fnn.trees import norm


class ClipState(NamedTuple):
    """`count`: updates done so far. `max_value`: the bound."""

    count: jax.Array
    max_value: HyperLeaf


class ClipNormState(NamedTuple):
    """`count`: updates done so far. `max_norm`: the bound."""

    count: jax.Array
    max_norm: HyperLeaf


class DecayState(NamedTuple):
    """`count`: updates done so far. `weight_decay`: the share of the parameters that is added."""

    count: jax.Array
    weight_decay: HyperLeaf


class NoiseState(NamedTuple):
    """`count`: updates done so far. `key`: of all the noise. `eta`, `gamma`: as given."""

    count: jax.Array
    key: jax.Array
    eta: HyperLeaf
    gamma: HyperLeaf


class ScaleState(NamedTuple):
    """`count`: updates done so far. `factor`: of the latest update."""

    count: jax.Array
    factor: HyperLeaf


def identity() -> Optimizer:
    """Pass the gradient on as it is.

    Same as: optax.identity

    >>> print(identity().update(jnp.array(3.0), identity().init(jnp.array(0.0)))[0])
    3.0
    """
    return Optimizer(lambda params: (), lambda grads, state, params=None: (grads, state))


def scale(factor: Hyper) -> Optimizer:
    """Multiply the gradient by a factor; a negative one turns ascent into descent.

    Args:
      factor: a finite number or a schedule.

    Same as: optax.scale

    >>> link = scale(-0.5)
    >>> print(link.update(jnp.array(3.0), link.init(jnp.array(0.0)))[0])
    -1.5
    """
    hypers = Hypers("scale", factor=factor)

    def init(params):
        return ScaleState(jnp.zeros((), jnp.int32), **hypers.init())

    def update(grads, state, params=None):
        now = hypers.at(state.count, state)
        (updates,) = each(lambda h, g: (h.factor * g,), now, grads)
        return updates, ScaleState(advance(state.count), **now)

    return Optimizer(init, update)


def scale_by_schedule(schedule: Schedule) -> Optimizer:
    """Multiply the gradient by `schedule(count)`, count being the updates done before.

    Same as: optax.scale_by_schedule

    >>> link = scale_by_schedule(lambda count: 1.0 / (1 + count))
    >>> _, state = link.update(jnp.array(3.0), link.init(jnp.array(0.0)))
    >>> print(link.update(jnp.array(3.0), state)[0])
    1.5
    """
    if not callable(schedule):
        raise TypeError(
            f"scale_by_schedule: schedule must be a function of the step, got {schedule!r};"
            " for a number use scale"
        )
    return scale(schedule)


def clip(max_value: Hyper) -> Optimizer:
    r"""Hold each number of the gradient between -max_value and max_value.

    .. math:: u = \min(\max(g, -c), c)

    Args:
      max_value: c >= 0, in units of the gradient, or a schedule.

    Same as: optax.clip

    >>> link = clip(1.0)
    >>> print(link.update(jnp.array([-9.0, 0.5]), link.init(jnp.zeros(2)))[0])
    [-1.   0.5]
    """
    hypers = Hypers("clip", max_value=max_value)

    def init(params):
        return ClipState(jnp.zeros((), jnp.int32), **hypers.init())

    def update(grads, state, params=None):
        now = hypers.at(state.count, state)
        (updates,) = each(lambda h, g: (jnp.clip(g, -h.max_value, h.max_value),), now, grads)
        return updates, ClipState(advance(state.count), **now)

    return Optimizer(init, update)


def clip_by_norm(max_norm: Hyper) -> Optimizer:
    r"""Shorten each leaf of the gradient, by itself, to a norm of at most max_norm.

    .. math:: u = g \cdot \min(1, c / \lVert g \rVert)

    Args:
      max_norm: c >= 0, in units of the gradient, or a schedule.

    Source: Pascanu et al. 2013, algorithm 1, https://arxiv.org/abs/1211.5063

    >>> link, grads = clip_by_norm(1.0), {"a": jnp.array([3.0, 4.0]), "b": jnp.array(0.5)}
    >>> print(link.update(grads, link.init(grads))[0])
    {'a': Array([0.6, 0.8], dtype=float32), 'b': Array(0.5, dtype=float32)}
    """
    hypers = Hypers("clip_by_norm", max_norm=max_norm)

    def init(params):
        return ClipNormState(jnp.zeros((), jnp.int32), **hypers.init())

    def update(grads, state, params=None):
        def rule(h, g):
            return (g * _shortening(norm(g).astype(g.dtype), h.max_norm),)

        now = hypers.at(state.count, state)
        (updates,) = each(rule, now, grads)
        return updates, ClipNormState(advance(state.count), **now)

    return Optimizer(init, update)


def clip_by_global_norm(max_norm: Hyper) -> Optimizer:
    r"""Shorten the whole gradient to a norm of at most max_norm; its direction stays.

    .. math:: u = g \cdot \min(1, c / \lVert g \rVert), \quad
        \lVert g \rVert^2 = \textstyle\sum_{leaves} \lVert g_{leaf} \rVert^2

    Args:
      max_norm: c >= 0, in units of the gradient, or a schedule.

    Source: Pascanu et al. 2013, algorithm 1, https://arxiv.org/abs/1211.5063
    Same as: optax.clip_by_global_norm

    >>> link, grads = clip_by_global_norm(1.0), {"a": jnp.array([3.0]), "b": jnp.array(4.0)}
    >>> print(link.update(grads, link.init(grads))[0])
    {'a': Array([0.6], dtype=float32), 'b': Array(0.8, dtype=float32)}
    """
    hypers = Hypers("clip_by_global_norm", max_norm=max_norm)

    def init(params):
        return ClipNormState(jnp.zeros((), jnp.int32), **hypers.init())

    def update(grads, state, params=None):
        now = hypers.at(state.count, state)
        shortening = _shortening(norm(grads), now["max_norm"])
        (updates,) = each(lambda h, g: (g * h.shortening,), {"shortening": shortening}, grads)
        return updates, ClipNormState(advance(state.count), **now)

    return Optimizer(init, update)


def _shortening(size: jax.Array, max_norm: jax.Array) -> jax.Array:
    return jnp.where(size > max_norm, max_norm / size, 1)  # so that 0 and NaN pass as they are


def add_decayed_weights(weight_decay: Hyper = 1e-4, *, mask: Any = None) -> Optimizer:
    r"""Add a share of the parameters to the gradient: the gradient of an L2 penalty.

    .. math:: u = g + \lambda \theta

    Before an optimizer in a `chain` this is a penalty of lambda/2 times the squared norm of the
    parameters. An optimizer that adapts its steps adapts to the penalty too; for decay that it does
    not see, `adamw` and `lion` have their own.

    Args:
      weight_decay: lambda >= 0, or a schedule.
      mask: which parameters decay: a tree of bools like the parameters or like their upper levels,
        a function from the parameters to one, or a shell pattern of paths such as "*/w".

    Raises:
      ValueError: in update, if it is called without the parameters.

    Same as: optax.add_decayed_weights

    >>> link, params = add_decayed_weights(0.1, mask="w"), {"b": jnp.ones(1), "w": jnp.ones(1)}
    >>> print(link.update({"b": jnp.zeros(1), "w": jnp.zeros(1)}, link.init(params), params)[0])
    {'b': Array([0.], dtype=float32), 'w': Array([0.1], dtype=float32)}
    """
    hypers = Hypers("add_decayed_weights", weight_decay=weight_decay)

    def init(params):
        return DecayState(jnp.zeros((), jnp.int32), **hypers.init())

    def update(grads, state, params=None):
        need_params("add_decayed_weights", params)
        now = hypers.at(state.count, state)
        decayed = kept_by(mask, params, "add_decayed_weights")
        (updates,) = each(lambda h, g, p: (g + h.weight_decay * p,), now, grads, params=decayed)
        return updates, DecayState(advance(state.count), **now)

    return Optimizer(init, update)


def add_noise(eta: Hyper = 0.01, *, gamma: Hyper = 0.55, key: jax.Array) -> Optimizer:
    r"""Add normal noise to the gradient, less and less of it.

    .. math:: u_t = g_t + \mathcal{N}(0, \sigma_t^2), \quad \sigma_t^2 = \eta / (1 + t)^\gamma

    Args:
      eta: variance of the first step's noise, in units of the gradient squared; >= 0. The paper
        chose among 0.01, 0.3 and 1.0.
      gamma: how fast the variance falls; 0 keeps it.
      key: of all the noise; step t draws from `fold_in(key, t)`, so a run can be taken up anywhere.

    Source: Neelakantan et al. 2015, equation 1, https://arxiv.org/abs/1511.06807
    Same as: optax.add_noise, with other draws

    >>> link, g = add_noise(1.0, key=jax.random.key(0)), jnp.zeros(10_000)
    >>> noise, _ = link.update(g, link.init(g))
    >>> print(round(float(noise.std()), 1))
    1.0
    """
    hypers = Hypers("add_noise", eta=eta, gamma=gamma)
    check_given_key(key, "add_noise")

    def init(params):
        # a copy, because the state may be donated
        return NoiseState(jnp.zeros((), jnp.int32), jax.tree.map(jnp.copy, key), **hypers.init())

    def update(grads, state, params=None):
        now = hypers.at(state.count, state)
        structure = jax.tree.structure(grads)
        keys = jax.random.split(jax.random.fold_in(state.key, state.count), structure.num_leaves)
        noise = [
            jax.random.normal(k, jnp.shape(g), jnp.promote_types(jnp.result_type(g), jnp.float32))
            for k, g in zip(keys, jax.tree.leaves(grads), strict=True)
        ]

        def rule(h, g, n):
            return g + jnp.sqrt(h.eta / h.t**h.gamma) * n, n

        updates, _ = each(rule, now, grads, structure.unflatten(noise), count=state.count)
        return updates, NoiseState(advance(state.count), state.key, **now)

    return Optimizer(init, update)
