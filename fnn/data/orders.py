"""Orders: which examples a training step takes, as pure functions of the key and the step.

`fnn.fit` and `train.run` take one as `order=`. Nothing is carried from step to step, so a run that
is taken up in its middle goes on in the order in which it would have gone on.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fnn import random
from fnn.checks import check_count


class Order(Protocol):
    """`order(key, step, n=n, batch_size=batch_size)` -> (batch_size,) integers in [0, n)."""

    def __call__(
        self, key: jax.Array, step: int | jax.Array, *, n: int, batch_size: int
    ) -> jax.Array: ...


def shuffled(key: jax.Array, step: int | jax.Array, *, n: int, batch_size: int) -> jax.Array:
    """Every pass in a fresh random order, each example once a pass: `fnn.random.batch_order`.

    >>> [shuffled(jax.random.key(0), k, n=5, batch_size=2).tolist() for k in range(5)]
    [[0, 2], [1, 3], [4, 3], [1, 4], [2, 0]]
    """
    return random.batch_order(key, step, n=n, batch_size=batch_size)


def sequential(key: jax.Array, step: int | jax.Array, *, n: int, batch_size: int) -> jax.Array:
    """Every pass in the order of the data; the key is not used.

    >>> [sequential(jax.random.key(0), k, n=5, batch_size=2).tolist() for k in range(4)]
    [[0, 1], [2, 3], [4, 0], [1, 2]]
    """
    del key
    return random.stream(step, n=n, batch_size=batch_size)[1].astype(jnp.int32)


def curriculum(
    difficulty: Any, *, steps: int, shares: Sequence[float] = (0.2, 0.4, 0.6, 0.8, 1.0)
) -> Order:
    r"""The easiest examples first, and then more and more of them, until all are in.

    .. math:: \text{pool}_k = \text{the } \lceil s_k n \rceil \text{ easiest}, \quad
        k = \min(\lfloor t \, (K - 1) / T \rfloor, K - 1)

    In each stage passes over its pool are shuffled as in `shuffled`, so that within a stage every
    example of the pool comes equally often. For the hardest first, negate the difficulty.

    Args:
      difficulty: one number for each example, less is easier: a length, a noise level, the loss of
        another model. Examples of equal difficulty keep the order of the data.
      steps: T >= 1, the step at which the last stage begins.
      shares: s, the share of the examples in each stage's pool, rising, the last 1. Two of them,
        such as (0.5, 1.0), switch once, as the paper does.

    Raises:
      ValueError: if difficulty is no finite vector or shares do not rise to 1; in training, if it
        is not as long as the data, or the first pool holds less than a batch.

    Source: Bengio et al. 2009, section 4, https://doi.org/10.1145/1553374.1553380

    >>> order = curriculum([0.9, 0.1, 0.5, 0.3], steps=10, shares=(0.5, 1.0))
    >>> [sorted(order(jax.random.key(0), step, n=4, batch_size=2).tolist()) for step in (0, 9)]
    [[1, 3], [1, 3]]
    >>> [order(jax.random.key(0), step, n=4, batch_size=2).tolist() for step in (10, 11)]
    [[1, 2], [0, 3]]
    """
    ranks = _ranked("curriculum", difficulty)
    check_count("curriculum", "steps", steps)
    shares = [float(share) for share in shares]
    rising = all(a < b for a, b in zip([0.0, *shares], shares, strict=False))
    if not shares or not rising or shares[-1] != 1:
        raise ValueError(f"curriculum: shares must rise from above 0 to 1, got {tuple(shares)}")
    # whole numbers, as every step before one of them belongs to the stage before
    begins = np.ceil(steps * np.arange(len(shares)) / max(len(shares) - 1, 1)).astype(np.int32)
    pools = [int(np.ceil(round(share * len(ranks), 6))) for share in shares]

    def order(key, step, *, n, batch_size):
        _check_length("curriculum", ranks, n)
        if batch_size > pools[0]:
            raise ValueError(
                f"curriculum: the first stage has {pools[0]} of the {n} examples, fewer than"
                f" batch_size={batch_size}; give a larger first share"
            )

        def stage(k):
            def batch(step):
                own = random.fold_in(key, k)
                return random.batch_order(own, step - begins[k], n=pools[k], batch_size=batch_size)

            return batch

        step = jnp.asarray(step, jnp.int32)
        k = jnp.sum(step >= begins[1:])
        return jnp.asarray(ranks)[lax.switch(k, [stage(k) for k in range(len(pools))], step)]

    return order


def mixed(
    difficulty: Any,
    *,
    steps: int,
    shares: Sequence[float] = (0.2, 0.4, 0.6, 0.8, 1.0),
    anywhere: float = 0.5,
) -> Order:
    """A curriculum in which a part of every batch comes from all of the data, hard ones among it.

    So nothing learned on the hard is forgotten while the easy is practised.

    Args:
      difficulty: one number for each example, less is easier.
      steps: the step at which the curriculum's last stage begins.
      shares: of the curriculum, as in `curriculum`.
      anywhere: which part of a batch is drawn from all of the data, in (0, 1); rounded to whole
        examples, at least one from either side.

    Source: Zaremba & Sutskever 2014, section 4, their combined strategy,
      https://arxiv.org/abs/1410.4615; they generate examples, and a coin decides for each from
      which side it comes, where here the parts of a batch are fixed and pass through the data.

    >>> order = mixed(jnp.arange(100), steps=50, anywhere=0.25)
    >>> batch = order(jax.random.key(0), 0, n=100, batch_size=8)
    >>> batch.shape, int((batch < 20).sum()) >= 6
    ((8,), True)
    """
    if not 0 < anywhere < 1:
        raise ValueError(f"mixed: anywhere must be in (0, 1), got {anywhere}")
    easy = curriculum(difficulty, steps=steps, shares=shares)

    def order(key, step, *, n, batch_size):
        if batch_size < 2:
            raise ValueError(f"mixed: batch_size must be at least 2, got {batch_size}")
        free = min(max(round(anywhere * batch_size), 1), batch_size - 1)
        ours, theirs = random.fold_in(key, 0), random.fold_in(key, 1)
        near = easy(ours, step, n=n, batch_size=batch_size - free)
        return jnp.concatenate([near, shuffled(theirs, step, n=n, batch_size=free)])

    return order


def _ranked(owner: str, difficulty: Any) -> np.ndarray:
    """The examples from the easiest to the hardest."""
    values = np.asarray(difficulty, float)
    if values.ndim != 1 or not values.size or not np.isfinite(values).all():
        raise ValueError(
            f"{owner}: difficulty must be one finite number for each example, got an array of shape"
            f" {values.shape}"
            + ("" if np.isfinite(values).all() else " with NaN or infinity in it")
        )
    return np.argsort(values, kind="stable").astype(np.int32)


def _check_length(owner: str, ranks: np.ndarray, n: int) -> None:
    if len(ranks) != n:
        raise ValueError(
            f"{owner}: difficulty is of {len(ranks)} examples, the data has {n}; give one number"
            " for each example in the order of the data"
        )
