"""The loss around a network, and on the way from one network to another."""

import os
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn.checks import check_count, check_given_key
from fnn.core import Layer
from fnn.data import as_arrays
from fnn.diagnose.aligned import aligned, check_alike
from fnn.train.objective import objective
from fnn.train.step import Loss


class Landscape(NamedTuple):
    """A slice of the loss in two directions.

    Attributes:
      at: (grid,) how far along each direction; 0 is the network.
      losses: (grid, grid), the first direction along columns.
      loss: of the network itself.
    """

    at: np.ndarray
    losses: np.ndarray
    loss: float

    def picture(self, path: str | os.PathLike[str] | None = None) -> bytes:
        """Lines of equal loss, as a PNG."""
        from fnn.diagnose.landscape_picture import landscape_picture

        return landscape_picture(self, path)


class Way(NamedTuple):
    """The loss on the straight way from one network to another.

    Attributes:
      at: (points,) from 0, the first, to 1, the second.
      losses: (points,).
      barrier: how far the loss rises above the line between those of the ends, at most.
    """

    at: np.ndarray
    losses: np.ndarray
    barrier: float

    def picture(self, path: str | os.PathLike[str] | None = None) -> bytes:
        """The loss on the way and its barrier, as a PNG."""
        from fnn.diagnose.landscape_picture import way_picture

        return way_picture(self, path)


def landscape(
    net: Layer,
    params: Any,
    state: Any,
    x: Any,
    y: Any,
    *,
    loss: Loss,
    key: jax.Array,
    reach: float = 1.0,
    grid: int = 31,
) -> Landscape:
    r"""The loss on a plane through a network, in two random directions of filters' norms.

    A direction is drawn from a normal distribution and each filter d of it, the weights into one
    unit, brought to the norm of the network's own:

    .. math:: d \leftarrow \frac{d}{\lVert d \rVert} \lVert \theta \rVert

    Without that a network whose weights are large looks flat, though it is the same function as one
    with small weights in front of a ReLU. Biases and scales stay as they are.

    Args:
      net: the network.
      params: its parameters, the middle of the plane.
      state: its state, held.
      x: examples, all of which are used at each point.
      y: their targets.
      loss: one number for each example.
      key: draws the directions.
      reach: how far to go to each side; at 1 a filter is as far off as its own length.
      grid: points along each direction; odd, so that the network is one of them.

    Raises:
      ValueError: if grid is even or params hold no weights.

    Source: Li, Xu, Taylor, Studer & Goldstein 2018, section 4, https://arxiv.org/abs/1712.09913

    >>> import fnn
    >>> x, y = fnn.datasets.linear(jax.random.key(0), n=32)
    >>> params, state = fnn.layers.dense(1).init(jax.random.key(1), x)
    >>> found = landscape(fnn.layers.dense(1), params, state, x, y[:, None], grid=5,
    ...                   loss=fnn.losses.squared_error, key=jax.random.key(2))
    >>> found.losses.shape, bool(found.losses[2, 2] == found.loss)
    ((5, 5), True)
    """
    check_given_key(key, "landscape")
    if check_count("landscape", "grid", grid, 3) % 2 == 0:
        raise ValueError(f"landscape: grid must be odd, for the network to be on it, got {grid}")
    leaves, tree = jax.tree.flatten(jax.tree.map(jnp.asarray, params))
    if not any(a.ndim > 1 for a in leaves):
        raise ValueError("landscape: params hold no weights, arrays of two or more axes")
    keys = jax.random.split(key, (2, len(leaves)))
    first, second = (
        tree.unflatten([_direction(k, a) for k, a in zip(row, leaves, strict=True)]) for row in keys
    )
    x, y = as_arrays(x, y, where="landscape")
    goal = objective(net, loss, x, y, state=state)
    at = np.linspace(-reach, reach, grid)
    at[grid // 2] = 0.0

    @jax.jit
    def row(goal, params, first, second, down):
        def one(right):
            moved = jax.tree.map(lambda p, d, e: p + right * d + down * e, params, first, second)
            return goal(moved)

        return jax.lax.map(one, jnp.asarray(at, jnp.float32))

    losses = [np.asarray(row(goal, params, first, second, down)) for down in at.astype(np.float32)]
    found = np.asarray(losses, float)
    return Landscape(at, found, float(found[grid // 2, grid // 2]))


def interpolate(
    net: Layer,
    a: Any,
    b: Any,
    state: Any,
    x: Any,
    y: Any,
    *,
    loss: Loss,
    align: bool = False,
    points: int = 25,
) -> Way:
    r"""The loss on the straight way from one network to another: is there a mountain between?

    .. math:: L\bigl((1 - t) \, a + t \, b\bigr), \qquad
        \text{barrier} = \max_t \; L(t) - \bigl((1 - t) L(0) + t L(1)\bigr)

    Two trainings from different starts end in what looks like two valleys; often they are one, seen
    with the hidden units in another order. With `align=True` b's are put into the order of a's
    first, by `diagnose.aligned`.

    Args:
      net: the network.
      a: parameters at the one end.
      b: at the other.
      state: held on the whole way.
      x: examples, all of which are used at each point.
      y: their targets.
      loss: one number for each example.
      align: whether to bring b's hidden units into the order of a's.
      points: how many are looked at, the ends among them.

    Raises:
      ValueError: if a and b differ in structure; as `aligned`, with align.

    Source: Frankle, Dziugaite, Roy & Carbin 2020, section 2, https://arxiv.org/abs/1912.05671

    >>> import fnn
    >>> x, y = fnn.datasets.linear(jax.random.key(0), n=32)
    >>> ends = [fnn.layers.dense(1).init(jax.random.key(i), x).params for i in (1, 2)]
    >>> way = interpolate(fnn.layers.dense(1), *ends, {}, x, y[:, None],
    ...                   loss=fnn.losses.squared_error)
    >>> way.barrier <= 1e-6  # the loss of a linear model is convex
    True
    """
    points = check_count("interpolate", "points", points, 2)
    check_alike("interpolate: a and b", a, b)
    b = aligned(net, b, a) if align else b
    x, y = as_arrays(x, y, where="interpolate")
    goal = objective(net, loss, x, y, state=state)
    at = np.linspace(0, 1, points)

    @jax.jit
    def along(goal, a, b):
        def one(t):
            return goal(jax.tree.map(lambda p, q: (1 - t) * p + t * q, a, b))

        return jax.lax.map(one, jnp.asarray(at, jnp.float32))

    losses = np.asarray(along(goal, a, b), float)
    barrier = float(np.max(losses - ((1 - at) * losses[0] + at * losses[-1])))
    return Way(at, losses, barrier)


def _direction(key: jax.Array, a: jax.Array) -> jax.Array:
    """A random direction for one array, each filter as long as the array's own."""
    if a.ndim < 2:
        return jnp.zeros_like(a)
    axes = tuple(range(a.ndim - 1))  # the last axis counts the units
    d = jax.random.normal(key, a.shape, a.dtype)
    length = jnp.sqrt(jnp.sum(jnp.square(d), axes, keepdims=True))
    return d / length * jnp.sqrt(jnp.sum(jnp.square(a), axes, keepdims=True))
