"""What one may choose on the page: its names, its bounds, and what is said to a wrong choice."""

import difflib
import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn import activations, datasets
from fnn.optim.names import NAMES

MOST_LAYERS, MOST_WIDTH, MOST_OPTIMIZERS = 4, 32, 4
PENALTIES = ("none", "L1", "L2")
ACTIVATIONS: Mapping[str, Callable[[jax.Array], jax.Array]] = {
    "tanh": activations.tanh,
    "relu": activations.relu,
    "sigmoid": activations.sigmoid,
    "gelu": activations.gelu,
    "identity": activations.identity,
}
FEATURES: Mapping[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
    "x1": lambda x1, x2: x1,
    "x2": lambda x1, x2: x2,
    "x1^2": lambda x1, x2: x1**2,
    "x2^2": lambda x1, x2: x2**2,
    "x1 x2": lambda x1, x2: x1 * x2,
    "sin 3x1": lambda x1, x2: jnp.sin(3 * x1),
    "sin 3x2": lambda x1, x2: jnp.sin(3 * x2),
}


class Kind(NamedTuple):
    """A data set of the page.

    Attributes:
      title: what the page calls it.
      make: `make(key, n=..., noise=...) -> (x, y)` with x (n, 2).
      noise: how much of it there is before anyone moves the knob, in the set's own units.
      numbers: whether y is a number to be told, not one of two classes.
    """

    title: str
    make: Callable[..., tuple[jax.Array, jax.Array]]
    noise: float
    numbers: bool = False


def _halves(key: jax.Array, *, n: int, noise: float) -> tuple[jax.Array, jax.Array]:
    """Two classes with a line between them."""
    x, y = datasets.linear(key, n=n, noise=noise, features=2)
    return x, (y > 0.5).astype(jnp.int32)


def _clouds(key: jax.Array, *, n: int, noise: float) -> tuple[jax.Array, jax.Array]:
    return datasets.blobs(key, n=n, noise=noise, classes=2)


def _plane(key: jax.Array, *, n: int, noise: float) -> tuple[jax.Array, jax.Array]:
    return datasets.linear(key, n=n, noise=noise, features=2)


DATA: Mapping[str, Kind] = {
    "spirals": Kind("Two spirals", datasets.spirals, 0.05),
    "circles": Kind("Circle in a circle", datasets.circles, 0.1),
    "moons": Kind("Two moons", datasets.moons, 0.1),
    "xor": Kind("XOR", datasets.xor, 0.15),
    "blobs": Kind("Gaussian clouds", _clouds, 0.4),
    "checkerboard": Kind("Checkerboard", datasets.checkerboard, 0.0),
    "halves": Kind("Two halves", _halves, 0.1),
    "plane": Kind("Plane (regression)", _plane, 0.1, numbers=True),
}


class Setting(NamedTuple):
    """Everything that decides a run; equal settings give equal numbers.

    Attributes:
      data: a name of `DATA`.
      noise: a standard deviation in the set's own units, from 0 to 1.
      examples: how many, from 20 to 1000; the last of them, `test_share`, are held out.
      seed: of data, weights and batches.
      features: what the network is given, names of `FEATURES`.
      hidden: the width of each hidden layer; () is a single neuron.
      activation: a name of `ACTIVATIONS`.
      optimizers: names and learning rates; all train from the same start.
      batch_size: examples a step; None takes all of the training part.
      penalty: "none", "L1" or "L2", on weights and not on biases.
      strength: what the penalty is multiplied by.
    """

    data: str = "spirals"
    noise: float = 0.05
    examples: int = 400
    test_share: float = 0.3
    seed: int = 0
    features: tuple[str, ...] = ("x1", "x2")
    hidden: tuple[int, ...] = (16, 16)
    activation: str = "tanh"
    optimizers: tuple[tuple[str, float], ...] = (("adam", 0.01), ("sgd", 0.3))
    batch_size: int | None = 32
    penalty: str = "none"
    strength: float = 0.001

    @property
    def train_size(self) -> int:
        """How many examples are trained on."""
        return self.examples - round(self.examples * self.test_share)


def read_setting(given: Any) -> Setting:
    """The setting that a page's JSON asks for; what it leaves out is as in `Setting()`.

    Raises:
      ValueError: for anything that cannot be: the message says what, what came, and what could be.

    >>> read_setting({"data": "xor", "hidden": [4]}).hidden
    (4,)
    >>> read_setting({"hidden": [4, 99]})
    Traceback (most recent call last):
    ValueError: play: each hidden layer must be from 1 to 32 neurons wide, got 99
    """
    if not isinstance(given, dict):
        raise ValueError(f"play: a setting must be a JSON object, got {type(given).__name__}")
    unknown = sorted(set(given) - set(Setting._fields))
    if unknown:
        raise ValueError(f"play: no setting {unknown[0]!r}; there are {', '.join(Setting._fields)}")
    wanted = {**Setting()._asdict(), **given}
    _one_of("data set", wanted["data"], DATA)
    _one_of("activation", wanted["activation"], ACTIVATIONS)
    _one_of("penalty", wanted["penalty"], PENALTIES)
    _number("noise", wanted["noise"], 0, 1)
    _number("test_share", wanted["test_share"], 0.1, 0.9)
    _number("strength", wanted["strength"], 0, 10)
    _whole("examples", wanted["examples"], 20, 1000)
    _whole("seed", wanted["seed"], 0, 2**31 - 1)
    wanted["features"] = _features(_list("features", wanted["features"]))
    wanted["hidden"] = _hidden(_list("hidden", wanted["hidden"]))
    wanted["optimizers"] = _optimizers(_list("optimizers", wanted["optimizers"]))
    setting = Setting(**wanted)
    if setting.batch_size is not None:
        _whole("batch_size", setting.batch_size, 1, setting.train_size)
    return setting


