"""What every metric asks of its two arguments before it looks at a number."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from fnn.trees import wide


def array(where: str, name: str, value: Any) -> jax.Array:
    """`value` as an array, or an error that says what it is."""
    try:
        return jnp.asarray(value)
    except TypeError as error:
        raise TypeError(
            f"{where}: {name} must be an array of numbers, got {type(value).__name__}"
        ) from error


def label_array(where: str, labels: Any, name: str = "labels") -> jax.Array:
    """Labels as int32, or an error if they are no integers or there are none."""
    labels = array(where, name, labels)
    if not (jnp.issubdtype(labels.dtype, jnp.integer) or labels.dtype == bool):
        raise TypeError(
            f"{where}: {name} must be integers, got {labels.dtype} of shape {labels.shape};"
            f" use {name}.astype(jnp.int32), or jnp.argmax({name}, axis=-1) if they are one-hot"
        )
    check_some(where, labels)
    return labels.astype(jnp.int32)


def check_some(where: str, target: jax.Array) -> None:
    """Raise if there is no example to measure."""
    if target.size == 0:
        raise ValueError(f"{where}: there are no examples, got shape {target.shape}")


def score_array(where: str, name: str, scores: Any) -> jax.Array:
    """Logits, probabilities or scores, in float32 or wider."""
    scores = array(where, name, scores)
    if not jnp.issubdtype(scores.dtype, jnp.floating):
        raise TypeError(
            f"{where}: {name} must be floating point, got {scores.dtype} of shape {scores.shape}"
        )
    return scores.astype(wide(scores.dtype))


def class_scores(where: str, name: str, scores: Any, labels: Any) -> tuple[jax.Array, jax.Array]:
    """Scores (..., classes) beside labels (...,)."""
    scores, labels = score_array(where, name, scores), label_array(where, labels)
    if scores.ndim == 0 or scores.shape[:-1] != labels.shape:
        raise ValueError(
            f"{where}: {name} {scores.shape} and labels {labels.shape} do not fit;"
            f" {name} must be labels.shape + (classes,)"
        )
    if scores.shape[-1] == 1:
        raise ValueError(
            f"{where}: {name} {scores.shape} has one class only, in which every answer is right;"
            f" for one logit of a binary choice give ({name}[..., 0] > 0)"
        )
    return scores, labels


def class_ids(
    where: str, prediction: Any, labels: Any
) -> tuple[jax.Array, jax.Array, int | None, jax.Array | bool]:
    """Predicted classes, labels, the number of classes if logits tell it, and which are defined.

    The prediction is either logits (..., classes), of which the largest counts, or class ids (or
    booleans) in the shape of the labels. A row of logits with a NaN in it has no largest.
    """
    prediction = array(where, "prediction", prediction)
    if jnp.issubdtype(prediction.dtype, jnp.floating):
        if prediction.shape == jnp.shape(labels):
            raise TypeError(
                f"{where}: prediction is {prediction.dtype} in the shape of the labels"
                f" {prediction.shape}; give logits (..., classes), or class ids: for one logit of"
                " a binary choice (prediction > 0)"
            )
        logits, labels = class_scores(where, "prediction", prediction, labels)
        ids, defined = _largest(logits)
        return ids, labels, logits.shape[-1], defined
    ids = label_array(where, prediction, "prediction")
    labels = label_array(where, labels)
    if ids.shape != labels.shape:
        raise ValueError(
            f"{where}: prediction {ids.shape} and labels {labels.shape} differ in shape"
        )
    return ids, labels, None, True


@functools.partial(jax.jit, inline=True)  # outside of jit: one program to compile and not five
def _largest(logits: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The class of the largest logit, and whether there is one: not in a row with a NaN."""
    return jnp.argmax(logits, axis=-1).astype(jnp.int32), ~jnp.isnan(logits).any(axis=-1)


def binary_scores(where: str, scores: Any, labels: Any) -> tuple[jax.Array, jax.Array]:
    """Scores and labels (0 or 1), both (examples,), as the ranking metrics want them."""
    scores, labels = score_array(where, "scores", scores), label_array(where, labels)
    if scores.shape != labels.shape or scores.ndim != 1:
        raise ValueError(
            f"{where}: scores {scores.shape} and labels {labels.shape} must both be (examples,);"
            " of two logits take scores[:, 1] - scores[:, 0]"
        )
    check_within(where, labels, 2)
    return scores, labels


def check_within(where: str, labels: jax.Array, classes: int) -> None:
    """Raise if a label lies outside range(classes), where its value is known (not under jit)."""
    if isinstance(labels, Tracer):
        return
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise ValueError(
            f"{where}: labels must lie in 0 .. {classes - 1} for classes={classes},"
            f" got {low if low < 0 else high}"
        )


def same_shape(where: str, prediction: Any, target: Any) -> tuple[jax.Array, jax.Array]:
    """Two real arrays of one shape, in float32 or wider."""
    prediction = array(where, "prediction", prediction)
    target = array(where, "target", target)
    if prediction.shape != target.shape:
        raise ValueError(
            f"{where}: prediction {prediction.shape} and target {target.shape} differ in shape;"
            " add or drop an axis, as in target[:, None] or prediction[:, 0]"
        )
    check_some(where, target)
    dtype = wide(jnp.result_type(prediction, target, jnp.float16))
    return prediction.astype(dtype), target.astype(dtype)
