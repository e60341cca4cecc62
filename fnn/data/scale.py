"""Scaling of inputs by the statistics of the training part."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn.data.arrays import is_leaf


class Scaler(NamedTuple):
    """`scaler(x)` takes the mean away and divides by the scale; a pytree, so it can be saved."""

    mean: Any
    scale: Any

    def __call__(self, x: Any) -> Any:
        return jax.tree.map(lambda a, m, s: (_floating(a) - m) / s, _leaves(x), *self)

    def inverse(self, z: Any) -> Any:
        """What `z` was before: z * scale + mean."""
        return jax.tree.map(lambda a, m, s: _floating(a) * s + m, _leaves(z), *self)


def standardizer(x_train: Any, *, axis: int | tuple[int, ...] = 0) -> Scaler:
    r"""Learn mean and standard deviation of the training inputs, to be used on all inputs.

    .. math:: z = (x - \mu_{train}) / \sigma_{train}

    A feature that does not vary is only centred. Statistics of test data must not be used: what a
    model is tested on would have helped to make it.

    Args:
      x_train: training inputs alone, (examples, ...), or a pytree of them.
      axis: what to average over, 0 (the examples) among it: 0 scales each feature, and each pixel,
        by itself; (0, 1, 2) scales each channel of NHWC images.

    Returns:
      `Scaler(mean, scale)`: call it on any inputs; `inverse` undoes it.

    Raises:
      ValueError: if `axis` leaves out 0, or there are no examples.

    >>> scaler = standardizer(jnp.array([[0.0, 7.0], [4.0, 7.0]]))
    >>> scaler(jnp.array([[6.0, 8.0]])).tolist()
    [[2.0, 1.0]]
    """
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    if 0 not in axes:
        raise ValueError(f"standardizer: axis must include 0, the examples, got {axis}")
    leaves, structure = jax.tree.flatten(_leaves(x_train))
    if not leaves or any(jnp.shape(a)[:1] in ((), (0,)) for a in leaves):
        raise ValueError("standardizer: there are no examples in x_train")

    def statistics(a):
        a = _floating(a)
        mean = jnp.mean(a, axis=axes, keepdims=True)
        scale = jnp.sqrt(jnp.mean((a - mean) ** 2, axis=axes, keepdims=True))
        low, high = a.min(axis=axes, keepdims=True), a.max(axis=axes, keepdims=True)
        flat = low == high  # exactly, where the rounded deviation may be small but not zero
        return jnp.where(flat, low, mean)[0], jnp.where(flat, 1, scale)[0]

    both = [statistics(a) for a in leaves]
    return Scaler(*(structure.unflatten(part) for part in zip(*both, strict=True)))


def standardize(x_train: Any, *others: Any) -> tuple[Any, ...]:
    """The training inputs and any others, all scaled by the statistics of the training inputs.

    >>> train, test = standardize(jnp.array([[0.0], [4.0]]), jnp.array([[6.0]]))
    >>> train.tolist(), test.tolist()
    ([[-1.0], [1.0]], [[2.0]])
    """
    scaler = standardizer(x_train)
    return tuple(scaler(x) for x in (x_train, *others))


def _leaves(tree: Any) -> Any:
    """Frames and lists as arrays, everything else as it is."""
    return jax.tree.map(
        lambda a: a if isinstance(a, jax.Array) else np.asarray(a), tree, is_leaf=is_leaf
    )


def _floating(a: Any) -> jax.Array:
    a = jnp.asarray(a)
    return a if jnp.issubdtype(a.dtype, jnp.inexact) else a.astype(jnp.result_type(float))
