"""Containers of several layers: one behind the other, around each other, side by side."""

from collections.abc import Callable, Mapping
from typing import Any

import jax

from fnn.checks import check_owners, located
from fnn.combine.children import apply_child, check_function, name_children, put
from fnn.core import Layer, Variables, key_for, lift, out_spec
from fnn.show import spec_text


def serial(*layers: Layer | Callable[..., Any], **named: Layer | Callable[..., Any]) -> Layer:
    r"""Apply each layer to the output of the one before it.

    .. math:: y = (f_n \circ \dots \circ f_2 \circ f_1)(x)

    Args:
      *layers: layers, or plain functions of x such as `jax.nn.relu`; named by kind and position.
      **named: layers that take their keyword as their name; they come after the positional ones.

    Shapes:
      x: whatever the first layer takes -> y: whatever the last one gives.
      params, state: one entry for each child that owns any.

    Raises:
      TypeError: if a part is neither a layer nor a function. ValueError: if two share a name, or
        if apply is given variables under a name that no child has.

    >>> from fnn.layers import dense
    >>> net = serial(dense(3), jax.nn.relu, head=dense(2))
    >>> net
    serial(dense(3), relu, head=dense(2))
    >>> params, state = net.init(jax.random.key(0), jax.numpy.ones((1, 4)))
    >>> jax.tree.map(jax.numpy.shape, params)
    {'dense_0': {'b': (3,), 'w': (4, 3)}, 'head': {'b': (2,), 'w': (3, 2)}}
    """
    children = name_children("serial", layers, named)

    def init(key, x, /):
        params, state = {}, {}
        for name, layer in children.items():
            with located(name, layer, x):
                variables = layer.init(key_for(key, name), x)
                x = out_spec(layer, variables, x)
            put(params, name, variables.params)
            put(state, name, variables.state)
        return Variables(params, state)

    def apply(params, state, x, /, *, key=None, train=False):
        check_owners("serial", children, params, state)
        after = {}
        for name, layer in children.items():
            x, own = apply_child(name, layer, params, state, x, key=key, train=train)
            put(after, name, own)
        return x, after

    return Layer(init, apply, name="serial", children=children, made_by=serial)


def residual(body: Layer | Callable[..., Any], shortcut: Layer | None = None) -> Layer:
    r"""Add the input to the output of `body`, so that the body learns only the difference.

    .. math:: y = \operatorname{shortcut}(x) + \operatorname{body}(x)

    Args:
      body: the layer around which the input is carried.
      shortcut: what the input goes through on its way; the identity if None. Needed where the body
        changes the shape.

    Raises:
      ValueError: if the two sums have different shapes: nothing is broadcast in silence.

    Source: He et al. 2016, eq. 1 and 2, https://arxiv.org/abs/1512.03385

    >>> net = residual(jax.numpy.sin)
    >>> print(net.apply({}, {}, jax.numpy.zeros(2))[0])
    [0. 0.]
    """
    children = {"body": lift(body, "residual")}
    if shortcut is not None:
        children["shortcut"] = lift(shortcut, "residual")

    def add(outputs, x):
        y, carried = outputs["body"], outputs.get("shortcut", x)
        inside, around = (jax.tree.map(jax.numpy.shape, side) for side in (y, carried))
        if inside != around:
            raise ValueError(
                f"residual: body gives {spec_text(y)} and what is carried around it is"
                f" {spec_text(carried)}; give a shortcut that maps the input to the body's shape"
            )
        return jax.tree.map(jax.numpy.add, y, carried)

    return _side_by_side("residual", children, add, {}, residual)


def parallel(combine: Callable[..., Any], /, **branches: Layer | Callable[..., Any]) -> Layer:
    r"""Give the same input to every branch and combine what comes out.

    .. math:: y = \operatorname{combine}(f_1(x), f_2(x), \dots)

    Args:
      combine: a function of as many arguments as there are branches, in their order.
      **branches: the branches by name.

    Raises:
      TypeError: if `combine` is no function. ValueError: if there are no branches.

    >>> net = parallel(jax.numpy.add, up=jax.numpy.sin, down=jax.numpy.cos)
    >>> print(net.apply({}, {}, jax.numpy.zeros(2))[0])
    [1. 1.]
    """
    check_function("parallel", "combine", combine, "jax.numpy.add")
    if not branches:
        raise ValueError("parallel: no branches given; name them: parallel(combine, a=..., b=...)")
    children = name_children("parallel", (), branches)

    def merge(outputs, x):
        del x
        return combine(*outputs.values())

    return _side_by_side("parallel", children, merge, {"combine": combine}, parallel)


def _side_by_side(
    kind: str,
    children: dict[str, Layer],
    merge: Callable[[dict[str, Any], Any], Any],
    config: Mapping[str, Any],
    made_by: Callable[..., Any],
) -> Layer:
    """A container whose children all see the same x."""

    def init(key, x, /):
        params, state = {}, {}
        for name, layer in children.items():
            with located(name, layer, x):
                variables = layer.init(key_for(key, name), x)
            put(params, name, variables.params)
            put(state, name, variables.state)
        return Variables(params, state)

    def apply(params, state, x, /, *, key=None, train=False):
        check_owners(kind, children, params, state)
        outputs, after = {}, {}
        for name, layer in children.items():
            outputs[name], own = apply_child(name, layer, params, state, x, key=key, train=train)
            put(after, name, own)
        return merge(outputs, x), after

    return Layer(init, apply, name=kind, config=config, children=children, made_by=made_by)
