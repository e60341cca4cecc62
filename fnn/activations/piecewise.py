"""Activations in pieces: each changes its rule at a point or two, at a kink or a jump."""

import jax
import jax.numpy as jnp


def identity(x: jax.Array) -> jax.Array:
    """y = x: what a neuron without activation does. Range all numbers; linear.

    >>> print(identity(jnp.array([-1.0, 2.0])))
    [-1.  2.]
    """
    return x


def linear(x: jax.Array, *, slope: float | jax.Array = 1.0) -> jax.Array:
    """y = m x. Range all numbers; linear, so that layers of it are worth one layer.

    >>> print(linear(jnp.array([-1.0, 2.0]), slope=3.0))
    [-3.  6.]
    """
    return slope * x


def relu(x: jax.Array) -> jax.Array:
    """y = max(0, x). Range [0, inf); kink at 0, where the slope is taken as 0.

    Source: Nair & Hinton 2010, https://icml.cc/Conferences/2010/papers/432.pdf

    >>> print(relu(jnp.array([-1.0, 2.0])))
    [0. 2.]
    """
    return jax.nn.relu(x)


def relu6(x: jax.Array) -> jax.Array:
    """y = min(max(0, x), 6). Range [0, 6]; kinks at 0 and 6.

    >>> print(relu6(jnp.array([-1.0, 2.0, 9.0])))
    [0. 2. 6.]
    """
    return jax.nn.relu6(x)


def leaky_relu(x: jax.Array, *, slope: float | jax.Array = 0.01) -> jax.Array:
    """y = x for x > 0, else slope x. Range all numbers for a slope > 0; kink at 0.

    Source: Maas et al. 2013, https://ai.stanford.edu/~amaas/papers/relu_hybrid_icml2013_final.pdf

    >>> print(leaky_relu(jnp.array([-1.0, 2.0]), slope=0.1))
    [-0.1  2. ]
    """
    return jnp.where(x > 0, x, slope * x)


def prelu(x: jax.Array, slope: jax.Array) -> jax.Array:
    """`leaky_relu` whose slope is learned; the layer `fnn.layers.prelu` holds it as a parameter.

    Source: He et al. 2015, eq. 1, https://arxiv.org/abs/1502.01852

    >>> print(prelu(jnp.array([-1.0, 2.0]), jnp.array(0.5)))
    [-0.5  2. ]
    """
    return jnp.where(x > 0, x, slope * x)


def hard_tanh(x: jax.Array) -> jax.Array:
    """y = min(max(-1, x), 1). Range [-1, 1]; kinks at -1 and 1.

    >>> print(hard_tanh(jnp.array([-3.0, 0.5, 3.0])))
    [-1.   0.5  1. ]
    """
    return jax.nn.hard_tanh(x)


def hard_sigmoid(x: jax.Array) -> jax.Array:
    """y = min(max(0, x / 6 + 1/2), 1). Range [0, 1]; kinks at -3 and 3.

    >>> print(hard_sigmoid(jnp.array([-9.0, 0.0, 9.0])))
    [0.  0.5 1. ]
    """
    return jax.nn.hard_sigmoid(x)


def hard_silu(x: jax.Array) -> jax.Array:
    """y = x hard_sigmoid(x). Range [-3/8, inf); kinks at -3 and 3.

    Source: Howard et al. 2019, section 5.2, https://arxiv.org/abs/1905.02244

    >>> print(hard_silu(jnp.array([-9.0, -1.5, 9.0])))
    [-0.    -0.375  9.   ]
    """
    return jax.nn.hard_silu(x)


hard_swish = hard_silu


def softshrink(x: jax.Array, *, threshold: float = 0.5) -> jax.Array:
    """Draw x towards 0 by a threshold >= 0. Range all numbers; kinks at +-threshold.

    >>> print(softshrink(jnp.array([-2.0, 0.3, 2.0])))
    [-1.5  0.   1.5]
    """
    return jnp.where(x > threshold, x - threshold, jnp.where(x < -threshold, x + threshold, 0))


def hardshrink(x: jax.Array, *, threshold: float = 0.5) -> jax.Array:
    """y = x where abs(x) > threshold, else 0. Range all numbers; jumps at +-threshold.

    >>> print(hardshrink(jnp.array([-2.0, 0.3, 2.0])))
    [-2.  0.  2.]
    """
    return jnp.where(jnp.abs(x) > threshold, x, 0)


def threshold(x: jax.Array, *, level: float = 0.0, value: float = 0.0) -> jax.Array:
    """y = x where x > level, else a value. Jumps at the level unless the value is the level.

    >>> print(threshold(jnp.array([-2.0, 0.3, 2.0]), level=1.0, value=-7.0))
    [-7. -7.  2.]
    """
    return jnp.where(x > level, x, value)


def sparse_plus(x: jax.Array) -> jax.Array:
    """y = 0 for x <= -1, (x + 1)^2 / 4 up to 1, then x. Range [0, inf); smooth.

    >>> print(sparse_plus(jnp.array([-2.0, 0.0, 2.0])))
    [0.   0.25 2.  ]
    """
    inside = jnp.clip(x, -1, 1)
    return jnp.where(x >= 1, x, (inside + 1) ** 2 / 4)


def sparse_sigmoid(x: jax.Array) -> jax.Array:
    """y = min(max(0, (x + 1) / 2), 1), the slope of sparse_plus. Range [0, 1]; kinks at -1 and 1.

    >>> print(sparse_sigmoid(jnp.array([-2.0, 0.0, 2.0])))
    [0.  0.5 1. ]
    """
    return jax.nn.sparse_sigmoid(x)


def rrelu(
    x: jax.Array, *, key: jax.Array | None = None, low: float = 1 / 8, high: float = 1 / 3
) -> jax.Array:
    """`leaky_relu` whose slope is drawn anew for each number, uniform in [low, high).

    Args:
      x: any array.
      key: decides the slopes, in training; without one the slope is their mean, as at inference.
      low: the smallest slope.
      high: the largest.

    Source: Xu et al. 2015, section 3.4, https://arxiv.org/abs/1505.00853

    >>> print(rrelu(jnp.array([-1.0, 2.0]), low=0.2, high=0.4))
    [-0.3  2. ]
    """
    if not low <= high:
        raise ValueError(f"rrelu: low must be at most high, got {low} and {high}")
    if key is None:
        return leaky_relu(x, slope=(low + high) / 2)
    return leaky_relu(x, slope=jax.random.uniform(key, x.shape, x.dtype, low, high))
