"""Differentially private training: each example's gradient clipped, and noise on their sum."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.checks import check_count, check_given_key
from fnn.optim.base import Optimizer, advance, each
from fnn.optim.hypers import Hyper, HyperLeaf, Hypers
from fnn.trees import norm, wide


class PrivateState(NamedTuple):
    """`count`: updates done so far. `key`: of all the noise. The others: as given."""

    count: jax.Array
    key: jax.Array
    max_norm: HyperLeaf
    noise_multiplier: HyperLeaf


def private(
    max_norm: Hyper,
    noise_multiplier: Hyper,
    *,
    key: jax.Array,
    chunk: int | None = 32,
) -> Optimizer:
    r"""The first link of a `chain`: clip each example's gradient, sum, add noise, take the mean.

    .. math::
        \bar g_i &= g_i / \max(1, \lVert g_i \rVert / C) \\
        u &= \frac{1}{B} \Big( \sum_{i=1}^{B} \bar g_i + \mathcal{N}(0, \sigma^2 C^2) \Big)

    No example can move the mean by more than C / B, and the noise hides what it moves.
    `fnn.fit` with `chain(private(...), sgd(rate))` is DP-SGD: this link asks the `value_fn` of the
    training step for the examples' gradients, and the mean gradient that comes in is not used
    (compiled, it is not computed). In a loop of your own, give `update` gradients with a first axis
    that counts the examples, as `jax.vmap(jax.grad(...))` makes them.

    Args:
      max_norm: C > 0, in units of the gradient; near the median of the examples' norms is usual.
        Less clips more of the signal, more needs more noise.
      noise_multiplier: sigma >= 0, the noise's deviation over C. 1.1 is usual; 0 is no privacy.
      key: of all the noise; step t draws from `fold_in(key, t)`. Whoever has it can take the noise
        off again.
      chunk: how many examples' gradients the training step holds in memory at once to take their
        norms; None for all of the batch. On a CPU a few tens are faster than all, too.

    The whole step must be private: a batch norm, which mixes examples, is refused, and the loss and
    norms that training reports are not noised. A penalty counts to each example's gradient; to
    leave it out of the clipping use `add_decayed_weights` after this link. In a group of
    `partition` the norms are those of the group. What privacy it amounts to, `privacy_spent` says.

    Raises:
      ValueError: in update, if it comes after another link, or is given a mean gradient.

    Source: Abadi et al. 2016, algorithm 1, https://arxiv.org/abs/1607.00133
    Same as: optax.contrib.differentially_private_aggregate, with other draws

    >>> link, params = private(1.0, 0.0, key=jax.random.key(0)), jnp.zeros(2)
    >>> of_examples = jnp.array([[3.0, 4.0], [0.0, 0.5]])
    >>> print(link.update(of_examples, link.init(params), params)[0])  # ([.6, .8] + [0, .5]) / 2
    [0.3  0.65]
    """
    hypers = Hypers("private", max_norm=max_norm, noise_multiplier=noise_multiplier)
    check_given_key(key, "private")
    if chunk is not None:
        check_count("private", "chunk", chunk)

    def init(params):
        # a copy, because the state may be donated
        return PrivateState(jnp.zeros((), jnp.int32), jax.tree.map(jnp.copy, key), **hypers.init())

    def update(grads, state, params=None, *, grad=None, value_fn=None):
        now = hypers.at(state.count, state)

        def shortening(example):
            size = norm(example)
            return jnp.where(size > now["max_norm"], now["max_norm"] / size, 1)

        weighed_sum = getattr(value_fn, "weighed_sum", None)
        if weighed_sum is not None:
            _check_first(grads, grad)
            total, n = weighed_sum(shortening, params, chunk=chunk)
        else:
            n = _examples(grads, params)
            shares = jax.vmap(shortening)(grads)
            total = jax.tree.map(lambda g: jnp.tensordot(shares.astype(wide(g.dtype)), g, 1), grads)
        leaves, structure = jax.tree.flatten(total)
        keys = jax.random.split(jax.random.fold_in(state.key, state.count), len(leaves))
        noise = [
            jax.random.normal(k, s.shape, wide(s.dtype)) for k, s in zip(keys, leaves, strict=True)
        ]

        def rule(h, s, z):
            return (s + h.noise_multiplier * h.max_norm * z) / n, z

        updates, _ = each(rule, now, total, structure.unflatten(noise))
        updates = jax.tree.map(lambda u, g: u.astype(g.dtype), updates, grads)
        return updates, PrivateState(advance(state.count), state.key, **now)

    return Optimizer(init, update)


def _check_first(grads: Any, grad: Any) -> None:
    """Raise a `ValueError` if another link has changed the gradient that private would discard."""
    before, here = jax.tree.leaves(grad), jax.tree.leaves(grads)
    if grad is not None and any(a is not b for a, b in zip(before, here, strict=True)):
        raise ValueError(
            "private: it takes the examples' gradients, so what a link before it did would be lost;"
            " put private first in the chain"
        )


def _examples(grads: Any, params: Any) -> int:
    """How many examples' gradients these are, or an error if they are none."""
    shapes = [jnp.shape(g) for g in jax.tree.leaves(grads)]
    own = shapes if params is None else [(None, *jnp.shape(p)) for p in jax.tree.leaves(params)]
    fits = [s[1:] for s in shapes] == [o[1:] for o in own] and all(shapes)
    sizes = {s[:1] for s in shapes}
    if not fits or len(sizes) != 1 or (0,) in sizes:
        raise ValueError(
            f"private: grads must have a first axis that counts the examples, before those of the"
            f" params, got shapes {', '.join(map(str, sorted(set(shapes))))}; train with fnn.fit or"
            " make_step, or use jax.vmap(jax.grad(loss), (None, 0))(params, examples)"
        )
    return sizes.pop()[0]


