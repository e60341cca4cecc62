"""Losses of comparison: how near things are to each other, or in which order."""

import jax
import jax.numpy as jnp

from fnn.losses.checks import above_zero, alike, at_least


def cosine_distance(a: jax.Array, b: jax.Array) -> jax.Array:
    r"""One minus the cosine of the angle between two vectors.

    .. math:: L = 1 - \frac{a \cdot b}{\|a\| \|b\|}

    A vector of zeros has no direction: its distance from anything is 1, and its gradient 0.

    Args:
      a: (..., features).
      b: the same shape.

    Returns:
      (...), in [0, 2].

    >>> print(cosine_distance(jnp.array([[2.0, 0.0]]), jnp.array([[0.0, 3.0]])))
    [1.]
    """
    a, b = alike("cosine_distance", a, b, "a b")
    return 1 - jnp.sum(_direction(a) * _direction(b), -1)


def cosine_embedding(
    a: jax.Array, b: jax.Array, target: jax.Array, *, margin: float = 0.0
) -> jax.Array:
    r"""Draw like pairs together, push others apart until their cosine is at most the margin.

    .. math:: L = 1 - \cos(a, b) \text{ if } y = 1, \quad
        \max(0, \cos(a, b) - m) \text{ if } y = -1

    Args:
      a: (..., features).
      b: the same shape.
      target: y, (...), 1 for like and -1 for unlike pairs.
      margin: m in [-1, 1].

    >>> x = jnp.array([[1.0, 0.0]])
    >>> print(cosine_embedding(x, x, jnp.array([-1])))
    [1.]
    """
    if isinstance(margin, int | float) and not -1 <= margin <= 1:
        raise ValueError(f"cosine_embedding: margin must be in [-1, 1], got {margin}")
    distance = cosine_distance(a, b)
    distance, target = alike("cosine_embedding", distance, target, "pairs target")
    return jnp.where(target > 0, distance, jnp.maximum(0, 1 - distance - margin))


def triplet(
    anchor: jax.Array,
    positive: jax.Array,
    negative: jax.Array,
    *,
    margin: float = 1.0,
    p: float = 2.0,
) -> jax.Array:
    r"""The anchor should be nearer to the positive than to the negative, by a margin.

    .. math:: L = \max(0, \|a - p\| - \|a - n\| + m)

    Args:
      anchor: (..., features).
      positive: the same shape.
      negative: the same shape.
      margin: m > 0, in units of the distance.
      p: which norm, finite and >= 1; where a distance is 0 its gradient is 0.

    Source: Balntas et al. 2016, eq. 2, https://doi.org/10.5244/C.30.119

    >>> print(triplet(jnp.array([[0.0]]), jnp.array([[1.0]]), jnp.array([[-3.0]]), p=1.0))
    [0.]
    """
    above_zero("triplet", "margin", margin)
    at_least("triplet", "p", p, 1)
    if p == float("inf"):
        raise ValueError(f"triplet: p must be finite, got {p}; use a large one, such as 100")
    near = _length(jnp.subtract(*alike("triplet", anchor, positive, "anchor positive")), p)
    far = _length(jnp.subtract(*alike("triplet", anchor, negative, "anchor negative")), p)
    return jnp.maximum(0, near - far + margin)


def margin_ranking(
    first: jax.Array, second: jax.Array, target: jax.Array, *, margin: float = 0.0
) -> jax.Array:
    r"""The one that should rank higher should score higher, by a margin.

    .. math:: L = \max(0, -y (a - b) + m)

    Args:
      first: a, (...), scores.
      second: b, the same shape.
      target: y, the same shape: 1 if the first should rank higher, -1 if the second.
      margin: m >= 0.

    >>> print(margin_ranking(jnp.array([1.0]), jnp.array([3.0]), jnp.array([1])))
    [2.]
    """
    at_least("margin_ranking", "margin", margin, 0)
    a, b = alike("margin_ranking", first, second, "first second")
    _, y = alike("margin_ranking", first, target, "first target")
    return jnp.maximum(0, -y * (a - b) + margin)


def contrastive(distance: jax.Array, same: jax.Array, *, margin: float = 1.0) -> jax.Array:
    r"""Draw like pairs together, push unlike ones out of a margin.

    .. math:: L = \tfrac12 \left( y d^2 + (1 - y) \max(0, m - d)^2 \right)

    Args:
      distance: d >= 0, (...).
      same: y, the same shape: 1 for like pairs, 0 for unlike ones.
      margin: m > 0, in units of the distance.

    Source: Hadsell et al. 2006, eq. 4, https://doi.org/10.1109/CVPR.2006.100 (with y exchanged)

    >>> print(contrastive(jnp.array([0.5, 0.5]), jnp.array([1, 0])))
    [0.125 0.125]
    """
    above_zero("contrastive", "margin", margin)
    d, y = alike("contrastive", distance, same, "distance same")
    return 0.5 * (y * d * d + (1 - y) * jnp.maximum(0, margin - d) ** 2)


def _direction(v: jax.Array) -> jax.Array:
    """v over its length, zeros for zeros; its largest entry is divided out against overflow."""
    top = jnp.max(jnp.abs(v), -1, keepdims=True)
    v = v / jax.lax.stop_gradient(jnp.where(top > 0, top, 1))
    square = jnp.sum(v**2, -1, keepdims=True)
    return jnp.where(square > 0, v * jax.lax.rsqrt(jnp.where(square > 0, square, 1)), 0)


def _length(v: jax.Array, p: float) -> jax.Array:
    """The p-norm over the last axis, with gradient 0 at 0; scaled against overflow."""
    top = jax.lax.stop_gradient(jnp.max(jnp.abs(v), -1, keepdims=True))
    top = jnp.where(top > 0, top, 1)
    parts = jnp.abs(v / top)
    power = jnp.sum(jnp.where(parts > 0, jnp.where(parts > 0, parts, 1) ** p, 0), -1)
    return jnp.where(power > 0, jnp.where(power > 0, power, 1) ** (1 / p), 0) * top[..., 0]
