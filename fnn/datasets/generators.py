"""Sets made from a key: each shows one thing, and n and noise say how much and how clearly.

In classification examples go round the classes, so that any stretch of them is balanced; `noise`
is the standard deviation of what is added to each coordinate. In regression x is uniform and
`noise` is the standard deviation of what is added to y.
"""

import math

import jax
import jax.numpy as jnp
from jax.core import Tracer

Pair = tuple[jax.Array, jax.Array]


def xor(key: jax.Array, *, n: int = 200, noise: float = 0.1) -> Pair:
    """The corners of the unit square, of class 1 where just one coordinate is 1.

    No line separates the two classes, so no single neuron can; a hidden layer of two can.

    Args:
      key: decides the noise.
      n: number of examples; with n=4 and noise=0 it is the truth table.
      noise: standard deviation of each coordinate around its corner.

    Returns:
      x (n, 2) float32 and y (n,) int32.

    Source: Minsky & Papert 1969, Perceptrons.

    >>> x, y = xor(jax.random.key(0), n=4, noise=0.0)
    >>> x.tolist(), y.tolist()
    ([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]], [0, 1, 0, 1])
    """
    _check("xor", n, noise)
    i = jnp.arange(n)
    corners = jnp.stack([(i + 1) // 2 % 2, i // 2 % 2], axis=1).astype(jnp.float32)
    return _blur(key, corners, noise), (i % 2).astype(jnp.int32)


def spirals(
    key: jax.Array, *, n: int = 300, noise: float = 0.05, classes: int = 2, turns: float = 1.0
) -> Pair:
    r"""Arms of a spiral wound into each other: x = t (cos, sin)(2 pi (turns t + class / classes)).

    Args:
      key: decides where on their arm examples lie, and the noise.
      n: number of examples.
      noise: standard deviation of each coordinate; the outermost radius is 1.
      classes: number of arms, at least 2.
      turns: how often an arm goes round; more is harder.

    Returns:
      x (n, 2) float32 and y (n,) int32.

    Source: two spirals: Lang & Witbrock 1988, Learning to tell two spirals apart.

    >>> x, y = spirals(jax.random.key(0), n=90, classes=3)
    >>> x.shape, jnp.bincount(y).tolist()
    ((90, 2), [30, 30, 30])
    """
    _check("spirals", n, noise, classes=classes)
    along, around = jax.random.split(key)
    y = jnp.arange(n, dtype=jnp.int32) % classes
    t = jnp.sqrt(jax.random.uniform(along, (n,), minval=0.01))  # evenly along the arm, nearly
    return _blur(around, _polar(t, turns * t + y / classes), noise), y


def moons(key: jax.Array, *, n: int = 200, noise: float = 0.1) -> Pair:
    """Two half circles of radius 1, the lower one shifted into the hollow of the upper.

    Args:
      key: decides where on their arc examples lie, and the noise.
      n: number of examples.
      noise: standard deviation of each coordinate; without noise the moons never touch.

    Returns:
      x (n, 2) float32 and y (n,) int32; class 1 is (1 - cos a, 1/2 - sin a), a in [0, pi].

    >>> x, y = moons(jax.random.key(0), n=100)
    >>> x.shape, y[:4].tolist()
    ((100, 2), [0, 1, 0, 1])
    """
    _check("moons", n, noise)
    along, around = jax.random.split(key)
    y = jnp.arange(n, dtype=jnp.int32) % 2
    upper = _polar(jnp.ones(n), jax.random.uniform(along, (n,)) / 2)
    lower = jnp.array([1.0, 0.5]) - upper
    return _blur(around, jnp.where(y[:, None] == 1, lower, upper), noise), y


def circles(key: jax.Array, *, n: int = 200, noise: float = 0.05, ratio: float = 0.5) -> Pair:
    """A circle of radius `ratio` (class 1) inside a circle of radius 1 (class 0).

    Linear in the squares of the coordinates, and in nothing less.

    Args:
      key: decides the angles and the noise.
      n: number of examples.
      noise: standard deviation of each coordinate.
      ratio: inner radius in units of the outer, in (0, 1).

    Returns:
      x (n, 2) float32 and y (n,) int32.

    >>> x, y = circles(jax.random.key(0), n=100, noise=0.0)
    >>> bool(jnp.all((jnp.linalg.norm(x, axis=1) < 0.75) == (y == 1)))
    True
    """
    _check("circles", n, noise)
    if not 0 < ratio < 1:
        raise ValueError(f"circles: ratio must be in (0, 1), got {ratio}")
    along, around = jax.random.split(key)
    y = jnp.arange(n, dtype=jnp.int32) % 2
    points = _polar(jnp.where(y == 1, ratio, 1.0), jax.random.uniform(along, (n,)))
    return _blur(around, points, noise), y


def blobs(
    key: jax.Array, *, n: int = 300, noise: float = 0.3, classes: int = 3, features: int = 2
) -> Pair:
    """Gaussian clouds around centres drawn uniformly from [-2, 2] in each coordinate.

    Args:
      key: decides the centres and the noise.
      n: number of examples.
      noise: standard deviation of each coordinate around its centre.
      classes: number of clouds, at least 2.
      features: number of coordinates, at least 1.

    Returns:
      x (n, features) float32 and y (n,) int32.

    >>> x, y = blobs(jax.random.key(0), n=90, features=5)
    >>> x.shape, int(y.max())
    ((90, 5), 2)
    """
    _check("blobs", n, noise, classes=classes, features=features)
    place, around = jax.random.split(key)
    y = jnp.arange(n, dtype=jnp.int32) % classes
    centres = jax.random.uniform(place, (classes, features), minval=-2.0, maxval=2.0)
    return _blur(around, centres[y], noise), y


def checkerboard(key: jax.Array, *, n: int = 400, noise: float = 0.0, squares: int = 4) -> Pair:
    """The square [-1, 1]^2 cut into squares of alternating class; many corners to learn.

    Args:
      key: decides the points and the noise.
      n: number of examples.
      noise: standard deviation of each coordinate, added after the class is decided.
      squares: squares a side, at least 2; more is harder.

    Returns:
      x (n, 2) float32 and y (n,) int32, whose classes are as frequent as chance makes them.

    >>> x, y = checkerboard(jax.random.key(0), n=100, squares=2)
    >>> bool(jnp.all((x[:, 0] * x[:, 1] < 0) == (y == 1)))
    True
    """
    _check("checkerboard", n, noise, squares=squares)
    place, around = jax.random.split(key)
    x = jax.random.uniform(place, (n, 2), minval=-1.0, maxval=1.0)
    cell = jnp.floor((x + 1) / 2 * squares).astype(jnp.int32)
    return _blur(around, x, noise), cell.sum(axis=1) % 2


def linear(key: jax.Array, *, n: int = 200, noise: float = 0.1, features: int = 1) -> Pair:
    """A linear function with known weights: y = x @ (1, -2, 3, -4, ...) + 1/2.

    What a single neuron without activation learns exactly.

    Args:
      key: decides the inputs and the noise.
      n: number of examples.
      noise: standard deviation of y around the function.
      features: number of inputs, each uniform in [-1, 1].

    Returns:
      x (n, features) and y (n,), float32.

    >>> x, y = linear(jax.random.key(0), n=5, noise=0.0)
    >>> bool(jnp.allclose(y, x[:, 0] + 0.5))
    True
    """
    _check("linear", n, noise, features=features)
    place, around = jax.random.split(key)
    x = jax.random.uniform(place, (n, features), minval=-1.0, maxval=1.0)
    w = jnp.arange(1.0, features + 1) * (-1.0) ** jnp.arange(features)
    return x, _blur(around, x @ w + 0.5, noise)


def sine(key: jax.Array, *, n: int = 200, noise: float = 0.1, waves: float = 1.0) -> Pair:
    """A sine: y = sin(pi waves x), x in [-1, 1].

    Args:
      key: decides the inputs and the noise.
      n: number of examples.
      noise: standard deviation of y around the curve.
      waves: full waves over the interval; more is harder.

    Returns:
      x (n, 1) and y (n,), float32.

    >>> x, y = sine(jax.random.key(0), n=5, noise=0.0)
    >>> bool(jnp.allclose(y, jnp.sin(jnp.pi * x[:, 0])))
    True
    """
    _check("sine", n, noise)
    place, around = jax.random.split(key)
    x = jax.random.uniform(place, (n, 1), minval=-1.0, maxval=1.0)
    return x, _blur(around, jnp.sin(math.pi * waves * x[:, 0]), noise)


def quadratic(key: jax.Array, *, n: int = 200, noise: float = 0.1) -> Pair:
    """A parabola: y = 2 x^2 - 1, x in [-1, 1]. Of it a linear model explains nothing.

    Args:
      key: decides the inputs and the noise.
      n: number of examples.
      noise: standard deviation of y around the curve.

    Returns:
      x (n, 1) and y (n,), float32.

    >>> x, y = quadratic(jax.random.key(0), n=5, noise=0.0)
    >>> bool(jnp.allclose(y, 2 * x[:, 0] ** 2 - 1))
    True
    """
    _check("quadratic", n, noise)
    place, around = jax.random.split(key)
    x = jax.random.uniform(place, (n, 1), minval=-1.0, maxval=1.0)
    return x, _blur(around, 2 * x[:, 0] ** 2 - 1, noise)


def _polar(radius: jax.Array, turn: jax.Array) -> jax.Array:
    angle = 2 * math.pi * turn
    return radius[:, None] * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1)


def _blur(key: jax.Array, a: jax.Array, noise: float) -> jax.Array:
    return a + noise * jax.random.normal(key, a.shape, a.dtype)


def _check(where: str, n: int, noise: float, **counts: int) -> None:
    if n < 1:
        raise ValueError(f"{where}: n must be at least 1, got {n}")
    if not isinstance(noise, Tracer) and not noise >= 0:
        raise ValueError(f"{where}: noise is a standard deviation and must be >= 0, got {noise}")
    for name, count in counts.items():
        least = 1 if name == "features" else 2
        if count < least:
            raise ValueError(f"{where}: {name} must be at least {least}, got {count}")
