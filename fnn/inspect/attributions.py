"""Which inputs an output hangs on: its gradient, and that gradient added up along a way."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.checks import check_count
from fnn.core import Layer, as_jax
from fnn.show import spec_text


class Attribution(NamedTuple):
    """What each input contributes to one output of each example.

    Attributes:
      values: as x.
      output: (n,) which output it is about.
      gain: (n,) how much that output lies above the one for the baseline.
      missing: (n,) what the sum of values lacks of the gain: the error of the integration.
    """

    values: jax.Array
    output: jax.Array
    gain: jax.Array
    missing: jax.Array


def saliency(net: Layer, params: Any, state: Any, x: Any, *, output: Any = None) -> jax.Array:
    r"""How steeply an output rises with each input: :math:`\partial y_c / \partial x`.

    Args:
      net: a network that gives (n, outputs).
      params: its parameters.
      state: its state.
      x: (n, ...) examples.
      output: which output c, for all or (n,) one for each; the largest if None.

    Returns:
      The derivatives, shaped as x. Their absolute values are a saliency map.

    Raises:
      ValueError: if the network does not give (n, outputs), or there is no such output.

    Source: Simonyan, Vedaldi & Zisserman 2014, section 3, https://arxiv.org/abs/1312.6034

    >>> from fnn import layers
    >>> params = {"w": jnp.array([[1.0, 5.0], [2.0, 7.0]]), "b": jnp.zeros(2)}
    >>> print(saliency(layers.dense(2), params, {}, jnp.ones((1, 2))))
    [[5. 7.]]
    """
    x, picked, chosen = _chosen("saliency", net, params, state, x, output)
    return jax.jit(jax.grad(lambda x: picked(x, chosen).sum()))(x)


def integrated_gradients(
    net: Layer,
    params: Any,
    state: Any,
    x: Any,
    *,
    baseline: Any = 0.0,
    output: Any = None,
    steps: int = 64,
) -> Attribution:
    r"""What each input adds to an output on the straight way from a baseline.

    .. math:: a_i = (x_i - x'_i) \int_0^1
        \frac{\partial y_c}{\partial x_i}\bigl(x' + t (x - x')\bigr) \, dt

    by the midpoint rule. Their sum is the gain, :math:`y_c(x) - y_c(x')`; what it lacks of that is
    told, so that one sees whether the steps were enough.

    Args:
      net: a network that gives (n, outputs).
      params: its parameters.
      state: its state.
      x: (n, ...) examples.
      baseline: where nothing is said, such as a black image; broadcasts against x.
      output: which output c, for all or (n,) one for each; the largest if None.
      steps: points on the way.

    Raises:
      ValueError: if the network does not give (n, outputs), or there is no such output.

    Source: Sundararajan, Taly & Yan 2017, equations 1 and 3, https://arxiv.org/abs/1703.01365

    >>> from fnn import layers
    >>> params = {"w": jnp.array([[1.0], [2.0]]), "b": jnp.ones(1)}
    >>> found = integrated_gradients(layers.dense(1), params, {}, jnp.array([[3.0, 4.0]]))
    >>> print(found.values, found.gain)
    [[3. 8.]] [11.]
    """
    steps = check_count("integrated_gradients", "steps", steps)
    x, picked, chosen = _chosen("integrated_gradients", net, params, state, x, output)
    start = jnp.broadcast_to(jnp.asarray(baseline, x.dtype), x.shape)

    @jax.jit
    def along(x, start):
        slope = jax.grad(lambda x: picked(x, chosen).sum())

        def add(i, total):
            return total + slope(start + (i + 0.5) / steps * (x - start))

        mean = jax.lax.fori_loop(0, steps, add, jnp.zeros_like(x)) / steps
        values = (x - start) * mean
        gain = picked(x, chosen) - picked(start, chosen)
        return values, gain, gain - values.reshape(len(x), -1).sum(1)

    values, gain, missing = along(x, start)
    return Attribution(values, chosen, gain, missing)


def _chosen(where: str, net: Layer, params: Any, state: Any, x: Any, output: Any) -> Any:
    """The input in floats, the function that gives one output of each example, and which."""
    x = as_jax(x)
    x = x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(jnp.float32)
    y, _ = net.apply(params, state, x)
    if not hasattr(y, "ndim") or y.ndim != 2 or len(y) != len(x):
        raise ValueError(
            f"{where}: the network must give (n, outputs), got {spec_text(y)} for {spec_text(x)}"
        )
    outputs = y.shape[1]
    chosen = y.argmax(1) if output is None else jnp.broadcast_to(jnp.asarray(output), (len(x),))
    if not bool(((chosen >= 0) & (chosen < outputs)).all()):
        raise ValueError(f"{where}: output must be from 0 to {outputs - 1}, got {output}")

    def picked(x, chosen):
        y, _ = net.apply(params, state, x)
        return jnp.take_along_axis(y, chosen[:, None], axis=1)[:, 0]

    return x, picked, chosen
