"""A network with its data as one function of the parameters: what whole-batch methods minimize."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from fnn.core import Layer
from fnn.optim.minimizers.base import Composite, composite
from fnn.train.kronecker import Factors, kronecker_factors
from fnn.trees import wide


@dataclass(frozen=True, eq=False)
class _Outputs:
    """params -> the network's outputs for these inputs."""

    net: Layer
    state: Any
    x: Any

    def __call__(self, params: Any) -> Any:
        return self.net.apply(params, self.state, self.x)[0]

    def kronecker_factors(self, params: Any, loss: "_MeanLoss") -> Factors:
        """What `optim.kfac` asks of a network."""
        return kronecker_factors(self.net, loss.loss, params, self.x, loss.y)


@dataclass(frozen=True, eq=False)
class _MeanLoss:
    """outputs -> the mean loss against these targets."""

    loss: Callable[[Any, Any], jax.Array]
    y: Any

    def __call__(self, outputs: Any) -> jax.Array:
        losses = self.loss(outputs, self.y)
        return jnp.mean(losses, dtype=wide(losses.dtype))


@dataclass(frozen=True, eq=False)
class _Residuals:
    """params -> outputs - targets."""

    outputs: _Outputs
    y: Any

    def __call__(self, params: Any) -> jax.Array:
        outputs = self.outputs(params)
        if jnp.shape(outputs) != jnp.shape(self.y):
            raise ValueError(
                f"residuals: the network gives {jnp.shape(outputs)}, y is {jnp.shape(self.y)};"
                " give targets of the outputs' shape"
            )
        return outputs - self.y


# the data are leaves: they enter a compiled program as arguments, not as constants
for _kind, _data, _meta in (
    (_Outputs, ["state", "x"], ["net"]),
    (_MeanLoss, ["y"], ["loss"]),
    (_Residuals, ["outputs", "y"], []),
):
    jax.tree_util.register_dataclass(_kind, data_fields=_data, meta_fields=_meta)


def objective(
    net: Layer,
    loss: Callable[[Any, Any], jax.Array],
    x: Any,
    y: Any,
    *,
    state: Any = None,
    penalty: Callable[[Any], jax.Array] | None = None,
) -> Composite:
    r"""The mean loss over all of the data as a function of the parameters, for `optim.minimize`.

    .. math:: J(\theta) = \operatorname{mean}_i L(f_\theta(x_i), y_i) + R(\theta)

    Args:
      net: the network f, as in inference: without dropout, with running averages as they stand.
      loss: L, `loss(prediction, y)` -> one number per example; the mean is taken here.
      x: all inputs.
      y: all targets.
      state: the network's state; None for a network without one.
      penalty: R, a function of the parameters alone, such as a sum of squares.

    Returns:
      A function of the parameters that also shows its parts, so that `natural_gradient` and
      `newton_cg(curvature="gauss_newton")` can use them.

    >>> import fnn
    >>> x, y = jnp.array([[1.0], [2.0]]), jnp.array([[3.0], [5.0]])
    >>> net = fnn.layers.dense(1)
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> found = fnn.optim.minimize(objective(net, fnn.losses.squared_error, x, y), params,
    ...                            fnn.optim.bfgs())
    >>> print(found.x["w"].round(3), found.x["b"].round(3))
    [[2.]] [1.]
    """
    state = {} if state is None else state
    return composite(_Outputs(net, state, x), _MeanLoss(loss, y), penalty)


def residuals(net: Layer, x: Any, y: jax.Array, *, state: Any = None) -> Callable[[Any], jax.Array]:
    """Outputs minus targets as a function of the parameters, for least squares.

    Args:
      net: the network, as in inference.
      x: all inputs.
      y: all targets, of the outputs' shape.
      state: the network's state; None for a network without one.

    Raises:
      ValueError: when called, if outputs and targets differ in shape.

    >>> import fnn
    >>> x, y = jnp.array([[1.0], [2.0]]), jnp.array([[3.0], [5.0]])
    >>> net = fnn.layers.dense(1)
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> found = fnn.optim.minimize(residuals(net, x, y), params, fnn.optim.levenberg_marquardt())
    >>> print(found.x["w"].round(3), found.x["b"].round(3))
    [[2.]] [1.]
    """
    return _Residuals(_Outputs(net, {} if state is None else state, x), y)
