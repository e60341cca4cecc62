"""The product that neurons are made of, over any number of axes."""

import jax
import jax.numpy as jnp


def rows_times(x: jax.Array, w: jax.Array) -> jax.Array:
    r"""x w over the last axis of x, all its other axes taken together as rows of one matrix.

    .. math:: y_{\dots j} = \sum_i x_{\dots i} \, w_{ij}

    The numbers are those of `jnp.matmul`. But the gradient of w sums over the rows, and over two
    axes or more XLA for CPU does it by transposing the larger factor and multiplying what is left
    badly: a transformer's step takes a fourth longer.

    Args:
      x: (..., inputs), of one axis or more.
      w: (inputs, outputs).

    Returns:
      (..., outputs).

    >>> print(rows_times(jnp.ones((2, 1, 3)), jnp.ones((3, 2))))
    [[[3. 3.]]
    <BLANKLINE>
     [[3. 3.]]]
    """
    if x.ndim < 3:
        return jnp.matmul(x, w)
    return jnp.matmul(x.reshape(-1, x.shape[-1]), w).reshape(*x.shape[:-1], w.shape[-1])
