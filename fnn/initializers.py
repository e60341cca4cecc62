"""Initial values of weights. One signature: `(key, shape, dtype) -> array`.

Those without a setting are such functions themselves (`he_normal`); those with one return such a
function (`normal(0.02)`), named by the call that made it. `jax.nn.initializers` have the same
signature and serve as well.

A weight of shape (..., fan_in, fan_out), such as a dense layer's (inputs, features) or a
convolution's (height, width, inputs, features), has as many synapses into each neuron as fan_in
times the sizes before it. With variance 1 / fan_in a linear neuron's output varies as much as its
inputs; relu halves the mean square, hence He's factor 2; Glorot averages over both directions.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax.core import Tracer

from fnn.show import call
from fnn.trees import wide

Initializer = Callable[[jax.Array, Sequence[int], Any], jax.Array]

# Standard deviation of a standard normal cut at -2 and 2: sqrt(1 - 4 phi(2) / (2 Phi(2) - 1)).
_CUT_STDDEV = 0.87962566103423978


def zeros(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
    """All zeros: right for biases; a layer of such weights has neurons that never differ."""
    del key
    return jnp.zeros(shape, dtype)


def ones(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
    """All ones: right for scales."""
    del key
    return jnp.ones(shape, dtype)


def constant(value: float | jax.Array) -> Initializer:
    """Every entry `value`, or an array of the weight's own shape.

    Raises:
      ValueError: when called for a shape that an array `value` does not have.

    >>> print(constant(0.5)(jax.random.key(0), (2,), jnp.float32))
    [0.5 0.5]
    """

    def init(key, shape, dtype=jnp.float32):
        del key
        array = jnp.asarray(value, dtype)
        if array.ndim and array.shape != tuple(shape):
            raise ValueError(f"constant: value has shape {array.shape}, the weight {tuple(shape)}")
        return jnp.full(shape, array, dtype)

    return _called(init, constant, value=value)


def uniform(low: float | jax.Array = -0.05, high: float | jax.Array = 0.05) -> Initializer:
    """Uniform in [low, high).

    >>> bool((abs(uniform(-1, 1)(jax.random.key(0), (9,), jnp.float32)) < 1).all())
    True
    """
    if not (_traced(low) or _traced(high)) and not low < high:
        raise ValueError(f"uniform: low must be below high, got {low} and {high}")

    def init(key, shape, dtype=jnp.float32):
        return jax.random.uniform(key, shape, dtype, _as(low, dtype), _as(high, dtype))

    return _called(init, uniform, low=low, high=high)


def normal(stddev: float | jax.Array = 0.01, mean: float | jax.Array = 0.0) -> Initializer:
    """Normal with this standard deviation, >= 0, and mean.

    >>> normal(0.02)(jax.random.key(0), (3, 4), jnp.float32).shape
    (3, 4)
    """
    _check_stddev("normal", stddev)

    def init(key, shape, dtype=jnp.float32):
        return _as(mean, dtype) + _as(stddev, dtype) * jax.random.normal(key, shape, dtype)

    return _called(init, normal, stddev=stddev, mean=mean)


def truncated_normal(
    stddev: float | jax.Array = 0.01, mean: float | jax.Array = 0.0
) -> Initializer:
    """Normal without its tails: nothing further than two (untruncated) deviations from the mean.

    `stddev`, >= 0, is the standard deviation of what comes out: the loss of the tails is made good.

    >>> w = truncated_normal(1.0)(jax.random.key(0), (1000,), jnp.float32)
    >>> bool(abs(w).max() < 2.28)
    True
    """
    _check_stddev("truncated_normal", stddev)

    def init(key, shape, dtype=jnp.float32):
        w = jax.random.truncated_normal(key, -2, 2, shape, dtype)
        return _as(mean, dtype) + _as(stddev, dtype) / _as(_CUT_STDDEV, dtype) * w

    return _called(init, truncated_normal, stddev=stddev, mean=mean)


def variance_scaling(
    scale: float | jax.Array = 1.0,
    *,
    mode: Literal["fan_in", "fan_out", "fan_avg"] = "fan_in",
    distribution: Literal["normal", "truncated_normal", "uniform"] = "truncated_normal",
) -> Initializer:
    r"""Zero mean and a variance that falls with the number of synapses.

    .. math:: \operatorname{Var} w = \mathrm{scale} / n

    where n is fan_in, fan_out or their mean. All three distributions have that variance exactly.

    Args:
      scale: > 0; 1 for linear neurons, 2 for relu; may be traced, so that `vmap` can sweep it.
      mode: which fan n is.
      distribution: the shape around zero.

    Raises:
      ValueError: for another mode or distribution, a scale <= 0, or, when called, for a weight of
        fewer than two axes: it has no fan.

    >>> w = variance_scaling(2.0)(jax.random.key(0), (100, 50), jnp.float32)
    >>> bool(abs(w.var() - 0.02) < 0.002)
    True
    """
    if not _traced(scale) and not scale > 0:
        raise ValueError(f"variance_scaling: scale must be > 0, got {scale}")
    if mode not in ("fan_in", "fan_out", "fan_avg"):
        raise ValueError(
            f"variance_scaling: mode must be 'fan_in', 'fan_out' or 'fan_avg', got {mode!r}"
        )
    if distribution not in ("normal", "truncated_normal", "uniform"):
        raise ValueError(
            "variance_scaling: distribution must be 'normal', 'truncated_normal' or 'uniform',"
            f" got {distribution!r}"
        )

    def init(key, shape, dtype=jnp.float32):
        fan_in, fan_out = fans(shape)
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[mode]
        root = jnp.sqrt if isinstance(scale, jax.Array) else math.sqrt
        stddev = root(scale / max(n, 1))
        if distribution == "uniform":
            bound = math.sqrt(3) * stddev
            return uniform(-bound, bound)(key, shape, dtype)
        draw = normal if distribution == "normal" else truncated_normal
        return draw(stddev)(key, shape, dtype)

    return _called(init, variance_scaling, scale=scale, mode=mode, distribution=distribution)


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """How many synapses lead into, and how many out of, each neuron of a weight of this shape.

    >>> fans((784, 128)), fans((3, 3, 16, 32))
    ((784, 128), (144, 288))
    """
    if len(shape) < 2:
        raise ValueError(
            f"fans: a weight needs an input and an output axis, got shape {tuple(shape)};"
            " use constant, normal or uniform for vectors"
        )
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


def glorot_normal(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
    """Normal, variance 2 / (fan_in + fan_out). For tanh and linear layers.

    Source: Glorot & Bengio 2010, eq. 12, https://proceedings.mlr.press/v9/glorot10a.html
    """
    return _GLOROT["normal"](key, shape, dtype)


def glorot_uniform(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
    """Uniform, variance 2 / (fan_in + fan_out).

    Source: Glorot & Bengio 2010, eq. 16, https://proceedings.mlr.press/v9/glorot10a.html
    """
    return _GLOROT["uniform"](key, shape, dtype)


def glorot_truncated_normal(
    key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32
) -> jax.Array:
    """Truncated normal, variance 2 / (fan_in + fan_out): Glorot's without tails."""
    return _GLOROT["truncated_normal"](key, shape, dtype)


