"""What every container does with its children: name them, gather their variables, apply them."""

from collections.abc import Callable, Mapping
from typing import Any

import jax

from fnn.checks import located
from fnn.core import Layer, Variables, key_for, lift


def name_children(
    where: str,
    layers: tuple[Layer | Callable[..., Any], ...],
    named: Mapping[str, Layer | Callable[..., Any]],
) -> dict[str, Layer]:
    """The children of a container by name, in order: `kind_position`, then the keywords."""
    lifted = [lift(layer, where) for layer in layers]
    children = {f"{layer.name}_{i}": layer for i, layer in enumerate(lifted)}
    for name, layer in named.items():
        if not name or "/" in name:
            raise ValueError(f"{where}: a child's name must be a word without slash, got {name!r}")
        if name in children:
            raise ValueError(f"{where}: two children are called {name!r}; rename the keyword one")
        children[name] = lift(layer, where)
    return children


def check_function(where: str, name: str, function: Any, example: str) -> None:
    """Raise a `TypeError` if the function that a container is built around is none."""
    if isinstance(function, Layer) or not callable(function):
        raise TypeError(
            f"{where}: {name}, the first argument, must be a function such as {example},"
            f" got {function!r}; give layers by keyword"
        )


def put(tree: dict[str, Any], name: str, own: Mapping[str, Any]) -> None:
    """Enter a child's variables under its name, unless it owns none."""
    if own:
        tree[name] = own


def under(name: str, variables: Variables) -> Variables:
    """The variables of a container whose one child is called `name`."""
    return Variables(*({name: own} if own else {} for own in variables))


def apply_child(
    name: str,
    layer: Layer,
    params: Mapping[str, Any],
    state: Mapping[str, Any],
    x: Any,
    *,
    key: jax.Array | None,
    train: bool,
) -> tuple[Any, Any]:
    """Apply the child called `name` with its own share of params, state and randomness."""
    with located(name, layer, x):
        return layer.apply(
            params.get(name, {}), state.get(name, {}), x, key=key_for(key, name), train=train
        )
