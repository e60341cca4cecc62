"""What training asks of its arguments, told before anything is traced."""

from collections.abc import Mapping
from typing import Any

from fnn.core import Layer, function_name


def check_parts(where: str, net: Any, loss: Any, optimizer: Any) -> None:
    """Raise a `TypeError` unless these are a layer, a function and an optimizer.

    >>> from fnn.layers import dense
    >>> check_parts("fit", dense, abs, None)
    Traceback (most recent call last):
    TypeError: fit: net must be a layer, got the function dense; call it first: dense(...)
    """
    if not isinstance(net, Layer):
        raise TypeError(f"{where}: net must be a layer, got {_told(net)}")
    if not callable(loss):
        raise TypeError(
            f"{where}: loss must be a function (prediction, y) -> one number per example, got"
            f" {type(loss).__name__}; give the function itself, such as fnn.losses.squared_error"
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
    if not isinstance(metrics, Mapping) or not all(map(callable, metrics.values())):
        raise TypeError(
            f"{where}: metrics must be functions (prediction, y) -> number by name, got"
            f" {type(metrics).__name__}; such as metrics={{'accuracy': fnn.metrics.accuracy}}"
        )


def check_pair(where: str, name: str, pair: Any) -> None:
    """Raise a `TypeError` unless `pair` is a tuple or a list of two."""
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise TypeError(f"{where}: {name} must be a pair (x, y), got {type(pair).__name__}")


def check_number(where: str, name: str, value: Any) -> None:
    """Raise a `TypeError` unless `value` is an int or a float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{where}: {name} must be a number, got {value!r}")


def _told(value: Any) -> str:
    if not callable(value):
        return type(value).__name__
    name = function_name(value)
    return f"the function {name}; call it first: {name}(...)"
