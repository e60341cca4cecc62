"""Spaces: what a search may choose, by name, and which of it compiles anew.

A space is a dict of names. Its values are distributions (`uniform`, `log_uniform`, `integers`,
`choice`), a list or array of values, or one constant. A configuration is a dict with one value for
each name. In it a float is a number that one compiled program takes as its argument; everything
else, an int, a string, a function, shapes the program, and each combination of those compiles once.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

Space = Mapping[str, Any]
Config = dict[str, Any]


class Uniform(NamedTuple):
    """Any number between `low` and `high`, all alike."""

    low: float
    high: float

    def at(self, u: float) -> float:
        """The value at quantile u in [0, 1]."""
        return float(self.low + u * (self.high - self.low))


class LogUniform(NamedTuple):
    """Any number between `low` and `high`, each factor alike: 0.001 to 0.01 as 0.01 to 0.1."""

    low: float
    high: float

    def at(self, u: float) -> float:
        """The value at quantile u in [0, 1]."""
        return float(self.low * (self.high / self.low) ** u)


class Integers(NamedTuple):
    """A whole number from `low` to `high`, both among them."""

    low: int
    high: int

    def at(self, u: float) -> int:
        """The value at quantile u in [0, 1]."""
        return min(self.low + math.floor(u * (self.high - self.low + 1)), self.high)


class Choice(NamedTuple):
    """One of some values."""

    values: tuple[Any, ...]

    def at(self, u: float) -> Any:
        """The value at quantile u in [0, 1]."""
        return self.values[min(math.floor(u * len(self.values)), len(self.values) - 1)]


class Static(NamedTuple):
    """A value that shapes the program, whatever its type."""

    value: Any


Distribution = Uniform | LogUniform | Integers | Choice


def uniform(low: float, high: float) -> Uniform:
    """Numbers between `low` and `high`, all alike.

    Raises:
      ValueError: unless both are finite and low < high.

    >>> uniform(0.0, 0.5).at(0.5)
    0.25
    """
    _check_bounds("uniform", low, high)
    return Uniform(float(low), float(high))


def log_uniform(low: float, high: float) -> LogUniform:
    """Numbers between `low` and `high`, both above 0, whose logarithms are all alike.

    Raises:
      ValueError: unless 0 < low < high, both finite.

    >>> round(log_uniform(1e-4, 1e-2).at(0.5), 6)
    0.001
    """
    _check_bounds("log_uniform", low, high)
    if low <= 0:
        raise ValueError(
            f"log_uniform: low must be above 0, got {low}; take uniform for ranges at 0"
        )
    return LogUniform(float(low), float(high))


def integers(low: int, high: int) -> Integers:
    """Whole numbers from `low` to `high`, both among them; each is a program of its own.

    Raises:
      ValueError: unless both are whole and low < high.

    >>> [integers(1, 3).at(u) for u in (0.0, 0.5, 1.0)]
    [1, 2, 3]
    """
    _check_bounds("integers", low, high)
    if int(low) != low or int(high) != high:
        raise ValueError(f"integers: low and high must be whole, got {low} and {high}")
    return Integers(int(low), int(high))


def choice(*values: Any) -> Choice:
    """One of the values; floats among them share a program, others have each their own.

    >>> choice("relu", "tanh").at(0.7)
    'tanh'
    """
    if not values:
        raise ValueError("choice: needs at least one value, got none")
    return Choice(values)


def static(value: Any) -> Static:
    """A float that is to shape the program, for a `build` that decides by it.

    >>> static(0.5).value
    0.5
    """
    return Static(value)


def _check_bounds(owner: str, low: float, high: float) -> None:
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"{owner}: needs finite low < high, got {low} and {high}")


def distributions(where: str, space: Space) -> dict[str, Distribution]:
    """The space with every value as a distribution; a constant becomes a choice of one.

    Raises:
      TypeError: if the space is no mapping of names.
      ValueError: for an empty list of values.
    """
    if not isinstance(space, Mapping) or not all(isinstance(name, str) for name in space):
        raise TypeError(f"{where}: a space must be a dict from names to values, got {space!r}")
    found: dict[str, Distribution] = {}
    for name, values in space.items():
        if isinstance(values, Uniform | LogUniform | Integers | Choice):
            found[name] = values
        elif isinstance(values, list | np.ndarray | range) or hasattr(values, "__jax_array__"):
            if len(values) == 0:
                raise ValueError(f"{where}: {name!r} has no values; give at least one")
            found[name] = Choice(tuple(_python(value) for value in values))
        else:
            found[name] = Choice((_python(values),))
    return found


def split(config: Config) -> tuple[dict[str, float], dict[str, Any]]:
    """The floats of a configuration, and all that shapes the program.

    >>> split({"rate": 0.1, "width": 8, "how": static(0.5)})
    ({'rate': 0.1}, {'width': 8, 'how': 0.5})
    """
    numbers, shaping = {}, {}
    for name, value in config.items():
        value = _python(value)
        if isinstance(value, float):
            numbers[name] = value
        else:
            shaping[name] = value.value if isinstance(value, Static) else value
    return numbers, shaping


def _python(value: Any) -> Any:
    """NumPy's and JAX's scalars as Python's; anything else as it is."""
    if isinstance(value, np.generic) or (hasattr(value, "item") and getattr(value, "ndim", 1) == 0):
        return value.item()
    return value


def same(a: Any, b: Any) -> bool:
    """Whether two shaping values are one; those that cannot be compared are not."""
    if a is b:
        return True
    try:
        return type(a) is type(b) and bool(a == b)
    except (TypeError, ValueError):
        return False


def text(config: Config) -> str:
    """A configuration as one reads it.

    >>> text({"rate": 0.001, "width": 8, "act": min})
    'rate=0.001, width=8, act=min'
    """
    return ", ".join(f"{name}={value_text(value)}" for name, value in config.items())


def value_text(value: Any) -> str:
    """One value as one reads it."""
    if isinstance(value, Static):
        value = value.value
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(getattr(value, "__name__", value))


def as_configs(where: str, configs: Sequence[Mapping[str, Any]]) -> list[Config]:
    """The configurations as a list of dicts that all have the same names.

    Raises:
      TypeError: if one is no dict.
      ValueError: if there is none, or they differ in names.
    """
    configs = list(configs)
    if not configs:
        raise ValueError(f"{where}: needs at least one configuration, got none")
    for at, config in enumerate(configs):
        if not isinstance(config, Mapping):
            raise TypeError(
                f"{where}: configuration {at} must be a dict, got {type(config).__name__};"
                " search.grid(space) and search.random(key, space, n) make lists of them"
            )
        if set(config) != set(configs[0]):
            raise ValueError(
                f"{where}: configuration {at} has the names {', '.join(sorted(config))}, the first"
                f" {', '.join(sorted(configs[0]))}; give all the same"
            )
    return [dict(config) for config in configs]
