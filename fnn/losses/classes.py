"""Losses of classification: logits or scores against classes."""

import jax
import jax.numpy as jnp

from fnn.losses.checks import above_zero, alike, at_least, by_class, known, scores


def cross_entropy(
    logits: jax.Array,
    labels: jax.Array,
    *,
    label_smoothing: float = 0.0,
    class_weights: jax.Array | None = None,
    ignore_label: int | None = None,
) -> jax.Array:
    r"""The surprise at the true class, in nats.

    .. math:: L = -w_y \sum_c q_c \log p_c, \quad p = \operatorname{softmax}(z), \quad
        q_c = (1 - s) [c = y] + s / C

    Args:
      logits: z, (..., classes).
      labels: y, (...), integers from 0 to classes - 1.
      label_smoothing: s in [0, 1): the share of belief spread evenly over all C classes.
      class_weights: (classes,): w, the weight of each class's examples; of q's terms if smoothed.
      ignore_label: examples with this label have loss 0. For their mean over the others see
        `weighted_mean`.

    Returns:
      (...), one loss per example, >= 0, float32 or wider; NaN for a label that is no class.

    Raises:
      TypeError: if the labels are not integers. ValueError: if shapes do not fit.

    Source: Goodfellow, Bengio & Courville 2016, section 6.2.2.3; smoothing: Szegedy et al. 2016,
      section 7, https://arxiv.org/abs/1512.00567

    >>> print(cross_entropy(jnp.zeros((1, 4)), jnp.array([2]))[0].round(4))
    1.3863
    """
    _check_share("cross_entropy", "label_smoothing", label_smoothing)
    logits, labels = scores("cross_entropy", logits, labels)
    classes = logits.shape[-1]
    # one-hot rows serve smoothing and weights alike; for few classes they are as fast as a gather
    truth = jax.nn.one_hot(labels, classes, dtype=logits.dtype)
    weights = truth
    if label_smoothing:
        weights = (1 - label_smoothing) * truth + label_smoothing / classes
    if class_weights is not None:
        weights = weights * by_class("cross_entropy", class_weights, logits)
    losses = known(_surprise(logits, weights), labels, classes)
    return losses if ignore_label is None else jnp.where(labels == ignore_label, 0, losses)


def soft_cross_entropy(logits: jax.Array, probabilities: jax.Array) -> jax.Array:
    r"""The expected surprise where the target is a distribution over classes.

    .. math:: L = -\sum_c q_c \log p_c, \quad p = \operatorname{softmax}(z)

    Args:
      logits: z, (..., classes).
      probabilities: q, the same shape; non-negative, each row summing to 1, such as one-hot rows.

    Returns:
      (...), one loss per example.

    >>> print(soft_cross_entropy(jnp.zeros((1, 2)), jnp.array([[0.5, 0.5]]))[0].round(4))
    0.6931
    """
    return _surprise(*alike("soft_cross_entropy", logits, probabilities, "logits probabilities"))


def binary_cross_entropy(
    logits: jax.Array, target: jax.Array, *, positive_weight: float | jax.Array = 1.0
) -> jax.Array:
    r"""The surprise at a yes or a no, in nats, from logits.

    .. math:: L = -w\, y \log \sigma(z) - (1 - y) \log(1 - \sigma(z))

    Args:
      logits: z, (...).
      target: y, the same shape: 0 or 1 of any dtype, or probabilities in [0, 1].
      positive_weight: w, the weight of the yes; above 1 it trades precision for recall. A number,
        or an array for the last axes of z, such as (outputs,).

    Returns:
      (...), one loss per element.

    Raises:
      ValueError: if shapes do not fit.

    >>> print(binary_cross_entropy(jnp.array([0.0, 1e4]), jnp.array([1, 1])).round(4))
    [0.6931 0.    ]
    """
    z, y = alike("binary_cross_entropy", logits, target, "logits target")
    positive_weight = jnp.asarray(positive_weight, z.dtype)
    if positive_weight.shape != z.shape[z.ndim - positive_weight.ndim :]:
        raise ValueError(
            f"binary_cross_entropy: positive_weight {positive_weight.shape} must be a number or"
            f" have the last axes of logits {z.shape}, such as {z.shape[-1:]}"
        )
    return jax.nn.softplus(-z) * y * positive_weight + jax.nn.softplus(z) * (1 - y)


