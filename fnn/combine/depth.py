"""Depth: one layer applied again and again, with one set of weights or with many."""

from collections.abc import Callable
from typing import Any

from fnn.checks import check_count, check_owners, located
from fnn.combine.children import apply_child, under
from fnn.core import Layer, key_for, lift, out_spec, spec
from fnn.show import spec_text


def shared(body: Layer | Callable[..., Any], n: int) -> Layer:
    r"""Apply one layer n times with one set of parameters.

    .. math:: y = f(f(\dots f(x)))

    State passes from each application to the next; each draws its own randomness.

    Args:
      body: a layer whose output is shaped like its input.
      n: how often, >= 1.

    Raises:
      ValueError: at construction if n is below 1; in init if body gives not what it takes.

    >>> net = shared(lambda x: 2 * x, 3)
    >>> print(net.apply({}, {}, jax.numpy.ones(1))[0])
    [8.]
    """
    n = check_count("shared", "n", n)
    child = lift(body, "shared")

    def init(key, x, /):
        with located("body", child, x):
            variables = child.init(key_for(key, "body"), x)
            y = out_spec(child, variables, x)
        if spec(y) != spec(x):
            raise ValueError(
                "shared: body must give what it takes, to be applied again;"
                f" takes {spec_text(x)}, gives {spec_text(y)}"
            )
        return under("body", variables)

    def apply(params, state, x, /, *, key=None, train=False):
        check_owners("shared", ("body",), params, state)
        for i in range(n):
            x, own = apply_child(
                "body", child, params, state, x, key=key_for(key, str(i)), train=train
            )
            state = {"body": own} if own else {}
        return x, state

    return Layer(
        init, apply, name="shared", config={"n": n}, children={"body": child}, made_by=shared
    )
