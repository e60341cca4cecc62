"""The contract: a network is two pure functions over a pytree of named arrays.

1. `init(key, x) -> Variables(params, state)`. `x` is an array, a `jax.ShapeDtypeStruct` or a pytree
   of them, with its batch axis. Only shapes and dtypes are read; nothing is computed from data.
2. `apply(params, state, x, *, key=None, train=False) -> (y, state)`. The state that comes back has
   the structure, shapes and dtypes of the one given, so that `lax.scan` can carry it.
3. `params` is what `jax.grad` sees; `state` is what changes without a gradient (running averages).
   Both are nested dicts of arrays and nothing else, with readable names, `{}` when empty.
4. A `key` is needed only where `train=True` makes something random; `train` is a Python bool, and
   the default is the safe one: deterministic inference.

`params, state, x` are positional only, `key` and `train` keyword only: a misspelt argument is a
`TypeError`. More inputs (a mask, a condition) travel inside `x`, which may be any pytree.
"""

import functools
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from fnn.show import call, spec_text

Params = Any
State = Any


class Variables(NamedTuple):
    """What `init` returns: the parameters and the state of a network, nested dicts of arrays."""

    params: Params
    state: State


class InitFn(Protocol):
    """`init(key, x) -> Variables(params, state)`."""

    def __call__(self, key: jax.Array, x: Any, /) -> Variables: ...


class ApplyFn(Protocol):
    """`apply(params, state, x, *, key=None, train=False) -> (y, state)`."""

    def __call__(
        self,
        params: Params,
        state: State,
        x: Any,
        /,
        *,
        key: jax.Array | None = None,
        train: bool = False,
    ) -> tuple[Any, State]: ...


@dataclass(frozen=True, eq=False, repr=False)
class Layer:
    """A network or a part of one: an `init` and an `apply` that keep the contract of this module.

    Both are held to the contract as they are called, at trace time and free of cost afterwards: x
    reaches `init` as shapes and dtypes, `apply` must return a pair and give the state back in the
    structure that it came in. A layer is a leaf to JAX, is hashed by identity and may be a static
    argument.

    Attributes:
      init: `init(key, x) -> Variables(params, state)`.
      apply: `apply(params, state, x, *, key=None, train=False) -> (y, state)`.
      name: the kind of layer, such as "dense"; a container names its children `dense_0, relu_1`.
      config: the settings it was built with; for reading (`repr`, summaries), never for `apply`.
      children: the layers inside it by name, in order.
      made_by: the function that built it, so that `repr` can leave out its defaults and surgery can
        build it anew with other settings.

    >>> def scale_by(factor):
    ...     def init(key, x):
    ...         return Variables({}, {})
    ...
    ...     def apply(params, state, x, *, key=None, train=False):
    ...         return factor * x, state
    ...
    ...     return Layer(init, apply, name="scale_by", config={"factor": factor})
    >>> net = scale_by(3.0)
    >>> net
    scale_by(factor=3.0)
    >>> net.apply({}, {}, jnp.ones(2))
    (Array([3., 3.], dtype=float32), {})
    """

    init: InitFn
    apply: ApplyFn
    name: str = "layer"
    config: Mapping[str, Any] = field(default_factory=dict)
    children: Mapping[str, "Layer"] = field(default_factory=dict)
    made_by: Callable[..., Any] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "init", _held_init(self.init, self.name))
        object.__setattr__(self, "apply", _held_apply(self.apply, self.name))

    def __repr__(self) -> str:
        return call(self.name, self.config, self.children, self.made_by)


def _held_init(init: InitFn, name: str) -> InitFn:
    """`init` that sees only shapes and dtypes and must return `Variables`."""
    if hasattr(init, "held"):
        return init

    @functools.wraps(init)
    def held(key, x, /):
        if key is None:
            raise TypeError(
                f"{name}.init: key must be one PRNG key such as jax.random.key(0), got None"
            )
        variables = init(check_key(key, f"{name}.init"), spec(x))
        if not (isinstance(variables, tuple) and len(variables) == 2):
            raise TypeError(
                f"{name}: init must return Variables(params, state), got {type(variables).__name__}"
            )
        return Variables(*variables)

    held.held = True  # type: ignore[attr-defined]
    return held


