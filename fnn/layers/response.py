"""Local response normalisation, as the first large convolutional networks had it."""

import jax
import jax.numpy as jnp

from fnn.checks import check_count, features_of
from fnn.core import Layer, Variables
from fnn.trees import wide


def local_response_norm(
    size: int = 5,
    *,
    alpha: float | jax.Array = 1e-4,
    beta: float | jax.Array = 0.75,
    k: float | jax.Array = 2.0,
) -> Layer:
    r"""Divide each feature by a power of the squares of the features around it.

    .. math:: y_i = x_i \Big(k + \alpha
        \sum_{j = \max(0, i - \lfloor n/2 \rfloor)}^{\min(N - 1, i + \lfloor (n-1)/2 \rfloor)} x_j^2
        \Big)^{-\beta}

    The paper's form and numbers. PyTorch divides alpha by n and has k = 1: its
    `LocalResponseNorm(n, alpha, beta, k)` is `local_response_norm(n, alpha=alpha / n, ...)`.
    The sum is taken in float32 or wider.

    Args:
      size: n, how many neighbouring features, >= 1.
      alpha: weight of the squares, in units of 1 / x squared.
      beta: the power.
      k: what is added to the weighted squares; > 0 keeps the quotient finite at x = 0.

    Shapes:
      x: (..., features) -> y: (..., features), same dtype.
      params: {}. state: {}.

    Raises:
      ValueError: at construction if `size` is less than 1. TypeError: if x is no floating array.

    Source: Krizhevsky et al. 2012, section 3.3,
      https://papers.nips.cc/paper/4824-imagenet-classification-with-deep-convolutional-neural-networks

    >>> net = local_response_norm(3, alpha=1.0, beta=1.0)
    >>> print(net.apply({}, {}, jnp.ones((1, 3)))[0].round(3))
    [[0.25 0.2  0.25]]
    """
    size = check_count("local_response_norm", "size", size)

    def init(key, x, /):
        del key
        features_of(x, "local_response_norm")
        return Variables({}, {})

    def apply(params, state, x, /, *, key=None, train=False):
        del params, key, train
        features = features_of(x, "local_response_norm")
        z = x.astype(wide(x.dtype))
        around = [(0, 0)] * (z.ndim - 1) + [(size // 2, (size - 1) // 2)]
        squares = jnp.pad(jnp.square(z), around)
        total = sum(squares[..., i : i + features] for i in range(size))
        a, b, c = (jnp.asarray(knob, z.dtype) for knob in (alpha, beta, k))
        return (z * (c + a * total) ** -b).astype(x.dtype), state

    config = {"size": size, "alpha": alpha, "beta": beta, "k": k}
    return Layer(
        init, apply, name="local_response_norm", config=config, made_by=local_response_norm
    )
