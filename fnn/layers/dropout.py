"""Dropout: noise in training against co-adapted neurons, nothing at inference."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from fnn import random
from fnn.checks import need_key, one_array
from fnn.core import Layer, Variables
from fnn.show import spec_text
from fnn.trees import wide

Bits = Callable[[jax.Array, Sequence[int]], jax.Array]


def dropout(rate: float | jax.Array, *, bits: Bits = random.bits) -> Layer:
    r"""Where `train=True`, drop each number with probability `rate` and make the rest larger.

    .. math:: y_i = m_i x_i / (1 - p), \quad m_i \sim \operatorname{Bernoulli}(1 - p)

    Inverted dropout: the mean of y is x, so that inference needs no scaling and passes x on.

    Args:
      rate: p, the probability to drop, in [0, 1). An array may be traced, so that `vmap` can sweep
        it; then nobody checks its range. The number 0 is the identity and needs no key.
      bits: `bits(key, shape)` gives independent uniform random uint32; `fnn.random.bits` hashes
        positions, `jax.random.bits` is JAX's own generator, slower and made for more than masks.

    Shapes:
      x: (...) floating -> y: (...), same dtype.
      params: {}. state: {}.

    Raises:
      ValueError: at construction if `rate` is outside [0, 1); in apply if `train=True` and there is
        no key.
      TypeError: at construction if `rate` is no number; in apply if x is no floating array.

    Source: Srivastava et al. 2014, section 10 (which also names the inverted form),
      https://jmlr.org/papers/v15/srivastava14a.html

    >>> net = dropout(0.5)
    >>> y, _ = net.apply({}, {}, jnp.ones(1000), key=jax.random.key(0), train=True)
    >>> sorted(set(y.tolist())), bool(abs(y.mean() - 1) < 0.1)
    ([0.0, 2.0], True)
    """
    if not isinstance(rate, Tracer):
        _check_rate(rate)
    never = not isinstance(rate, jax.Array) and rate == 0

    def init(key, x, /):
        del key
        _check_float(x)
        return Variables({}, {})

    def apply(params, state, x, /, *, key=None, train=False):
        del params
        _check_float(x)
        if never or not train:
            return x, state
        keep = kept(bits(need_key(key, "dropout"), x.shape), rate)
        scale = 1 / (1 - jnp.asarray(rate, wide(x.dtype)))
        return jnp.where(keep, x * scale.astype(x.dtype), jnp.zeros((), x.dtype)), state

    config = {"rate": rate, "bits": bits}
    return Layer(init, apply, name="dropout", config=config, made_by=dropout)


def kept(bits: jax.Array, rate: float | jax.Array) -> jax.Array:
    """True with probability 1 - rate, for uniform random bits; exact to 2^-32 for numbers.

    >>> print(kept(jnp.array([0, 2**30, 2**31, 2**32 - 1], jnp.uint32), 0.5))
    [False False  True  True]
    """
    if isinstance(rate, jax.Array):
        threshold = (rate.astype(jnp.float32) * jnp.float32(2**32)).astype(jnp.uint32)
    else:
        threshold = jnp.uint32(min(round(rate * 2**32), 2**32 - 1))
    return bits.astype(jnp.uint32) >= threshold


def _check_rate(rate: Any) -> None:
    number = isinstance(rate, int | float) or getattr(rate, "shape", None) == ()
    if not number or isinstance(rate, bool):
        raise TypeError(f"dropout: rate must be one number, got {rate!r}")
    if not 0 <= rate < 1:
        raise ValueError(
            f"dropout: rate is the probability to drop and must be in [0, 1), got {rate}"
        )


def _check_float(x: Any) -> None:
    if not jnp.issubdtype(one_array(x, "dropout").dtype, jnp.inexact):
        raise TypeError(
            f"dropout: x must be floating point, got {spec_text(x)}; use x.astype(jnp.float32)"
        )
