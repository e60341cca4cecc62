"""Normalisation layers: they shift and rescale features and leave every shape alone."""

import math
from collections.abc import Hashable, Sequence

import jax
import jax.numpy as jnp
from jax.core import Tracer

from fnn.checks import check_features, features_of, need
from fnn.core import Layer, Variables
from fnn.trees import wide


def layer_norm(*, eps: float = 1e-5, scale: bool = True, offset: bool = True) -> Layer:
    r"""Give each feature vector mean 0 and variance 1, then scale and shift it.

    .. math:: y_i = g_i \frac{x_i - \mu}{\sqrt{\sigma^2 + \epsilon}} + b_i, \quad
        \mu = \operatorname{mean}_j x_j, \; \sigma^2 = \operatorname{mean}_j (x_j - \mu)^2

    The statistics are taken over the last axis, in float32 or wider whatever dtype x has, and the
    variance from the deviations: the mean of squares less the square of the mean would lose every
    digit where the mean is large.

    Args:
      eps: added to the variance, in units of x squared; > 0. PyTorch's default; Flax has 1e-6.
      scale: whether to learn g.
      offset: whether to learn b.

    Shapes:
      x: (..., features) -> y: (..., features), same dtype.
      params: {"scale": (features,), "offset": (features,)}, initially 1 and 0, float32 or wider.
      state: {}.

    Raises:
      ValueError: at construction if `eps` is not positive; in apply if x has other features.
      TypeError: if x is no floating array.

    Source: Ba et al. 2016, eq. 4, https://arxiv.org/abs/1607.06450

    >>> net = layer_norm()
    >>> params, state = net.init(jax.random.key(0), jnp.ones((1, 2)))
    >>> print(net.apply(params, state, jnp.array([[3.0, 5.0]]))[0].round(3))
    [[-1.  1.]]
    """
    _check_eps("layer_norm", eps)

    def init(key, x, /):
        del key
        return Variables(_affine("layer_norm", x, scale, offset), {})

    def apply(params, state, x, /, *, key=None, train=False):
        del key, train
        features_of(x, "layer_norm")
        z = x.astype(wide(x.dtype))
        mean, var = moments(z, (-1,))
        z = (z - mean) * jax.lax.rsqrt(var + eps)
        return _transform("layer_norm", params, z, scale, offset).astype(x.dtype), state

    config = {"eps": eps, "scale": scale, "offset": offset}
    return Layer(init, apply, name="layer_norm", config=config, made_by=layer_norm)


