"""Noise in training against co-adapted neurons, nothing at inference."""

from collections.abc import Callable, Mapping, Sequence
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

# What selu gives far below zero: -lambda alpha.
_SELU_FLOOR = -1.7580993408473766


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
    _check_rate("dropout", rate)

    def thin(key, x):
        return _thinned(x, kept(bits(key, x.shape), rate), rate)

    return _noise(thin, {"rate": rate, "bits": bits}, dropout, never=_is_zero(rate))


def spatial_dropout(rate: float | jax.Array, *, bits: Bits = random.bits) -> Layer:
    r"""Where `train=True`, drop whole feature maps with probability `rate`: all places or none.

    .. math:: y_{nsi} = m_{ni} x_{nsi} / (1 - p), \quad m_{ni} \sim \operatorname{Bernoulli}(1 - p)

    Neighbouring places say nearly the same, so that dropping single numbers of a map hides little.
    PyTorch's `Dropout1d`, `Dropout2d` and `Dropout3d` in one, with the features last.

    Args:
      rate: p, the probability to drop, in [0, 1), as in `dropout`.
      bits: as in `dropout`.

    Shapes:
      x: (batch, *space, features) floating -> y: the same, same dtype.
      params: {}. state: {}.

    Raises:
      ValueError: at construction if `rate` is outside [0, 1); in init and apply if x has no batch
        axis; in apply if `train=True` and there is no key.
      TypeError: at construction if `rate` is no number; in apply if x is no floating array.

    Source: Tompson et al. 2015, section 3.2, https://arxiv.org/abs/1411.4280

    >>> net = spatial_dropout(0.5)
    >>> y, _ = net.apply({}, {}, jnp.ones((1, 2, 5)), key=jax.random.key(4), train=True)
    >>> print(y)
    [[[2. 0. 2. 0. 0.]
      [2. 0. 2. 0. 0.]]]
    """
    _check_rate("spatial_dropout", rate)

    def thin(key, x):
        maps = (x.shape[0], *(1,) * (x.ndim - 2), x.shape[-1])
        return _thinned(x, kept(bits(key, maps), rate), rate)

    config = {"rate": rate, "bits": bits}
    return _noise(thin, config, spatial_dropout, never=_is_zero(rate), axes=2)


def stochastic_depth(rate: float | jax.Array, *, bits: Bits = random.bits) -> Layer:
    r"""Where `train=True`, drop whole examples with probability `rate`: last in a residual branch.

    .. math:: y_n = m_n x_n / (1 - p), \quad m_n \sim \operatorname{Bernoulli}(1 - p)

    In `residual(serial(..., stochastic_depth(0.1)))` a dropped example passes the block unchanged,
    as though the network were less deep. The paper draws once for the whole batch and makes the
    branch smaller at inference instead of larger in training; one draw for each example, as most
    libraries do today, gives less noisy gradients. Rates that grow linearly with depth, from 0 to
    perhaps 0.5, are the paper's (eq. 4).

    Args:
      rate: p, the probability to drop, in [0, 1), as in `dropout`.
      bits: as in `dropout`.

    Shapes:
      x: (batch, ...) floating -> y: the same, same dtype.
      params: {}. state: {}.

    Raises:
      ValueError: at construction if `rate` is outside [0, 1); in init and apply if x has no batch
        axis; in apply if `train=True` and there is no key.
      TypeError: at construction if `rate` is no number; in apply if x is no floating array.

    Source: Huang et al. 2016, section 3, https://arxiv.org/abs/1603.09382

    >>> net = stochastic_depth(0.5)
    >>> y, _ = net.apply({}, {}, jnp.ones((4, 3)), key=jax.random.key(4), train=True)
    >>> print(y)
    [[2. 2. 2.]
     [0. 0. 0.]
     [2. 2. 2.]
     [0. 0. 0.]]
    """
    _check_rate("stochastic_depth", rate)

    def thin(key, x):
        examples = (x.shape[0], *(1,) * (x.ndim - 1))
        return _thinned(x, kept(bits(key, examples), rate), rate)

    config = {"rate": rate, "bits": bits}
    return _noise(thin, config, stochastic_depth, never=_is_zero(rate), axes=1)


