"""Distances between normal distributions."""

from typing import Any

import jax
import jax.numpy as jnp

from fnn.losses.checks import alike


def gaussian_kl(mean: Any, log_variance: Any) -> jax.Array:
    r"""KL(N(mean, variance) || N(0, 1)), summed over the last axis.

    .. math:: L = \tfrac12 \sum_j \left( \mu_j^2 + \sigma_j^2 - 1 - \log \sigma_j^2 \right)

    Args:
      mean: (..., features).
      log_variance: the same shape, log sigma^2.

    Returns:
      (...), >= 0 in nats; 0 only where mean and log-variance are 0.

    Source: Kingma & Welling 2014, appendix B, https://arxiv.org/abs/1312.6114

    >>> print(gaussian_kl(jnp.array([[0.0, 0.0], [1.0, 2.0]]), jnp.zeros((2, 2))))
    [0.  2.5]
    """
    mean, log_variance = alike("gaussian_kl", mean, log_variance, "mean log_variance")
    # expm1, for the sum of exp(s) - 1 - s would lose all its digits near s = 0
    return 0.5 * jnp.sum(mean**2 + jnp.expm1(log_variance) - log_variance, -1)