def batch_norm(
    *,
    decay: float | jax.Array = 0.9,
    eps: float = 1e-5,
    scale: bool = True,
    offset: bool = True,
    unbiased: bool = True,
    axis_name: Hashable | None = None,
) -> Layer:
    r"""Give each feature mean 0 and variance 1 over the batch, then scale and shift it.

    .. math:: y_i = g_i \frac{x_i - \mu_i}{\sqrt{\sigma_i^2 + \epsilon}} + b_i

    Where `train=True`, mu and sigma squared are the mean and (biased) variance of this batch, over
    all axes but the last, and the running averages move:

    .. math:: r \leftarrow d \, r + (1 - d) \, s

    At inference mu and sigma squared are the running averages, so that an example's output does not
    depend on its companions. The statistics are taken in float32 or wider.

    Args:
      decay: d, the weight of the old average, in [0, 1]; may be traced. PyTorch's `momentum` is
        1 - d.
      eps: added to the variance, in units of x squared; > 0.
      scale: whether to learn g.
      offset: whether to learn b.
      unbiased: whether the variance that enters the running average is the unbiased one, n / (n-1)
        times the batch's, as in the paper and PyTorch; Flax, Haiku and Keras keep the biased one.
      axis_name: an axis of `vmap`, `pmap` or `shard_map` over which the batch is spread; its
        members share their statistics.

    Shapes:
      x: (batch, ..., features) -> y: the same, same dtype.
      params: {"scale": (features,), "offset": (features,)}, initially 1 and 0, float32 or wider.
      state: {"mean": (features,), "var": (features,)}, initially 0 and 1, float32 or wider.

    Raises:
      ValueError: at construction if `eps` or `decay` is out of range; in apply if x has other
        features, or if `train=True` and there is one value per feature: its variance says nothing.
      TypeError: if x is no floating array.

    Source: Ioffe & Szegedy 2015, algorithms 1 and 2, https://arxiv.org/abs/1502.03167

    >>> net = batch_norm()
    >>> x = jnp.array([[3.0], [5.0]])
    >>> params, state = net.init(jax.random.key(0), x)
    >>> y, state = net.apply(params, state, x, train=True)
    >>> print(y.round(3).T, state["mean"].round(3), state["var"].round(3))
    [[-1.  1.]] [0.4] [1.1]
    """
    _check_eps("batch_norm", eps)
    if not isinstance(decay, Tracer) and not 0 <= decay <= 1:
        raise ValueError(
            f"batch_norm: decay is the weight of the old average, in [0, 1], got {decay}"
        )

    def init(key, x, /):
        del key
        params = _affine("batch_norm", x, scale, offset)
        features, dtype = x.shape[-1:], wide(x.dtype)
        return Variables(
            params, {"mean": jnp.zeros(features, dtype), "var": jnp.ones(features, dtype)}
        )

    def apply(params, state, x, /, *, key=None, train=False):
        del key
        running = [need(state, name, where="batch_norm", kind="state") for name in ("mean", "var")]
        check_features(x, running[0].shape[0], "batch_norm")
        z = x.astype(wide(x.dtype))
        if train:
            mean, var = moments(z, tuple(range(z.ndim - 1)), axis_name)
            n = _per_feature(x, axis_name)
            entering = var * (n / (n - 1)) if unbiased else var
            state = {
                "mean": _moved(running[0], mean, decay),
                "var": _moved(running[1], entering, decay),
            }
        else:
            mean, var = (average.astype(z.dtype) for average in running)
        z = (z - mean) * jax.lax.rsqrt(var + eps)
        return _transform("batch_norm", params, z, scale, offset).astype(x.dtype), state

    config = {
        "decay": decay,
        "eps": eps,
        "scale": scale,
        "offset": offset,
        "unbiased": unbiased,
        "axis_name": axis_name,
    }
    return Layer(init, apply, name="batch_norm", config=config, made_by=batch_norm)


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


def _per_feature(x: jax.Array, axis_name: Hashable | None) -> int:
    """How many values of each feature a batch holds, over the members of a mapped axis together."""
    n = math.prod(x.shape[:-1]) * (1 if axis_name is None else jax.lax.axis_size(axis_name))
    if n < 2:
        raise ValueError(
            f"batch_norm: train=True needs at least two values per feature, got x of shape"
            f" {x.shape}; give x a batch axis with two examples or more, or use layer_norm"
        )
    return n


def _moved(old: jax.Array, new: jax.Array, decay: float | jax.Array) -> jax.Array:
    new = jax.lax.stop_gradient(new).reshape(old.shape).astype(old.dtype)
    weight = jnp.asarray(decay, old.dtype)
    return weight * old + (1 - weight) * new


def _affine(where: str, x: jax.Array, scale: bool, offset: bool) -> dict[str, jax.Array]:
    shape, dtype = (features_of(x, where),), wide(x.dtype)
    params = {"scale": jnp.ones(shape, dtype)} if scale else {}
    return {**params, "offset": jnp.zeros(shape, dtype)} if offset else params


def _transform(where: str, params, z: jax.Array, scale: bool, offset: bool) -> jax.Array:
    """g z + b, in the dtype of z, for those of g and b that there are."""
    if scale:
        g = need(params, "scale", where=where, kind="params")
        check_features(z, g.shape[0], where)
        z = z * g.astype(z.dtype)
    if offset:
        b = need(params, "offset", where=where, kind="params")
        check_features(z, b.shape[0], where)
        z = z + b.astype(z.dtype)
    return z


def _check_eps(where: str, eps: float) -> None:
    if not isinstance(eps, Tracer) and not eps > 0:
        raise ValueError(f"{where}: eps must be > 0, got {eps}")