def alpha_dropout(rate: float | jax.Array, *, bits: Bits = random.bits) -> Layer:
    r"""Dropout for selu: where `train=True`, set numbers to selu's floor; mean and variance stay.

    .. math:: y_i = a \, (m_i x_i + (1 - m_i) \, \alpha') + b, \quad
        m_i \sim \operatorname{Bernoulli}(q), \; q = 1 - p, \; \alpha' = -\lambda \alpha
    .. math:: a = \big(q + \alpha'^2 q (1 - q)\big)^{-1/2}, \quad b = -a (1 - q) \, \alpha'

    With these a and b an x of mean 0 and variance 1, which a selu network keeps to, stays so.

    Args:
      rate: p, the probability to drop, in [0, 1), as in `dropout`; the paper takes 0.05 or 0.1.
      bits: as in `dropout`.

    Shapes:
      x: (...) floating -> y: (...), same dtype.
      params: {}. state: {}.

    Raises:
      ValueError: at construction if `rate` is outside [0, 1); in apply if `train=True` and there is
        no key.
      TypeError: at construction if `rate` is no number; in apply if x is no floating array.

    Source: Klambauer et al. 2017, "New dropout technique" at the end of section 2,
      https://arxiv.org/abs/1706.02515

    >>> net = alpha_dropout(0.5)
    >>> x = jax.nn.selu(jax.random.normal(jax.random.key(1), (10_000,)))
    >>> y, _ = net.apply({}, {}, x, key=jax.random.key(0), train=True)
    >>> bool(abs(y.mean() - x.mean()) < 0.05), bool(abs(y.var() - x.var()) < 0.05)
    (True, True)
    """
    _check_rate("alpha_dropout", rate)

    def thin(key, x):
        keep = kept(bits(key, x.shape), rate)
        p = jnp.asarray(rate, wide(x.dtype))
        a = jax.lax.rsqrt((1 - p) * (1 + p * _SELU_FLOOR**2))
        b = -a * p * _SELU_FLOOR
        dropped = (a * _SELU_FLOOR + b).astype(x.dtype)
        return jnp.where(keep, a.astype(x.dtype) * x + b.astype(x.dtype), dropped)

    return _noise(thin, {"rate": rate, "bits": bits}, alpha_dropout, never=_is_zero(rate))


def gaussian_noise(stddev: float | jax.Array) -> Layer:
    r"""Where `train=True`, add normal noise.

    .. math:: y_i = x_i + \sigma n_i, \quad n_i \sim \mathcal N(0, 1)

    On the inputs it acts, where it is small, as a penalty on the network's slopes.

    Args:
      stddev: sigma, >= 0, in units of x. An array may be traced, so that `vmap` can sweep it; then
        nobody checks its range. The number 0 is the identity and needs no key.

    Shapes:
      x: (...) floating -> y: (...), same dtype.
      params: {}. state: {}.

    Raises:
      ValueError: at construction if `stddev` is negative; in apply if `train=True` and there is no
        key.
      TypeError: at construction if `stddev` is no number; in apply if x is no floating array.

    Source: Bishop 1995, https://doi.org/10.1162/neco.1995.7.1.108

    >>> net = gaussian_noise(0.1)
    >>> y, _ = net.apply({}, {}, jnp.ones(1000), key=jax.random.key(0), train=True)
    >>> bool(abs(y.std() - 0.1) < 0.01)
    True
    """
    _check_number("gaussian_noise", "stddev", stddev)
    if not isinstance(stddev, Tracer) and not stddev >= 0:
        raise ValueError(f"gaussian_noise: stddev must be >= 0, got {stddev}")

    def add(key, x):
        return x + jnp.asarray(stddev).astype(x.dtype) * jax.random.normal(key, x.shape, x.dtype)

    return _noise(add, {"stddev": stddev}, gaussian_noise, never=_is_zero(stddev))


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


def _noise(
    change: Callable[[jax.Array, jax.Array], jax.Array],
    config: Mapping[str, Any],
    made_by: Callable[..., Layer],
    *,
    never: bool,
    axes: int = 0,
) -> Layer:
    """The layer `change(key, x)` in training, the identity at inference and where `never`.

    `axes` is how many axes x must have: two for (batch, features).
    """
    where = made_by.__name__

    def check(x):
        if not jnp.issubdtype(one_array(x, where).dtype, jnp.inexact):
            raise TypeError(
                f"{where}: x must be floating point, got {spec_text(x)}; use x.astype(jnp.float32)"
            )
        if len(x.shape) < axes:
            wanted = "(batch, *space, features)" if axes == 2 else "(batch, ...)"
            raise ValueError(f"{where}: x must have the shape {wanted}, got {spec_text(x)}")

    def init(key, x, /):
        del key
        check(x)
        return Variables({}, {})

    def apply(params, state, x, /, *, key=None, train=False):
        del params
        check(x)
        return (change(need_key(key, where), x) if train and not never else x), state

    return Layer(init, apply, name=where, config=config, made_by=made_by)


def _thinned(x: jax.Array, keep: jax.Array, rate: float | jax.Array) -> jax.Array:
    """x / (1 - rate) where `keep`, else zero."""
    scale = 1 / (1 - jnp.asarray(rate, wide(x.dtype)))
    return jnp.where(keep, x * scale.astype(x.dtype), jnp.zeros((), x.dtype))


def _is_zero(number: float | jax.Array) -> bool:
    """Whether a setting is the number 0; an array may be a sweep, and keeps its program."""
    return not isinstance(number, jax.Array) and number == 0


def _check_rate(where: str, rate: Any) -> None:
    _check_number(where, "rate", rate)
    if not isinstance(rate, Tracer) and not 0 <= rate < 1:
        raise ValueError(
            f"{where}: rate is the probability to drop and must be in [0, 1), got {rate}"
        )


def _check_number(where: str, name: str, value: Any) -> None:
    if isinstance(value, Tracer):
        return
    number = isinstance(value, int | float) or getattr(value, "shape", None) == ()
    if not number or isinstance(value, bool):
        raise TypeError(f"{where}: {name} must be one number, got {value!r}")
