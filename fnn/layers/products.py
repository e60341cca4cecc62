"""Sums over products of more than one axis or input; `dense` is the plain case."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from fnn import initializers
from fnn.checks import check_count, check_features, features_of, need
from fnn.core import Layer, Variables, key_for
from fnn.initializers import Initializer
from fnn.layers.moments import trailing
from fnn.show import spec_text
from fnn.trees import wide


def dense_general(
    features: int | Sequence[int],
    *,
    axes: int = 1,
    bias: bool = True,
    w_init: Initializer = initializers.lecun_normal,
    b_init: Initializer = initializers.zeros,
) -> Layer:
    r"""A dense layer from the last `axes` axes of x to several axes of features.

    .. math:: y_{j_1 \dots j_m} = \sum_{i_1 \dots i_n} x_{i_1 \dots i_n} \,
        w_{i_1 \dots i_n j_1 \dots j_m} + b_{j_1 \dots j_m}

    Equal to flattening these axes, a dense layer, and a reshape; here w keeps a shape that says
    what its axes are: `dense_general((heads, head_dim))` splits features into heads,
    `dense_general(features, axes=2)` brings them together again.

    Args:
      features: the sizes of the output's last axes, each >= 1; an int is one axis.
      axes: n, how many of x's last axes are summed over, >= 1.
      bias: whether to add b.
      w_init: initializer of w as a matrix of (inputs, outputs), all axes of each side together,
        so that its fans are those of a neuron.
      b_init: initializer of b.

    Shapes:
      x: (..., *inputs) -> y: (..., *features), same dtype.
      params: {"w": (*inputs, *features), "b": features}, float32 or wider. state: {}.

    Raises:
      ValueError: at construction if a size or `axes` is less than 1; in init if x has fewer axes;
        in apply if its last axes have other sizes than w's first.
      TypeError: at construction if a size is no int; in both if x is no floating array.

    >>> net = dense_general((4, 2))
    >>> params, state = net.init(jax.random.key(0), jnp.ones((5, 8)))
    >>> params["w"].shape, net.apply(params, state, jnp.ones((5, 8)))[0].shape
    ((8, 4, 2), (5, 4, 2))
    """
    given = features if isinstance(features, Sequence) else (features,)
    outputs = tuple(check_count("dense_general", "features", n) for n in given)
    axes = check_count("dense_general", "axes", axes)

    def init(key, x, /):
        inputs, dtype = trailing("dense_general", x, axes), wide(x.dtype)
        w = w_init(key_for(key, "w"), (math.prod(inputs), math.prod(outputs)), dtype)
        params = {"w": w.reshape(*inputs, *outputs)}
        if bias:
            params["b"] = b_init(key_for(key, "b"), outputs, dtype)
        return Variables(params, {})

    def apply(params, state, x, /, *, key=None, train=False):
        del key, train
        w = need(params, "w", where="dense_general", kind="params")
        inputs = trailing("dense_general", x, axes)
        if inputs != w.shape[:axes]:
            raise ValueError(
                f"dense_general: x has the last axes {inputs}, expected {w.shape[:axes]};"
                " call init again with inputs like this one"
            )
        y = jnp.tensordot(x, w.astype(x.dtype), axes)
        if bias:
            y = y + need(params, "b", where="dense_general", kind="params").astype(x.dtype)
        return y, state

    config = {
        "features": features,
        "axes": axes,
        "bias": bias,
        "w_init": w_init,
        "b_init": b_init,
    }
    return Layer(init, apply, name="dense_general", config=config, made_by=dense_general)


def bilinear(
    features: int,
    *,
    bias: bool = True,
    w_init: Initializer = initializers.lecun_normal,
    b_init: Initializer = initializers.zeros,
) -> Layer:
    r"""Weigh every product of a feature of one input with a feature of the other.

    .. math:: y_k = \sum_{ij} u_i \, w_{ijk} \, v_j + b_k

    Linear in each input while the other rests.

    Args:
      features: how many numbers come out, >= 1.
      bias: whether to add b.
      w_init: initializer of w; the default's variance, 1 / (inputs of u times inputs of v), keeps
        that of independent u and v. PyTorch draws uniformly in +-1 / sqrt(inputs of u).
      b_init: initializer of b.

    Shapes:
      x: a pair (u, v) of (..., inputs_u) and (..., inputs_v) -> y: (..., features), same dtype.
      params: {"w": (inputs_u, inputs_v, features), "b": (features,)}, float32 or wider. state: {}.

    Raises:
      ValueError: at construction if `features` is less than 1; in init and apply if u and v differ
        in dtype or in an axis before the last; in apply if one has other features than w.
      TypeError: at construction if `features` is no int; in both if x is no pair of floating
        arrays.

    >>> net = bilinear(1, w_init=initializers.ones)
    >>> x = (jnp.array([[1.0, 2.0]]), jnp.array([[3.0, 4.0, 5.0]]))
    >>> params, state = net.init(jax.random.key(0), x)
    >>> print(net.apply(params, state, x)[0])
    [[36.]]
    """
    features = check_count("bilinear", "features", features)

    def init(key, x, /):
        u, v = _pair("bilinear", x)
        shape, dtype = (u.shape[-1], v.shape[-1], features), wide(u.dtype)
        params = {"w": w_init(key_for(key, "w"), shape, dtype)}
        if bias:
            params["b"] = b_init(key_for(key, "b"), (features,), dtype)
        return Variables(params, {})

    def apply(params, state, x, /, *, key=None, train=False):
        del key, train
        u, v = _pair("bilinear", x)
        w = need(params, "w", where="bilinear", kind="params").astype(u.dtype)
        for side, inputs in zip((u, v), w.shape[:2], strict=True):
            check_features(side, inputs, "bilinear")
        y = jnp.einsum("...i,ijk,...j->...k", u, w, v)
        if bias:
            y = y + need(params, "b", where="bilinear", kind="params").astype(y.dtype)
        return y, state

    config = {"features": features, "bias": bias, "w_init": w_init, "b_init": b_init}
    return Layer(init, apply, name="bilinear", config=config, made_by=bilinear)


def _pair(where: str, x: Any) -> tuple[jax.Array, jax.Array]:
    """The two arrays of x, or an error if it is something else or they do not fit together."""
    if not (isinstance(x, tuple | list) and len(x) == 2):
        raise TypeError(f"{where}: x must be a pair of arrays (u, v), got {spec_text(x)}")
    u, v = x
    features_of(u, where)
    features_of(v, where)
    if (u.shape[:-1], u.dtype) != (v.shape[:-1], v.dtype):
        raise ValueError(
            f"{where}: x must be two arrays alike but for their last axis, got {spec_text(u)}"
            f" and {spec_text(v)}"
        )
    return u, v
