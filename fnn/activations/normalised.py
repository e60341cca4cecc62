"""Activations of a whole axis: what one neuron says depends on its neighbours."""

import jax
import jax.numpy as jnp

from fnn.trees import wide


def softmax(x: jax.Array, *, axis: int = -1) -> jax.Array:
    r"""Logits to probabilities.

    .. math:: p_i = e^{x_i} / \sum_j e^{x_j}, \qquad
        \partial p_i / \partial x_j = p_i ([i = j] - p_j)

    Range (0, 1), summing to 1 over the axis. The largest logit is taken out first.

    >>> print(softmax(jax.numpy.array([1e4, 1e4])))
    [0.5 0.5]
    """
    return jax.nn.softmax(x, axis=axis)


def log_softmax(x: jax.Array, *, axis: int = -1) -> jax.Array:
    r"""Logits to log-probabilities, by the log-sum-exp.

    .. math:: \log p_i = x_i - \log \sum_j e^{x_j}

    >>> print(log_softmax(jax.numpy.array([0.0, 1e4])))
    [-10000.      0.]
    """
    return jax.nn.log_softmax(x, axis=axis)


def softmin(x: jax.Array, *, axis: int = -1) -> jax.Array:
    """`softmax` of -x: the smallest is the most probable.

    >>> print(softmin(jax.numpy.array([1e4, 1e4])))
    [0.5 0.5]
    """
    return jax.nn.softmax(-x, axis=axis)


def glu(x: jax.Array, *, axis: int = -1) -> jax.Array:
    """y = a sigmoid(b), where a and b are the halves of x along the axis.

    Raises:
      ValueError: if the axis cannot be halved.

    Source: Dauphin et al. 2017, eq. 1, https://arxiv.org/abs/1612.08083

    >>> print(glu(jax.numpy.array([2.0, 4.0, 0.0, 0.0])))
    [1. 2.]
    """
    if not x.shape or x.shape[axis] % 2:
        raise ValueError(f"glu: axis {axis} must have an even size, got shape {x.shape}")
    return jax.nn.glu(x, axis=axis)


def standardize(x: jax.Array, *, axis: int = -1, eps: float = 1e-5) -> jax.Array:
    r"""To mean 0 and variance 1 along the axis.

    .. math:: y = (x - \operatorname{mean} x) / \sqrt{\operatorname{var} x + \epsilon}

    The mean is taken out before the squares, which would otherwise cancel far from 0.

    >>> print(standardize(jax.numpy.array([1.0, 3.0])).round(3))
    [-1.  1.]
    """
    z = x.astype(wide(x.dtype))
    z = z - jnp.mean(z, axis, keepdims=True)
    return (z * jax.lax.rsqrt(jnp.mean(z**2, axis, keepdims=True) + eps)).astype(x.dtype)


def gumbel_softmax(
    key: jax.Array, x: jax.Array, *, temperature: float | jax.Array = 1.0, axis: int = -1
) -> jax.Array:
    r"""A random draw from the classes of `x`, softened so that gradients pass.

    .. math:: y = \operatorname{softmax}((x + g) / \tau), \quad g_i = -\log(-\log u_i)

    Args:
      key: decides the draw.
      x: logits.
      temperature: tau > 0; near 0 the draw is one-hot, and its argmax is a true draw at any tau.
      axis: of the classes.

    Source: Jang et al. 2017, eq. 2, https://arxiv.org/abs/1611.01144

    >>> y = gumbel_softmax(jax.random.key(0), jax.numpy.zeros(3))
    >>> print(y.sum().round(4), int(y.argmax()) in range(3))
    1.0 True
    """
    if isinstance(temperature, int | float) and temperature <= 0:
        raise ValueError(f"gumbel_softmax: temperature must be > 0, got {temperature}")
    noise = jax.random.gumbel(key, x.shape, x.dtype)
    return jax.nn.softmax((x + noise) / temperature, axis=axis)
