"""Hyperparameters as leaves of the state: made, held to their ranges, read, and changed.

Every numeric hyperparameter is a leaf of the optimizer's state. So a learning rate can be read,
changed and swept by `vmap` without compiling again, and a schedule is a function of the step whose
present value stands in the state.
"""

import functools
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple, get_type_hints

import jax
import jax.numpy as jnp

from fnn.trees import path_text

Schedule = Callable[[jax.Array], jax.Array]
Hyper = float | jax.Array | Schedule
# the type of a state's field that `hyperparameters` lists and `with_hypers` changes
HyperLeaf = Annotated[jax.Array, "hyperparameter"]


class Range(NamedTuple):
    """The values that a hyperparameter may take: from `low` (included) to `high` (left out)."""

    low: float
    high: float


# Names are the field's standard terms, so a name has one range wherever it stands.
_SIZE, _DECAY = Range(0.0, float("inf")), Range(0.0, 1.0)
RANGES: dict[str, Range] = {
    "learning_rate": _SIZE,
    "weight_decay": _SIZE,
    "eps": _SIZE,
    "eps_root": _SIZE,
    "max_value": _SIZE,
    "max_norm": _SIZE,
    "noise_multiplier": _SIZE,
    "rtol": _SIZE,
    "atol": _SIZE,
    "min_scale": _SIZE,
    "eta": _SIZE,
    "initial_accumulator": _SIZE,
    "initial_scale": _SIZE,
    "min_norm": _SIZE,
    "min_step": _SIZE,
    "max_step": _SIZE,
    "max_rms": _SIZE,
    "eta_plus": Range(1.0, float("inf")),
    "eta_minus": _DECAY,
    "d0": _SIZE,
    "initial_distance": _SIZE,
    "weight_power": _SIZE,
    "power": _SIZE,
    "c": _SIZE,
    "rho": _SIZE,
    "max_ratio": _SIZE,
    "trust": _SIZE,
    "alpha": _SIZE,
    "threshold": Range(4.0, float("inf")),
    "b1": _DECAY,
    "b2": _DECAY,
    "b3": _DECAY,
    "decay": _DECAY,
}


class Hypers:
    """The numeric hyperparameters of one optimizer: numbers, arrays, or schedules of the step.

    Args:
      owner: the optimizer's name, for its error messages.
      **values: each a float, a (traced) scalar array, or a schedule `count -> value`. Floats are
        held to the range of their name in `RANGES`; traced values cannot be looked at.

    Raises:
      ValueError: if a float is out of its range. TypeError: if it is no number at all.

    >>> hypers = Hypers("sgd", learning_rate=0.5)
    >>> {name: float(value) for name, value in hypers.init().items()}
    {'learning_rate': 0.5}
    >>> Hypers("adam", b1=1.0)
    Traceback (most recent call last):
    ValueError: adam: b1 must be in [0, 1), got 1.0
    """

    def __init__(self, owner: str, **values: Hyper):
        for name, value in values.items():
            check_hyper(owner, name, value)
        self.owner = owner
        self.values = values

    def init(self) -> dict[str, jax.Array]:
        """The leaves to put into the state: each value at step 0."""
        return self.at(jnp.zeros((), jnp.int32))

    def at(self, count: jax.Array, state: Any = None) -> "Values":
        """Each value at step `count`: schedules are asked, all others are read from `state`."""
        now = Values(self.owner)
        for name, value in self.values.items():
            if callable(value):
                now[name] = _scalar(value(count))
            else:
                now[name] = _scalar(value) if state is None else jnp.asarray(getattr(state, name))
        return now


class Values(dict[str, jax.Array]):
    """The hyperparameters of one step by name, and whose they are."""

    def __init__(self, owner: str):
        super().__init__()
        self.owner = owner


def _scalar(value: float | jax.Array) -> jax.Array:
    """A strong float32 (float64 under x64); floating arrays keep the dtype that they have.

    Always a copy: the state may be donated, and with it would go the array that the caller gave.
    """
    dtype = getattr(value, "dtype", None)
    if dtype is None or not jnp.issubdtype(dtype, jnp.floating):
        dtype = jnp.zeros(()).dtype
    return jnp.array(value, dtype)


