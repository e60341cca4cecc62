"""What every loss asks of its arguments: equal shapes, integer labels, known ranges."""

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
    dtype = wide(jnp.promote_types(jnp.result_type(a), jnp.bfloat16))
    return a.astype(dtype), b.astype(dtype)


def scores(where: str, logits: Any, labels: Any) -> tuple[jax.Array, jax.Array]:
    """Logits (..., classes) in float32 or wider and integer labels (...)."""
    logits, labels = jnp.asarray(logits), jnp.asarray(labels)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(
            f"{where}: labels must be integer class ids, got {labels.dtype}{list(labels.shape)};"
            " use labels.astype(int), or soft_cross_entropy for probabilities and one-hot rows"
        )
    if logits.shape[:-1] != labels.shape:
        images = logits.ndim > labels.ndim + 1 == 2
        raise ValueError(
            f"{where}: logits {logits.shape} need labels {logits.shape[:-1]}, got {labels.shape};"
            " one label for each row of logits"
            + ("; put flatten() before the dense layers of a network of images" if images else "")
        )
    return logits.astype(wide(logits.dtype)), labels
