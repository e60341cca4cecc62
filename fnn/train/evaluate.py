"""A network's outputs, loss and metrics on a whole set, in batches that fit memory."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from fnn.core import Layer
from fnn.train.step import Loss
from fnn.trees import wide

Metric = Callable[[Any, Any], jax.Array]


def evaluate(
    net: Layer,
    params: Any,
    state: Any,
    x: Any,
    y: Any,
    *,
    loss: Loss | None = None,
    metrics: Mapping[str, Metric] | None = None,
    batch_size: int = 1024,
) -> dict[str, jax.Array]:
    """The mean loss and the metrics of a set, by name; pure, so that it may be jitted or vmapped.

    Args:
      net: the network, applied with `train=False`.
      params: its parameters.
      state: its state.
      x: the inputs; the first axis counts the examples.
      y: the targets.
      loss: gives the entry "loss", the mean over all examples.
      metrics: functions `(prediction, y) -> scalar` of the whole set, by name.
      batch_size: how many examples to apply the network to at a time.

    >>> import fnn
    >>> net = fnn.serial(fnn.layers.dense(2))
    >>> x, y = jnp.eye(4), jnp.array([0, 1, 0, 1])
    >>> found = evaluate(net, *net.init(jax.random.key(0), x), x, y,
    ...                  metrics={"accuracy": fnn.metrics.accuracy})
    >>> list(found), found["accuracy"].shape
    (['accuracy'], ())
    """
    prediction = outputs(net, params, state, x, batch_size=batch_size)
    found = {}
    if loss is not None:
        losses = loss(prediction, y)
        found["loss"] = jnp.mean(losses, dtype=wide(losses.dtype))
    for name, metric in (metrics or {}).items():
        value = jnp.asarray(metric(prediction, y))
        if value.ndim:
            raise ValueError(
                f"evaluate: metric {name!r} must give one number for the whole set,"
                f" got shape {value.shape}; take its mean"
            )
        found[name] = value
    return found


def outputs(net: Layer, params: Any, state: Any, x: Any, *, batch_size: int = 1024) -> Any:
    """The network's output for every example of x, applied to `batch_size` of them at a time.

    >>> import fnn
    >>> net = fnn.serial(jnp.sin)
    >>> outputs(net, {}, {}, jnp.zeros((5, 2)), batch_size=2).shape
    (5, 2)
    """
    if batch_size < 1:
        raise ValueError(f"outputs: batch_size must be at least 1, got {batch_size}")
    n = jax.tree.leaves(x)[0].shape[0]
    whole = n - n % batch_size

    def predict(x):
        return net.apply(params, state, x)[0]

    if n <= batch_size:
        return predict(x)
    stacked = jax.tree.map(lambda a: a[:whole].reshape(-1, batch_size, *a.shape[1:]), x)
    y = jax.tree.map(lambda a: a.reshape(whole, *a.shape[2:]), lax.map(predict, stacked))
    if whole == n:
        return y
    rest = predict(jax.tree.map(lambda a: a[whole:], x))
    return jax.tree.map(lambda a, b: jnp.concatenate([a, b]), y, rest)
