"""`flatten`: an optimizer that works on one long vector instead of many small arrays."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.optim.averages import averages_in, eval_params
from fnn.optim.base import Optimizer, check_params
from fnn.optim.sums import inner_extras


class FlattenState(NamedTuple):
    """The state of the inner optimizer.

    Attributes:
      inner: what it keeps of the vectors {dtype: all numbers of that dtype}.
    """

    inner: Any


class AveragedFlattenState(NamedTuple):
    """A `FlattenState` of an optimizer that keeps an average of its parameters."""

    inner: Any

    def eval_params(self, params: Any) -> Any:
        """The average, in the shapes of the parameters."""
        return _split(eval_params(self.inner, _vectors(params)), params)


def flatten(inner: Any) -> Optimizer:
    r"""Let an optimizer see all parameters as one vector, and its state be one.

    .. math:: u = \operatorname{split}(\operatorname{inner}([g_1; g_2; \dots; g_n]))

    A jitted `update` of its own pays for each array that goes in and comes out; with hundreds of
    small leaves that is most of its time. Here the averages of the state are one array each.
    Inside of `fnn.fit` and `train.run`, where the whole loop is one program, it gains nothing, and
    with large leaves the copies cost more than they save.

    Args:
      inner: any optimizer, ours or optax's, that treats each number alone, such as adam or lion:
        its path stays the same. One that looks at shapes, norms or paths of leaves (lamb, muon,
        adafactor, masks) would take all parameters for a single leaf.

    Where dtypes differ, each has a vector of its own. Of the extra arguments of `update`, `grad`
    comes as vectors and `value_fn` as a function of them.

    Raises:
      TypeError: if `inner` is no optimizer, or in init, if a parameter is not floating point.

    Same as: optax.flatten

    >>> from fnn.optim import adam
    >>> optimizer, params = flatten(adam(0.1)), {"b": jnp.zeros(2), "w": jnp.ones((2, 2))}
    >>> updates, state = optimizer.update(params, optimizer.init(params))
    >>> print(state.inner.mu["float32"].shape, updates["w"][0])
    (6,) [-0.1 -0.1]
    """
    pick = inner_extras("flatten", inner)

    def init(params):
        check_params(params)
        state = inner.init(_vectors(params))
        return (AveragedFlattenState if averages_in(state) else FlattenState)(state)

    def update(grads, state, params=None, *, grad=None, value_fn=None, **extra):
        known = None if params is None else _vectors(params)
        extra |= {} if grad is None else {"grad": _vectors(grad)}
        if value_fn is not None:
            like = grads if params is None else params
            extra["value_fn"] = lambda vectors: value_fn(_split(vectors, like))
        updates, kept = inner.update(_vectors(grads), state.inner, known, **pick(extra))
        return _split(updates, grads), state._replace(inner=kept)

    return Optimizer(init, update)


def _vectors(tree: Any) -> dict[str, jax.Array]:
    """All numbers of each dtype as one vector, in the order of the leaves."""
    leaves = [jnp.asarray(leaf) for leaf in jax.tree.leaves(tree)]
    alike: dict[str, list[jax.Array]] = {}
    for leaf in leaves:
        alike.setdefault(leaf.dtype.name, []).append(leaf.ravel())
    return {name: jnp.concatenate(parts) for name, parts in alike.items()}


def _split(vectors: dict[str, jax.Array], like: Any) -> Any:
    """The inverse of `_vectors`, in the shapes of `like`."""
    taken = dict.fromkeys(vectors, 0)

    def one(leaf):
        name, size = jnp.result_type(leaf).name, jnp.size(leaf)
        begin, taken[name] = taken[name], taken[name] + size
        return vectors[name][begin : begin + size].reshape(jnp.shape(leaf))

    return jax.tree.map(one, like)