def privacy_spent(
    noise_multiplier: float, *, rate: float, steps: int, delta: float = 1e-5
) -> float:
    r"""The epsilon for which so many private steps are (epsilon, delta)-differentially private.

    .. math::
        \rho(\alpha) &= \frac{1}{\alpha - 1} \log \sum_{k=0}^{\alpha}
            \binom{\alpha}{k} (1 - q)^{\alpha - k} q^k e^{k (k - 1) / 2 \sigma^2} \\
        \epsilon &= \min_\alpha \; T \rho(\alpha) + \log \tfrac{\alpha - 1}{\alpha}
            - \frac{\log \delta + \log \alpha}{\alpha - 1}

    over the whole orders alpha from 2 to 512: Renyi divergences add up over the steps.

    Args:
      noise_multiplier: sigma > 0, as given to `private`.
      rate: q in (0, 1], the batch size over the number of examples.
      steps: T >= 1.
      delta: the chance, in (0, 1), that the bound does not hold; below one over the number of
        examples.

    The bound is for neighbours that differ by one example more or less, and for batches into which
    each example comes by a coin of its own, with chance q, the sum divided by a constant.
    `fnn.data.poisson` draws such batches for a step of your own; with `batch_size=None`, where
    q = 1, `fit` keeps to it as well. With a batch size `fit` cuts shuffled passes into batches of
    that size: for those the same number is what the literature reports, and it is not proven.

    Source: Mironov et al. 2019, section 3.3, https://arxiv.org/abs/1908.10530; from Renyi to
      (epsilon, delta): Balle et al. 2020, theorem 21, https://arxiv.org/abs/1905.09982

    >>> round(privacy_spent(1.1, rate=256 / 60000, steps=14063), 2)
    2.6
    """
    for name, value, low, high in (
        ("noise_multiplier", noise_multiplier, 0, math.inf),
        ("rate", rate, 0, 1),
        ("delta", delta, 0, 1),
    ):
        if not low < value <= high:
            raise ValueError(f"privacy_spent: {name} must be in ({low}, {high}], got {value}")
    check_count("privacy_spent", "steps", steps)

    def epsilon(order):
        renyi = steps * _renyi(order, rate, noise_multiplier)
        return renyi + math.log1p(-1 / order) - math.log(delta * order) / (order - 1)

    return max(0.0, min(epsilon(order) for order in range(2, 513)))


def _renyi(order: int, q: float, sigma: float) -> float:
    """The Renyi divergence of one step of the sampled Gaussian mechanism, of a whole order."""
    if q == 1:
        return order / (2 * sigma**2)
    terms = [
        math.lgamma(order + 1)
        - math.lgamma(k + 1)
        - math.lgamma(order - k + 1)
        + k * math.log(q)
        + (order - k) * math.log1p(-q)
        + k * (k - 1) / (2 * sigma**2)
        for k in range(order + 1)
    ]
    largest = max(terms)
    return (largest + math.log(math.fsum(math.exp(t - largest) for t in terms))) / (order - 1)
