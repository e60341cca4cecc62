"""Attention: each query looks at all keys and takes the mean of their values, weighted by fit."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from fnn.show import spec_text
from fnn.trees import wide


def attention(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    *,
    mask: jax.Array | None = None,
    bias: jax.Array | None = None,
    causal: bool = False,
    offset: int | jax.Array = 0,
    scale: float | jax.Array | None = None,
) -> jax.Array:
    r"""Scaled dot-product attention, head by head.

    .. math:: y_i = \sum_j w_{ij} v_j, \quad
        w_{ij} = \frac{m_{ij} \, e^{s_{ij}}}{\sum_l m_{il} \, e^{s_{il}}}, \quad
        s_{ij} = c \, q_i \cdot k_j + b_{ij}

    The weights are taken in float32 or wider, whatever dtype q has. A query that may see no key at
    all gives zeros, and finite gradients (PyTorch gives zeros, too, and Flax the mean of all
    values).

    Args:
      q: queries, (..., queries, heads, head_dim).
      k: keys, (..., keys, kv_heads, head_dim). Where kv_heads is less than heads, as in grouped-
        query (and, for one, multi-query) attention, each serves heads / kv_heads neighbouring
        query heads.
      v: values, (..., keys, kv_heads, value_dim).
      mask: m, boolean, True where a query may see a key; broadcasts to (..., heads, queries, keys).
      bias: b, added to the scores, of the same shape as the mask; -inf hides a key.
      causal: query i sees the keys j <= i + offset only.
      offset: the position of the first query among the keys, >= 0; may be traced. With a cache of
        keys it is the number of those that came before. PyTorch's `is_causal` has 0.
      scale: c, 1 / sqrt(head_dim) if None.

    Returns:
      (..., queries, heads, value_dim), in the dtype of v.

    Raises:
      ValueError: if shapes do not fit. TypeError: if the mask is not boolean.

    Source: Vaswani et al. 2017, eq. 1, https://arxiv.org/abs/1706.03762; grouped heads: Ainslie et
      al. 2023, section 2.2, https://arxiv.org/abs/2305.13245

    >>> q = k = jnp.ones((1, 2, 1, 4))
    >>> v = jnp.array([1.0, 3.0]).reshape(1, 2, 1, 1)
    >>> print(attention(q, k, v).ravel(), attention(q, k, v, causal=True).ravel())
    [2. 2.] [1. 2.]
    """
    _check_values(k, v)
    w = _weights(q, k, mask, bias, causal, offset, scale)
    return _ungrouped(_times_values(w.astype(v.dtype), v, w.dtype)).astype(v.dtype)


def attention_weights(
    q: jax.Array,
    k: jax.Array,
    *,
    mask: jax.Array | None = None,
    bias: jax.Array | None = None,
    causal: bool = False,
    offset: int | jax.Array = 0,
    scale: float | jax.Array | None = None,
) -> jax.Array:
    """The weights w of `attention`, to look at or to drop some of; arguments as there.

    Returns:
      (..., heads, queries, keys), float32 or wider; each row sums to 1, or is 0 where it sees none.

    >>> print(attention_weights(jnp.ones((2, 1, 4)), jnp.ones((2, 1, 4)), causal=True))
    [[[1.  0. ]
      [0.5 0.5]]]
    """
    w = _weights(q, k, mask, bias, causal, offset, scale)
    return w.reshape(*w.shape[:-4], w.shape[-4] * w.shape[-3], *w.shape[-2:])


def weighted_values(weights: jax.Array, v: jax.Array) -> jax.Array:
    """The second half of attention: the mean of the values by `attention_weights`.

    Args:
      weights: (..., heads, queries, keys).
      v: (..., keys, kv_heads, value_dim).

    Returns:
      (..., queries, heads, value_dim), in the dtype of v.

    >>> v = jnp.array([1.0, 3.0]).reshape(2, 1, 1)
    >>> print(weighted_values(jnp.array([[[0.5, 0.5]]]), v))
    [[[2.]]]
    """
    group = _group("weighted_values", weights.shape[-3], v.shape[-2])
    lead, (queries, keys) = weights.shape[:-3], weights.shape[-2:]
    w = weights.reshape(*lead, v.shape[-2], group, queries, keys)
    return _ungrouped(_times_values(w.astype(v.dtype), v, weights.dtype)).astype(v.dtype)


def _weights(q, k, mask, bias, causal, offset, scale):
    """The weights of `attention`, (..., kv_heads, group, queries, keys)."""
    _check_queries(q, k)
    kv_heads, group = k.shape[-2], _group("attention", q.shape[-2], k.shape[-2])
    queries, keys = q.shape[-3], k.shape[-3]
    dtype = wide(q.dtype)
    if scale is None:
        scale = 1 / math.sqrt(q.shape[-1])
    q = jnp.swapaxes(q, -3, -2)  # (..., heads, queries, head_dim): CPU's batched products want it
    q = q.reshape(*q.shape[:-3], kv_heads, group * queries, q.shape[-1])
    k = jnp.moveaxis(k.astype(q.dtype), -3, -1)  # (..., kv_heads, head_dim, keys)
    s = jnp.matmul(q, k, preferred_element_type=dtype) * jnp.asarray(scale, dtype)
    s = s.reshape(*s.shape[:-2], group, queries, keys)
    full = (*s.shape[:-4], kv_heads * group, queries, keys)
    if bias is not None:
        s = s + _grouped("bias", bias, full, group).astype(dtype)
    seen = None if mask is None else _grouped("mask", _boolean(mask), full, group)
    if causal:
        past = causal_mask(queries, keys, offset=offset)
        seen = past if seen is None else seen & past
    if seen is not None:
        s = jnp.where(seen, s, -jnp.inf)
    return _softmax(s)


@jax.custom_jvp
def _softmax(s: jax.Array) -> jax.Array:
    """Softmax over the last axis; zeros, with slopes of zero, where all of it is -inf."""
    # The largest of a row that sees nothing is -inf, which must not be taken from itself.
    top = jnp.maximum(jnp.max(s, axis=-1, keepdims=True), jnp.finfo(s.dtype).min)
    e = jnp.exp(s - top)
    z = jnp.sum(e, axis=-1, keepdims=True)  # at least 1 for every row that sees a key
    return e * (1 / jnp.where(z == 0, 1, z))


@_softmax.defjvp
def _softmax_jvp(primals, tangents):
    # By its own output alone, which is there already: XLA for CPU is slower with all its parts.
    w, t = _softmax(*primals), tangents[0]
    return w, w * (t - jnp.sum(w * t, axis=-1, keepdims=True))


def causal_mask(queries: int, keys: int, *, offset: int | jax.Array = 0) -> jax.Array:
    """True where key j is not after query i, which stands at i + offset: (queries, keys).

    >>> print(causal_mask(2, 3, offset=1).astype(int))
    [[1 1 0]
     [1 1 1]]
    """
    at = jnp.arange(queries, dtype=jnp.int32) + jnp.asarray(offset, jnp.int32)
    return jnp.arange(keys, dtype=jnp.int32) <= at[:, None]


def _times_values(w, v, dtype):
    """Weights (..., kv_heads, group, queries, keys) times v, of the same axes but the last."""
    *lead, kv_heads, group, queries, keys = w.shape
    v = jnp.swapaxes(v, -3, -2)  # (..., kv_heads, keys, value_dim)
    w = w.reshape(*lead, kv_heads, group * queries, keys)
    y = jnp.matmul(w, v, preferred_element_type=dtype)
    return y.reshape(*y.shape[:-2], group, queries, v.shape[-1])


def _ungrouped(y):
    """(..., kv_heads, group, queries, value_dim) as (..., queries, heads, value_dim)."""
    y = y.reshape(*y.shape[:-4], y.shape[-4] * y.shape[-3], *y.shape[-2:])
    return jnp.swapaxes(y, -3, -2)


def _grouped(name: str, a: Any, full: tuple[int, ...], group: int) -> jax.Array:
    """A mask or bias over (..., heads, queries, keys) with its heads split into groups."""
    a = jnp.asarray(a)
    try:
        fits = jnp.broadcast_shapes(a.shape, full) == full
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"attention: {name} must broadcast to (..., heads, queries, keys) = {full},"
            f" got shape {a.shape}"
        )
    if a.ndim < 3:
        return a
    heads = a.shape[-3]
    split = (1, 1) if heads == 1 else (heads // group, group)
    return a.reshape(*a.shape[:-3], *split, *a.shape[-2:])


def _boolean(mask: Any) -> jax.Array:
    mask = jnp.asarray(mask)
    if mask.dtype != jnp.bool_:
        raise TypeError(
            f"attention: mask must be boolean, True where a query may see a key, got"
            f" {spec_text(mask)}; numbers to add to the scores go into bias"
        )
    return mask


def _group(where: str, heads: int, kv_heads: int) -> int:
    """How many query heads share one head of keys and values."""
    if kv_heads < 1 or heads % kv_heads:
        raise ValueError(
            f"{where}: heads must be a multiple of the heads of k and v, got {heads} and {kv_heads}"
        )
    return heads // kv_heads


def _check_queries(q: jax.Array, k: jax.Array) -> None:
    if q.ndim < 3 or q.ndim != k.ndim or q.shape[-1] != k.shape[-1]:
        raise ValueError(
            "attention: q must be (..., queries, heads, head_dim) and k (..., keys, kv_heads,"
            f" head_dim), got {q.shape} and {k.shape}"
        )


def _check_values(k: jax.Array, v: jax.Array) -> None:
    if k.shape[:-1] != v.shape[:-1]:
        raise ValueError(
            f"attention: k and v must have the same axes but their last, got {k.shape}"
            f" and {v.shape}"
        )
