"""`chain`: several transformations of the gradient, one after another, as one optimizer."""

from typing import Any

from fnn.optim.base import Optimizer, check_optimizer, extras_of


def chain(*links: Any) -> Optimizer:
    """Feed what each link passes on into the next; the last one's output is the update.

    Links may be ours or optax's, chains among them. The state is the tuple of the links' states.
    Extra arguments of `update`, such as `value=loss`, go to those links alone that take them.

    Args:
      *links: optimizers or transformations, in the order in which the gradient meets them.

    Raises:
      TypeError: if a link is no optimizer. ValueError, in update: if the state is not the chain's.

    Same as: optax.chain

    >>> import jax.numpy as jnp
    >>> from fnn.optim import clip, sgd
    >>> optimizer = chain(clip(1.0), sgd(0.5))
    >>> updates, _ = optimizer.update(jnp.array([8.0, 0.2]), optimizer.init(jnp.zeros(2)))
    >>> print(updates)
    [-0.5 -0.1]
    """
    for i, link in enumerate(links):
        check_optimizer(f"chain: link {i} must have init and update", link)
    picks = [extras_of(link.update) for link in links]

    def init(params):
        return tuple(link.init(params) for link in links)

    def update(grads, state, params=None, **extra):
        if not isinstance(state, tuple) or len(state) != len(links):
            got = f"{len(state)} of them" if isinstance(state, tuple) else type(state).__name__
            raise ValueError(
                f"chain: state must be a tuple of {len(links)} states, one for each link,"
                f" got {got}; pass what this chain's init returned"
            )
        new = []
        for link, pick, old in zip(links, picks, state, strict=True):
            grads, kept = link.update(grads, old, params, **pick(extra))
            new.append(kept)
        return grads, tuple(new)

    return Optimizer(init, update)
