"""`each_block`: one leaf's equations for every leaf, when a leaf keeps arrays of other shapes.

Where `each` carries trees like the gradients, an optimizer that sees a matrix as a matrix keeps
sums over rows and columns, or a matrix for each axis: at each leaf's place a small record of them.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from fnn.optim.base import Knobs, advance, check_alike
from fnn.trees import wide


def each_block(
    rule: Callable[..., tuple[Any, Any]],
    hypers: Mapping[str, jax.Array],
    grads: Any,
    blocks: Any,
    kinds: tuple[type, ...],
    *,
    params: Any = None,
    count: jax.Array,
) -> tuple[Any, Any]:
    """Apply equations, written for one leaf and its record, to every leaf of the gradients.

    Args:
      rule: `rule(h, g, block) -> (update, new_block)`; if `params` are given, the parameter comes
        last. `h` has one attribute per hyperparameter and `h.t`, the number of this step, from 1.
        All numbers come in one dtype, the leaf's own or float32 where that is narrower.
      hypers: what `Hypers.at` returned.
      grads: the gradients.
      blocks: a tree like the gradients with a record in place of each leaf.
      kinds: the NamedTuples that are such records; each has a property `shape`, its leaf's.
      params: the parameters, for rules that need them.
      count: steps done before this one.

    Returns:
      `(updates, new_blocks)`; each array keeps its dtype.

    Raises:
      ValueError: if the trees differ in structure or in a shape; the message has the paths.
    """
    owner = getattr(hypers, "owner", "update")
    records, kept = jax.tree.flatten(blocks, is_leaf=lambda node: isinstance(node, kinds))
    leaves, structure = jax.tree.flatten(grads)
    shapes = [jax.ShapeDtypeStruct(record.shape, jnp.float32) for record in records]
    check_alike(owner, grads, kept.unflatten(shapes), "state")
    if params is not None:
        check_alike(owner, grads, params, "params")
    known: dict[Any, Knobs] = {}

    def one(g, block, *rest):
        dtype = wide(jnp.result_type(g, *jax.tree.leaves(block)))
        if dtype not in known:
            known[dtype] = Knobs(**{n: jnp.asarray(v, dtype) for n, v in hypers.items()})
            known[dtype].t = advance(count).astype(dtype)
        cast = jax.tree.map(lambda a: jnp.asarray(a, dtype), (g, block, *rest))
        update, new = rule(known[dtype], *cast)
        new = jax.tree.map(lambda n, old: n.astype(jnp.result_type(old)), new, block)
        return update.astype(jnp.result_type(g)), new

    rest = () if params is None else (jax.tree.leaves(params),)
    rows = [one(*row) for row in zip(leaves, records, *rest, strict=True)]
    updates = structure.unflatten([update for update, _ in rows])
    return updates, structure.unflatten([new for _, new in rows])
