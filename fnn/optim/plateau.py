"""`reduce_on_plateau`: a link that shrinks the steps when the loss stops falling."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.checks import check_count
from fnn.optim.base import Optimizer, advance, each
from fnn.optim.hypers import Hyper, HyperLeaf, Hypers


class PlateauState(NamedTuple):
    """What the link remembers of the loss, and its hyperparameters.

    Attributes:
      count: updates done so far.
      scale: what updates are multiplied by.
      best: the lowest mean of a window so far.
      total: the sum of the losses of the window that is not yet full.
      bad: windows since the last that was better.
      resting: windows of the cooldown that are left.
      factor, rtol, atol, min_scale: as given.
    """

    count: jax.Array
    scale: jax.Array
    best: jax.Array
    total: jax.Array
    bad: jax.Array
    resting: jax.Array
    factor: HyperLeaf
    rtol: HyperLeaf
    atol: HyperLeaf
    min_scale: HyperLeaf


def reduce_on_plateau(
    factor: Hyper = 0.1,
    *,
    patience: int = 10,
    cooldown: int = 0,
    window: int = 1,
    rtol: Hyper = 1e-4,
    atol: Hyper = 0.0,
    min_scale: Hyper = 0.0,
) -> Optimizer:
    r"""A link for the end of a `chain`: multiply the scale of the steps by a factor at a plateau.

    .. math::
        \text{better} &: \bar L < (1 - r) L_{best} - a \\
        s &\gets \max(s \, q, s_{min}) \text{ after } p \text{ windows in a row that were not} \\
        u &= s \, g

    Args:
      factor: q in (0, 1), what remains of the scale at each reduction.
      patience: p >= 1, windows without a better mean loss before a reduction.
      cooldown: windows after a reduction in which none is counted, >= 0.
      window: how many updates' losses make one mean. The loss of a batch is noisy: in `fit` take
        the steps of a pass or more, else noise counts as a plateau.
      rtol: r in [0, 1], by which share of the best a loss must be lower to be better.
      atol: a >= 0, by how much it must be lower, in units of the loss.
      min_scale: where reductions end, >= 0.

    `update` takes the loss as `value`, which the training step gives it.

    Where implementations disagree: this reduces at the p-th bad window, as optax; PyTorch at the
    one after it. PyTorch looks at what one hands it at the end of a pass, not at batches.

    Raises:
      ValueError: in update, if it is called without `value`.

    Same as: optax.contrib.reduce_on_plateau

    >>> link, g = reduce_on_plateau(0.5, patience=2), jnp.array(1.0)
    >>> state, seen = link.init(g), []
    >>> for loss in (3.0, 2.0, 2.0, 2.0, 2.0, 2.0):
    ...     updates, state = link.update(g, state, value=loss)
    ...     seen.append(float(updates))
    >>> seen
    [1.0, 1.0, 1.0, 0.5, 0.5, 0.25]
    """
    hypers = Hypers("reduce_on_plateau", factor=factor, rtol=rtol, atol=atol, min_scale=min_scale)
    if isinstance(factor, int | float) and not 0 < factor < 1:
        raise ValueError(f"reduce_on_plateau: factor must be in (0, 1), got {factor}")
    check_count("reduce_on_plateau", "patience", patience)
    check_count("reduce_on_plateau", "cooldown", cooldown, low=0)
    check_count("reduce_on_plateau", "window", window)

    def init(params):
        one, none = jnp.ones(()), jnp.zeros((), jnp.int32)
        return PlateauState(none, one, jnp.inf * one, 0 * one, none, none, **hypers.init())

    def update(grads, state, params=None, *, value=None):
        if value is None:
            raise ValueError(
                "reduce_on_plateau: update was called without value, the loss to watch; call"
                " update(grads, state, params, value=loss)"
            )
        now = hypers.at(state.count, state)
        count = advance(state.count)
        total = state.total + jnp.asarray(value, state.total.dtype)
        mean, full = total / window, count % window == 0
        better = mean < (1 - now["rtol"]) * state.best - now["atol"]
        bad = jnp.where(better | (state.resting > 0), 0, state.bad + 1)
        reduce = bad == patience
        scale = jnp.where(
            reduce, jnp.maximum(state.scale * now["factor"], now["min_scale"]), state.scale
        )
        resting = jnp.where(reduce, cooldown, jnp.maximum(state.resting - 1, 0))

        def at_end(new: Any, old: Any) -> jax.Array:
            return jnp.where(full, new, old).astype(jnp.result_type(old))

        scale = at_end(scale, state.scale)
        (updates,) = each(lambda h, g: (h.scale * g,), {"scale": scale}, grads)
        best = at_end(jnp.where(better, mean, state.best), state.best)
        return updates, PlateauState(
            count,
            scale,
            best,
            at_end(0.0, total),
            at_end(jnp.where(reduce, 0, bad), state.bad),
            at_end(resting, state.resting),
            **now,
        )

    return Optimizer(init, update)
