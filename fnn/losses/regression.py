"""Losses of regression: numbers against numbers, one loss per element."""

import math

import jax
import jax.numpy as jnp

from fnn.losses.checks import above_zero, alike


def squared_error(prediction: jax.Array, target: jax.Array) -> jax.Array:
    r"""The squared error; its mean is the MSE.

    .. math:: L = (\hat y - y)^2, \qquad \partial L / \partial \hat y = 2 (\hat y - y)

    Args:
      prediction: (...), in the units of the target.
      target: the same shape; nothing is broadcast.

    Returns:
      (...), in units of the target squared; infinite, with a finite gradient, for errors beyond
      1.8e19, whose squares float32 cannot hold.

    Raises:
      ValueError: if the shapes differ.

    >>> print(squared_error(jnp.array([1.0, 3.0]), jnp.array([1.0, 1.0])))
    [0. 4.]
    """
    prediction, target = alike("squared_error", prediction, target)
    return (prediction - target) ** 2


mse = squared_error


def root_mean_squared_error(prediction: jax.Array, target: jax.Array) -> jax.Array:
    r"""The root of the mean squared error over the last axis: one number per example.

    .. math:: L = \sqrt{\operatorname{mean}_j (\hat y_j - y_j)^2}

    Where all errors are 0 the gradient is 0.

    Args:
      prediction: (..., outputs).
      target: the same shape.

    Returns:
      (...), in units of the target.

    >>> print(root_mean_squared_error(jnp.array([[3.0, -3.0]]), jnp.zeros((1, 2))))
    [3.]
    """
    prediction, target = alike("root_mean_squared_error", prediction, target)
    error = prediction - target
    top = jax.lax.stop_gradient(jnp.max(jnp.abs(error), -1, keepdims=True, initial=0))
    top = jnp.where(top > 0, top, 1)  # else the squares of large errors would overflow
    mean = jnp.mean((error / top) ** 2, -1)
    return jnp.where(mean > 0, jnp.sqrt(jnp.where(mean > 0, mean, 1)), 0) * top[..., 0]


rmse = root_mean_squared_error


def absolute_error(prediction: jax.Array, target: jax.Array) -> jax.Array:
    r"""The size of the error; its mean is the MAE.

    .. math:: L = |\hat y - y|

    Args:
      prediction: (...), in the units of the target.
      target: the same shape.

    >>> print(absolute_error(jnp.array([1.0, -3.0]), jnp.zeros(2)))
    [1. 3.]
    """
    prediction, target = alike("absolute_error", prediction, target)
    return jnp.abs(prediction - target)


mae = absolute_error


def huber(prediction: jax.Array, target: jax.Array, *, delta: float = 1.0) -> jax.Array:
    r"""Quadratic for errors up to delta, linear beyond: outliers pull no harder than delta.

    .. math:: L = \tfrac12 q^2 + \delta (|e| - q), \quad e = \hat y - y,\; q = \min(|e|, \delta)

    Args:
      prediction: (...), in the units of the target.
      target: the same shape.
      delta: > 0, in units of the target.

    Source: Huber 1964, https://doi.org/10.1214/aoms/1177703732

    >>> print(huber(jnp.array([0.5, 3.0]), jnp.zeros(2)))
    [0.125 2.5  ]
    """
    above_zero("huber", "delta", delta)
    prediction, target = alike("huber", prediction, target)
    error = jnp.abs(prediction - target)
    near = jnp.minimum(error, delta)
    return 0.5 * near**2 + delta * (error - near)


def smooth_l1(prediction: jax.Array, target: jax.Array, *, beta: float = 1.0) -> jax.Array:
    r"""`huber` over its delta: slope 1 beyond beta, whatever beta is.

    .. math:: L = \tfrac{1}{2\beta} e^2 \text{ if } |e| < \beta \text{ else } |e| - \beta/2

    Args:
      prediction: (...), in the units of the target.
      target: the same shape.
      beta: > 0, in units of the target.

    Source: Girshick 2015, eq. 3, https://arxiv.org/abs/1504.08083

    >>> print(smooth_l1(jnp.array([0.5, 3.0]), jnp.zeros(2), beta=2.0))
    [0.0625 2.    ]
    """
    above_zero("smooth_l1", "beta", beta)
    prediction, target = alike("smooth_l1", prediction, target)
    return huber(prediction, target, delta=beta) / beta


def log_cosh(prediction: jax.Array, target: jax.Array) -> jax.Array:
    r"""Between squared and absolute error, smooth everywhere.

    .. math:: L = \log\cosh e, \quad e = \hat y - y

    Near 0 as log(1 + 2 sinh^2(e/2)), beyond as abs(e) + log(1 + exp(-2 abs(e))) - log 2: the first
    would overflow, the second cancels.

    Args:
      prediction: (...), in units in which an error of 1 is moderate.
      target: the same shape.

    >>> print(log_cosh(jnp.array([0.0, 1e4]), jnp.zeros(2)))
    [   0.    9999.307]
    """
    prediction, target = alike("log_cosh", prediction, target)
    error = prediction - target
    near = jnp.abs(error) < 1
    half = jnp.where(near, error, 0) / 2
    far = jnp.logaddexp(error, -error) - math.log(2)
    return jnp.where(near, jnp.log1p(2 * jnp.sinh(half) ** 2), far)


def poisson_nll(log_rate: jax.Array, count: jax.Array) -> jax.Array:
    r"""Minus the log-likelihood of a count, without its constant log(count!).

    .. math:: L = e^{z} - y z

    Args:
      log_rate: z, (...), the logarithm of the expected count. Beyond 70 the exponential goes on as
        its tangent: float32 would overflow at 88, and the gradient still pulls down.
      count: y >= 0, the same shape.

    >>> print(poisson_nll(jnp.array([0.0]), jnp.array([3])))
    [1.]
    """
    z, y = alike("poisson_nll", log_rate, count, "log_rate count")
    near = jnp.minimum(z, 70.0)
    return jnp.exp(near) + math.exp(70) * jnp.maximum(z - 70.0, 0) - y * z


def gaussian_nll(
    prediction: jax.Array, target: jax.Array, variance: jax.Array, *, eps: float = 1e-6
) -> jax.Array:
    r"""Minus the log-likelihood of a normal distribution, without its constant log(2 pi) / 2.

    .. math:: L = \tfrac12 \left( \log v + (\hat y - y)^2 / v \right), \quad
        v = \max(\text{variance}, \epsilon)

    Args:
      prediction: (...), the mean.
      target: the same shape.
      variance: the same shape, >= 0, such as the softplus of a network's second output.
      eps: > 0, the least variance, in units of the target squared.

    Source: Nix & Weigend 1994, eq. 3, https://doi.org/10.1109/ICNN.1994.374138

    >>> print(gaussian_nll(jnp.array([1.0]), jnp.array([3.0]), jnp.array([1.0])))
    [2.]
    """
    above_zero("gaussian_nll", "eps", eps)
    mean, target = alike("gaussian_nll", prediction, target)
    _, variance = alike("gaussian_nll", prediction, variance, "prediction variance")
    variance = jnp.maximum(variance, eps)
    return 0.5 * (jnp.log(variance) + (mean - target) * ((mean - target) / variance))
