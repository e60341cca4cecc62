"""Probes at what goes into a layer and out of it, forward and backward.

A probe is an identity whose two directions bear a number each, so that `fnn.inspect.replay` finds
them in the traced program, inside of loops over depth, too.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from fnn.core import as_jax


class Probe(NamedTuple):
    """What a number stands for: "input", "output" or "loss", forward or backward."""

    path: str
    at: str
    backward: bool


@dataclass(eq=False)
class Prober:
    """An onlooker that sets probes; `fnn.inspect.watch` tells how it gets to see every layer."""

    probes: list[Probe] = field(default_factory=list)
    inside: list[str] = field(default_factory=list)

    def __call__(self, path: str, apply: Callable[..., Any]) -> Callable[..., Any]:
        if self.inside and self.inside[-1] == path:
            return apply

        def run(params, state, x, /, **rest):
            self.inside.append(path)
            try:
                y, after = apply(params, state, self.probe(x, path, "input"), **rest)
            finally:
                self.inside.pop()
            return self.probe(y, path, "output"), after

        return run

    def probe(self, tree: Any, path: str, at: str) -> Any:
        """The tree as it is, seen in both directions under a number of its own."""
        number = len(self.probes)
        self.probes += [Probe(path, at, False), Probe(path, at, True)]

        def leaf(a):
            return _seen(a, number) if jnp.issubdtype(a.dtype, jnp.floating) else a

        return jax.tree.map(leaf, as_jax(tree))


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _seen(a: jax.Array, number: int) -> jax.Array:
    return _mark(a, number)


def _mark(a: jax.Array, number: int) -> jax.Array:
    # the barrier makes it a value of its own: replay passes over what bears a mark already
    return checkpoint_name(jax.lax.optimization_barrier(a), f"fnn:{number}:0")


_seen.defvjp(
    lambda a, number: (_mark(a, number), None),
    lambda number, _, g: (_mark(g, number + 1),),
)
