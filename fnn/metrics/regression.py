"""Metrics of predicted numbers. All are averages over every element of the set."""

import jax
import jax.numpy as jnp

from fnn.metrics.checks import array, check_some, same_shape


def mse(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """Mean squared error of a set, in units of the target squared.

    Args:
      prediction: (...,), in the units of the target.
      target: same shape as `prediction`.

    Raises:
      ValueError: if the shapes differ or there are no examples.

    >>> float(mse(jnp.array([1.0, 5.0]), jnp.array([1.0, 3.0])))
    2.0
    """
    prediction, target = same_shape("mse", prediction, target)
    return jnp.mean((prediction - target) ** 2)


def rmse(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """Root of the mean squared error of a set, in units of the target.

    >>> float(rmse(jnp.array([1.0, 5.0, 1.0, 1.0]), jnp.array([1.0, 3.0, 1.0, 1.0])))
    1.0
    """
    prediction, target = same_shape("rmse", prediction, target)
    return jnp.sqrt(jnp.mean((prediction - target) ** 2))


def mae(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """Mean absolute error of a set, in units of the target.

    >>> float(mae(jnp.array([1.0, 5.0]), jnp.array([1.0, 3.0])))
    1.0
    """
    prediction, target = same_shape("mae", prediction, target)
    return jnp.mean(jnp.abs(prediction - target))


def max_error(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """The largest absolute error of a set, in units of the target.

    >>> float(max_error(jnp.array([1.0, 5.0]), jnp.array([1.0, 3.0])))
    2.0
    """
    prediction, target = same_shape("max_error", prediction, target)
    return jnp.max(jnp.abs(prediction - target))


def r2(prediction: jax.Array, target: jax.Array) -> jax.Array:
    r"""The share of the target's variance that the prediction explains, at most 1.

    .. math:: R^2 = 1 - \sum_i (y_i - \hat y_i)^2 \Big/ \sum_i (y_i - \bar y)^2

    The constant mean of this very target scores 0, a worse prediction less. With several outputs
    it is their plain average. A target without variance scores 1 if met exactly, else 0.

    Args:
      prediction: (examples, ...), in the units of the target.
      target: same shape as `prediction`.

    Raises:
      ValueError: if the shapes differ or there are no examples.

    >>> float(r2(jnp.array([1.0, 2.0, 3.0]), jnp.array([1.0, 2.0, 4.0]))) # doctest: +ELLIPSIS
    0.785...
    """
    prediction, target = same_shape("r2", prediction, target)
    return _share(jnp.sum((target - prediction) ** 2, axis=0), _spread(target))


def explained_variance(prediction: jax.Array, target: jax.Array) -> jax.Array:
    r"""R^2 that forgives a constant offset: 1 - var(y - y_hat) / var(y).

    >>> float(explained_variance(jnp.array([1.0, 2.0, 3.0]), jnp.array([11.0, 12.0, 13.0])))
    1.0
    """
    prediction, target = same_shape("explained_variance", prediction, target)
    return _share(_spread(target - prediction), _spread(target))


def null_r2(target: jax.Array, *, mean: jax.Array | float) -> jax.Array:
    """R^2 of the model that always answers `mean`: the baseline to beat.

    Args:
      target: (examples, ...), the held-out targets.
      mean: the mean of the *training* targets, one number or one per output.

    Returns:
      At most 0: 0 where `mean` happens to be the mean of this target.

    >>> float(null_r2(jnp.array([1.0, 3.0]), mean=3.0))
    -1.0
    """
    target = array("null_r2", "target", target)
    check_some("null_r2", target)
    mean = array("null_r2", "mean", mean)
    if mean.shape not in ((), target.shape[1:]):
        raise ValueError(
            f"null_r2: mean {mean.shape} must be one number or one per output {target.shape[1:]}"
        )
    return r2(jnp.broadcast_to(mean, target.shape), target)


def _spread(a: jax.Array) -> jax.Array:
    return jnp.sum((a - jnp.mean(a, axis=0)) ** 2, axis=0)


def _share(left: jax.Array, total: jax.Array) -> jax.Array:
    """The mean over outputs of 1 - left / total; 1 or 0 where there is nothing to explain."""
    flat = total == 0
    degenerate = jnp.where(left == 0, 1.0, 0.0).astype(left.dtype)
    return jnp.mean(jnp.where(flat, degenerate, 1 - left / jnp.where(flat, 1, total)))
