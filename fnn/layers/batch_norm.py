"""Batch normalisation: the one layer whose examples see each other, and its running averages."""

import math
from collections.abc import Hashable

import jax
import jax.numpy as jnp
from jax.core import Tracer

from fnn.checks import check_features, need
from fnn.core import Layer, Variables
from fnn.layers.moments import affine, affine_params, check_eps, moments
from fnn.trees import wide


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
    check_eps("batch_norm", eps)
    if not isinstance(decay, Tracer) and not 0 <= decay <= 1:
        raise ValueError(
            f"batch_norm: decay is the weight of the old average, in [0, 1], got {decay}"
        )

    def init(key, x, /):
        del key
        params = affine_params("batch_norm", x, scale, offset)
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
        return affine("batch_norm", params, z, scale, offset).astype(x.dtype), state

    config = {
        "decay": decay,
        "eps": eps,
        "scale": scale,
        "offset": offset,
        "unbiased": unbiased,
        "axis_name": axis_name,
    }
    return Layer(init, apply, name="batch_norm", config=config, made_by=batch_norm)


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
