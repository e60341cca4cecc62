"""What the backward pass does with a layer: give it no gradient, or compute it twice."""

from collections.abc import Callable
from typing import Any

import jax

from fnn.checks import check_owners, located
from fnn.combine.children import apply_child, under
from fnn.core import Layer, key_for, lift


def frozen(body: Layer | Callable[..., Any]) -> Layer:
    """Let no gradient reach the parameters of `body`; the gradient of its input passes.

    Its running averages still move where `train=True`. In `train.make_step`, and so in `fit`, `run`
    and sweeps, nothing else moves the parameters either: no weight decay, noise or penalty. In a
    loop of your own the optimizer does not know of layers; there `combine.resting` holds them.

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


def resting(layer: Layer, updates: Any) -> Any:
    """An optimizer's updates with zeros for all that is frozen.

    Without a gradient a parameter still decays under AdamW, and noise still moves it.

    Args:
      layer: the network.
      updates: in the structure of its params.

    >>> from fnn.layers import dense
    >>> resting(frozen(dense(1)), {"body": {"b": jax.numpy.ones(1)}})
    {'body': {'b': Array([0.], dtype=float32)}}
    """
    if layer.made_by is frozen:
        return jax.tree.map(jax.numpy.zeros_like, updates)
    if not any(name in layer.children for name in updates):
        return updates
    return {
        name: resting(layer.children[name], own) if name in layer.children else own
        for name, own in updates.items()
    }


def remat(body: Layer | Callable[..., Any], *, policy: Callable[..., bool] | None = None) -> Layer:
    """Keep nothing of the inside of `body` for the backward pass, but compute it again there.

    Outputs and gradients stay the same. Memory falls, by what the body would have kept; time rises,
    by about one more forward pass of the body. For many layers of one kind `repeat(body, n,
    remat=True)` does the same. On CPUs only that one saves memory: outside a loop XLA's compiler
    for them finds the two computations equal and makes one of them again.

    Args:
      body: the layer that is computed twice.
      policy: what may be kept after all, one of `jax.checkpoint_policies`, such as
        `jax.checkpoint_policies.dots_saveable` for matrix products; None keeps nothing.

    Shapes:
      x, y: the body's. params, state: {"body": the body's}, {} if it owns none.

    Raises:
      TypeError: at construction if `policy` is no function.

    Source: Chen et al. 2016, https://arxiv.org/abs/1604.06174

    >>> net = remat(jax.numpy.sin)
    >>> print(jax.grad(lambda x: net.apply({}, {}, x)[0])(0.0))
    1.0
    """
    if policy is not None and not callable(policy):
        raise TypeError(
            f"remat: policy must be one of jax.checkpoint_policies or None, got {policy!r}"
        )
    child = lift(body, "remat")

    def init(key, x, /):
        with located("body", child, x):
            return under("body", child.init(key_for(key, "body"), x))

    def apply(params, state, x, /, *, key=None, train=False):
        check_owners("remat", ("body",), params, state)

        def inside(params, state, x, key):
            return apply_child("body", child, params, state, x, key=key, train=train)

        y, own = jax.checkpoint(inside, policy=policy)(params, state, x, key)
        return y, {"body": own} if own else {}

    config = {"policy": policy}
    return Layer(init, apply, name="remat", config=config, children={"body": child}, made_by=remat)
