"""Networks of many shapes as one program: width, depth and activation may be traced.

A program is compiled for its shapes, and compiling one costs more than training a small network.
Here a layer has as many neurons as the widest of all, and a mask lets through as many as asked for;
a hidden layer beyond the depth asked for is passed by. What is trained is exactly the smaller
network: the neurons behind the mask have no weights and get no gradient.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fnn.checks import check_count
from fnn.core import Layer, Variables
from fnn.models import mlp

Activation = Callable[[jax.Array], jax.Array]


def bounded_mlp(
    outputs: int,
    *,
    max_width: int,
    max_depth: int,
    activations: Sequence[Activation] = (jax.nn.relu, jnp.tanh),
    width: Any = None,
    depth: Any = None,
    activation: Any = 0,
) -> Layer:
    r"""A multi-layer perceptron whose width, depth and activation may be traced, within bounds.

    .. math::
        h_1 = m \odot a(x W_1 + b_1), \quad
        h_i = m \odot a(h_{i-1} W_i + b_i) \text{ if } i \le depth \text{ else } h_{i-1}, \quad
        y = h W + b, \qquad m_j = [\, j < width \,]

    Weights begin with variance 1 / fan in of the neurons that are there, as in `models.mlp`. In a
    `build` for `search.sweep`, a width, depth or activation that is a float of the configurations
    (2.0, not 2) shares one program with all others; `search.freed` gives the plain network.

    Args:
      outputs: how many the last layer has.
      max_width: neurons of every hidden layer's arrays.
      max_depth: hidden layers that there are arrays for, at least 1.
      activations: those to choose among.
      width: neurons let through, 1 to max_width; all by default. May be traced.
      depth: hidden layers in use, 1 to max_depth; all by default. May be traced.
      activation: the index of the one to use. May be traced.

    Shapes:
      x: (batch, features) -> y: (batch, outputs).
      params: {"hidden_1": {"w", "b"}, ..., "last": {"w", "b"}}. state: {}.

    >>> net = bounded_mlp(1, max_width=8, max_depth=2, width=3, depth=1)
    >>> params, state = net.init(jax.random.key(0), jnp.ones((1, 2)))
    >>> int((params["hidden_1"]["w"] != 0).sum())
    6
    """
    check_count("bounded_mlp", "outputs", outputs)
    check_count("bounded_mlp", "max_width", max_width)
    check_count("bounded_mlp", "max_depth", max_depth)
    width = max_width if width is None else width
    depth = max_depth if depth is None else depth

    def act(h):
        if len(activations) == 1:
            return activations[0](h)
        return lax.switch(jnp.asarray(activation, jnp.int32), list(activations), h)

    def mask(dtype):
        return (jnp.arange(max_width) < width).astype(dtype)

    def init(key, x, /):
        dtype, params = x.dtype, {}
        inputs, fan, through = x.shape[-1], x.shape[-1], jnp.ones(x.shape[-1], dtype)
        names = [f"hidden_{i + 1}" for i in range(max_depth)] + ["last"]
        ends = np.cumsum([0, inputs * max_width, *[max_width**2] * (max_depth - 1)])
        total = int(ends[-1]) + max_width * outputs
        draws = jax.random.truncated_normal(key, -2, 2, (total,), dtype)  # at once: compiles faster
        for begin, name in zip(ends, names, strict=True):
            size = outputs if name == "last" else max_width
            here = jnp.ones(outputs, dtype) if name == "last" else mask(dtype)
            w = draws[begin : begin + inputs * size].reshape(inputs, size)
            scale = 1 / (0.8796256610342398 * jnp.sqrt(jnp.asarray(fan, dtype)))
            params[name] = {
                "w": w * scale * through[:, None] * here,
                "b": jnp.zeros(size, dtype),
            }
            inputs, fan, through = max_width, width, here
        return Variables(params, {})

    def apply(params, state, x, /, *, key=None, train=False):
        del key, train
        through = mask(x.dtype)

        def hidden(i, h):
            p = params[f"hidden_{i}"]
            return act(h @ p["w"] + p["b"]) * through

        h = hidden(1, x)
        for i in range(2, max_depth + 1):
            if isinstance(depth, int):
                h = hidden(i, h) if i <= depth else h
            else:
                h = lax.cond(i <= depth, lambda h, i=i: hidden(i, h), lambda h: h, h)
        return h @ params["last"]["w"] + params["last"]["b"], state

    return Layer(init, apply, name="bounded_mlp", made_by=bounded_mlp)


def freed(params: Any, *, width: int, depth: int, activation: Activation) -> tuple[Layer, Any]:
    """The plain `models.mlp` that a bounded one is, and its parameters without what is masked.

    Args:
      params: of a `bounded_mlp`.
      width: the one it was trained with.
      depth: likewise.
      activation: that function.

    >>> net = bounded_mlp(1, max_width=8, max_depth=2, width=3, depth=1)
    >>> x = jnp.ones((1, 2))
    >>> params, state = net.init(jax.random.key(0), x)
    >>> plain, theirs = freed(params, width=3, depth=1, activation=jax.nn.relu)
    >>> plain, bool(jnp.allclose(plain.apply(theirs, {}, x)[0], net.apply(params, {}, x)[0]))
    (serial(flatten(), dense(3), relu, dense(1)), True)
    """
    outputs = params["last"]["b"].shape[-1]
    net = mlp(*[width] * depth, outputs, activation=activation)
    names = [f"hidden_{i + 1}" for i in range(depth)] + ["last"]
    own = {}
    for i, name in enumerate(names):
        w, b = params[name]["w"], params[name]["b"]
        w = w if i == 0 else w[:width]
        w, b = (w, b) if name == "last" else (w[:, :width], b[:width])
        own[f"dense_{2 * i + 1}"] = {"b": b, "w": w}
    return net, own
