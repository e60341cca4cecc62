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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn, Protocol, overload

import jax
import jax.numpy as jnp
import numpy as np

from fnn import random
from fnn.checks import check_given, check_given_key, check_key, check_no_list, check_tree
from fnn.show import call, spec_text, value_text

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
        if self.made_by is lift:
            return value_text(self.config["function"])
        return call(self.name, self.config, self.children, self.made_by)

    def __call__(self, *args: Any, **settings: Any) -> NoReturn:
        """A layer is not called; the error says what is."""
        use = "params, state = net.init(key, x), then y, state = net.apply(params, state, x)"
        raise TypeError(f"{self.name}: a layer holds two functions and is not called itself: {use}")


def _held_init(init: InitFn, name: str) -> InitFn:
    """`init` that sees only shapes and dtypes and must return nested dicts of arrays."""
    if getattr(init, "held", None) is init:
        return init

    @functools.wraps(init)
    def held(key, x=_MISSING, /):
        if x is _MISSING:
            raise TypeError(
                f"{name}: init(key, x) takes two things, got one; x is an example of the input, or"
                " jax.ShapeDtypeStruct(shape, dtype)"
            )
        check_given_key(key, f"{name}.init")
        variables = init(key, spec(x, f"{name}.init"))
        if not (isinstance(variables, tuple) and len(variables) == 2):
            raise TypeError(
                f"{name}: init must return Variables(params, state), got {type(variables).__name__}"
            )
        for kind, tree in zip(Variables._fields, variables, strict=True):
            check_tree(tree, where=name, kind=kind)
        return Variables(*variables)

    held.held = held  # type: ignore[attr-defined]  # itself: functools.wraps would copy a mere flag
    held.__qualname__ = f"{name}.init"  # what Python's own errors call it
    return held


def _held_apply(apply: ApplyFn, name: str) -> ApplyFn:
    """`apply` that must return a pair, and the state with its structure, shapes and dtypes."""
    if getattr(apply, "held", None) is apply:
        return apply

    @functools.wraps(apply)
    def held(params, state, x=_MISSING, /, *more, key=None, train=False):
        if more:
            raise TypeError(
                f"{name}: apply(params, state, x) takes three things, got {3 + len(more)};"
                " give key= and train= by name"
            )
        if x is _MISSING:
            raise TypeError(
                f"{name}: apply(params, state, x) takes three things, got two;"
                " a network without state has state {}"
            )
        if not isinstance(train, bool):
            raise TypeError(
                f"{name}: train must be a Python bool, got {type(train).__name__};"
                " under jit pass it by closure or as a static argument"
            )
        check_given(params, where=name, kind="params")
        check_given(state, where=name, kind="state")
        check_no_list(x, name)
        if hasattr(x, "dtype") and not _is_dtype(x.dtype):
            raise TypeError(
                f"{name}: x must hold arrays, got {type(x).__name__}; try jnp.asarray(x)"
            )
        watch = getattr(type(params), "_fnn_watch", None)  # an onlooker: fnn.inspect's params only
        run = apply if watch is None else watch(params, apply)
        if key is not None and random.reuse_is_checked():
            run = _by_itself(run)
        out = run(params, state, as_jax(x), key=check_key(key, name), train=train)
        if not (isinstance(out, tuple) and len(out) == 2):
            raise TypeError(f"{name}: apply must return (y, state), got {type(out).__name__}")
        if out[1] is not state:
            given, returned = spec_text(as_jax(state)), spec_text(as_jax(out[1]))
            if given != returned:
                raise ValueError(
                    f"{name}: apply must return the state with the structure, shapes and dtypes"
                    f" that it came in; given {given}, returned {returned}"
                )
        return out

    held.held = held  # type: ignore[attr-defined]
    held.__qualname__ = f"{name}.apply"
    return held


def _by_itself(run: Callable[..., Any]) -> Callable[..., Any]:
    """`run` as a program of its own: JAX checks its keys as it is traced, in the layer at fault."""

    def apply(params, state, x, *, key, train):
        return jax.jit(lambda p, s, x, key: run(p, s, x, key=key, train=train))(
            params, state, x, key
        )

    return apply


def as_jax(x: Any) -> Any:
    """The NumPy arrays and Python numbers of a pytree as JAX arrays, in JAX's dtypes; else as is.

    >>> as_jax(np.zeros(2)), as_jax({"mask": None})
    (Array([0., 0.], dtype=float32), {'mask': None})
    """

    def leaf(a):
        return jnp.asarray(a) if isinstance(a, _NOT_YET_JAX) else a

    return jax.tree.map(leaf, x)


