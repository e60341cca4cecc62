"""Positions: what a network that takes a sequence as a set must be told about its order."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from fnn import initializers
from fnn.checks import check_count, check_features, features_of, need
from fnn.core import Layer, Variables, key_for
from fnn.initializers import Initializer
from fnn.show import spec_text
from fnn.trees import wide

_SMALL = initializers.normal(0.02)


def position_embed(length: int, *, w_init: Initializer = _SMALL) -> Layer:
    r"""Add to each place of a sequence a learned vector of its own.

    .. math:: y_t = x_t + w_t

    Places are counted from 0. For places that start elsewhere, as in decoding one token at a time,
    look them up by their number: `embed(length, features)`.

    Args:
      length: how many places there are, >= 1: the longest sequence.
      w_init: initializer of w; normal(0.02) as in BERT and GPT-2.

    Shapes:
      x: (..., time, features) -> y: the same, same dtype; time at most `length`.
      params: {"w": (length, features)}, float32 or wider. state: {}.

    Raises:
      ValueError: at construction if `length` is less than 1; in init and apply if x has no time
        axis or more places than `length`; in apply if x has other features.
      TypeError: at construction if `length` is no int; in init and apply if x is no floating array.

    Source: Gehring et al. 2017, section 3.1, https://arxiv.org/abs/1705.03122

    >>> import jax
    >>> net = position_embed(4, w_init=initializers.ones)
    >>> params, state = net.init(jax.random.key(0), jnp.zeros((1, 2, 3)))
    >>> params["w"].shape
    (4, 3)
    >>> print(net.apply(params, state, jnp.zeros((1, 2, 3)))[0])
    [[[1. 1. 1.]
      [1. 1. 1.]]]
    """
    length = check_count("position_embed", "length", length)

    def init(key, x, /):
        _, features = _places("position_embed", x, length)
        return Variables({"w": w_init(key_for(key, "w"), (length, features), wide(x.dtype))}, {})

    def apply(params, state, x, /, *, key=None, train=False):
        del key, train
        w = need(params, "w", where="position_embed", kind="params")
        check_features(x, w.shape[1], "position_embed")
        time, _ = _places("position_embed", x, w.shape[0])
        return x + w[:time].astype(x.dtype), state

    config = {"length": length, "w_init": w_init}
    return Layer(init, apply, name="position_embed", config=config, made_by=position_embed)


def sinusoidal_position(*, period: float = 10000.0) -> Layer:
    r"""Add to each place of a sequence sines and cosines of its number, of many wavelengths.

    .. math:: y_{t, 2i} = x_{t, 2i} + \sin(t / P^{2i/d}), \quad
        y_{t, 2i+1} = x_{t, 2i+1} + \cos(t / P^{2i/d})

    d is the number of features, t counts from 0. Nothing is learned, and there is no longest
    sequence. Sines and cosines alternate, as the paper writes; some programs put all sines first.
    The waves have amplitude 1: the paper multiplies the embeddings they are added to by sqrt(d)
    (section 3.4).

    Args:
      period: P, > 0: wavelengths run from 2 pi to nearly 2 pi P places.

    Shapes:
      x: (..., time, features) -> y: the same, same dtype.
      params: {}. state: {}.

    Raises:
      ValueError: at construction if `period` is not positive; in init and apply if x has no time
        axis. TypeError: if x is no floating array.

    Source: Vaswani et al. 2017, section 3.5, https://arxiv.org/abs/1706.03762

    >>> net = sinusoidal_position()
    >>> print(net.apply({}, {}, jnp.zeros((2, 4)))[0].round(1))
    [[0.  1.  0.  1. ]
     [0.8 0.5 0.  1. ]]
    """
    if not period > 0:
        raise ValueError(f"sinusoidal_position: period must be > 0, got {period}")

    def init(key, x, /):
        del key
        _places("sinusoidal_position", x)
        return Variables({}, {})

    def apply(params, state, x, /, *, key=None, train=False):
        del params, key, train
        waves = _waves(*_places("sinusoidal_position", x), period)
        return x + jnp.asarray(waves, x.dtype), state

    config = {"period": period}
    return Layer(
        init, apply, name="sinusoidal_position", config=config, made_by=sinusoidal_position
    )


def _waves(time: int, features: int, period: float) -> np.ndarray:
    """The sines and cosines, (time, features), in float64: far places lose digits in float32."""
    even = 2 * (np.arange(features) // 2)
    angles = np.arange(time)[:, None] / float(period) ** (even / features)
    return np.where(np.arange(features) % 2 == 0, np.sin(angles), np.cos(angles))


def _places(where: str, x: Any, length: int | None = None) -> tuple[int, int]:
    """How many places and features x has, or an error if it has no time axis or too many places."""
    features = features_of(x, where)
    if len(x.shape) < 2:
        raise ValueError(
            f"{where}: x must have a time axis, got {spec_text(x)};"
            " give x of shape (batch, time, features)"
        )
    time = x.shape[-2]
    if length is not None and time > length:
        raise ValueError(
            f"{where}: x has {time} places, more than length={length};"
            " shorten x, or build the layer with a greater length"
        )
    return time, features
