"""How arrays, functions and layers read when they are printed: like the code that made them."""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax

WIDTH = 80


def spec_text(x: Any) -> str:
    """The dtypes and shapes of a pytree in few letters.

    >>> import jax.numpy as jnp
    >>> spec_text(jnp.ones((2, 3)))
    'float32[2,3]'
    >>> spec_text({"x": jnp.ones(4), "mask": None})
    "{'mask': None, 'x': float32[4]}"
    """

    def leaf(a):
        if not (hasattr(a, "shape") and hasattr(a, "dtype")):
            return _Bare(type(a).__name__)
        return _Bare(f"{a.dtype}[{','.join(str(n) for n in a.shape)}]")

    return str(jax.tree.map(leaf, x))


class _Bare(str):
    """A string that prints without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def value_text(value: Any) -> str:
    """A setting as it would be written in code: functions by name, all else by `repr`.

    >>> value_text(jax.nn.relu), value_text("SAME"), value_text((3, 3))
    ('relu', "'SAME'", '(3, 3)')
    """
    if isinstance(value, functools.partial):
        knobs = [value_text(v) for v in (value.func, *value.args)]
        knobs += [f"{k}={value_text(v)}" for k, v in value.keywords.items()]
        return f"partial({', '.join(knobs)})"
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return spec_text(value)
    name = getattr(value, "__name__", None)
    if callable(value) and name:
        return name
    return repr(value)


def call(
    name: str,
    config: Mapping[str, Any],
    children: Mapping[str, Any],
    made_by: Callable[..., Any] | None,
) -> str:
    """The call that builds a layer: `dense(128)`, `serial(dense(128), relu)`.

    Settings that equal the defaults of `made_by` are left out. One line if it fits, else one
    argument a line. Where nothing is known but a name, the name stands alone: a function of x.
    """
    if made_by is None and not config and not children:
        return name
    arguments = list(_arguments(config, children, made_by))
    line = f"{name}({', '.join(arguments)})"
    if len(line) <= WIDTH and "\n" not in line:
        return line
    return f"{name}(\n{_indent(arguments)})"


def _indent(arguments: list[str]) -> str:
    lines = [line for argument in arguments for line in f"{argument},".split("\n")]
    return "".join(f"    {line}\n" for line in lines)


def _arguments(
    config: Mapping[str, Any], children: Mapping[str, Any], made_by: Callable[..., Any] | None
) -> Iterator[str]:
    config, inside = dict(config), dict(children)
    parameters = inspect.signature(made_by).parameters if made_by is not None else {}
    for parameter in parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            continue
        if parameter.kind is parameter.VAR_POSITIONAL:
            for number, (key, child) in enumerate(children.items()):
                if key != f"{child.name}_{number}":
                    break  # from here on by keyword: order counts
                yield value_text(inside.pop(key))
            yield from map(value_text, config.pop(parameter.name, ()))
        elif parameter.name in config or parameter.name in inside:
            value = (config if parameter.name in config else inside).pop(parameter.name)
            if (
                parameter.default is parameter.empty
                and parameter.kind is not parameter.KEYWORD_ONLY
            ):
                yield value_text(value)
            elif not _same(value, parameter.default):
                yield f"{parameter.name}={value_text(value)}"
    for key, value in {**config, **inside}.items():
        yield f"{key}={value_text(value)}"


def _same(a: Any, b: Any) -> bool:
    try:
        return bool(a is b or a == b)
    except (TypeError, ValueError):  # arrays have no single truth
        return False
