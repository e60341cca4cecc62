"""Metrics of scores and probabilities: how well they rank, and how far they can be believed."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.core import Tracer

from fnn.metrics.checks import (
    binary_scores,
    check_within,
    class_scores,
    label_array,
    score_array,
)


class RocCurve(NamedTuple):
    """The points of a receiver operating characteristic, from (0, 0) to (1, 1)."""

    false_positive_rate: jax.Array  # (examples + 1,), rising
    true_positive_rate: jax.Array  # (examples + 1,), rising
    thresholds: jax.Array  # (examples + 1,), falling from infinity: positive is score >= threshold


def roc_curve(scores: jax.Array, labels: jax.Array) -> RocCurve:
    """The false and true positive rates at every threshold.

    The shape depends on the number of examples alone, so that `jit` and `vmap` can take it:
    examples of equal score, which share a point, repeat it.

    Args:
      scores: (examples,), larger for the positive class; logits and probabilities rank alike.
      labels: (examples,), 0 or 1.

    Returns:
      `RocCurve`. A rate is NaN where the set has no example of its class.

    Raises:
      ValueError: if the shapes are not (examples,) or a label is neither 0 nor 1.
      TypeError: if `labels` are not integers or `scores` not floating point.

    >>> curve = roc_curve(jnp.array([0.1, 0.4, 0.35, 0.8]), jnp.array([0, 0, 1, 1]))
    >>> curve.false_positive_rate.tolist(), curve.true_positive_rate.tolist()
    ([0.0, 0.0, 0.5, 0.5, 1.0], [0.0, 0.5, 0.5, 1.0, 1.0])
    """
    scores, labels = binary_scores("roc_curve", scores, labels)
    order = jnp.argsort(-scores)
    falling, hits = scores[order], labels[order]
    last_of_tie = jnp.searchsorted(-falling, -falling, side="right") - 1
    start = jnp.zeros(1, scores.dtype)

    def rate(counted):
        counts = jnp.cumsum(counted)[last_of_tie]
        return jnp.concatenate([start, counts / counted.sum().astype(scores.dtype)])

    thresholds = jnp.concatenate([start + jnp.inf, falling])
    return RocCurve(rate(1 - hits), rate(hits), thresholds)


def roc_auc(scores: jax.Array, labels: jax.Array) -> jax.Array:
    r"""The probability that a positive example scores above a negative one, ties counting half.

    .. math:: \frac{1}{P N} \sum_{i \in P} \sum_{j \in N} [s_i > s_j] + \tfrac12 [s_i = s_j]

    It is the area under `roc_curve`: 1 for a perfect order, 1/2 for chance.

    Args:
      scores: (examples,), larger for the positive class.
      labels: (examples,), 0 or 1.

    Returns:
      A scalar; NaN if the set lacks one of the classes or a score is NaN.

    Raises:
      ValueError: if the shapes are not (examples,) or a label is neither 0 nor 1.
      TypeError: if `labels` are not integers or `scores` not floating point.

    Source: Hanley & McNeil 1982, https://doi.org/10.1148/radiology.143.1.7063747

    >>> float(roc_auc(jnp.array([0.1, 0.4, 0.35, 0.8]), jnp.array([0, 0, 1, 1])))
    0.75
    """
    scores, labels = binary_scores("roc_auc", scores, labels)
    below, through, _ = _ranks(scores, 1 - labels)
    won = jnp.sum(jnp.where(labels == 1, (below + through) / (2 * (1 - labels).sum()), 0))
    return _or_nan(won / labels.sum(), scores)


def average_precision(scores: jax.Array, labels: jax.Array) -> jax.Array:
    r"""The mean, over positive examples, of the precision at the threshold that just finds them.

    .. math:: \frac1P \sum_{i \in P} \frac{\#\{j \in P : s_j \ge s_i\}}{\#\{j : s_j \ge s_i\}}

    It is the area under the precision-recall curve as steps, without interpolation.

    Args:
      scores: (examples,), larger for the positive class.
      labels: (examples,), 0 or 1.

    Returns:
      A scalar; NaN if there is no positive example or a score is NaN.

    >>> scores, labels = jnp.array([0.1, 0.4, 0.3, 0.2]), jnp.array([0, 0, 1, 1])
    >>> round(float(average_precision(scores, labels)), 4)  # (1 / 2 + 2 / 3) / 2
    0.5833
    """
    scores, labels = binary_scores("average_precision", scores, labels)
    below, _, left = _ranks(scores, labels)
    precision = (labels.sum() - below) / (len(scores) - left)
    return _or_nan(jnp.sum(jnp.where(labels == 1, precision, 0)) / labels.sum(), scores)


def brier_score(probabilities: jax.Array, labels: jax.Array) -> jax.Array:
    r"""Mean squared distance of the predicted probabilities from what happened.

    .. math:: \frac1n \sum_i \sum_k (p_{ik} - [k = y_i])^2

    With probabilities (...,) of the positive class it is the mean of (p - y)^2, half of that.

    Args:
      probabilities: (..., classes), or (...,) of the positive class; in [0, 1].
      labels: (...,) class ids.

    Returns:
      A scalar, 0 for certainty that comes true; at most 2, and at most 1 in the binary form.

    Raises:
      ValueError: if shapes do not fit, or (outside jit) a probability lies beyond [0, 1].

    Source: Brier 1950, https://doi.org/10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2

    >>> float(brier_score(jnp.array([0.5, 1.0]), jnp.array([0, 1])))
    0.125
    """
    probabilities, labels = _probabilities("brier_score", probabilities, labels)
    if probabilities.ndim == labels.ndim:
        return jnp.mean((probabilities - labels) ** 2)
    happened = jax.nn.one_hot(labels, probabilities.shape[-1], dtype=probabilities.dtype)
    return jnp.mean(jnp.sum((probabilities - happened) ** 2, axis=-1))


def expected_calibration_error(
    probabilities: jax.Array, labels: jax.Array, *, bins: int = 15
) -> jax.Array:
    r"""How far confidence and accuracy lie apart, averaged over bins of equal confidence.

    .. math:: \sum_b \frac{n_b}{n} \, | \operatorname{accuracy}_b - \operatorname{confidence}_b |

    Args:
      probabilities: (..., classes), whose largest is the confidence; or (...,) of the positive
        class, where the confidence in the answer is max(p, 1 - p).
      labels: (...,) class ids.
      bins: how many equal parts of [0, 1]; more bins, less bias and more noise.

    Returns:
      A scalar in [0, 1]; 0 if, in each bin, what is believed is as often true as it is believed.

    Raises:
      ValueError: if shapes do not fit, or (outside jit) a probability lies beyond [0, 1].

    Source: Guo et al. 2017, eq. 3, https://arxiv.org/abs/1706.04599

    >>> round(float(expected_calibration_error(jnp.array([0.8, 0.8]), jnp.array([1, 0]))), 4)
    0.3
    """
    if bins < 1:
        raise ValueError(f"expected_calibration_error: bins must be at least 1, got {bins}")
    p, labels = _probabilities("expected_calibration_error", probabilities, labels)
    if p.ndim == labels.ndim:
        p = jnp.stack([1 - p, p], axis=-1)
    confidence = p.max(axis=-1).ravel()
    right = (jnp.argmax(p, axis=-1) == labels).ravel().astype(p.dtype)
    into = jnp.clip(jnp.ceil(confidence * bins).astype(jnp.int32) - 1, 0, bins - 1)
    gaps = jnp.zeros(bins, p.dtype).at[into].add(right - confidence)
    return jnp.sum(jnp.abs(gaps)) / labels.size


def _ranks(scores: jax.Array, counted: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """For each score: how many counted examples lie below it, below or level; and all below."""
    order = jnp.argsort(scores)
    rising = scores[order]
    sums = jnp.concatenate([jnp.zeros(1, jnp.int32), jnp.cumsum(counted[order])])
    left = jnp.searchsorted(rising, scores, side="left")
    right = jnp.searchsorted(rising, scores, side="right")
    return sums[left], sums[right], left


def _or_nan(value: jax.Array, scores: jax.Array) -> jax.Array:
    """No rank can be given to NaN, so neither can a number to the set."""
    return jnp.where(jnp.isnan(scores).any(), jnp.nan, value).astype(scores.dtype)


def _probabilities(where: str, probabilities: Any, labels: Any) -> tuple[jax.Array, jax.Array]:
    p = score_array(where, "probabilities", probabilities)
    if not isinstance(p, Tracer) and bool(((p < 0) | (p > 1)).any()):
        raise ValueError(
            f"{where}: probabilities must lie in [0, 1], got {float(p.min())} to {float(p.max())};"
            " of logits take jax.nn.softmax(logits), or jax.nn.sigmoid(logit) for one"
        )
    labels = label_array(where, labels)
    if p.shape != labels.shape:
        p, labels = class_scores(where, "probabilities", p, labels)
    check_within(where, labels, 2 if p.ndim == labels.ndim else p.shape[-1])
    return p, labels
