"""Normalisation of each example by itself: the same in training and at inference, of any batch."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from fnn.checks import check_count, features_of
from fnn.core import Layer, Variables
from fnn.layers.moments import affine, affine_params, check_eps, standardised, trailing
from fnn.show import spec_text
from fnn.trees import wide


def layer_norm(
    *, eps: float | jax.Array = 1e-5, axes: int = 1, scale: bool = True, offset: bool = True
) -> Layer:
    r"""Give each feature vector mean 0 and variance 1, then scale and shift it.

    .. math:: y_i = g_i \frac{x_i - \mu}{\sqrt{\sigma^2 + \epsilon}} + b_i, \quad
        \mu = \operatorname{mean}_j x_j, \; \sigma^2 = \operatorname{mean}_j (x_j - \mu)^2

    The statistics are taken over the last axis, in float32 or wider whatever dtype x has, and the
    variance from the deviations: the mean of squares less the square of the mean would lose every
    digit where the mean is large.

    Args:
      eps: added to the variance, in units of x squared; > 0. PyTorch's default; Flax has 1e-6.
      axes: over how many of the last axes together, >= 1; PyTorch names their sizes,
        `normalized_shape`.
      scale: whether to learn g.
      offset: whether to learn b.

    Shapes:
      x: (..., features) -> y: (..., features), same dtype.
      params: {"scale": (features,), "offset": (features,)}, initially 1 and 0, float32 or wider;
        with `axes` = 2, say, of the shape of x's last two axes.
      state: {}.

    Raises:
      ValueError: at construction if `eps` or `axes` is not positive; in init if x has fewer axes;
        in apply if its last axes have other sizes.
      TypeError: if x is no floating array.

    Source: Ba et al. 2016, eq. 4, https://arxiv.org/abs/1607.06450

    >>> net = layer_norm()
    >>> params, state = net.init(jax.random.key(0), jnp.ones((1, 2)))
    >>> print(net.apply(params, state, jnp.array([[3.0, 5.0]]))[0].round(3))
    [[-1.  1.]]
    """
    check_eps("layer_norm", eps)
    axes = check_count("layer_norm", "axes", axes)

    def init(key, x, /):
        del key
        return Variables(affine_params("layer_norm", x, scale, offset, axes), {})

    def apply(params, state, x, /, *, key=None, train=False):
        del key, train
        size = math.prod(trailing("layer_norm", x, axes))
        # As rows: with more axes XLA for CPU fuses the whole backward pass of a stack of residual
        # blocks into each weight's gradient, and a transformer's step takes twice as long.
        z = x.astype(wide(x.dtype)).reshape(-1, size)
        z = standardised(z, (-1,), eps).reshape(x.shape)
        return affine("layer_norm", params, z, scale, offset).astype(x.dtype), state

    config = {"eps": eps, "axes": axes, "scale": scale, "offset": offset}
    return Layer(init, apply, name="layer_norm", config=config, made_by=layer_norm)


def rms_norm(*, eps: float | jax.Array = 1e-6, axes: int = 1, scale: bool = True) -> Layer:
    r"""Give each feature vector a root mean square of 1, then scale it: layer norm without a mean.

    .. math:: y_i = g_i \frac{x_i}{\sqrt{\operatorname{mean}_j x_j^2 + \epsilon}}

    The mean is taken in float32 or wider, and g is multiplied in before y is rounded to x's dtype.

    Args:
      eps: added to the mean square, in units of x squared; > 0. Flax's default; PyTorch takes the
        machine epsilon of x's dtype, 1.2e-7 in float32.
      axes: over how many of the last axes together, >= 1.
      scale: whether to learn g.

    Shapes:
      x: (..., features) -> y: (..., features), same dtype.
      params: {"scale": (features,)}, initially 1, float32 or wider; with `axes` = 2, say, of the
        shape of x's last two axes.
      state: {}.

    Raises:
      ValueError: at construction if `eps` or `axes` is not positive; in init if x has fewer axes;
        in apply if its last axes have other sizes.
      TypeError: if x is no floating array.

    Source: Zhang & Sennrich 2019, eq. 4, https://arxiv.org/abs/1910.07467 (without eps)

    >>> net = rms_norm()
    >>> params, state = net.init(jax.random.key(0), jnp.ones((1, 4)))
    >>> print(net.apply(params, state, jnp.array([[0.0, 6.0, 0.0, 0.0]]))[0].round(3))
    [[0. 2. 0. 0.]]
    """
    check_eps("rms_norm", eps)
    axes = check_count("rms_norm", "axes", axes)

    def init(key, x, /):
        del key
        return Variables(affine_params("rms_norm", x, scale, False, axes), {})

    def apply(params, state, x, /, *, key=None, train=False):
        del key, train
        trailing("rms_norm", x, axes)
        z = x.astype(wide(x.dtype))
        square = jnp.mean(jnp.square(z), axis=tuple(range(-axes, 0)), keepdims=True)
        z = z * jax.lax.rsqrt(square + eps)
        return affine("rms_norm", params, z, scale, False).astype(x.dtype), state

    config = {"eps": eps, "axes": axes, "scale": scale}
    return Layer(init, apply, name="rms_norm", config=config, made_by=rms_norm)


def group_norm(
    groups: int, *, eps: float | jax.Array = 1e-5, scale: bool = True, offset: bool = True
) -> Layer:
    r"""Give each group of features mean 0 and variance 1 within each example, then scale and shift.

    .. math:: y_i = g_i \frac{x_i - \mu_{S(i)}}{\sqrt{\sigma_{S(i)}^2 + \epsilon}} + b_i

    S(i) is the group of feature i: features / groups neighbours, at all places of the example.
    The statistics are taken in float32 or wider.

    Args:
      groups: how many, >= 1; must divide the features. The paper takes 32; 1 is layer norm over
        places and features together (with g and b for each feature only).
      eps: added to the variance, in units of x squared; > 0. PyTorch's default; Flax has 1e-6.
      scale: whether to learn g.
      offset: whether to learn b.

    Shapes:
      x: (batch, *space, features) -> y: the same, same dtype; `space` may be nothing.
      params: {"scale": (features,), "offset": (features,)}, initially 1 and 0, float32 or wider.
      state: {}.

    Raises:
      ValueError: at construction if `eps` or `groups` is not positive; in init and apply if groups
        do not divide the features, if x has no batch axis, or if a group is a single value, whose
        variance says nothing; in apply if x has other features.
      TypeError: if x is no floating array.

    Source: Wu & He 2018, eq. 1 and 7, https://arxiv.org/abs/1803.08494

    >>> net = group_norm(2)
    >>> params, state = net.init(jax.random.key(0), jnp.ones((1, 4)))
    >>> print(net.apply(params, state, jnp.array([[3.0, 5.0, -8.0, -6.0]]))[0].round(3))
    [[-1.  1. -1.  1.]]
    """
    check_eps("group_norm", eps)
    groups = check_count("group_norm", "groups", groups)

    def init(key, x, /):
        del key
        _check_group("group_norm", x, groups)
        return Variables(affine_params("group_norm", x, scale, offset), {})

    def apply(params, state, x, /, *, key=None, train=False):
        del key, train
        _check_group("group_norm", x, groups)
        z = x.astype(wide(x.dtype))
        z = z - _group_means(z, groups)
        z = z * jax.lax.rsqrt(_group_means(jnp.square(z), groups) + eps)
        return affine("group_norm", params, z, scale, offset).astype(x.dtype), state

    config = {"groups": groups, "eps": eps, "scale": scale, "offset": offset}
    return Layer(init, apply, name="group_norm", config=config, made_by=group_norm)


def instance_norm(
    *, eps: float | jax.Array = 1e-5, scale: bool = True, offset: bool = True
) -> Layer:
    r"""Give each feature of each example mean 0 and variance 1 over space, then scale and shift it.

    .. math:: y_{nsi} = g_i \frac{x_{nsi} - \mu_{ni}}{\sqrt{\sigma_{ni}^2 + \epsilon}} + b_i, \quad
        \mu_{ni} = \operatorname{mean}_s x_{nsi}

    The statistics are taken in float32 or wider, in training and at inference alike.

    Args:
      eps: added to the variance, in units of x squared; > 0.
      scale: whether to learn g; PyTorch by default learns neither (`affine=False`).
      offset: whether to learn b.

    Shapes:
      x: (batch, *space, features) -> y: the same, same dtype.
      params: {"scale": (features,), "offset": (features,)}, initially 1 and 0, float32 or wider.
      state: {}.

    Raises:
      ValueError: at construction if `eps` is not positive; in init and apply if there is no space
        or it is one place, whose variance says nothing; in apply if x has other features.
      TypeError: if x is no floating array.

    Source: Ulyanov et al. 2016, eq. 4, https://arxiv.org/abs/1607.08022

    >>> net = instance_norm()
    >>> x = jnp.array([[[3.0, -8.0], [5.0, -6.0]]])
    >>> params, state = net.init(jax.random.key(0), x)
    >>> print(net.apply(params, state, x)[0].round(3))
    [[[-1. -1.]
      [ 1.  1.]]]
    """
    check_eps("instance_norm", eps)

    def init(key, x, /):
        del key
        _check_group("instance_norm", x, features_of(x, "instance_norm"))
        return Variables(affine_params("instance_norm", x, scale, offset), {})

    def apply(params, state, x, /, *, key=None, train=False):
        del key, train
        _check_group("instance_norm", x, features_of(x, "instance_norm"))
        z = standardised(x.astype(wide(x.dtype)), range(1, x.ndim - 1), eps)
        return affine("instance_norm", params, z, scale, offset).astype(x.dtype), state

    config = {"eps": eps, "scale": scale, "offset": offset}
    return Layer(init, apply, name="instance_norm", config=config, made_by=instance_norm)


def _group_means(z: jax.Array, groups: int) -> jax.Array:
    """The mean over all places and each group, given to every feature: (batch, *ones, features).

    Places first: to split the features of the whole z would cost twice the time on a CPU.
    """
    features = jnp.mean(z, axis=tuple(range(1, z.ndim - 1)), keepdims=True)
    split = features.reshape(*features.shape[:-1], groups, -1)
    means = jnp.mean(split, axis=-1, keepdims=True)
    return jnp.broadcast_to(means, split.shape).reshape(features.shape)


def _check_group(where: str, x: Any, groups: int) -> None:
    """Raise a `ValueError` unless each example of x falls into groups of two values or more."""
    features = features_of(x, where)
    if len(x.shape) < 2:
        raise ValueError(
            f"{where}: x must have a batch axis, got {spec_text(x)};"
            " give x of shape (batch, *space, features)"
        )
    if features % groups:
        raise ValueError(
            f"{where}: x has {features} features, which {groups} groups do not divide;"
            " choose groups that do"
        )
    if math.prod(x.shape[1:]) == groups:
        raise ValueError(
            f"{where}: x must have two values or more to normalise together, got {spec_text(x)}"
            f" in {groups} groups of one; give x some space, or use layer_norm"
        )
