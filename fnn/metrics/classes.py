"""Metrics of predicted classes: all are counts of a confusion matrix, divided."""

import functools
from typing import Any, Literal

import jax
import jax.numpy as jnp

from fnn.metrics.checks import check_within, class_ids, class_scores, label_array

Average = Literal["binary", "macro", "micro", "weighted", "each"]


def accuracy(prediction: jax.Array, labels: jax.Array) -> jax.Array:
    """The share of examples whose class is predicted right.

    Args:
      prediction: logits or probabilities (..., classes), of which the largest counts (the first of
        equals), or class ids (...,), integers or booleans.
      labels: (...,) class ids.

    Returns:
      A scalar in [0, 1]. A row of logits that holds NaN counts as wrong.

    Raises:
      ValueError: if the shapes do not fit, there is one class, or there are no examples.
      TypeError: if `labels` are not integers.

    >>> float(accuracy(jnp.array([[2.0, 1.0], [0.0, 3.0]]), jnp.array([0, 0])))
    0.5
    """
    ids, labels, _, defined = class_ids("accuracy", prediction, labels)
    return _share_equal(ids, labels, defined)


@functools.partial(jax.jit, inline=True)
def _share_equal(ids: jax.Array, labels: jax.Array, defined: jax.Array | bool) -> jax.Array:
    return jnp.mean((ids == labels) & defined)


def top_k_accuracy(logits: jax.Array, labels: jax.Array, *, k: int = 5) -> jax.Array:
    """The share of examples whose class is among the k largest logits; equals go by index.

    Args:
      logits: (..., classes).
      labels: (...,) class ids.
      k: how many answers are allowed, 1 to classes; 1 is `accuracy`.

    Raises:
      ValueError: if the shapes do not fit or k is out of range.

    >>> float(top_k_accuracy(jnp.array([[3.0, 2.0, 1.0]]), jnp.array([1]), k=2))
    1.0
    """
    logits, labels = class_scores("top_k_accuracy", "logits", logits, labels)
    classes = logits.shape[-1]
    if not 1 <= k <= classes:
        raise ValueError(f"top_k_accuracy: k must be from 1 to {classes} (the classes), got {k}")
    own = jnp.take_along_axis(logits, labels[..., None], axis=-1)
    first = jnp.arange(classes) < labels[..., None]
    ahead = ~(logits <= own) | ((logits == own) & first)  # NaN is ahead of everything
    known = (labels >= 0) & (labels < classes) & ~jnp.isnan(logits).any(axis=-1)
    return jnp.mean((ahead.sum(axis=-1) < k) & known)


def confusion_matrix(
    prediction: jax.Array, labels: jax.Array, *, classes: int | None = None
) -> jax.Array:
    """How often each class (rows) was taken for each (columns); errors lie off the diagonal.

    Args:
      prediction: logits (..., classes), or class ids (...,).
      labels: (...,) class ids.
      classes: how many classes there are; may be left out with logits.

    Returns:
      (classes, classes) int32; row sums count the labels, column sums the predictions.

    Raises:
      ValueError: if the shapes do not fit, `classes` is missing, or (outside jit, where values are
        unknown) a label or a prediction is no class.
      TypeError: if `labels` are not integers.

    >>> confusion_matrix(jnp.array([0, 1, 1]), jnp.array([0, 1, 0]), classes=2).tolist()
    [[1, 1], [0, 1]]
    """
    return _confusion("confusion_matrix", prediction, labels, classes)


def precision(
    prediction: jax.Array,
    labels: jax.Array,
    *,
    average: Average = "binary",
    classes: int | None = None,
) -> jax.Array:
    """Of what was called positive, the share that is: TP / (TP + FP); low with type I errors.

    Args:
      prediction: logits (..., classes), or class ids (...,), booleans among them.
      labels: (...,) class ids.
      average: "binary": class 1 of the two; "each": one number per class; "macro": their plain mean
        over all classes; "weighted": their mean by frequency of the label; "micro": from the sums
        of the counts (for single labels that is the accuracy).
      classes: how many classes there are, needed with class ids unless `average` is "binary".

    Returns:
      A scalar in [0, 1], or (classes,) for "each"; 0 where the division is 0 / 0.

    Raises:
      ValueError: if shapes do not fit, `average` is unknown, "binary" meets more than two classes.

    >>> float(precision(jnp.array([1, 1, 0, 0]), jnp.array([1, 0, 1, 0])))
    0.5
    """
    return _rate("precision", prediction, labels, average, classes, lambda c: (c.tp, c.tp + c.fp))


