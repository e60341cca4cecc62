"""Positions without parameters: rotary angles, and biases that grow with distance."""

import math

import jax
import jax.numpy as jnp

from fnn.trees import wide


def rotary(
    x: jax.Array,
    positions: jax.Array | None = None,
    *,
    base: float | jax.Array = 10_000.0,
    interleaved: bool = False,
) -> jax.Array:
    r"""Turn each pair of features by an angle that is proportional to the position.

    .. math:: (x_{a}, x_{b}) \mapsto
        (x_a \cos t\theta_i - x_b \sin t\theta_i,\; x_a \sin t\theta_i + x_b \cos t\theta_i), \quad
        \theta_i = c^{-2i/d}, \quad i = 0, \dots, d/2 - 1

    Queries and keys so turned have a product that depends on the distance of their positions t
    alone. The angles are taken in float32 or wider.

    Args:
      x: (..., time, heads, head_dim), with an even head_dim d.
      positions: t, (time,) or (..., time), ints or floats; 0, 1, 2, ... if None.
      base: c, > 0: the larger, the slower the slow pairs turn.
      interleaved: which features are a pair. False takes i and i + d/2 (GPT-NeoX and LLaMA in
        Hugging Face's form), True takes 2i and 2i + 1 (the paper, GPT-J). Weights trained by one
        need their columns permuted for the other.

    Returns:
      The shape and dtype of x.

    Raises:
      ValueError: if head_dim is odd, or positions do not fit x.

    Source: Su et al. 2021, eq. 34, https://arxiv.org/abs/2104.09864

    >>> x = jnp.ones((3, 1, 2))
    >>> print(rotary(x, jnp.array([0.0, math.pi / 2, math.pi]))[:, 0].round(3))
    [[ 1.  1.]
     [-1.  1.]
     [-1. -1.]]
    """
    if x.ndim < 3 or x.shape[-1] % 2:
        raise ValueError(
            "rotary: x must be (..., time, heads, head_dim) with an even head_dim, got shape"
            f" {x.shape}"
        )
    time, head_dim = x.shape[-3], x.shape[-1]
    positions = jnp.arange(time) if positions is None else jnp.asarray(positions)
    if positions.ndim < 1 or positions.shape[-1] not in (1, time):
        raise ValueError(
            f"rotary: positions must be (..., time) with time {time}, got {positions.shape}"
        )
    dtype = wide(x.dtype)
    pairs = jnp.arange(head_dim // 2, dtype=dtype)
    theta = jnp.asarray(base, dtype) ** (-2 * pairs / head_dim)
    angles = positions.astype(dtype)[..., None, None] * theta  # (..., time, 1, head_dim / 2)
    cos, sin = jnp.cos(angles), jnp.sin(angles)
    z = x.astype(dtype)
    if interleaved:
        z = z.reshape(*z.shape[:-1], head_dim // 2, 2)
        a, b = z[..., 0], z[..., 1]
        turned = jnp.stack([a * cos - b * sin, a * sin + b * cos], -1).reshape(x.shape)
    else:
        a, b = jnp.split(z, 2, axis=-1)
        turned = jnp.concatenate([a * cos - b * sin, a * sin + b * cos], -1)
    return turned.astype(x.dtype)


def alibi_slopes(heads: int) -> jax.Array:
    r"""The slope of each head's bias: a geometric sequence that ends in 2^-8.

    .. math:: m_h = 2^{-8h/n}, \quad h = 1, \dots, n

    for n heads, a power of 2. For other numbers of heads: the slopes of the largest power of 2
    below, and then every other slope of twice that power, as the authors' code has it.

    Args:
      heads: >= 1.

    Returns:
      (heads,), float32.

    Source: Press et al. 2022, section 3, https://arxiv.org/abs/2108.12409;
      https://github.com/ofirpress/attention_with_linear_biases

    >>> print(alibi_slopes(4), alibi_slopes(3))
    [0.25       0.0625     0.015625   0.00390625] [0.0625     0.00390625 0.25      ]
    """
    if heads < 1:
        raise ValueError(f"alibi_slopes: heads must be at least 1, got {heads}")
    power = 2 ** math.floor(math.log2(heads))

    def slopes(n):
        return [2.0 ** (-8 * h / n) for h in range(1, n + 1)]

    return jnp.array(slopes(power) + slopes(2 * power)[::2][: heads - power], jnp.float32)


def alibi(heads: int, queries: int, keys: int, *, offset: int | jax.Array = 0) -> jax.Array:
    r"""The bias of attention that falls linearly with the distance of query and key.

    .. math:: b_{hij} = -m_h \, |i + o - j|

    The paper has it for causal attention only, where no key is ahead of its query; there the
    absolute value changes nothing.

    Args:
      heads: how many, >= 1; their slopes m are `alibi_slopes`.
      queries: how many.
      keys: how many.
      offset: o, the position of the first query among the keys; may be traced.

    Returns:
      (heads, queries, keys), float32: `attention`'s bias.

    Source: Press et al. 2022, section 3, https://arxiv.org/abs/2108.12409

    >>> print(alibi(1, 2, 3, offset=1) * 256)
    [[[-1. -0. -1.]
      [-2. -1. -0.]]]
    """
    at = jnp.arange(queries, dtype=jnp.float32) + jnp.asarray(offset, jnp.float32)
    distance = jnp.abs(at[:, None] - jnp.arange(keys, dtype=jnp.float32))
    return -alibi_slopes(heads)[:, None, None] * distance
