"""Who races: fnn's optimizers, optax's with the same conventions, and the caller's own."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from fnn.compare.knobs import KNOBS, NONE, Trial, defaults_of, trials_of
from fnn.optim import find
from fnn.optim.names import NAMES

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

# All of ours; `gradient_descent` is `sgd`'s rule by another name.
ALL = tuple(name for name in NAMES if name != "gradient_descent")

Make = Callable[..., Any]  # of a learning rate; an optimizer of ours or of optax's
Entrants = Iterable[str | Mapping[str, Make]] | Mapping[str, Make]


class Contestant(NamedTuple):
    """One optimizer in the race.

    Attributes:
      name: such as "adam".
      by: "fnn", "optax", or "yours" for one that the caller brought.
      make: from a learning rate, which may be traced, to the optimizer; knobs go by keyword.
      defaults: of the knobs that are tuned beside the learning rate.
      trials: what the last round of tuning sets them to.
    """

    name: str
    by: str
    make: Make
    defaults: Mapping[str, float] = NONE
    trials: tuple[Trial, ...] = ()

    @property
    def label(self) -> str:
        """Name and maker, such as "adam (optax)"."""
        return f"{self.name} ({self.by})"


def contestants(
    optimizers: Entrants = DEFAULT,
    *,
    peers: bool = True,
    knobs: Mapping[str, Sequence[Trial]] = KNOBS,
) -> list[Contestant]:
    """The contestants in order, each of ours followed by optax's of the same name.

    Args:
      optimizers: names that `fnn.optim.find` knows, "all" for all of them, and mappings from a name
        of the caller's choice to a function `learning_rate -> Optimizer`.
      peers: whether optax's versions race too.
      knobs: what is tuned beside the learning rate, by name of the contestant.

    Raises:
      ValueError: for an unknown name, one that stands twice, none at all, or a knob that an
        optimizer does not have.
      TypeError: for an entrant that is neither a name nor a mapping.
      ImportError: if peers are wanted and optax is missing.

    >>> [entrant.label for entrant in contestants(["sgd", {"mine": find("adam")}], peers=False)]
    ['sgd (fnn)', 'mine (yours)']
    """
    theirs = optax_peers() if peers else {}
    found = []
    for name, make in _flat(optimizers):
        trials = trials_of(name, make or find(name), knobs)
        defaults = defaults_of(name, make or find(name), trials)
        by = "fnn" if make is None else "yours"
        found.append(Contestant(name, by, make or find(name), defaults, trials))
        if make is None and name in theirs:
            found.append(Contestant(name, "optax", theirs[name], defaults, trials))
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
        if entrant == "all":
            flat.extend((name, None) for name in ALL)
        elif isinstance(entrant, str):
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
        "momentum": lambda rate, decay=0.9: optax.sgd(rate, momentum=decay),
        "nesterov": lambda rate, decay=0.9: optax.sgd(rate, momentum=decay, nesterov=True),
        "adagrad": lambda rate, initial_accumulator=0.1: optax.adagrad(rate, initial_accumulator),
        "adadelta": lambda rate, decay=0.9, eps=1e-6: optax.adadelta(rate, decay, eps),
        "rmsprop": optax.rmsprop,
        "centered_rmsprop": lambda rate, **knobs: optax.rmsprop(rate, centered=True, **knobs),
        "adam": optax.adam,
        "adamw": optax.adamw,
        "nadam": optax.nadam,
        "amsgrad": optax.amsgrad,
        "adamax": optax.adamax,
        "lion": optax.lion,
        "adabelief": optax.adabelief,
        "radam": optax.radam,
        "yogi": optax.yogi,
        "nadamw": optax.nadamw,
        "adamaxw": optax.adamaxw,
        "adopt": optax.contrib.adopt,
        "ademamix": optax.contrib.ademamix,
        "novograd": optax.novograd,
        "lamb": optax.lamb,
        "lars": lambda rate, decay=0.9, trust=1e-3: optax.lars(
            rate, momentum=decay, trust_coefficient=trust
        ),
        "sign_sgd": optax.sign_sgd,
        "signum": lambda rate, decay=0.9: optax.signum(rate, decay),
        "fromage": optax.fromage,
        "sm3": lambda rate, b1=0.9: optax.sm3(rate, b1),
        "adafactor": optax.adafactor,
        "muon": lambda rate, decay=0.95: optax.contrib.muon(rate, beta=decay),
        "schedule_free_sgd": lambda rate, b1=0.9: optax.contrib.schedule_free_sgd(rate, b1=b1),
        "schedule_free_adamw": lambda rate, b1=0.9, **knobs: optax.contrib.schedule_free_adamw(
            rate, b1=b1, **knobs
        ),
        "prodigy": lambda rate, b1=0.9, b2=0.999: optax.contrib.prodigy(
            rate, betas=(b1, b2), beta3=0.999**0.5
        ),
        "dadapt_adam": lambda rate, b1=0.9, b2=0.999: optax.contrib.dadapt_adamw(
            rate, betas=(b1, b2)
        ),
        "dog": optax.contrib.dog,
        "polyak_step": lambda rate: optax.polyak_sgd(rate, variant="sps+"),
    }