def nll(log_probabilities: jax.Array, labels: jax.Array) -> jax.Array:
    r"""Minus the log-probability of the true class, for networks that end in log-softmax.

    .. math:: L = -\log p_y

    Args:
      log_probabilities: (..., classes).
      labels: (...), integers from 0 to classes - 1; any other gives NaN.

    >>> print(nll(jnp.log(jnp.array([[0.25, 0.75]])), jnp.array([0]))[0].round(4))
    1.3863
    """
    log_probabilities, labels = scores("nll", log_probabilities, labels)
    found = -jnp.take_along_axis(log_probabilities, labels[..., None], -1)[..., 0]
    return known(found, labels, log_probabilities.shape[-1])


def kl_divergence(log_q: jax.Array, p: jax.Array) -> jax.Array:
    r"""KL(p || q): what is lost by believing q where p is true.

    .. math:: \operatorname{KL}(p \| q) = \sum_c p_c (\log p_c - \log q_c)

    The prediction q comes first and as logarithms, the truth p second: its expectation is taken.
    For the other direction exchange the two.

    Args:
      log_q: (..., classes), log-probabilities of the prediction.
      p: the same shape, probabilities; where 0, the term is 0.

    Returns:
      (...), >= 0 in nats.

    Source: Kullback & Leibler 1951, eq. 2.2, https://doi.org/10.1214/aoms/1177729694

    >>> p = jnp.array([[0.5, 0.5]])
    >>> float(kl_divergence(jnp.log(p), p)[0])
    0.0
    """
    log_q, p = alike("kl_divergence", log_q, p, "log_q p")
    log_p = jnp.log(jnp.where(p > 0, p, 1))
    return jnp.sum(jnp.where(p > 0, p * (log_p - log_q), 0), -1)


def hinge(prediction: jax.Array, target: jax.Array) -> jax.Array:
    r"""How far a score falls short of the margin 1 on its side.

    .. math:: L = \max(0, 1 - y \hat y)

    Args:
      prediction: (...), any score.
      target: the same shape, -1 or +1.

    Source: Cortes & Vapnik 1995, https://doi.org/10.1007/BF00994018

    >>> print(hinge(jnp.array([2.0, 0.5, -1.0]), jnp.array([1, 1, 1])))
    [0.  0.5 2. ]
    """
    prediction, target = alike("hinge", prediction, target)
    return jnp.maximum(0, 1 - target * prediction)


