"""What the backward pass does with a layer: give it no gradient, or compute it twice."""

from collections.abc import Callable
from typing import Any

import jax

from fnn.checks import check_owners, located
from fnn.combine.children import apply_child, under
from fnn.core import Layer, key_for, lift


def frozen(body: Layer | Callable[..., Any]) -> Layer:
    """Let no gradient reach the parameters of `body`; the gradient of its input passes.

    Its running averages still move where `train=True`.

    >>> from fnn.layers import dense
    >>> net = frozen(dense(1))
    >>> params, state = net.init(jax.random.key(0), jax.numpy.ones((1, 2)))
    >>> slopes = jax.grad(lambda p: net.apply(p, state, jax.numpy.ones((1, 2)))[0].sum())(params)
    >>> print(slopes["body"]["b"])
    [0.]
    """
    child = lift(body, "frozen")

    def init(key, x, /):
        with located("body", child, x):
            return under("body", child.init(key_for(key, "body"), x))

    def apply(params, state, x, /, *, key=None, train=False):
        check_owners("frozen", ("body",), params, state)
        params = jax.lax.stop_gradient(params)
        y, own = apply_child("body", child, params, state, x, key=key, train=train)
        return y, {"body": own} if own else {}

    return Layer(init, apply, name="frozen", children={"body": child}, made_by=frozen)
