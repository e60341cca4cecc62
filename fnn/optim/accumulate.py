"""`accumulate`: one step for the mean of several gradients; `skip_if_not_finite`: none for NaN."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.checks import check_count
from fnn.optim.base import Optimizer, advance, check_alike, zeros
from fnn.optim.sums import inner_extras
from fnn.trees import all_finite


class AccumulateState(NamedTuple):
    """The gradients that wait for a step, and the inner optimizer's state.

    Attributes:
      count: gradients seen so far.
      mean: like params, of the gradients since the last step.
      value: the mean of their losses.
      inner: the inner optimizer's state.
    """

    count: jax.Array
    mean: Any
    value: jax.Array
    inner: Any


class SkipState(NamedTuple):
    """How many gradients were not finite, and the inner optimizer's state.

    Attributes:
      in_a_row: since the last that was finite.
      total: in all.
      inner: the inner optimizer's state.
    """

    in_a_row: jax.Array
    total: jax.Array
    inner: Any


def accumulate(inner: Any, k: int) -> Optimizer:
    r"""Step once for k gradients, by their mean; in between the updates are 0.

    .. math:: u_t = \operatorname{inner}\left( \tfrac1k \textstyle\sum_{i=t-k+1}^{t} g_i \right)
        \text{ at } t = k, 2k, \dots, \quad \text{else } 0

    For losses that are means over examples, k micro-batches of one size are one batch of k times
    that size, in a k-th of its memory. The inner optimizer, its schedules and its averages see the
    large steps alone.

    Args:
      inner: any optimizer, ours or optax's. Of the extra arguments of `update`, it gets `value` and
        `grad` as means of the k; `value_fn`, which knows one micro-batch only, is not passed on:
        write `sam(accumulate(...))`.
      k: >= 1, gradients for one step.

    Where implementations disagree: `optax.MultiSteps` is a class with a gradient transformation
    inside, may skip gradients, and lets k follow a schedule; by default it averages, as here.
    PyTorch, where calls of backward add up, takes the sum.

    Same as: optax.MultiSteps(inner, k)

    >>> from fnn.optim import sgd
    >>> optimizer, g = accumulate(sgd(1.0), 2), jnp.array(3.0)
    >>> nothing, state = optimizer.update(g, optimizer.init(g))
    >>> print(nothing, optimizer.update(jnp.array(5.0), state)[0])
    0.0 -4.0
    """
    check_count("accumulate", "k", k)
    pick = inner_extras("accumulate", inner)

    def init(params):
        mean, none = zeros(params), jnp.zeros(())
        return AccumulateState(jnp.zeros((), jnp.int32), mean, none, inner.init(params))

    def update(grads, state, params=None, *, value=None, grad=None, value_fn=None, **extra):
        check_alike("accumulate", grads, state.mean, "state")
        i = state.count % k  # gradients that wait

        def average(m, g):
            return (m + (g - m) / (i + 1).astype(m.dtype)).astype(m.dtype)

        mean = jax.tree.map(average, state.mean, grads)
        loss = state.value if value is None else average(state.value, value)

        def step(kept):
            whole = jax.tree.map(lambda m, g: m.astype(jnp.result_type(g)), mean, grads)
            known = {"grad": whole} if grad is not None else {}
            known |= {"value": loss} if value is not None else {}
            updates, kept = inner.update(whole, kept, params, **pick({**extra, **known}))
            return updates, kept, jax.tree.map(jnp.zeros_like, (mean, loss))

        def wait(kept):
            return jax.tree.map(jnp.zeros_like, grads), kept, (mean, loss)

        updates, kept, (mean, loss) = jax.lax.cond(i == k - 1, step, wait, state.inner)
        return updates, AccumulateState(advance(state.count), mean, loss, kept)

    return Optimizer(init, update)


def skip_if_not_finite(inner: Any, *, patience: int = 10) -> Optimizer:
    """Take no step by a gradient with a NaN or an infinity: updates of 0, the state left alone.

    A single bad batch would else stay in the averages for good. After `patience` such gradients in
    a row the next one passes, so that a run that is lost is seen to be.

    Args:
      inner: any optimizer, ours or optax's.
      patience: >= 0, how many gradients in a row are skipped.

    Same as: optax.apply_if_finite(inner, max_consecutive_errors=patience)

    >>> from fnn.optim import sgd
    >>> optimizer, g = skip_if_not_finite(sgd(1.0)), jnp.array([1.0, jnp.nan])
    >>> updates, state = optimizer.update(g, optimizer.init(g))
    >>> print(updates, state.total)
    [0. 0.] 1
    """
    check_count("skip_if_not_finite", "patience", patience, low=0)
    pick = inner_extras("skip_if_not_finite", inner)

    def init(params):
        none = jnp.zeros((), jnp.int32)
        return SkipState(none, none, inner.init(params))

    def update(grads, state, params=None, **extra):
        fine = all_finite(grads)
        in_a_row = jnp.where(fine, 0, advance(state.in_a_row))

        def step(kept):
            return inner.update(grads, kept, params, **pick(extra))

        def skip(kept):
            return jax.tree.map(jnp.zeros_like, grads), kept

        updates, kept = jax.lax.cond(fine | (in_a_row > patience), step, skip, state.inner)
        total = jnp.where(fine, state.total, advance(state.total))
        return updates, SkipState(in_a_row, total, kept)

    return Optimizer(init, update)
