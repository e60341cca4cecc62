"""What an optimizer is, and the few words in which every optimizer here is written.

An optimizer is a pair of pure functions, field for field optax's `GradientTransformation`:

    opt_state = optimizer.init(params)
    updates, opt_state = optimizer.update(grads, opt_state, params)
    params = apply_updates(params, updates)

Every numeric hyperparameter is a leaf of the state. So a learning rate can be read, changed and
swept by `vmap` without compiling again, and a schedule is a function of the step whose present
value stands in the state.
"""

import inspect
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from fnn.trees import wide

Schedule = Callable[[jax.Array], jax.Array]
Hyper = float | jax.Array | Schedule


class InitFn(Protocol):
    """`init(params) -> state`."""

    def __call__(self, params: Any, /) -> Any: ...


class UpdateFn(Protocol):
    """`update(grads, state, params=None) -> (updates, state)`; links may take more by keyword."""

    def __call__(
        self, grads: Any, state: Any, params: Any = None, /, **extra: Any
    ) -> tuple[Any, Any]: ...


class Optimizer(NamedTuple):
    """A pair of pure functions; each field is named as in optax, so that each serves the other.

    >>> descent = Optimizer(lambda p: (), lambda g, s, p=None: (jax.tree.map(lambda x: -x, g), s))
    >>> descent.update(jnp.array(2.0), descent.init(jnp.array(5.0)))
    (Array(-2., dtype=float32, weak_type=True), ())
    """

    init: InitFn
    update: UpdateFn


class Range(NamedTuple):
    """The values that a hyperparameter may take: from `low` (included) to `high` (left out)."""

    low: float
    high: float


# Names are the field's standard terms, so a name has one range wherever it stands.
_RATE, _DECAY = Range(0.0, float("inf")), Range(0.0, 1.0)
RANGES: Mapping[str, Range] = {
    "learning_rate": _RATE,
    "weight_decay": _RATE,
    "eps": _RATE,
    "b1": _DECAY,
    "b2": _DECAY,
    "decay": _DECAY,
    "momentum": _DECAY,
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
            _check(owner, name, value)
        self.values = values

    def init(self) -> dict[str, jax.Array]:
        """The leaves to put into the state: each value at step 0."""
        return self.at(jnp.zeros((), jnp.int32))

    def at(self, count: jax.Array, state: Any = None) -> dict[str, jax.Array]:
        """Each value at step `count`: schedules are asked, all others are read from `state`."""
        return {
            name: _scalar(value(count))
            if callable(value)
            else (_scalar(value) if state is None else getattr(state, name))
            for name, value in self.values.items()
        }


def _scalar(value: float | jax.Array) -> jax.Array:
    """A strong float32 (float64 under x64); floating arrays keep the dtype that they have."""
    dtype = getattr(value, "dtype", None)
    if dtype is None or not jnp.issubdtype(dtype, jnp.floating):
        dtype = jnp.zeros(()).dtype
    return jnp.asarray(value, dtype)


def _check(owner: str, name: str, value: Any) -> None:
    if callable(value) or isinstance(value, jax.Array):
        return
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise TypeError(
            f"{owner}: {name} must be a number, an array or a schedule, got {value!r}"
            f" of type {type(value).__name__}"
        )
    low, high = RANGES.get(name, Range(float("-inf"), float("inf")))
    if not low <= float(value) < high:
        wanted = f"in [{low:g}, {high:g})" if high != float("inf") else f"a finite number >= {low:g}"
        raise ValueError(f"{owner}: {name} must be {wanted}, got {value}")


def zeros(params: Any) -> Any:
    """Zeros like the parameters, in float32 or wider: where averages and sums accumulate.

    A 16-bit average with decay 0.999 never moves: its step is lost in rounding.

    >>> zeros({"w": jnp.ones(2, jnp.bfloat16)})["w"].dtype
    dtype('float32')
    """
    return jax.tree.map(lambda p: jnp.zeros(jnp.shape(p), wide(jnp.result_type(p))), params)


def each(
    rule: Callable[..., tuple[Any, ...]],
    hypers: Mapping[str, jax.Array],
    grads: Any,
    *carried: Any,
    params: Any = None,
    count: jax.Array | None = None,
) -> tuple[Any, ...]:
    """Apply an optimizer's equations, written for one leaf, to every leaf of the gradients.

    Args:
      rule: `rule(h, g, *carried_leaves) -> (update, *new_carried_leaves)`; if `params` are given,
        the parameter comes last. `h` has one attribute per hyperparameter and, if `count` is
        given, `h.t`: the number of this step, from 1. All numbers come in one dtype, the leaf's
        own or float32 where that is narrower; the update goes back to the leaf's dtype.
      hypers: what `Hypers.at` returned.
      grads: the gradients.
      *carried: trees of the state, shaped like the gradients.
      params: the parameters, for rules that decay weights.
      count: steps done before this one, for rules that correct a bias.

    Returns:
      `(updates, *new_carried)`, trees like the gradients.
    """
    leaves, structure = jax.tree.flatten(grads)
    inputs = carried if params is None else (*carried, params)
    columns = [structure.flatten_up_to(tree) for tree in inputs]

    def one(g, *rest):
        dtype = wide(g.dtype)
        h = SimpleNamespace(**{name: value.astype(dtype) for name, value in hypers.items()})
        if count is not None:
            h.t = (count + 1).astype(dtype)
        update, *new = rule(h, g.astype(dtype), *(r.astype(dtype) for r in rest))
        return update.astype(g.dtype), *new

    if not leaves:
        return grads, *carried
    rows = [one(*row) for row in zip(leaves, *columns, strict=True)]
    return tuple(structure.unflatten(column) for column in zip(*rows, strict=True))


def apply_updates(params: Any, updates: Any) -> Any:
    """`params + updates`, leaf by leaf, in the dtype of the parameters.

    >>> apply_updates({"w": jnp.array([1.0, 2.0])}, {"w": jnp.array([0.5, -0.5])})
    {'w': Array([1.5, 1.5], dtype=float32)}
    """
    return jax.tree.map(lambda p, u: jnp.asarray(p + u, jnp.result_type(p)), params, updates)


def need_params(owner: str, params: Any) -> None:
    """Raise a `ValueError` if the parameters were left out of `update`."""
    if params is None:
        raise ValueError(
            f"{owner}: update was called without params, which its weight decay needs;"
            " call update(grads, state, params)"
        )


def accepted(function: Callable[..., Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the keyword arguments `extra` that `function` takes.

    >>> accepted(lambda g, s, p=None, *, value: None, {"value": 1, "grad": 2})
    {'value': 1}
    """
    kinds = inspect.signature(function).parameters.values()
    if any(kind.kind is kind.VAR_KEYWORD for kind in kinds):
        return dict(extra)
    names = {kind.name for kind in kinds}
    return {name: value for name, value in extra.items() if name in names}
