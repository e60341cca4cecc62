"""Averages of the weights to evaluate with: `ema` and `swa`, around any optimizer."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.checks import check_count
from fnn.optim.base import Optimizer, advance, apply_updates, need_params, one_of, zeros
from fnn.optim.hypers import Hyper, HyperLeaf, Hypers
from fnn.optim.sums import copied, inner_extras


class EmaState(NamedTuple):
    """The running average of the parameters, and the inner optimizer's state.

    Attributes:
      count: updates done so far.
      mean: like params, the average, before its correction.
      weight: the weight of parameters in it; the rest is that of the zeros it began with.
      inner: the inner optimizer's state.
      decay: as given.
    """

    count: jax.Array
    mean: Any
    weight: jax.Array
    inner: Any
    decay: HyperLeaf

    def eval_params(self, params: Any) -> Any:
        """The average, corrected for its start; before the first update, the parameters."""

        def one(p, m):
            seen = self.weight > 0
            return jnp.where(seen, m / jnp.where(seen, self.weight, 1), p).astype(p.dtype)

        return jax.tree.map(one, jax.tree.map(jnp.asarray, params), self.mean)


class SwaState(NamedTuple):
    """The mean of the parameters at chosen steps, and the inner optimizer's state.

    Attributes:
      count: updates done so far.
      taken: how many points the mean has.
      mean: like params.
      inner: the inner optimizer's state.
    """

    count: jax.Array
    taken: jax.Array
    mean: Any
    inner: Any

    def eval_params(self, params: Any) -> Any:
        """The mean; before its first point, the parameters."""

        def one(p, m):
            return jnp.where(self.taken > 0, m, p).astype(p.dtype)

        return jax.tree.map(one, jax.tree.map(jnp.asarray, params), self.mean)


def ema(inner: Any, decay: Hyper = 0.999, *, debias: str = "always") -> Optimizer:
    r"""Keep a running average of the parameters that the inner optimizer walks through.

    .. math::
        a_t = \gamma a_{t-1} + (1 - \gamma) \theta_t, \qquad
        \bar\theta_t = a_t / (1 - \gamma^t)

    The inner optimizer goes its way as if alone. `fnn.optim.eval_params(opt_state, params)` gives
    the average, and `fnn.fit` validates with it and returns it.

    Args:
      inner: any optimizer, ours or optax's.
      decay: gamma in [0, 1), or a schedule; the average reaches back over about 1 / (1 - gamma)
        steps, so it should be a small part of the run. At 0 it is the parameters.
      debias: "always": the average starts at 0 and is corrected for it, as above; "never": it
        starts at the first parameters, which weigh gamma^t.

    Raises:
      ValueError: in update, if it is called without the parameters.

    Where implementations disagree: optax.ema averages what passes through a chain, and not the
    parameters. PyTorch's averaged model starts at the parameters of its first update. Batch
    normalisation's statistics belong to the parameters, not to their average.

    Source: Polyak & Juditsky 1992, https://doi.org/10.1137/0330046 (equal weights); with decay:
      Szegedy et al. 2016, section 8, https://arxiv.org/abs/1512.00567

    >>> from fnn.optim import eval_params, sgd
    >>> optimizer, x = ema(sgd(1.0), 0.5), jnp.array(8.0)
    >>> state = optimizer.init(x)
    >>> for _ in range(2):
    ...     updates, state = optimizer.update(x / 2, state, x)
    ...     x = x + updates
    >>> print(x, round(float(eval_params(state, x)), 4))  # (4 + 2 * 2) / (1 + 2)
    2.0 2.6667
    """
    one_of("ema", "debias", debias, ("always", "never"))
    hypers, pick = Hypers("ema", decay=decay), inner_extras("ema", inner)

    def init(params):
        if debias == "always":
            mean, weight = zeros(params), jnp.zeros(())
        else:
            mean, weight = copied(params), jnp.ones(())
        return EmaState(jnp.zeros((), jnp.int32), mean, weight, inner.init(params), **hypers.init())

    def update(grads, state, params=None, **extra):
        need_params("ema", params, "its average needs")
        now = hypers.at(state.count, state)
        updates, kept = inner.update(grads, state.inner, params, **pick(extra))
        decay = now["decay"]

        def average(m, p):
            gamma = decay.astype(m.dtype)
            return gamma * m + (1 - gamma) * p

        mean = jax.tree.map(average, state.mean, apply_updates(params, updates))
        weight = average(state.weight, 1)
        return updates, EmaState(advance(state.count), mean, weight, kept, **now)

    return Optimizer(init, update)


def swa(inner: Any, *, start: int, every: int = 1) -> Optimizer:
    r"""Average, with equal weights, the parameters at step `start` and every `every` steps on.

    .. math::
        \bar\theta \gets \bar\theta + (\theta_t - \bar\theta) / (n + 1)
        \quad \text{at } t = s, s + k, s + 2k, \dots

    The inner optimizer goes its way as if alone; with a constant or a cyclical learning rate it
    walks about a valley, whose middle is flatter and lower than where it walks.
    `fnn.optim.eval_params(opt_state, params)` gives the mean, and before step `start` the
    parameters.

    Args:
      inner: any optimizer, ours or optax's.
      start: s >= 1, the first step whose outcome is averaged: where training has about converged;
        the paper's budgets begin at three quarters.
      every: k >= 1: an epoch in the paper, or the period of a cyclical rate, at its lowest.

    Raises:
      ValueError: in update, if it is called without the parameters.

    Where implementations disagree: PyTorch leaves the choice of steps to the caller. The paper ends
    by a pass over the data for batch normalisation's statistics, which are not made here.

    Source: Izmailov et al. 2018, algorithm 1, https://arxiv.org/abs/1803.05407

    >>> from fnn.optim import eval_params, sgd
    >>> optimizer, x = swa(sgd(0.5), start=2), jnp.array(8.0)
    >>> state = optimizer.init(x)
    >>> for _ in range(3):
    ...     updates, state = optimizer.update(x, state, x)
    ...     x = x + updates
    >>> print(x, eval_params(state, x))  # (2 + 1) / 2
    1.0 1.5
    """
    check_count("swa", "start", start)
    check_count("swa", "every", every)
    pick = inner_extras("swa", inner)

    def init(params):
        none = jnp.zeros((), jnp.int32)
        return SwaState(none, none, zeros(params), inner.init(params))

    def update(grads, state, params=None, **extra):
        need_params("swa", params, "its average needs")
        updates, kept = inner.update(grads, state.inner, params, **pick(extra))
        t = advance(state.count)
        take = (t >= start) & ((t - start) % every == 0)

        def average(m, p):
            return jnp.where(take, m + (p - m) / (state.taken + 1).astype(m.dtype), m)

        mean = jax.tree.map(average, state.mean, apply_updates(params, updates))
        return updates, SwaState(t, state.taken + take, mean, kept)

    return Optimizer(init, update)
