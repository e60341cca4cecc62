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
    >>> shorten = lambda g: jnp.minimum(1, 2 / jnp.abs(g))
    >>> print(*value_fn.weighed_sum(shorten, jnp.array(2.0)))  # 2 - 2 + 1
    1.0 3
    """

    objective: Callable[[Any, Any, Any, Any, jax.Array], tuple[jax.Array, Any]]
    state: Any
    batch: tuple[Any, Any]
    key: jax.Array

    def __call__(self, params: Any) -> jax.Array:
        """The loss of the batch at these parameters, with this step's randomness."""
        return self.objective(params, self.state, *self.batch, self.key)[0]

    def weighed_sum(
        self, weigh: Callable[[Any], jax.Array], params: Any, *, chunk: int | None = None
    ) -> tuple[Any, int]:
        r"""The sum of the examples' gradients, each times a weight of its own, and their number.

        .. math:: \sum_i w_i g_i = \nabla \sum_i w_i L_i, \quad w_i = \text{weigh}(g_i)

        The right side is how it is computed: a first pass for the weights, `chunk` examples'
        gradients in memory at once, and a second one for all of the batch.

        Args:
          weigh: of the gradient of one example's loss, a tree like the parameters, to a number.
          params: where the gradients are taken.
          chunk: how many examples the first pass takes at once; None for all.

        Raises:
          ValueError: if the network keeps state, since in it examples mix.
        """
        if kept := list(paths(self.state)):
            raise ValueError(
                "make_step: the optimizer asks for the gradients of single examples, but this"
                f" network keeps state, {', '.join(kept)}, in which a batch's examples mix; use"
                " layer_norm or group_norm in place of batch_norm"
            )

        def loss(params, example):
            batch, i = example
            x, y = jax.tree.map(lambda a: a[None], batch)
            return self.objective(params, self.state, x, y, random.fold_in(self.key, i))[0]

        def weight(example):
            return weigh(jax.grad(loss)(params, example))

        n = arrays.examples("make_step", *self.batch)
        examples = (self.batch, jnp.arange(n))
        weights = lax.map(weight, examples, batch_size=min(chunk or n, n))

        def total(params):
            return jnp.sum(weights * jax.vmap(loss, (None, 0))(params, examples))

        return jax.grad(total)(params), n
