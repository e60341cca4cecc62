"""What every normalisation is made of: moments, the scaling by them, and g x + b afterwards."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from fnn.checks import check_features, features_of, need
from fnn.show import spec_text
from fnn.trees import wide


def moments(
    x: jax.Array, axes: Sequence[int], axis_name: Hashable | None = None
) -> tuple[jax.Array, jax.Array]:
    """Mean and biased variance over `axes`, which stay as size 1, and over a mapped axis if named.

    >>> mean, var = moments(jnp.array([[1e4, 1e4 + 2]]), (-1,))
    >>> mean.item(), var.item()
    (10001.0, 1.0)
    """

    def average(a):
        a = jnp.mean(a, axis=tuple(axes), keepdims=True)
        return a if axis_name is None else jax.lax.pmean(a, axis_name)

    mean = average(x)
    return mean, average(jnp.square(x - mean))


def standardised(x: jax.Array, axes: Sequence[int], eps: float | jax.Array) -> jax.Array:
    """x less its mean over `axes`, divided by the root of its variance plus `eps`.

    >>> print(standardised(jnp.array([[3.0, 5.0]]), (-1,), 1e-5).round(3))
    [[-1.  1.]]
    """
    mean, var = moments(x, axes)
    return (x - mean) * jax.lax.rsqrt(var + eps)


def affine_params(
    where: str, x: Any, scale: bool, offset: bool, axes: int = 1
) -> dict[str, jax.Array]:
    """The params g = 1 and b = 0, for those there are, in the shape of x's last `axes` axes."""
    shape, dtype = trailing(where, x, axes), wide(x.dtype)
    params = {"scale": jnp.ones(shape, dtype)} if scale else {}
    return {**params, "offset": jnp.zeros(shape, dtype)} if offset else params


def affine(
    where: str, params: Mapping[str, Any], z: jax.Array, scale: bool, offset: bool
) -> jax.Array:
    """g z + b, in the dtype of z, for those of g and b that there are."""
    if scale:
        z = z * _fitting(where, params, "scale", z)
    if offset:
        z = z + _fitting(where, params, "offset", z)
    return z


def _fitting(where: str, params: Mapping[str, Any], name: str, z: jax.Array) -> jax.Array:
    """The entry of `params` whose shape must be that of z's last axes: nothing is broadcast."""
    entry = need(params, name, where=where, kind="params")
    check_features(z, entry.shape[-1], where)
    if trailing(where, z, entry.ndim) != entry.shape:
        raise ValueError(
            f"{where}: x has the last axes {z.shape[-entry.ndim :]}, expected {entry.shape};"
            " call init again with inputs like this one"
        )
    return entry.astype(z.dtype)


def trailing(where: str, x: Any, axes: int) -> tuple[int, ...]:
    """The sizes of x's last `axes` axes, or an error if it has fewer or holds no floats."""
    features_of(x, where)
    if len(x.shape) < axes:
        raise ValueError(
            f"{where}: x must have at least {axes} axes, got {spec_text(x)};"
            f" axes={axes} says how many of the last ones to take together"
        )
    return tuple(x.shape[len(x.shape) - axes :])


def check_eps(where: str, eps: Any) -> None:
    """Raise a `ValueError` unless `eps` is positive or traced."""
    if not isinstance(eps, Tracer) and not eps > 0:
        raise ValueError(f"{where}: eps must be > 0, got {eps}")
