"""A batch as a function of the parameters that can also be asked about its single examples."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from fnn import random
from fnn.data import arrays
from fnn.trees import paths


@dataclass(frozen=True, eq=False)
class BatchValue:
    """`value_fn`, as the training step hands it to an optimizer: params -> this batch's loss.

    Attributes:
      objective: `objective(params, state, x, y, key) -> (value, state)`.
      state: the network's state before the step.
      batch: (x, y).
      key: of the step's layers.

    >>> objective = lambda params, state, x, y, key: (jnp.sum(params * x), state)
    >>> batch = jnp.array([3.0, -5.0, 1.0]), jnp.zeros(3)
    >>> value_fn = BatchValue(objective, {}, batch, jax.random.key(0))
    >>> print(value_fn(jnp.array(2.0)))
    -2.0
    >>> print(*value_fn.example_sum(lambda g: jnp.clip(g, -2, 2), jnp.array(2.0)))  # 2 - 2 + 1
    1.0 3
    """

    objective: Callable[[Any, Any, Any, Any, jax.Array], tuple[jax.Array, Any]]
    state: Any
    batch: tuple[Any, Any]
    key: jax.Array

    def __call__(self, params: Any) -> jax.Array:
        """The loss of the batch at these parameters, with this step's randomness."""
        return self.objective(params, self.state, *self.batch, self.key)[0]

    def example_sum(
        self, function: Callable[[Any], Any], params: Any, *, chunk: int | None = None
    ) -> tuple[Any, int]:
        """The sum of `function(gradient)` over the examples' gradients, and how many there are.

        Args:
          function: of the gradient of one example's loss, a tree like the parameters.
          params: where the gradients are taken.
          chunk: how many gradients stand in memory at once; None for all.

        Raises:
          ValueError: if the network keeps state, since in it examples mix.
        """
        if kept := list(paths(self.state)):
            raise ValueError(
                "make_step: the optimizer asks for the gradients of single examples, but this"
                f" network keeps state, {', '.join(kept)}, in which a batch's examples mix; use"
                " layer_norm or group_norm in place of batch_norm"
            )

        def one(example):
            batch, i = example
            x, y = jax.tree.map(lambda a: a[None], batch)
            key = random.fold_in(self.key, i)
            return function(jax.grad(lambda p: self.objective(p, self.state, x, y, key)[0])(params))

        n = arrays.examples("make_step", *self.batch)
        return summed(one, (self.batch, jnp.arange(n)), n, min(chunk or n, n)), n


def summed(one: Callable[[Any], Any], examples: Any, n: int, size: int) -> Any:
    """The sum of `one(example)` over n examples, by `vmap` over `size` of them at a time.

    >>> print(summed(lambda x: x**2, jnp.arange(5.0), 5, 2))
    30.0
    """

    def total(part):
        return jax.tree.map(lambda a: a.sum(0), jax.vmap(one)(part))

    rounds, rest = divmod(n, size)
    start = total(jax.tree.map(lambda a: a[rounds * size :], examples)) if rest else None
    if rounds == 1:
        first = total(jax.tree.map(lambda a: a[:size], examples))
        return first if start is None else jax.tree.map(jnp.add, first, start)
    parts = jax.tree.map(lambda a: a[: rounds * size].reshape(rounds, size, *a.shape[1:]), examples)
    if start is None:
        shapes = jax.eval_shape(total, jax.tree.map(lambda a: a[0], parts))
        start = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)

    def add(so_far, part):
        return jax.tree.map(jnp.add, so_far, total(part)), None

    return lax.scan(add, start, parts)[0]
