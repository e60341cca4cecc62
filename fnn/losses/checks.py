"""What every loss asks of its arguments: equal shapes, integer labels, known ranges.

Settings are checked where they are numbers; traced ones, as under vmap, are taken as they come.
"""

from typing import Any

import jax
import jax.numpy as jnp

from fnn.trees import wide


def alike(where: str, prediction: Any, target: Any, names: str = "prediction target") -> Any:
    """Both arrays in float32 or wider, or a `ValueError` if their shapes differ.

    A target (n,) against a prediction (n, 1) would broadcast to (n, n) and train on nonsense.
    """
    a, b = jnp.asarray(prediction), jnp.asarray(target)
    if a.shape != b.shape:
        first, second = names.split()
        raise ValueError(
            f"{where}: {first} {a.shape} and {second} {b.shape} differ in shape;"
            f" give both one shape, such as {second}[:, None] for (n, 1)"
        )
    dtype = floating(a)
    return a.astype(dtype), b.astype(dtype)


def floating(x: jax.Array) -> Any:
    """The dtype to judge x in: float32 or wider, the usual float for whole numbers."""
    return wide(x.dtype) if jnp.issubdtype(x.dtype, jnp.inexact) else jnp.result_type(float)


def scores(where: str, logits: Any, labels: Any) -> tuple[jax.Array, jax.Array]:
    """Logits (..., classes) in float32 or wider and integer labels (...)."""
    logits, labels = jnp.asarray(logits), jnp.asarray(labels)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(
            f"{where}: labels must be integer class ids, got {labels.dtype}{list(labels.shape)};"
            " use labels.astype(int), or soft_cross_entropy for probabilities and one-hot rows"
        )
    if not logits.shape:
        raise ValueError(f"{where}: logits need a class axis, got a scalar; give (..., classes)")
    if logits.shape[:-1] != labels.shape:
        images = logits.ndim > labels.ndim + 1 == 2
        raise ValueError(
            f"{where}: logits {logits.shape} need labels {logits.shape[:-1]}, got {labels.shape};"
            " one label for each row of logits"
            + ("; put flatten() before the dense layers of a network of images" if images else "")
        )
    # wide enough that a uint8 255 is not taken for the label -1
    number = labels.dtype if labels.dtype.itemsize > 4 else jnp.int32
    return logits.astype(floating(logits)), labels.astype(number)


def known(losses: jax.Array, labels: jax.Array, classes: int) -> jax.Array:
    """The losses, with NaN for a label that is no class, so that it is seen."""
    return jnp.where((labels >= 0) & (labels < classes), losses, jnp.nan)


def by_class(where: str, class_weights: Any, logits: jax.Array) -> jax.Array:
    """The weights as (classes,), or a `ValueError`: another shape would broadcast in silence."""
    weights, classes = jnp.asarray(class_weights, logits.dtype), logits.shape[-1]
    if weights.shape != (classes,):
        raise ValueError(
            f"{where}: class_weights must have shape ({classes},) for logits {logits.shape},"
            f" got {weights.shape}; give one weight for each class"
        )
    return weights


def above_zero(where: str, name: str, value: Any) -> None:
    """Raise a `ValueError` unless the setting is above 0."""
    if isinstance(value, int | float) and not value > 0:
        raise ValueError(f"{where}: {name} must be > 0, got {value}")


def at_least(where: str, name: str, value: Any, low: float) -> None:
    """Raise a `ValueError` if the setting is below `low`."""
    if isinstance(value, int | float) and not value >= low:
        raise ValueError(f"{where}: {name} must be >= {low}, got {value}")