def recall(
    prediction: jax.Array,
    labels: jax.Array,
    *,
    average: Average = "binary",
    classes: int | None = None,
) -> jax.Array:
    """Of what is positive, the share that was found: TP / (TP + FN); low with type II errors.

    Arguments, result and errors are those of `precision`. Also called sensitivity.

    >>> float(recall(jnp.array([1, 1, 0, 0]), jnp.array([1, 0, 0, 0])))
    1.0
    """
    return _rate("recall", prediction, labels, average, classes, lambda c: (c.tp, c.tp + c.fn))


def true_positive_rate(
    prediction: jax.Array,
    labels: jax.Array,
    *,
    average: Average = "binary",
    classes: int | None = None,
) -> jax.Array:
    """The same as `recall`, by the name it has on the axis of a ROC curve.

    >>> float(true_positive_rate(jnp.array([1, 0]), jnp.array([1, 1])))
    0.5
    """
    return recall(prediction, labels, average=average, classes=classes)


def specificity(
    prediction: jax.Array,
    labels: jax.Array,
    *,
    average: Average = "binary",
    classes: int | None = None,
) -> jax.Array:
    """Of what is negative, the share that was left alone: TN / (TN + FP), the true negative rate.

    Arguments, result and errors are those of `precision`.

    >>> float(specificity(jnp.array([1, 0, 0]), jnp.array([0, 0, 1])))
    0.5
    """
    return _rate("specificity", prediction, labels, average, classes, lambda c: (c.tn, c.tn + c.fp))


def false_positive_rate(
    prediction: jax.Array,
    labels: jax.Array,
    *,
    average: Average = "binary",
    classes: int | None = None,
) -> jax.Array:
    """Of what is negative, the share that was called positive: FP / (FP + TN).

    Arguments, result and errors are those of `precision`.

    >>> float(false_positive_rate(jnp.array([1, 0, 0]), jnp.array([0, 0, 1])))
    0.5
    """
    return _rate(
        "false_positive_rate", prediction, labels, average, classes, lambda c: (c.fp, c.tn + c.fp)
    )


def f1(
    prediction: jax.Array,
    labels: jax.Array,
    *,
    average: Average = "binary",
    classes: int | None = None,
) -> jax.Array:
    """The harmonic mean of precision and recall: 2 TP / (2 TP + FP + FN).

    Arguments, result and errors are those of `precision`.

    >>> round(float(f1(jnp.array([1, 1, 1]), jnp.array([1, 0, 0]))), 4)
    0.5
    """
    return _rate(
        "f1", prediction, labels, average, classes, lambda c: (2 * c.tp, 2 * c.tp + c.fp + c.fn)
    )


def f_beta(
    prediction: jax.Array,
    labels: jax.Array,
    *,
    beta: float,
    average: Average = "binary",
    classes: int | None = None,
) -> jax.Array:
    r"""F1 with recall `beta` times as important as precision.

    .. math:: (1 + \beta^2) TP / ((1 + \beta^2) TP + \beta^2 FN + FP)

    The other arguments, result and errors are those of `precision`.

    >>> round(float(f_beta(jnp.array([1, 1, 1]), jnp.array([1, 0, 0]), beta=2.0)), 4)
    0.7143
    """
    b = beta**2

    def parts(c):
        return (1 + b) * c.tp, (1 + b) * c.tp + b * c.fn + c.fp

    return _rate("f_beta", prediction, labels, average, classes, parts)


def balanced_accuracy(
    prediction: jax.Array, labels: jax.Array, *, classes: int | None = None
) -> jax.Array:
    """The mean recall over the classes that occur: accuracy as if all were equally frequent.

    Arguments and errors are those of `confusion_matrix`.

    >>> float(balanced_accuracy(jnp.array([0, 0, 0, 0]), jnp.array([0, 0, 0, 1]), classes=2))
    0.5
    """
    matrix = _confusion("balanced_accuracy", prediction, labels, classes).astype(float)
    found = matrix.sum(axis=1)
    return jnp.sum(_divide(jnp.diag(matrix), found)) / jnp.sum(found > 0)