def he_normal(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
    """Normal, variance 2 / fan_in. For relu. (In JAX this name is the truncated one.)

    Source: He et al. 2015, eq. 10, https://arxiv.org/abs/1502.01852
    """
    return _HE["normal"](key, shape, dtype)


def he_uniform(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
    """Uniform, variance 2 / fan_in. For relu.

    Source: He et al. 2015, eq. 10, https://arxiv.org/abs/1502.01852
    """
    return _HE["uniform"](key, shape, dtype)


def he_truncated_normal(
    key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32
) -> jax.Array:
    """Truncated normal, variance 2 / fan_in: He's without tails."""
    return _HE["truncated_normal"](key, shape, dtype)


def lecun_normal(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
    """Normal, variance 1 / fan_in. For linear layers and selu.

    Source: LeCun et al. 1998, "Efficient BackProp", eq. 16,
      https://doi.org/10.1007/3-540-49430-8_2
    """
    return _LECUN["normal"](key, shape, dtype)


def lecun_uniform(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
    """Uniform, variance 1 / fan_in."""
    return _LECUN["uniform"](key, shape, dtype)


def lecun_truncated_normal(
    key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32
) -> jax.Array:
    """Truncated normal, variance 1 / fan_in: LeCun's without tails."""
    return _LECUN["truncated_normal"](key, shape, dtype)


def orthogonal(scale: float | jax.Array = 1.0) -> Initializer:
    r"""A random matrix with orthonormal rows or columns, whichever are fewer, times `scale`.

    .. math:: w^\top w = \mathrm{scale}^2 I \quad\text{or}\quad w w^\top = \mathrm{scale}^2 I

    Weights of more than two axes are treated as matrices of (all axes but the last, last).
    Uniform over such matrices: the signs of R's diagonal are taken out of Q.

    Source: Saxe et al. 2014, https://arxiv.org/abs/1312.6120

    >>> w = orthogonal()(jax.random.key(0), (3, 3), jnp.float32)
    >>> print(abs(w.T @ w).round(5))
    [[1. 0. 0.]
     [0. 1. 0.]
     [0. 0. 1.]]
    """

    def init(key, shape, dtype=jnp.float32):
        fans(shape)  # a vector has no rows and columns
        rows, columns = math.prod(shape[:-1]), shape[-1]
        tall = jax.random.normal(key, (max(rows, columns), min(rows, columns)), wide(dtype))
        q, r = jnp.linalg.qr(tall)
        q = q * jnp.where(jnp.diagonal(r) < 0, -1, 1).astype(q.dtype)
        q = q if rows >= columns else q.T
        return (_as(scale, q.dtype) * q).reshape(shape).astype(dtype)

    return _called(init, orthogonal, scale=scale)


def identity(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
    """Ones on the diagonal: a dense layer that starts by passing its input on.

    >>> print(identity(jax.random.key(0), (2, 3), jnp.float32))
    [[1. 0. 0.]
     [0. 1. 0.]]
    """
    del key
    if len(shape) != 2:
        raise ValueError(f"identity: the weight must be a matrix, got shape {tuple(shape)}")
    return jnp.eye(*shape, dtype=dtype)


def _check_stddev(where: str, stddev: Any) -> None:
    if not _traced(stddev) and not stddev >= 0:
        raise ValueError(f"{where}: stddev must be >= 0, got {stddev}")


def _traced(value: Any) -> bool:
    """Whether a setting is known only when the compiled program runs, as in a sweep by `vmap`."""
    return isinstance(value, Tracer)


def _as(value: Any, dtype: Any) -> Any:
    """A setting ready to meet arrays of this dtype: Python numbers adapt, arrays are cast."""
    return value.astype(dtype) if isinstance(value, jax.Array) else float(value)


def _called(init: Initializer, made_by: Callable[..., Any], **settings: Any) -> Initializer:
    """`init`, named by the call that made it, so that a layer's `repr` can show it."""
    init.__name__ = call(made_by.__name__, settings, {}, made_by)  # type: ignore[attr-defined]
    return init


def _family(scale: float, mode: Any) -> dict[str, Initializer]:
    shapes: tuple[Any, ...] = ("normal", "truncated_normal", "uniform")
    return {shape: variance_scaling(scale, mode=mode, distribution=shape) for shape in shapes}


_GLOROT = _family(1.0, "fan_avg")
_HE = _family(2.0, "fan_in")
_LECUN = _family(1.0, "fan_in")
