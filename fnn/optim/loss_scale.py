"""`dynamic_loss_scale`: gradients that float16 can hold."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.checks import check_count
from fnn.optim.base import Optimizer
from fnn.optim.sums import inner_extras
from fnn.trees import all_finite


class LossScaleState(NamedTuple):
    """The scale, and the inner optimizer's state.

    Attributes:
      loss_scale: what the training step multiplies the loss by, and divides the gradients by.
      good: steps since the scale last changed.
      skipped: steps that overflowed and were not taken, in all.
      inner: the inner optimizer's state.
    """

    loss_scale: jax.Array
    good: jax.Array
    skipped: jax.Array
    inner: Any


def dynamic_loss_scale(
    inner: Any, *, initial_scale: float = 2.0**15, every: int = 2000
) -> Optimizer:
    r"""Multiply the loss by as much as float16's gradients allow; take no step that overflows.

    .. math::
        g &= \tfrac1s \nabla (s J) \\
        s &\gets \begin{cases}
            s / 2, \text{ and no step} & \text{if } g \text{ is not finite} \\
            2 s & \text{after } n \text{ finite gradients in a row}
        \end{cases}

    Gradients below 6e-8 are 0 in float16. `make_step`, and so `fit` and `run`, read the scale of
    this outermost wrapper's state, multiply the loss and divide the gradients, so that the
    optimizer, the loss and norms that are reported are those without a scale. For networks of
    `with_policy(body, Policy(param="float32", compute="float16"))`; bfloat16 has no need of it.

    Args:
      inner: any optimizer, ours or optax's.
      initial_scale: s at first, > 0, a power of 2, so that dividing by it is exact.
      every: n >= 1, finite gradients in a row before s is doubled.

    Where implementations disagree: PyTorch's GradScaler begins at 2^16 and doubles after 2000;
    Micikevicius et al. leave both open.

    Raises:
      ValueError: in update, if the step did not scale the loss, as where this is not outermost.

    Source: Micikevicius et al. 2018, section 3.2, https://arxiv.org/abs/1710.03740

    >>> from fnn.optim import sgd
    >>> optimizer, g = dynamic_loss_scale(sgd(1.0)), jnp.array(jnp.inf)
    >>> state = optimizer.init(g)
    >>> updates, state = optimizer.update(g, state, loss_scale=state.loss_scale)
    >>> print(updates, state.loss_scale, state.skipped)
    0.0 16384.0 1
    """
    check_count("dynamic_loss_scale", "every", every)
    if not isinstance(initial_scale, int | float) or not 0 < initial_scale < float("inf"):
        raise ValueError(
            "dynamic_loss_scale: initial_scale must be a positive finite number, got"
            f" {initial_scale!r}; 2.0**15 is usual"
        )
    pick = inner_extras("dynamic_loss_scale", inner)

    def init(params):
        none = jnp.zeros((), jnp.int32)
        scale = jnp.asarray(initial_scale, jnp.float32)
        return LossScaleState(scale, none, none, inner.init(params))

    def update(grads, state, params=None, *, loss_scale=None, **extra):
        if loss_scale is None:
            raise ValueError(
                "dynamic_loss_scale: the loss was not scaled; make it the outermost optimizer, and"
                " train by make_step, run or fit"
            )
        fine = all_finite(grads)

        def step(kept):
            return inner.update(grads, kept, params, **pick(extra))

        def skip(kept):
            return jax.tree.map(jnp.zeros_like, grads), kept

        updates, kept = jax.lax.cond(fine, step, skip, state.inner)
        good = jnp.where(fine, state.good + 1, 0)
        grown = jnp.where(good >= every, jnp.minimum(2 * state.loss_scale, 2.0**126), loss_scale)
        scale = jnp.where(fine, grown, jnp.maximum(state.loss_scale / 2, 2.0**-126))
        good = jnp.where(good >= every, 0, good)
        return updates, LossScaleState(scale, good, state.skipped + ~fine, kept)

    return Optimizer(init, update)
