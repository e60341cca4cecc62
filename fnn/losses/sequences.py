"""Losses of sequences: a string of labels against longer strings of frames."""

import jax
import jax.numpy as jnp
from jax import lax

from fnn.losses.checks import floating

_NEVER = -1e30  # the logarithm of a probability of 0, of which differences are finite


def ctc(
    logits: jax.Array,
    labels: jax.Array,
    *,
    logit_lengths: jax.Array | None = None,
    label_lengths: jax.Array | None = None,
    blank: int = 0,
) -> jax.Array:
    r"""Minus the log-probability of a label string over all its alignments with the frames.

    .. math:: L = -\log \sum_{\pi : B(\pi) = y} \prod_t p_t(\pi_t)

    where B drops repetitions, then blanks. The sum is taken by the forward recursion in logarithms.

    Args:
      logits: (batch, frames, classes), one class being the blank.
      labels: (batch, length), integers, without blanks within their length.
      logit_lengths: (batch,), frames of each example that count; all if None.
      label_lengths: (batch,), labels of each example that count; all if None.
      blank: the number of the blank class.

    Returns:
      (batch,), in nats; 1e30, with a finite gradient, where the frames are too few for the labels;
      NaN where a label within its length is no class or is the blank. PyTorch's mean divides each
      by its label length first.

    Raises:
      TypeError: if labels are not integers. ValueError: if shapes do not fit.

    Source: Graves et al. 2006, eq. 6 to 8, https://doi.org/10.1145/1143844.1143891

    >>> even = jnp.zeros((1, 2, 2))  # two frames of a blank and one letter: aa, -a or a-
    >>> print(jnp.exp(-ctc(even, jnp.array([[1]]))))
    [0.75]
    """
    logits, labels = jnp.asarray(logits), jnp.asarray(labels)
    _check(logits, labels, blank)
    frames, length = logits.shape[1], labels.shape[1]
    n = logits.shape[0]
    logit_lengths = _lengths("logit_lengths", logit_lengths, n, frames)
    label_lengths = _lengths("label_lengths", label_lengths, n, length)
    log_p = jax.nn.log_softmax(logits.astype(floating(logits)))
    classes = logits.shape[2]
    wrong = (labels < 0) | (labels >= classes) | (labels == blank)
    wrong = jnp.any(wrong & (jnp.arange(length) < label_lengths[:, None]), -1)
    labels = jnp.clip(labels, 0, classes - 1)  # padding may be any number

    # states: blank, y_1, blank, y_2, ..., y_L, blank
    states = jnp.full((n, 2 * length + 1), blank).at[:, 1::2].set(labels)
    before = jnp.pad(states, ((0, 0), (2, 0)), constant_values=blank)[:, :-2]
    may_skip = (states != blank) & (states != before)  # over the blank between two unlike labels
    emitted = jnp.take_along_axis(log_p, states[:, None, :], 2)  # (batch, frames, states)

    start = jnp.full(states.shape, _NEVER, log_p.dtype)
    start = start.at[:, :2].set(emitted[:, 0, :2])

    def frame(alpha, inputs):
        t, emission = inputs
        stay, step, skip = alpha, _later(alpha, 1), jnp.where(may_skip, _later(alpha, 2), _NEVER)
        paths = jnp.logaddexp(jnp.logaddexp(stay, step), skip)
        alpha_next = jnp.maximum(paths + emission, _NEVER)
        return jnp.where((t < logit_lengths)[:, None], alpha_next, alpha), None

    times = jnp.arange(1, frames), jnp.swapaxes(emitted, 0, 1)[1:]
    alpha, _ = lax.scan(frame, start, times)
    last = 2 * label_lengths[:, None]
    at_blank = jnp.take_along_axis(alpha, last, 1)[:, 0]
    at_label = jnp.take_along_axis(alpha, jnp.maximum(last - 1, 0), 1)[:, 0]
    at_label = jnp.where(label_lengths > 0, at_label, _NEVER)
    loss = -jnp.logaddexp(at_blank, at_label)
    without_frames = jnp.where(label_lengths == 0, 0, -_NEVER)
    return jnp.where(wrong, jnp.nan, jnp.where(logit_lengths > 0, loss, without_frames))


def _later(alpha: jax.Array, by: int) -> jax.Array:
    """Every state's probability moved on by so many states."""
    return jnp.pad(alpha, ((0, 0), (by, 0)), constant_values=_NEVER)[:, : alpha.shape[1]]


def _lengths(name: str, lengths: jax.Array | None, n: int, full: int) -> jax.Array:
    if lengths is None:
        return jnp.full((n,), full)
    lengths = jnp.asarray(lengths)
    if not jnp.issubdtype(lengths.dtype, jnp.integer):
        raise TypeError(f"ctc: {name} must be integers, got {lengths.dtype}; use .astype(int)")
    if lengths.shape != (n,):
        raise ValueError(f"ctc: {name} must have shape ({n},), one a row, got {lengths.shape}")
    return lengths


def _check(logits: jax.Array, labels: jax.Array, blank: int) -> None:
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(
            f"ctc: labels must be integer class ids, got {labels.dtype}; use labels.astype(int)"
        )
    if logits.ndim != 3 or labels.ndim != 2 or logits.shape[0] != labels.shape[0]:
        raise ValueError(
            "ctc: expected logits (batch, frames, classes) and labels (batch, length),"
            f" got {logits.shape} and {labels.shape};"
            " give a batch of one as logits[None], labels[None]"
        )
    if not 0 <= blank < logits.shape[2]:
        raise ValueError(f"ctc: blank must be a class from 0 to {logits.shape[2] - 1}, got {blank}")
