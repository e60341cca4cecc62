"""What an optimizer is, and the few words in which every optimizer here is written.

An optimizer is a pair of pure functions, field for field optax's `GradientTransformation`:

    opt_state = optimizer.init(params)
    updates, opt_state = optimizer.update(grads, opt_state, params)
    params = apply_updates(params, updates)

The words are: `zeros` and `filled` make what accumulates, `each` applies one leaf's equations to
every leaf, `advance` counts, and `Hypers` are the hyperparameters, from `fnn.optim.hypers`.
"""

import inspect
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from fnn.optim.hypers import Hyper as Hyper
from fnn.optim.hypers import HyperLeaf as HyperLeaf
from fnn.optim.hypers import Hypers as Hypers
from fnn.optim.hypers import Schedule as Schedule
from fnn.trees import mask as mask_of
from fnn.trees import paths, wide


class InitFn(Protocol):
    """`init(params) -> state`."""

    def __call__(self, params: Any, /) -> Any: ...


class UpdateFn(Protocol):
    """`update(grads, state, params=None) -> (updates, state)`; some take more by keyword."""

    def __call__(self, grads: Any, state: Any, params: Any = None, /) -> tuple[Any, Any]: ...


class Optimizer(NamedTuple):
    """A pair of pure functions; each field is named as in optax, so that each serves the other.

    >>> descent = Optimizer(lambda p: (), lambda g, s, p=None: (jax.tree.map(lambda x: -x, g), s))
    >>> descent.update(jnp.array(2.0), descent.init(jnp.array(5.0)))
    (Array(-2., dtype=float32, weak_type=True), ())
    """

    init: InitFn
    update: UpdateFn | Callable[..., tuple[Any, Any]]


def check_params(params: Any) -> None:
    """Raise a `TypeError` with its path if a parameter is not floating point."""
    for path, leaf in paths(params).items():
        dtype = getattr(leaf, "dtype", type(leaf))
        if dtype is not float and not jnp.issubdtype(dtype, jnp.floating):
            what = f"{dtype}{list(jnp.shape(leaf))}" if hasattr(leaf, "dtype") else repr(leaf)
            got = getattr(leaf, "__name__", what)
            raise TypeError(
                f"init: params must be floating point arrays, got {got} at {path!r};"
                " keep what has no gradient out of params"
            )


def filled(params: Any, value: float | jax.Array) -> Any:
    """A tree like the parameters full of one value, in float32 or wider.

    A 16-bit average with decay 0.999 never moves: its step is lost in rounding.

    Raises:
      TypeError: if a parameter is not floating point; the message has its path.
    """
    check_params(params)
    return jax.tree.map(lambda p: jnp.full(jnp.shape(p), value, wide(jnp.result_type(p))), params)


def zeros(params: Any) -> Any:
    """Zeros like the parameters, in float32 or wider: where averages and sums accumulate.

    >>> zeros({"w": jnp.ones(2, jnp.bfloat16)})["w"].dtype
    dtype('float32')
    """
    return filled(params, 0)


class Knobs(SimpleNamespace):
    """What a rule sees, in one dtype: the hyperparameters and `t`, this step's number from 1."""

    def debias(self, name: str, ahead: int = 0) -> jax.Array:
        """1 / (1 - decay^(t + ahead)): what frees a running average from its start at zero.

        An average with this decay has seen the weight 1 - decay^t of gradients, the rest of zeros.
        Computed once for all leaves of one dtype; and a factor, to spare each number a division.
        """
        known = self.__dict__.setdefault("_known", {})
        if (name, ahead) not in known:
            known[name, ahead] = 1 / (1 - getattr(self, name) ** (self.t + ahead))
        return known[name, ahead]


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
      *carried: trees of the state, shaped like the gradients; each leaf keeps its dtype.
      params: the parameters, for rules that decay weights.
      count: steps done before this one, for rules that correct a bias.

    Returns:
      `(updates, *new_carried)`, trees like the gradients.

    Raises:
      ValueError: if the trees differ in structure or in a shape; the message has the paths.
    """
    inputs = carried if params is None else (*carried, params)
    for tree in inputs:
        kind = "params" if tree is params else "state"
        check_alike(getattr(hypers, "owner", "update"), grads, tree, kind)
    known: dict[Any, Knobs] = {}

    def one(g, *rest):
        old = rest[: len(carried)]
        dtype = wide(jnp.result_type(g, *old))
        if dtype not in known:
            known[dtype] = Knobs(**{n: jnp.asarray(v, dtype) for n, v in hypers.items()})
            if count is not None:
                known[dtype].t = advance(count).astype(dtype)
        update, *new = rule(known[dtype], *(jnp.asarray(a, dtype) for a in (g, *rest)))
        kept = (n.astype(jnp.result_type(o)) for n, o in zip(new, old, strict=True))
        return update.astype(jnp.result_type(g)), *kept

    leaves, structure = jax.tree.flatten(grads)
    if not leaves:
        return grads, *carried
    rows = [one(*row) for row in zip(leaves, *map(jax.tree.leaves, inputs), strict=True)]
    return tuple(structure.unflatten(column) for column in zip(*rows, strict=True))


def check_alike(owner: str, grads: Any, other: Any, kind: str) -> None:
    """Raise a `ValueError` if the gradients have another structure or shape than `other`."""
    same = jax.tree.structure(grads) == jax.tree.structure(other)
    if same and all(map(_same_shape, jax.tree.leaves(grads), jax.tree.leaves(other))):
        return
    cure = "give update the gradients of the very params that init was given"
    mine, its = paths(grads), paths(other)
    if not same:
        extra, lacking = sorted(mine.keys() - its.keys()), sorted(its.keys() - mine.keys())
        wrong = [f"only in grads: {', '.join(extra)}"] if extra else []
        wrong += [f"only in {kind}: {', '.join(lacking)}"] if lacking else []
        wrong = wrong or [f"{jax.tree.structure(grads)} and {jax.tree.structure(other)}"]
        raise ValueError(
            f"{owner}: grads and {kind} are different trees; {'; '.join(wrong)}; {cure}"
        )
    path = next(path for path, g in mine.items() if not _same_shape(g, its[path]))
    raise ValueError(
        f"{owner}: the gradient at {path!r} has shape {jnp.shape(mine[path])},"
        f" expected {jnp.shape(its[path])} as in {kind}; {cure}"
    )


def _same_shape(a: Any, b: Any) -> bool:
    return jnp.shape(a) == jnp.shape(b)  # else one would broadcast in silence


def advance(count: jax.Array) -> jax.Array:
    """`count + 1`, which stays at the largest integer instead of turning negative.

    >>> print(advance(jnp.int32(2)), advance(jnp.int32(2**31 - 1)))
    3 2147483647
    """
    return jnp.minimum(count, jnp.iinfo(count.dtype).max - 1) + 1


def one_of(owner: str, name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raise a `ValueError` if `value` is not among the words that name a convention."""
    if value not in allowed:
        raise ValueError(f"{owner}: {name} must be one of {', '.join(allowed)}, got {value!r}")