def _held_apply(apply: ApplyFn, name: str) -> ApplyFn:
    """`apply` that must return a pair and the state in its own structure."""
    if hasattr(apply, "held"):
        return apply

    @functools.wraps(apply)
    def held(params, state, x, /, *, key=None, train=False):
        if not isinstance(train, bool):
            raise TypeError(
                f"{name}: train must be a Python bool, got {type(train).__name__};"
                " under jit pass it by closure or as a static argument"
            )
        out = apply(params, state, x, key=check_key(key, name), train=train)
        if not (isinstance(out, tuple) and len(out) == 2):
            raise TypeError(f"{name}: apply must return (y, state), got {type(out).__name__}")
        given, returned = jax.tree.structure(state), jax.tree.structure(out[1])
        if given != returned:
            raise ValueError(
                f"{name}: apply must return the state in the structure it came in;"
                f" expected {given}, got {returned}"
            )
        return out

    held.held = True  # type: ignore[attr-defined]
    return held


def spec(x: Any) -> Any:
    """The shapes and dtypes of a pytree of arrays, in the dtypes that JAX will compute in.

    Raises:
      TypeError: if a leaf has no shape and dtype, as a Python list or a string has none.

    >>> import numpy as np
    >>> spec(np.zeros((2, 3)))
    ShapeDtypeStruct(shape=(2, 3), dtype=float32)
    """

    def leaf(a):
        if isinstance(a, bool | int | float):
            a = jnp.asarray(a)
        if not (hasattr(a, "shape") and hasattr(a, "dtype")):
            raise TypeError(
                f"x must be an array, a jax.ShapeDtypeStruct or a pytree of them,"
                f" got {type(a).__name__}; try jnp.asarray(x)"
            )
        dtype = a.dtype
        if not jax.dtypes.issubdtype(dtype, jax.dtypes.extended):
            dtype = jax.dtypes.canonicalize_dtype(dtype)
        return jax.ShapeDtypeStruct(a.shape, dtype)

    return jax.tree.map(leaf, x)


def out_spec(layer: Layer, variables: Variables, x: Any) -> Any:
    """The shapes and dtypes of `layer`'s output for an input like `x`; nothing is computed.

    The rule for a layer's output shape is its `apply`, and stands nowhere else.
    """
    return jax.eval_shape(lambda p, s, x: layer.apply(p, s, x)[0], *variables, spec(x))


def key_for(key: jax.Array | None, name: str) -> jax.Array | None:
    """The key of the child called `name`, so that inserting a layer reseeds none of its siblings.

    .. math:: k_{name} = \\operatorname{fold\\_in}(k, \\operatorname{crc32}(name))
    """
    if key is None:
        return None
    return jax.random.fold_in(key, zlib.crc32(name.encode()))


def check_key(key: Any, where: str) -> jax.Array | None:
    """`key` itself if it is None or a PRNG key, or else a `TypeError` that says how to make one."""
    if key is None:
        return None
    dtype, shape = getattr(key, "dtype", None), getattr(key, "shape", ())
    typed = dtype is not None and jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key)
    if (typed and shape == ()) or (dtype == jnp.uint32 and len(shape) == 1):
        return key
    raise TypeError(
        f"{where}: key must be one PRNG key such as jax.random.key(0),"
        f" got {spec_text(key) if dtype is not None else repr(key)}"
    )


def need_key(key: jax.Array | None, where: str) -> jax.Array:
    """`key`, or a `ValueError` that says what to do where a random layer was given none."""
    if key is None:
        raise ValueError(
            f"{where}: train=True is random here and needs a key, got key=None;"
            " call apply(params, state, x, key=key, train=True)"
        )
    return key


