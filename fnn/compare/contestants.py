"""Who races: fnn's optimizers, optax's with the same conventions, and the caller's own."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from fnn.optim import find

DEFAULT = (
    "sgd",
    "momentum",
    "nesterov",
    "adagrad",
    "adadelta",
    "rmsprop",
    "adam",
    "adamw",
    "nadam",
    "amsgrad",
    "lion",
)

Make = Callable[[Any], Any]  # of a learning rate; an optimizer of ours or of optax's
Entrants = Iterable[str | Mapping[str, Make]] | Mapping[str, Make]


class Contestant(NamedTuple):
    """One optimizer in the race.

    Attributes:
      name: such as "adam".
      by: "fnn", "optax", or "yours" for one that the caller brought.
      make: from a learning rate, which may be traced, to the optimizer.
    """

    name: str
    by: str
    make: Make

    @property
    def label(self) -> str:
        """Name and maker, such as "adam (optax)"."""
        return f"{self.name} ({self.by})"


def contestants(optimizers: Entrants = DEFAULT, *, peers: bool = True) -> list[Contestant]:
    """The contestants in order, each of ours followed by optax's of the same name.

    Args:
      optimizers: names that `fnn.optim.find` knows, and mappings from a name of the caller's choice
        to a function `learning_rate -> Optimizer`.
      peers: whether optax's versions race too.

    Raises:
      ValueError: for an unknown name, one that stands twice, or none at all.
      TypeError: for an entrant that is neither a name nor a mapping.
      ImportError: if peers are wanted and optax is missing.

    >>> [entrant.label for entrant in contestants(["sgd", {"mine": find("adam")}], peers=False)]
    ['sgd (fnn)', 'mine (yours)']
    """
    theirs = optax_peers() if peers else {}
    found = []
    for name, make in _flat(optimizers):
        found.append(Contestant(name, "fnn" if make is None else "yours", make or find(name)))
        if make is None and name in theirs:
            found.append(Contestant(name, "optax", theirs[name]))
    names = [entrant.label for entrant in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"compare: each optimizer must have a name of its own, got {', '.join(twice)} twice"
        )
    if not found:
        raise ValueError(f"compare: optimizers is empty; choose from {', '.join(DEFAULT)}")
    return found


def _flat(optimizers: Entrants) -> Sequence[tuple[str, Make | None]]:
    entrants = [optimizers] if isinstance(optimizers, str | Mapping) else list(optimizers)
    flat: list[tuple[str, Make | None]] = []
    for entrant in entrants:
        if isinstance(entrant, str):
            flat.append((entrant, None))
        elif isinstance(entrant, Mapping):
            flat.extend((str(name), _callable(str(name), make)) for name, make in entrant.items())
        else:
            raise TypeError(
                f"compare: optimizers takes names and mappings, got {entrant!r};"
                " bring your own as {'name': lambda learning_rate: ...}"
            )
    return flat


def _callable(name: str, make: Any) -> Make:
    if callable(make):
        return make
    raise TypeError(
        f"compare: {name!r} must be a function from a learning rate to an optimizer, got"
        f" {type(make).__name__}; write {{{name!r}: lambda learning_rate: ...}}"
    )


def optax_peers() -> dict[str, Make]:
    """Optax's optimizers by our names, set to the conventions that ours have as defaults.

    Raises:
      ImportError: if optax is missing.
    """
    try:
        import optax
    except ImportError as error:
        raise ImportError(
            "compare: the peers need optax: pip install 'fnn[compare]',"
            " or race without them (peers=False, --no-peers)"
        ) from error
    return {
        "gradient_descent": optax.sgd,
        "sgd": optax.sgd,
        "momentum": lambda rate: optax.sgd(rate, momentum=0.9),
        "nesterov": lambda rate: optax.sgd(rate, momentum=0.9, nesterov=True),
        "adagrad": optax.adagrad,
        "adadelta": optax.adadelta,
        "rmsprop": optax.rmsprop,
        "centered_rmsprop": lambda rate: optax.rmsprop(rate, centered=True),
        "adam": optax.adam,
        "adamw": optax.adamw,
        "nadam": optax.nadam,
        "amsgrad": optax.amsgrad,
        "adamax": optax.adamax,
        "lion": optax.lion,
    }