def apply_updates(params: Any, updates: Any) -> Any:
    """`params + updates`, leaf by leaf, in the dtype of the parameters.

    >>> apply_updates({"w": jnp.array([1.0, 2.0])}, {"w": jnp.array([0.5, -0.5])})
    {'w': Array([1.5, 1.5], dtype=float32)}
    """
    return jax.tree.map(lambda p, u: jnp.asarray(p + u, jnp.result_type(p)), params, updates)


def need_params(owner: str, params: Any, needs: str = "its weight decay needs") -> None:
    """Raise a `ValueError` if the parameters were left out of `update`; `needs` says what for."""
    if params is None:
        raise ValueError(
            f"{owner}: update was called without params, which {needs};"
            " call update(grads, state, params)"
        )


def check_optimizer(wanted: str, candidate: Any) -> None:
    """Raise a `TypeError` that begins with what is wanted, unless this has init and update.

    >>> check_optimizer("chain: link 0 must have init and update", None)
    Traceback (most recent call last):
    TypeError: chain: link 0 must have init and update, got NoneType
    """
    if hasattr(candidate, "init") and hasattr(candidate, "update"):
        return
    name = getattr(candidate, "__name__", type(candidate).__name__)
    call = f"; call it first: {name}(...)" if callable(candidate) else ""
    raise TypeError(f"{wanted}, got {name}{call}")


def resolved(mask: Any, params: Any) -> Any:
    """A mask as a tree: a shell pattern of paths and a function of the parameters become one."""
    if isinstance(mask, str):
        return mask_of(params, mask)
    return mask(params) if callable(mask) else mask


def kept_by(mask: Any, params: Any, owner: str) -> Any:
    """The parameters with zeros in place of those that the mask leaves out.

    Args:
      mask: None for all; a tree of bools like the parameters or like their upper levels; a function
        from the parameters to one; or a shell pattern of paths such as "*/w".
      params: the parameters.
      owner: who asks, for the error message.

    >>> print(kept_by({"a": False, "b": True}, {"a": {"w": 2.0}, "b": {"w": 3.0}}, "adamw"))
    {'a': {'w': Array(0., dtype=float32, weak_type=True)}, 'b': {'w': 3.0}}
    """
    if mask is None:
        return params
    mask = resolved(mask, params)

    def keep(kept, branch):
        if isinstance(kept, bool):
            return branch if kept else jax.tree.map(jnp.zeros_like, branch)
        return jax.tree.map(lambda p: jnp.where(kept, p, 0), branch)

    try:
        return jax.tree.map(keep, mask, params)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{owner}: mask must be a tree of bools like the params or their upper levels,"
            f" got {jax.tree.structure(mask)} for params with {', '.join(paths(params))};"
            " a shell pattern of paths such as '*/w' is a mask too"
        ) from error


def extras_of(function: Callable[..., Any]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """What picks, from keyword arguments, those that `function` takes; its signature is read once.

    >>> pick = extras_of(lambda g, s, p=None, *, value: None)
    >>> pick({"value": 1, "grad": 2})
    {'value': 1}
    """
    kinds = inspect.signature(function).parameters.values()
    if any(kind.kind is kind.VAR_KEYWORD for kind in kinds):
        return dict
    names = {kind.name for kind in kinds}
    return lambda extra: {name: value for name, value in extra.items() if name in names}


def accepted(function: Callable[..., Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the keyword arguments `extra` that `function` takes.

    >>> accepted(lambda g, s, p=None, *, value: None, {"value": 1, "grad": 2})
    {'value': 1}
    """
    return extras_of(function)(extra)