def need(tree: Mapping[str, Any], name: str, *, where: str, kind: str) -> Any:
    """The entry `name` of a layer's params or state, or a `ValueError` that says what is there.

    Args:
      tree: the layer's own `params` or `state`.
      name: the entry wanted, such as "w".
      where: the layer's kind, such as "dense".
      kind: "params" or "state", for the message.
    """
    try:
        return tree[name]
    except (KeyError, TypeError, IndexError):
        got = sorted(tree) if isinstance(tree, Mapping) else spec_text(tree)
        raise ValueError(
            f"{where}: {kind} must hold {name!r}, got {got};"
            f" pass the {kind} that init returned: apply(params, state, x)"
        ) from None


def check_features(x: Any, expected: int, where: str) -> None:
    """Raise a `ValueError` if x's last axis has another size than the weights were made for."""
    got = x.shape[-1] if x.ndim else 0
    if got != expected:
        raise ValueError(
            f"{where}: x has {got} features, expected {expected}; give x of shape"
            f" (..., {expected}), or call init again with inputs like this one"
        )


def features_of(x: Any, where: str) -> int:
    """The size of x's feature axis, its last, or an error if it has none or holds no floats."""
    if not x.shape:
        raise ValueError(
            f"{where}: x must have a feature axis, got a scalar; give x of shape (batch, features)"
        )
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        raise TypeError(
            f"{where}: x must be floating point, got {spec_text(x)};"
            " use x.astype(jnp.float32), or the layer embed for integer ids"
        )
    return x.shape[-1]


@contextmanager
def located(name: str, layer: Layer, x: Any) -> Iterator[None]:
    """Give an error that leaves this block the address of the child it came from.

    The error keeps its type and its words. One note is added, by the innermost layer, and every
    container on the way out puts its name before the path.
    """
    try:
        yield
    except Exception as error:
        path, about, place = getattr(error, "_fnn_at", ("", "", -1))
        path = f"{name}/{path}" if path else name
        about = about or f"{_short(layer)}, given x: {spec_text(x)}"
        note = f"in layer '{path}': {about}"
        if place < 0:
            error.add_note(note)
            place = len(error.__notes__) - 1
        else:  # others, JAX among them, may have added notes of their own since
            error.__notes__[place] = note
        error._fnn_at = (path, about, place)  # type: ignore[attr-defined]
        raise


def _short(layer: Layer, limit: int = 80) -> str:
    text = " ".join(repr(layer).split())
    return text if len(text) <= limit else text[: limit - 3] + "..."


def lift(part: Any, where: str) -> Layer:
    """A layer as it is, and a plain function of x as a layer without variables.

    Raises:
      TypeError: if `part` is neither.

    >>> lift(jax.nn.relu, "serial")
    relu
    """
    if isinstance(part, Layer):
        return part
    if not callable(part):
        raise TypeError(
            f"{where}: each part must be a layer or a function of x, got {part!r}"
            f" of type {type(part).__name__}"
        )
    name = function_name(part)
    if getattr(part, "__annotations__", {}).get("return") is Layer:
        raise TypeError(f"{where}: {name} makes layers, so call it first: {name}(...)")
    config = part.keywords if isinstance(part, functools.partial) else {}

    def init(key, x, /):
        del key, x
        return Variables({}, {})

    def apply(params, state, x, /, *, key=None, train=False):
        del params, key, train
        return part(x), state

    return Layer(init, apply, name=name, config=config)


def function_name(function: Callable[..., Any]) -> str:
    """A readable name for a function, usable in a path.

    >>> function_name(functools.partial(jax.nn.leaky_relu, negative_slope=0.1))
    'leaky_relu'
    >>> function_name(lambda x: x)
    'function'
    """
    if isinstance(function, functools.partial):
        return function_name(function.func)
    name = getattr(function, "__name__", type(function).__name__)
    return name if name.isidentifier() else "function"


def predict(net: Layer, params: Params, state: State, x: Any, /) -> Any:
    """`y` alone, at inference: `net.apply(params, state, x)[0]`."""
    return net.apply(params, state, x)[0]
