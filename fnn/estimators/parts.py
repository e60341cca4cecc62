"""What an estimator is put together from: network, loss, optimizer, and programs that are kept.

All are cached by their settings: estimators of equal settings share their compiled programs.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn import activations, losses, optim
from fnn.core import Layer, function_name, out_spec
from fnn.models import mlp
from fnn.show import spec_text
from fnn.train.arguments import takes_two
from fnn.train.ensemble import gaussian_loss
from fnn.train.evaluate import outputs

LEAST_ROWS = 64  # what a prediction is padded to, so that few shapes are compiled
REGRESSION = {
    "squared_error": losses.squared_error,
    "absolute_error": losses.absolute_error,
    "huber": losses.huber,
    "gaussian": gaussian_loss,
}


def network(
    where: str,
    net: Any,
    hidden: Sequence[int],
    activation: Any,
    rate: float,
    features: int,
    out: int,
) -> Layer:
    """The network of an estimator: the given one, what the given function makes, or an MLP."""
    if net is None:
        if not 0 <= rate < 1:
            raise ValueError(f"{where}: dropout must be in [0, 1), got {rate}")
        return _mlp((*hidden, out), activation, rate, where)
    if not isinstance(net, Layer) and (not callable(net) or not takes_two(net)):
        raise TypeError(
            f"{where}: net must be a Layer, a function (n_features, n_outputs) -> Layer, or None,"
            f" got {function_name(net) if callable(net) else type(net).__name__}; such as"
            " fnn.models.mlp(32, n_outputs)"
        )
    made = net if isinstance(net, Layer) else _made(net, features, out)
    if not isinstance(made, Layer):
        raise TypeError(f"{where}: net(n_features, n_outputs) must give a Layer, got {made!r}")
    _check_outputs(where, made, features, out)
    return made


@functools.lru_cache(maxsize=64)
def _check_outputs(where: str, net: Layer, features: int, out: int) -> None:
    """Raise a `ValueError` unless the network turns a row into as many numbers as are wanted."""
    x = jax.ShapeDtypeStruct((2, features), jnp.float32)
    variables = jax.eval_shape(net.init, jax.random.key(0), x)
    found = out_spec(net, variables, x)
    if getattr(found, "shape", None) != (2, out):
        raise ValueError(
            f"{where}: net must give {out} numbers for each row of {features}, got"
            f" {spec_text(found)} for 2 rows; end it with fnn.layers.dense({out})"
        )


@functools.lru_cache(maxsize=64)
def _made(net: Callable[[int, int], Layer], features: int, out: int) -> Layer:
    return net(features, out)


@functools.lru_cache(maxsize=64)
def _mlp(widths: tuple[int, ...], activation: Any, rate: float, where: str) -> Layer:
    if isinstance(activation, str):
        named = getattr(activations, activation, None) or getattr(jax.nn, activation, None)
        if named is None:
            raise ValueError(
                f"{where}: activation {activation!r} is none of fnn.activations or jax.nn;"
                " give a function"
            )
        activation = named
    return mlp(*widths, activation=activation, rate=rate)


@functools.lru_cache(maxsize=64)
def optimizer_of(where: str, optimizer: Any, learning_rate: float) -> Any:
    """An optimizer as it is, or made with the learning rate by its name or by a function."""
    if hasattr(optimizer, "init") and hasattr(optimizer, "update"):
        return optimizer
    make = getattr(optim, optimizer, None) if isinstance(optimizer, str) else optimizer
    if not callable(make):
        raise ValueError(
            f"{where}: optimizer must be a name in fnn.optim, an optimizer, or a function of the"
            f" learning rate, got {optimizer!r}"
        )
    return make(learning_rate)


@functools.lru_cache(maxsize=16)
def weighted(loss: Callable[[Any, Any], jax.Array]) -> Callable[[Any, Any], jax.Array]:
    """A loss of (target, weight): each example's, times its weight.

    .. math:: L_i = w_i L(f(x_i), y_i)

    With weights of mean 1 over the data, the mean of these is the weighted mean.
    """

    def of_pair(prediction, target_and_weight):
        target, weight = target_and_weight
        found = loss(prediction, target)
        return found * weight.reshape(weight.shape + (1,) * (found.ndim - 1))

    return of_pair


@functools.lru_cache(maxsize=16)
def predictor(net: Layer, members: bool) -> Callable[..., jax.Array]:
    """The compiled program `(params, state, x) -> outputs`; of an ensemble (members, n, ...)."""

    def apply(params, state, x):
        return outputs(net, params, state, x)

    return jax.jit(jax.vmap(apply, (0, 0, None)) if members else apply)


def predicted(net: Layer, params: Any, state: Any, x: np.ndarray, members: bool) -> np.ndarray:
    """Outputs in float64, of rows padded to a power of two so that few shapes are compiled."""
    n = len(x)
    padded = max(LEAST_ROWS, 1 << (n - 1).bit_length())
    x = np.concatenate([x, np.zeros((padded - n, *x.shape[1:]), x.dtype)])
    found = np.asarray(predictor(net, members)(params, state, jnp.asarray(x)), np.float64)
    return found[:, :n] if members else found[:n]


def weighted_scaling(x: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean and standard deviation of columns; of a constant column the deviation is 1."""
    share = weight / weight.sum()
    mean = share @ x
    scale = np.sqrt(share @ (x - mean) ** 2)
    tiny = 10 * np.finfo(np.float64).eps * np.maximum(np.abs(mean), 1e-300)
    return mean, np.where(scale > tiny, scale, 1.0)
