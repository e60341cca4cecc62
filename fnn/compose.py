"""The general combinator: a network written as ordinary Python over named layers."""

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import jax

from fnn.checks import check_owners, located
from fnn.combine import apply_child, check_function, name_children, put
from fnn.core import Layer, Variables, key_for


def compose(fn: Callable[[Any, Any], Any], /, **layers: Layer | Callable[..., Any]) -> Layer:
    r"""Make a network of `fn(f, x)`, ordinary Python that calls the named layers as `f.name(...)`.

    A layer called twice shares its weights; its state passes from one call to the next, and each
    call draws its own randomness. Skip connections, two inputs and siamese nets need nothing else.
    `fn` must call the same layers whatever the values in x, as any traced function must.

    Args:
      fn: `fn(f, x) -> y`, where `f.name(h)` applies the layer called `name` to h.
      **layers: the layers by name; each is initialised by its first call.

    Raises:
      ValueError: if a layer is never called: its weights would never be used.
      AttributeError: if `fn` calls a layer that was not given.

    >>> from fnn.layers import dense
    >>> siamese = compose(lambda f, x: abs(f.eye(x[0]) - f.eye(x[1])).sum(-1), eye=dense(3))
    >>> pair = (jax.numpy.ones((2, 4)), jax.numpy.ones((2, 4)))
    >>> params, state = siamese.init(jax.random.key(0), pair)
    >>> print(siamese.apply(params, state, pair)[0])
    [0. 0.]
    """
    check_function("compose", "fn", fn, "lambda f, x: f.name(x)")
    children = name_children("compose", (), layers)

    def inputs(key, x):
        """What each layer is given in its first call."""
        seen: dict[str, Any] = {}
        made: dict[str, Variables] = {}

        def call(name, layer, h):
            with located(name, layer, h):
                if name not in made:
                    seen[name] = h
                    made[name] = layer.init(key_for(key, name), h)
                return layer.apply(*made[name], h)[0]

        fn(_named(children, call), x)
        return seen

    def init(key, x, /):
        # JAX remembers what it traced by the function: `inputs` is one for all calls, so that a
        # compose within others is looked through once for each of them, not twice.
        seen = jax.eval_shape(inputs, key, x)
        if unused := [name for name in children if name not in seen]:
            raise ValueError(
                f"compose: fn never calls {', '.join(unused)};"
                " call each as f.name(h) or leave it out"
            )
        params, state = {}, {}
        for name, layer in children.items():
            with located(name, layer, seen[name]):
                variables = layer.init(key_for(key, name), seen[name])
            put(params, name, variables.params)
            put(state, name, variables.state)
        return Variables(params, state)

    def apply(params, state, x, /, *, key=None, train=False):
        check_owners("compose", children, params, state)
        after = dict(state)
        calls = dict.fromkeys(children, 0)

        def call(name, layer, h):
            again = calls[name]
            calls[name] += 1
            own = key if again == 0 else key_for(key, f"call_{again}")
            y, after_call = apply_child(name, layer, params, after, h, key=own, train=train)
            put(after, name, after_call)
            return y

        y = fn(_named(children, call), x)
        return y, after

    return Layer(init, apply, name="compose", config={"fn": fn}, children=children, made_by=compose)


def _named(children: Mapping[str, Layer], call: Callable[..., Any]) -> SimpleNamespace:
    """The `f` of `fn(f, x)`: one function per child, and an error that lists them all."""

    def bind(name, layer):
        def one(*inputs):
            if len(inputs) != 1:
                raise TypeError(
                    f"compose: f.{name} takes one input, got {len(inputs)};"
                    " put several into a tuple or a dict"
                )
            return call(name, layer, *inputs)

        return one

    return _Named(**{name: bind(name, layer) for name, layer in children.items()})


class _Named(SimpleNamespace):
    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"compose: fn calls f.{name}, which was not given; the layers are"
            f" {', '.join(vars(self)) or 'none'}"
        )
