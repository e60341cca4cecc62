"""Depth: one layer applied again and again, with one set of weights or with many."""

import functools
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from fnn import random
from fnn.checks import check_count, check_owners, located
from fnn.combine.children import apply_child, under
from fnn.core import Layer, Variables, key_for, lift, out_spec, spec
from fnn.show import spec_text
from fnn.trees import paths


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
        _check_gives_what_it_takes("shared", x, y)
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


def repeat(
    body: Layer | Callable[..., Any], n: int, *, remat: bool = False, unroll: int = 1
) -> Layer:
    r"""Apply n layers of one kind, each with weights of its own, as one loop over depth.

    .. math:: y = f_{\theta_n}(\dots f_{\theta_2}(f_{\theta_1}(x)))

    The body is traced and compiled once however large n is, so that deep networks compile as fast
    as shallow ones. Weights and randomness are those of `serial(**{"0": body, "1": body, ...})`,
    the weights stacked along a new first axis: `fnn.trees.unstack(params["body"])` is a list of n
    params for `body`, and `fnn.trees.stack` makes one of a list.

    Where a mask or a condition goes with x through all layers, let the body pass it on:
    `compose(lambda f, x: {**x, "x": f.block(x)}, block=block)`.

    Args:
      body: a layer whose output is shaped like its input.
      n: how many, >= 1.
      remat: whether the backward pass computes what is inside each layer again, instead of keeping
        it from the forward pass: memory for n inputs and the inside of one layer, against about
        one more forward pass of time.
      unroll: how many layers stand in one turn of the loop, >= 1: more compile slower, and may run
        faster.

    Shapes:
      x: whatever the body takes -> y: the same shapes and dtypes.
      params, state: {"body": the body's, each array with a first axis of n}, {} if it owns none.

    Raises:
      ValueError: at construction if n or unroll is below 1; if body gives not what it takes; in
        apply if params or state are not those of n layers.

    >>> from fnn.layers import dense
    >>> net = repeat(dense(3), 12)
    >>> params, state = net.init(jax.random.key(0), jnp.ones((1, 3)))
    >>> jax.tree.map(jnp.shape, params)
    {'body': {'b': (12, 3), 'w': (12, 3, 3)}}
    >>> from fnn import trees
    >>> y, _ = dense(3).apply(trees.unstack(params["body"])[0], {}, jnp.ones((1, 3)))
    """
    n, unroll = check_count("repeat", "n", n), check_count("repeat", "unroll", unroll)
    child = lift(body, "repeat")
    # Made once, for scan compiles an eager call anew for every function that it has not yet seen.
    turns = {train: _turn(child, train, remat) for train in (False, True)}

    def init(key, x, /):
        with located("body", child, x):
            variables = jax.vmap(lambda key: child.init(key, x))(_keys(key, n))
            first = Variables(*jax.eval_shape(lambda tree: jax.tree.map(_first, tree), variables))
            y = out_spec(child, first, x)
        _check_gives_what_it_takes("repeat", x, y)
        return under("body", variables)

    def apply(params, state, x, /, *, key=None, train=False):
        check_owners("repeat", ("body",), params, state)
        params, state = params.get("body", {}), state.get("body", {})
        _check_stacked(n, params, "params")
        _check_stacked(n, state, "state")
        keys = None if key is None else _keys(key, n)
        y, state = jax.lax.scan(
            turns[train], x, (params, state, keys), length=n, unroll=min(unroll, n)
        )
        return y, {"body": state} if state else {}

    config = {"n": n, "remat": remat, "unroll": unroll}
    return Layer(
        init, apply, name="repeat", config=config, children={"body": child}, made_by=repeat
    )


def _turn(child: Layer, train: bool, remat: bool) -> Callable[..., Any]:
    """What `lax.scan` does for each layer of `repeat`."""

    def apply(params, state, key, x):
        return child.apply(params, state, x, key=key, train=train)

    if remat:  # inside a loop XLA cannot merge the two computations, so nothing need prevent it
        apply = jax.checkpoint(apply, prevent_cse=False)

    def turn(x, own):
        params, state, key = own
        with located("body", child, x):
            y, state = apply(params, state, key, x)
        _check_gives_what_it_takes("repeat", x, y)
        return y, state

    return turn


def _keys(key: jax.Array, n: int) -> jax.Array:
    """`key_for(key, "0")`, `key_for(key, "1")`, ... as one array of keys."""
    salts = jnp.array([zlib.crc32(str(i).encode()) for i in range(n)], jnp.uint32)
    return jax.vmap(functools.partial(random.fold_in, key))(salts)


def _first(a: jax.Array) -> jax.Array:
    return a[0]


def _check_gives_what_it_takes(where: str, x: Any, y: Any) -> None:
    """Raise a `ValueError` if y has other shapes or dtypes than x: body could not take it again."""
    if spec(y) != spec(x):
        raise ValueError(
            f"{where}: body must give what it takes, to be applied again;"
            f" takes {spec_text(x)}, gives {spec_text(y)}"
        )


def _check_stacked(n: int, tree: Mapping[str, Any], kind: str) -> None:
    """Raise a `ValueError` unless each array of the tree has a first axis of n."""
    for path, leaf in paths(tree).items():
        if jnp.shape(leaf)[:1] != (n,):
            raise ValueError(
                f"repeat: {kind} must hold {n} layers, stacked along the first axis, but"
                f" 'body/{path}' is {spec_text(leaf)}; use fnn.trees.stack for a list of {n}"
            )
