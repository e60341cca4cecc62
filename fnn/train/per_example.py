"""Sums over the gradients of single examples, for optimizers that must see each of them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from fnn import random
from fnn.data import arrays
from fnn.trees import paths


def example_sums(
    gradient: Callable[[Any, Any, jax.Array], Any], state: Any, batch: tuple[Any, Any], key: Any
) -> Callable[..., tuple[Any, int]]:
    """`example_sum(f, chunk=None)`: the sum of f over the examples' gradients, and their number.

    Args:
      gradient: `gradient(x, y, key)` of a batch of one example.
      state: the network's state; it must be empty, since what is kept in it mixes examples.
      batch: (x, y).
      key: example i draws from `fold_in(key, i)`.

    `chunk` gradients stand in memory at once, as many as the batch has where it is None.

    >>> batch = jnp.array([3.0, -5.0, 1.0]), jnp.zeros(3)
    >>> slope = lambda x, y, key: {"w": x.sum()}
    >>> example_sum = example_sums(slope, {}, batch, jax.random.key(0))
    >>> total, n = example_sum(lambda g: {"w": jnp.clip(g["w"], -2, 2)}, chunk=2)
    >>> print(total["w"], n)
    1.0 3
    """

    def example_sum(f, *, chunk=None):
        if kept := list(paths(state)):
            raise ValueError(
                "make_step: the optimizer asks for the gradients of single examples, but this"
                f" network keeps state, {', '.join(kept)}, in which a batch's examples mix; use"
                " layer_norm or group_norm in place of batch_norm"
            )
        n = arrays.examples("make_step", *batch)

        def one(example):
            (x, y), i = example
            x, y = jax.tree.map(lambda a: a[None], (x, y))
            return f(gradient(x, y, random.fold_in(key, i)))

        def total(examples):
            return jax.tree.map(lambda g: g.sum(0), jax.vmap(one)(examples))

        size = min(chunk or n, n)
        examples = (batch, jnp.arange(n))
        rounds, rest = divmod(n, size)
        if rounds == 1 and not rest:
            return total(examples), n
        whole = jax.tree.map(
            lambda a: a[: rounds * size].reshape(rounds, size, *a.shape[1:]), examples
        )
        left = jax.tree.map(lambda a: a[rounds * size :], examples)
        if rest:
            start = total(left)
        else:
            shapes = jax.eval_shape(total, jax.tree.map(lambda a: a[0], whole))
            start = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)

        def add(so_far, examples):
            return jax.tree.map(jnp.add, so_far, total(examples)), None

        return lax.scan(add, start, whole)[0], n

    return example_sum
