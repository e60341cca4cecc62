"""Layers that draw from the distribution that they are given."""

from typing import Any

import jax
import jax.numpy as jnp

from fnn.checks import need_key
from fnn.core import Layer, Variables
from fnn.show import spec_text


def gaussian_sample() -> Layer:
    r"""Where `train=True`, a draw from the normal distribution given; at inference its mean.

    .. math:: y = \mu + e^{s / 2} \, n, \quad n_i \sim \mathcal N(0, 1), \quad s = \log \sigma^2

    Written so, the draw has a gradient by its mean and its variance: the noise does not depend on
    them ("reparameterization").

    Shapes:
      x: {"mean": (...), "log_variance": (...)}, of one shape, floating -> y: (...), same dtype.
      params: {}. state: {}.

    Raises:
      TypeError: in apply if x is anything else. ValueError: in apply if the shapes differ, or if
        `train=True` and there is no key.

    Source: Kingma & Welling 2014, section 2.4, https://arxiv.org/abs/1312.6114

    >>> normal = {"mean": jnp.full(1000, 3.0), "log_variance": jnp.zeros(1000)}
    >>> y, _ = gaussian_sample().apply({}, {}, normal, key=jax.random.key(0), train=True)
    >>> abs(float(y.mean()) - 3) < 0.1, abs(float(y.std()) - 1) < 0.1
    (True, True)
    """

    def init(key, x, /):
        del key
        _check(x)
        return Variables({}, {})

    def apply(params, state, x, /, *, key=None, train=False):
        del params
        mean, log_variance = _check(x)
        if not train:
            return mean, state
        noise = jax.random.normal(need_key(key, "gaussian_sample"), mean.shape, mean.dtype)
        return mean + jnp.exp(log_variance / 2) * noise, state

    return Layer(init, apply, name="gaussian_sample", made_by=gaussian_sample)


def _check(x: Any) -> tuple[Any, Any]:
    """Mean and log-variance, or an error that says what is there."""
    if not isinstance(x, dict) or set(x) != {"mean", "log_variance"}:
        raise TypeError(
            f"gaussian_sample: x must be a dict of 'mean' and 'log_variance', got {spec_text(x)};"
            " parallel(fnn.models.mean_and_log_variance, mean=..., log_variance=...) gives one"
        )
    mean, log_variance = x["mean"], x["log_variance"]
    if not (mean.shape == log_variance.shape and jnp.issubdtype(mean.dtype, jnp.inexact)):
        raise ValueError(
            "gaussian_sample: mean and log_variance must be floating and of one shape, got"
            f" {spec_text(x)}"
        )
    return mean, log_variance