def squared_hinge(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """The square of `hinge`: differentiable at the margin, harsher beyond.

    >>> print(squared_hinge(jnp.array([2.0, -1.0]), jnp.array([1, 1])))
    [0. 4.]
    """
    prediction, target = alike("squared_hinge", prediction, target)
    return jnp.maximum(0, 1 - target * prediction) ** 2


def multiclass_hinge(prediction: jax.Array, labels: jax.Array, *, margin: float = 1.0) -> jax.Array:
    r"""How far the other classes' scores come within a margin of the true one's, averaged.

    .. math:: L = \frac1C \sum_{c \ne y} \max(0, m - z_y + z_c)

    Args:
      prediction: z, (..., classes), any scores.
      labels: y, (...), integers from 0 to C - 1; any other gives NaN.
      margin: m > 0.

    Source: Weston & Watkins 1999; divided by C as in PyTorch's multi_margin_loss.

    >>> print(multiclass_hinge(jnp.array([[3.0, 1.0, 2.75]]), jnp.array([0]))[0])
    0.25
    """
    z, labels = scores("multiclass_hinge", prediction, labels)
    truth = jax.nn.one_hot(labels, z.shape[-1], dtype=z.dtype)
    right = jnp.sum(z * truth, -1, keepdims=True)
    losses = jnp.mean(jnp.maximum(0, margin - right + z) * (1 - truth), -1)
    return known(losses, labels, z.shape[-1])


def focal(
    logits: jax.Array,
    labels: jax.Array,
    *,
    gamma: float = 2.0,
    class_weights: jax.Array | None = None,
) -> jax.Array:
    r"""Cross-entropy with the weight of examples that are already right taken down.

    .. math:: L = -\alpha_y (1 - p_y)^\gamma \log p_y

    Args:
      logits: (..., classes).
      labels: (...), integers from 0 to classes - 1; any other gives NaN.
      gamma: >= 0; 0 is `cross_entropy`.
      class_weights: alpha, (classes,).

    Source: Lin et al. 2017, eq. 5, https://arxiv.org/abs/1708.02002

    >>> print(focal(jnp.zeros((1, 2)), jnp.array([0]))[0].round(4))
    0.1733
    """
    at_least("focal", "gamma", gamma, 0)
    z, labels = scores("focal", logits, labels)
    truth = jax.nn.one_hot(labels, z.shape[-1], dtype=z.dtype)
    log_p = -_surprise(z, truth)
    losses = known(-_power(-jnp.expm1(log_p), gamma) * log_p, labels, z.shape[-1])
    if class_weights is None:
        return losses
    return losses * jnp.sum(truth * by_class("focal", class_weights, z), -1)


def binary_focal(
    logits: jax.Array, target: jax.Array, *, gamma: float = 2.0, alpha: float | None = None
) -> jax.Array:
    r"""Focal loss for a yes or no.

    .. math:: L = -\alpha_t (1 - p_t)^\gamma \log p_t, \quad p_t = \sigma(z)\text{ or }1-\sigma(z)

    Args:
      logits: z, (...).
      target: the same shape, 0 or 1.
      gamma: >= 0.
      alpha: the weight of the yes, in [0, 1]; the no has 1 - alpha. None weighs neither.

    Source: Lin et al. 2017, eq. 5, https://arxiv.org/abs/1708.02002

    >>> print((binary_focal(jnp.array(0.0), jnp.array(1))).round(4))
    0.1733
    """
    at_least("binary_focal", "gamma", gamma, 0)
    z, y = alike("binary_focal", logits, target, "logits target")
    margin = z * (2 * y - 1)
    losses = _power(jax.nn.sigmoid(-margin), gamma) * jax.nn.softplus(-margin)
    return losses if alpha is None else losses * (alpha * y + (1 - alpha) * (1 - y))


def dice(probabilities: jax.Array, target: jax.Array, *, smooth: float = 1.0) -> jax.Array:
    r"""One minus the Dice overlap of a predicted and a true region.

    .. math:: L = 1 - \frac{2 \sum_i p_i y_i + s}{\sum_i p_i + \sum_i y_i + s}

    Args:
      probabilities: (..., pixels), in [0, 1]; flatten a picture's axes into the last one.
      target: the same shape, 0 or 1.
      smooth: s > 0 keeps two empty regions at loss 0.

    Returns:
      (...), in [0, 1].

    Source: Milletari et al. 2016, section 3, https://arxiv.org/abs/1606.04797
      (with plain sums below the line, not sums of squares)

    >>> float(dice(jnp.array([1.0, 1.0, 0.0]), jnp.array([1, 1, 0])))
    0.0
    """
    above_zero("dice", "smooth", smooth)
    p, y = alike("dice", probabilities, target, "probabilities target")
    overlap = 2 * jnp.sum(p * y, -1) + smooth
    return 1 - overlap / (jnp.sum(p, -1) + jnp.sum(y, -1) + smooth)


def weighted_mean(losses: jax.Array, weights: jax.Array) -> jax.Array:
    r"""The mean of the losses by weight; 0 if all weights are 0.

    .. math:: \sum_i w_i L_i / \sum_i w_i

    A plain mean divides by the number of examples; PyTorch's weighted cross-entropy divides by the
    sum of the weights of their classes, which this gives for `weights = class_weights[labels]`, and
    with ignored labels for `weights = labels != ignore_label`.

    >>> float(weighted_mean(jnp.array([1.0, 5.0, 9.0]), jnp.array([True, True, False])))
    3.0
    """
    losses, weights = alike("weighted_mean", losses, weights, "losses weights")
    total = jnp.sum(weights)
    return jnp.sum(jnp.where(weights == 0, 0, losses) * weights) / jnp.where(total == 0, 1, total)


def _surprise(logits: jax.Array, weights: jax.Array) -> jax.Array:
    """-sum_c weights_c log softmax(logits)_c; a weight of 0 gives 0 even for a logit of -inf."""
    log_p = jax.nn.log_softmax(logits)
    return -jnp.sum(jnp.where(weights == 0, 0, log_p) * weights, -1)


def _power(base: jax.Array, exponent: float) -> jax.Array:
    """base^exponent for base >= 0, with a finite gradient at 0 where the exponent is 1 or more."""
    if isinstance(exponent, int | float) and exponent == 0:
        return jnp.ones_like(base)
    safe = jnp.where(base > 0, base, 1)
    return jnp.where(base > 0, safe**exponent, 0)


def _check_share(where: str, name: str, value: float) -> None:
    if isinstance(value, int | float) and not 0 <= value < 1:
        raise ValueError(f"{where}: {name} must be in [0, 1), got {value}")
