"""What training asks of its arguments, told before anything is traced."""

import inspect
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from fnn.core import Layer, function_name
from fnn.show import spec_text


def check_parts(where: str, net: Any, loss: Any, optimizer: Any) -> None:
    """Raise a `TypeError` unless these are a layer, a function and an optimizer.

    >>> from fnn.layers import dense
    >>> check_parts("fit", dense, abs, None)
    Traceback (most recent call last):
    TypeError: fit: net must be a layer, got the function dense; call it first: dense(...)
    """
    if not isinstance(net, Layer):
        told = _told(net, "; make it one by fnn.serial(that)")
        raise TypeError(f"{where}: net must be a layer, got {told}")
    if not callable(loss):
        raise TypeError(
            f"{where}: loss must be a function (prediction, y) -> one number per example, got"
            f" {type(loss).__name__}; give the function itself, such as fnn.losses.squared_error"
        )
    if not takes_two(loss):
        raise TypeError(
            f"{where}: loss must take (prediction, y), but {function_name(loss)} does not take two"
            " things; such as lambda prediction, y: fnn.losses.squared_error(prediction, y)"
        )
    if not (hasattr(optimizer, "init") and hasattr(optimizer, "update")):
        raise TypeError(
            f"{where}: optimizer must have init and update, as fnn.optim's and optax's have,"
            f" got {_told(optimizer)}"
        )


def check_metrics(where: str, metrics: Any) -> None:
    """Raise a `TypeError` unless metrics are functions by name."""
    if metrics is None:
        return
    named = isinstance(metrics, Mapping) and all(isinstance(name, str) for name in metrics)
    if not named or not all(map(callable, metrics.values())):
        raise TypeError(
            f"{where}: metrics must be functions (prediction, y) -> number by name, got"
            f" {_cut(metrics)}; such as metrics={{'accuracy': fnn.metrics.accuracy}}"
        )


def check_pair(where: str, name: str, pair: Any) -> None:
    """Raise a `TypeError` unless `pair` is a tuple or a list of two."""
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise TypeError(f"{where}: {name} must be a pair (x, y), got {type(pair).__name__}")


def check_number(where: str, name: str, value: Any) -> None:
    """Raise a `TypeError` unless `value` is an int or a float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{where}: {name} must be a number, got {value!r}")


def check_function(where: str, name: str, function: Any, example: str) -> None:
    """Raise a `TypeError` unless an argument is None or can be called."""
    if function is not None and not callable(function):
        raise TypeError(
            f"{where}: {name} must be a function, got {function!r} of type"
            f" {type(function).__name__}; such as {example}"
        )


def check_losses(losses: Any) -> None:
    """Raise a `TypeError` unless what a loss gave is an array of floating numbers."""
    if not jnp.issubdtype(getattr(losses, "dtype", np.dtype(object)), jnp.floating):
        raise TypeError(
            "train: the loss must give one floating number for each example, got"
            f" {spec_text(losses)}; return an array, such as fnn.losses.squared_error does"
        )


def takes_two(function: Any) -> bool:
    """Whether a function can be called with two things, as far as one can see."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # of some builtins nothing is known
        return True
    try:
        signature.bind(None, None)
    except TypeError:
        return False
    return True


def _told(value: Any, or_else: str = "") -> str:
    """What came and what to do; `or_else` is the cure of a function that needs no call."""
    if not callable(value):
        return type(value).__name__
    name = function_name(value)
    if getattr(value, "__name__", "") == "<lambda>":
        return "a lambda" + or_else
    return f"the function {name}; call it first: {name}(...)"


def _cut(metrics: Any) -> str:
    """The type, or of a dict what is in it."""
    if not isinstance(metrics, Mapping):
        return type(metrics).__name__
    return f"a dict with {', '.join(f'{k!r}: {type(v).__name__}' for k, v in metrics.items())}"