def choices() -> dict[str, Any]:
    """What the page offers, as JSON can say it."""
    return {
        "data": [
            {"name": name, "title": kind.title, "noise": kind.noise} for name, kind in DATA.items()
        ],
        "features": list(FEATURES),
        "activations": list(ACTIVATIONS),
        "penalties": list(PENALTIES),
        "optimizers": [{"name": name, "rate": rate_of(name)} for name in NAMES],
        "most": {"layers": MOST_LAYERS, "width": MOST_WIDTH, "optimizers": MOST_OPTIMIZERS},
        "setting": Setting()._asdict(),
    }


# Where the default suits large networks, or there is none: by a sweep on the spirals, 500 steps.
_RATES = {
    **dict.fromkeys(("gradient_descent", "sgd", "asgd"), 0.3),
    **dict.fromkeys(("momentum", "nesterov", "heavy_ball", "nag", "adagrad"), 0.1),
    **dict.fromkeys(("adamax", "adamaxw", "radam"), 0.03),
    **dict.fromkeys(("sign_sgd", "signum", "lion"), 0.003),
}


def rate_of(name: str) -> float:
    """A learning rate to begin with, for nets as small as these.

    >>> rate_of("sgd"), rate_of("adam"), rate_of("prodigy")
    (0.3, 0.01, 1.0)
    """
    if name in _RATES:
        return _RATES[name]
    default = next(iter(inspect.signature(NAMES[name]).parameters.values())).default
    return max(default, 0.01) if isinstance(default, float) else 0.03


def check_rates(rates: Any, count: int) -> list[float]:
    """Raise a `ValueError` unless these are that many learning rates."""
    rates = _list("rates", rates)
    if len(rates) != count:
        raise ValueError(f"play: there must be {count} learning rates, got {len(rates)}")
    for rate in rates:
        _rate(rate)
    return [float(rate) for rate in rates]


def check_frame(steps: Any, strength: Any) -> None:
    """Raise a `ValueError` unless these are steps of one frame and the strength of a penalty."""
    _whole("steps", steps, 0, 1000)
    _number("strength", strength, 0, 10)


def _features(names: list[Any]) -> tuple[str, ...]:
    for name in names:
        _one_of("feature", name, FEATURES)
    if not names or len(set(names)) < len(names):
        raise ValueError(f"play: features must be at least one, none of them twice, got {names}")
    return tuple(names)


def _hidden(widths: list[Any]) -> tuple[int, ...]:
    if len(widths) > MOST_LAYERS:
        raise ValueError(f"play: at most {MOST_LAYERS} hidden layers, got {len(widths)}")
    for width in widths:
        if not _is_whole(width) or not 1 <= width <= MOST_WIDTH:
            raise ValueError(
                f"play: each hidden layer must be from 1 to {MOST_WIDTH} neurons wide, got {width}"
            )
    return tuple(widths)


def _optimizers(pairs: list[Any]) -> tuple[tuple[str, float], ...]:
    if not 1 <= len(pairs) <= MOST_OPTIMIZERS:
        raise ValueError(f"play: from 1 to {MOST_OPTIMIZERS} optimizers, got {len(pairs)}")
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise ValueError(
                f'play: an optimizer must be a pair such as ["adam", 0.01], got {pair}'
            )
        _one_of("optimizer", pair[0], NAMES)
        _rate(pair[1])
    return tuple((name, float(rate)) for name, rate in pairs)


def _rate(value: Any) -> None:
    if not _is_number(value) or not 0 < value <= 1000:
        raise ValueError(f"play: a learning rate must be above 0, at most 1000, got {value!r}")


def _one_of(what: str, name: Any, known: Iterable[str]) -> None:
    if isinstance(name, str) and name in known:
        return
    near = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.4)
    hint = f" did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"play: no {what} {name!r};{hint} There are {', '.join(known)}")


def _number(name: str, value: Any, low: float, high: float) -> None:
    if not _is_number(value) or not low <= value <= high:
        raise ValueError(f"play: {name} must be a number from {low} to {high}, got {value!r}")


def _whole(name: str, value: Any, low: int, high: int) -> None:
    if not _is_whole(value) or not low <= value <= high:
        raise ValueError(f"play: {name} must be a whole number from {low} to {high}, got {value!r}")


def _list(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"play: {name} must be a list, got {type(value).__name__}")
    return list(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
