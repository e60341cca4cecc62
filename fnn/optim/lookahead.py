"""Lookahead: fast weights explore, slow weights follow a part of the way."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.checks import check_count
from fnn.optim.base import Optimizer, advance, need_params
from fnn.optim.hypers import Hyper, HyperLeaf, Hypers
from fnn.optim.sums import copied, inner_extras


class LookaheadState(NamedTuple):
    """The slow weights, and the inner optimizer's state.

    Attributes:
      count: updates done so far.
      slow: like params, phi.
      inner: the inner optimizer's state.
      alpha: as given.
    """

    count: jax.Array
    slow: Any
    inner: Any
    alpha: HyperLeaf

    def eval_params(self, params: Any) -> Any:
        """The slow weights."""
        return jax.tree.map(lambda p, s: s.astype(jnp.result_type(p)), params, self.slow)


def lookahead(inner: Any, *, k: int = 5, alpha: Hyper = 0.5) -> Optimizer:
    r"""Every k steps, move slow weights towards the fast ones, and put these back to the slow.

    .. math::
        \theta_t &= \theta_{t-1} + u_t \quad \text{by the inner optimizer} \\
        \phi &\gets \phi + \alpha (\theta_t - \phi), \quad \theta_t \gets \phi
        \quad \text{at } t = k, 2k, \dots

    The parameters in training are the fast weights theta; the slow ones, phi, are what
    `fnn.optim.eval_params(opt_state, params)` gives and `fnn.fit` validates with.

    Args:
      inner: any optimizer, ours or optax's; its state is kept through the resets.
      k: >= 1, fast steps for one slow step; 5 to 10.
      alpha: in [0, 1], how far the slow weights go; less is calmer. At 1 this is the inner
        optimizer.

    Raises:
      ValueError: in update, if it is called without the parameters.

    Where implementations disagree: optax.lookahead trains `LookaheadParams(fast, slow)`, a pair in
    place of the parameters, so a loss must be told to take `.fast`; here the slow weights are in
    the state and the parameters stay what the network takes. The fast path is the same. The paper
    also tries to reset or to average the momentum at a slow step; here as there it is kept.

    Source: Zhang et al. 2019, algorithm 1, https://arxiv.org/abs/1907.08610
    Same as: optax.lookahead(inner, sync_period=k, slow_step_size=alpha)

    >>> from fnn.optim import sgd
    >>> optimizer, x = lookahead(sgd(1.0), k=2), jnp.array(8.0)
    >>> state, seen = optimizer.init(x), []
    >>> for _ in range(4):
    ...     updates, state = optimizer.update(jnp.array(1.0), state, x)
    ...     x = x + updates
    ...     seen.append(float(x))
    >>> seen
    [7.0, 7.0, 6.0, 6.0]
    """
    check_count("lookahead", "k", k)
    hypers, pick = Hypers("lookahead", alpha=alpha), inner_extras("lookahead", inner)
    if isinstance(alpha, int | float) and not 0 <= alpha <= 1:
        raise ValueError(f"lookahead: alpha must be in [0, 1], got {alpha}")

    def init(params):
        none = jnp.zeros((), jnp.int32)
        return LookaheadState(none, copied(params), inner.init(params), **hypers.init())

    def update(grads, state, params=None, **extra):
        need_params("lookahead", params, "its slow weights need")
        now, t = hypers.at(state.count, state), advance(state.count)
        updates, kept = inner.update(grads, state.inner, params, **pick(extra))
        back = jnp.where(t % k == 0, 1 - now["alpha"], 0)
        forth = jnp.where(t % k == 0, now["alpha"], 0)

        def ahead(u, p, s):
            return (p + u).astype(s.dtype) - s

        far = jax.tree.map(ahead, updates, params, state.slow)
        updates = jax.tree.map(
            lambda u, d: (u - back.astype(d.dtype) * d).astype(jnp.result_type(u)), updates, far
        )
        slow = jax.tree.map(lambda s, d: s + forth.astype(d.dtype) * d, state.slow, far)
        return updates, LookaheadState(t, slow, kept, **now)

    return Optimizer(init, update)