def matthews(prediction: jax.Array, labels: jax.Array, *, classes: int | None = None) -> jax.Array:
    r"""Matthews' correlation of prediction and label, in any number of classes.

    .. math:: \frac{c\,s - \sum_k p_k t_k}
        {\sqrt{(s^2 - \sum_k p_k^2)(s^2 - \sum_k t_k^2)}}

    with s examples, c of them right, and p_k predictions and t_k labels of class k. It is 1 for
    perfect, 0 for chance (and for a constant answer), and -1 for always wrong in two classes.

    Arguments and errors are those of `confusion_matrix`.

    Source: Gorodkin 2004, https://doi.org/10.1016/j.compbiolchem.2004.09.006

    >>> float(matthews(jnp.array([0, 1]), jnp.array([1, 0]), classes=2))
    -1.0
    """
    matrix = _confusion("matthews", prediction, labels, classes).astype(float)
    p, t, s = matrix.sum(axis=0), matrix.sum(axis=1), matrix.sum()

    def spread(counts):  # s^2 - sum of squares, without the cancellation and without large squares
        return (counts / s) @ ((s - counts) / s)

    covariance = jnp.trace(matrix) / s - (p / s) @ (t / s)
    return _divide(covariance, jnp.sqrt(spread(p) * spread(t)))


def null_accuracy(labels: jax.Array, *, classes: int) -> jax.Array:
    """The accuracy of the model that always answers the most frequent class: the baseline to beat.

    Args:
      labels: (...,) class ids.
      classes: how many classes there are.

    >>> float(null_accuracy(jnp.array([0, 1, 1, 1]), classes=2))
    0.75
    """
    labels = label_array("null_accuracy", labels)
    check_within("null_accuracy", labels, classes)
    return jnp.bincount(labels.ravel(), length=classes).max() / labels.size


class _Counts:
    """True and false positives and negatives, per class or of class 1."""

    def __init__(self, matrix: jax.Array):
        self.tp = jnp.diag(matrix)
        self.fp = matrix.sum(axis=0) - self.tp
        self.fn = matrix.sum(axis=1) - self.tp
        self.tn = matrix.sum() - self.tp - self.fp - self.fn


def _confusion(where: str, prediction: Any, labels: Any, classes: int | None) -> jax.Array:
    ids, labels, found, _ = class_ids(where, prediction, labels)
    if classes is None and found is None:
        raise ValueError(f"{where}: class ids do not tell how many classes there are; add classes=")
    if classes is not None and found is not None and classes != found:
        raise ValueError(f"{where}: classes={classes}, but the logits have {found}")
    size = classes or found or 0
    check_within(where, labels, size)
    check_within(where, ids, size)
    known = (labels >= 0) & (labels < size) & (ids >= 0) & (ids < size)
    cell = jnp.where(known, labels * size + ids, size * size).ravel()
    counts = jnp.bincount(cell, length=size * size + 1)[:-1]
    return counts.reshape(size, size).astype(jnp.int32)


def _rate(where, prediction, labels, average, classes, parts) -> jax.Array:
    """The quotient that `parts` names, in the average wanted."""
    kinds = ("binary", "macro", "micro", "weighted", "each")
    if average not in kinds:
        raise ValueError(f"{where}: average must be one of {', '.join(kinds)}, got {average!r}")
    if average == "binary":
        classes = 2 if classes is None else classes
    matrix = _confusion(where, prediction, labels, classes).astype(float)
    if average == "binary" and matrix.shape[0] != 2:
        raise ValueError(
            f"{where}: average='binary' is of two classes, got {matrix.shape[0]};"
            " choose average='macro', 'micro', 'weighted' or 'each'"
        )
    upper, lower = parts(_Counts(matrix))
    if average == "micro":
        return _divide(upper.sum(), lower.sum())
    each = _divide(upper, lower)
    if average == "binary":
        return each[1]
    if average == "macro":
        return each.mean()
    if average == "weighted":
        return each @ (matrix.sum(axis=1) / matrix.sum())
    return each


def _divide(a: jax.Array, b: jax.Array) -> jax.Array:
    """a / b, and 0 where b is 0."""
    return jnp.where(b == 0, 0, a / jnp.where(b == 0, 1, b))