_MISSING: Any = object()
_NOT_YET_JAX = (np.ndarray, np.generic, bool, int, float, complex)


def spec(x: Any, where: str = "spec") -> Any:
    """The shapes and dtypes of a pytree of arrays, in the dtypes that JAX will compute in.

    Args:
      x: arrays, `jax.ShapeDtypeStruct` or Python numbers, in any pytree.
      where: who asks, for the error.

    Raises:
      TypeError: if a leaf has no shape and dtype, as a Python list or a string has none.

    >>> spec(np.zeros((2, 3)))
    ShapeDtypeStruct(shape=(2, 3), dtype=float32)
    """

    check_no_list(x, where)

    def leaf(a):
        if isinstance(a, _NOT_YET_JAX):
            a = jnp.asarray(a)
        if not hasattr(a, "shape") or not _is_dtype(getattr(a, "dtype", None)):
            raise TypeError(
                f"{where}: x must be an array, a jax.ShapeDtypeStruct or a pytree of them,"
                f" got {type(a).__name__}; try jnp.asarray(x)"
            )
        dtype = a.dtype
        if not jnp.issubdtype(dtype, jax.dtypes.extended):
            dtype = jax.dtypes.canonicalize_dtype(dtype)
        return jax.ShapeDtypeStruct(a.shape, dtype)

    return jax.tree.map(leaf, x)


def _is_dtype(dtype: Any) -> bool:
    """Whether it is one of NumPy's or JAX's: arrays of others, as PyTorch's, have another kind."""
    try:
        return dtype is not None and jnp.issubdtype(dtype, np.generic) is not None
    except TypeError:
        return False


def out_spec(layer: Layer, variables: Variables, x: Any) -> Any:
    """The shapes and dtypes of `layer`'s output for an input like `x`; nothing is computed.

    The rule for a layer's output shape is its `apply`, and stands nowhere else.
    """
    return jax.eval_shape(lambda p, s, x: layer.apply(p, s, x)[0], *variables, spec(x))


@overload
def key_for(key: jax.Array, name: str) -> jax.Array: ...
@overload
def key_for(key: None, name: str) -> None: ...
@overload
def key_for(key: jax.Array | None, name: str) -> jax.Array | None: ...
def key_for(key: jax.Array | None, name: str) -> jax.Array | None:
    """The key of the child called `name`, so that inserting a layer reseeds none of its siblings.

    .. math:: k_{name} = \\operatorname{fold\\_in}(k, \\operatorname{crc32}(name))

    By `fnn.random.fold_in`: threefry's would cost more, in every step, than the masks it is for.
    """
    if key is None:
        return None
    return random.fold_in(key, zlib.crc32(name.encode()))


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
        cure = "; put a star before it" if isinstance(part, list | tuple) else ""
        if hasattr(part, "advance"):  # a recurrent cell
            cure = "; a cell is one moment of a sequence: fnn.layers.recurrent(cell) is the layer"
        raise TypeError(
            f"{where}: each part must be a layer or a function of x, got {part!r}"
            f" of type {type(part).__name__}{cure}"
        )
    name, made = function_name(part), _unwrapped(part)
    if getattr(made, "__annotations__", {}).get("return") in (Layer, "Layer"):
        raise TypeError(f"{where}: {name} makes layers, so call it first: {name}(...)")

    def init(key, x, /):
        del key, x
        return Variables({}, {})

    def apply(params, state, x, /, *, key=None, train=False):
        del params, key, train
        y = part(x)
        if isinstance(y, Layer):
            raise TypeError(
                f"{where}: the function {value_text(part)} returned the layer {y!r},"
                " not an array; give the layer itself"
            )
        return y, state

    return Layer(init, apply, name=name, config={"function": part}, made_by=lift)


def _unwrapped(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    return function


def function_name(function: Callable[..., Any]) -> str:
    """A readable name for a function, usable in a path.

    >>> function_name(functools.partial(jax.nn.leaky_relu, negative_slope=0.1))
    'leaky_relu'
    >>> function_name(lambda x: x)
    'function'
    """
    function = _unwrapped(function)
    name = getattr(function, "__name__", type(function).__name__)
    return name if name.isidentifier() else "function"
