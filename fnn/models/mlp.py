"""The multi-layer perceptron: fully connected layers with an activation between each two."""

from collections.abc import Callable

import jax

from fnn.combine import serial
from fnn.core import Layer
from fnn.initializers import Initializer, lecun_normal
from fnn.layers import dense, dropout, flatten


def mlp(
    *features: int,
    activation: Callable[[jax.Array], jax.Array] | Layer = jax.nn.relu,
    rate: float = 0.0,
    w_init: Initializer = lecun_normal,
) -> Layer:
    r"""Flatten each example, then fully connected layers, each hidden one with an activation.

    .. math::
        h_0 = \operatorname{vec}(x), \quad
        h_i = \operatorname{dropout}(a(h_{i-1} W_i + b_i)), \quad
        y = h_{n-1} W_n + b_n

    Args:
      *features: the width of each layer; the last is the output's and gets no activation.
      activation: a, a function of x or a layer.
      rate: probability to drop each hidden output in training, in [0, 1); 0 leaves no layer.
      w_init: initializer of the weights; dense's own default.

    Shapes:
      x: (batch, ...) -> y: (batch, features[-1]).
      params: {"dense_1": {"w", "b"}, ...}. state: {}.

    Raises:
      ValueError: if there are no features, or one is less than 1.

    >>> mlp(128, 10)
    serial(flatten(), dense(128), relu, dense(10))
    >>> params, state = mlp(3, 2).init(jax.random.key(0), jax.numpy.ones((1, 2, 2)))
    >>> jax.tree.map(jax.numpy.shape, params)
    {'dense_1': {'b': (3,), 'w': (4, 3)}, 'dense_3': {'b': (2,), 'w': (3, 2)}}
    """
    if not features:
        raise ValueError("mlp: give the width of each layer, such as mlp(128, 10); got none")
    parts: list = [flatten()]
    for width in features[:-1]:
        parts += [dense(width, w_init=w_init), activation]
        if rate:
            parts.append(dropout(rate))
    return serial(*parts, dense(features[-1], w_init=w_init))