def check_hyper(owner: str, name: str, value: Any) -> None:
    """Raise a `ValueError` if a number is out of its range, a `TypeError` if it is no number."""
    if callable(value) or isinstance(value, jax.Array):
        return
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise TypeError(
            f"{owner}: {name} must be a number, an array or a schedule, got {value!r}"
            f" of type {type(value).__name__}"
        )
    low, high = RANGES.get(name, Range(float("-inf"), float("inf")))
    if not low <= float(value) < high:
        wanted = (
            f"in [{low:g}, {high:g})" if high != float("inf") else f"a finite number >= {low:g}"
        )
        raise ValueError(f"{owner}: {name} must be {wanted}, got {value}")


def hyperparameters(opt_state: Any) -> dict[str, jax.Array]:
    """Every hyperparameter in an optimizer's state by its path, however deep in chains it stands.

    A scheduled one has the value that the latest update used. A state says which of its fields are
    hyperparameters by their type, `HyperLeaf`; optax's own states say nothing.

    >>> from fnn.optim import chain, clip, sgd
    >>> opt_state = chain(clip(5.0), sgd(0.1)).init(jnp.ones(2))
    >>> {path: round(float(value), 3) for path, value in hyperparameters(opt_state).items()}
    {'0/max_value': 5.0, '1/learning_rate': 0.1}
    """
    found, nodes = {}, jax.tree_util.tree_flatten_with_path(opt_state, is_leaf=_is_marked)[0]
    for path, node in nodes:
        names = _names(node)
        for field in node._fields if names else ():
            old = getattr(node, field)
            inside = {"": old} if field in names else hyperparameters(old)
            for rest, value in inside.items():
                found["/".join(filter(None, (path_text(path), field, rest)))] = value
    return found


def with_hypers(opt_state: Any, **values: float | jax.Array) -> Any:
    """The state with these hyperparameters in place of its own, wherever their names stand.

    Shapes and dtypes stay, so a jitted step does not compile again; a state of many lanes takes one
    number for all or one for each. A hyperparameter that a schedule sets is set again by the next
    update: to steer it by hand, build the optimizer with a number.

    Args:
      opt_state: a state of ours, or one of optax's combinators with ours inside.
      **values: new values by name, such as `learning_rate=0.01`; they may be traced.

    Raises:
      ValueError: if the state has no such name, or the value is out of range or of a wrong shape.
      TypeError: if a value is no number.

    >>> from fnn.optim import sgd
    >>> opt_state = with_hypers(sgd(0.1).init(jnp.ones(2)), learning_rate=0.5)
    >>> print(opt_state.learning_rate)
    0.5
    """
    there = {path.split("/")[-1] for path in hyperparameters(opt_state)}
    for name, value in values.items():
        if name not in there:
            raise ValueError(
                f"with_hypers: no hyperparameter {name!r} in this state;"
                f" there are {', '.join(sorted(there)) or 'none'}"
            )
        if callable(value) and not isinstance(value, jax.Array):
            raise TypeError(
                f"with_hypers: {name} must be a number or an array, got a function;"
                " give a schedule to the optimizer's constructor"
            )
        check_hyper("with_hypers", name, value)

    def change(node):
        names = _names(node)
        if not names:
            return node
        new = {f: walk(old) for f, old in node._asdict().items() if f not in names}
        new |= {f: _fitted(f, values[f], getattr(node, f)) for f in names if f in values}
        return node._replace(**new)

    def walk(tree):
        return jax.tree.map(change, tree, is_leaf=_is_marked)

    return walk(opt_state)


def _fitted(name: str, value: Any, old: jax.Array) -> jax.Array:
    """`value` in the dtype and shape of the leaf that it replaces."""
    new, old = jnp.array(value, old.dtype), jnp.asarray(old)
    if new.shape not in ((), old.shape):
        raise ValueError(
            f"with_hypers: {name} must be one number or have shape {old.shape}, got {new.shape}"
        )
    return jnp.broadcast_to(new, old.shape)


def _names(node: Any) -> tuple[str, ...]:
    """The fields of a state that are hyperparameters; none if it is no such state."""
    return _marked(type(node)) if isinstance(node, tuple) and hasattr(node, "_fields") else ()


def _is_marked(node: Any) -> bool:
    return bool(_names(node))


@functools.cache
def _marked(kind: type) -> tuple[str, ...]:
    try:
        hints = get_type_hints(kind, include_extras=True)
    except NameError:  # a class of someone else's, whose annotations cannot be resolved
        return ()
    return tuple(name for name, hint in hints.items() if hint == HyperLeaf)
