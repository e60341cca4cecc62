"""What every network has to beat: the null model, and linear models for a path of penalties.

They are solved, not trained: ridge regression in closed form, in NumPy's float64; logistic
regression by a quasi-Newton method, as lanes of one program.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fnn.losses import cross_entropy
from fnn.optim import lbfgs, minimize

DECAYS = (1.0, 1e-1, 1e-2, 1e-3, 1e-4)


def null_weights(x: Any, y: Any, *, classes: int | None = None) -> np.ndarray:
    r"""The model that ignores x: the mean of y, or the logarithms of the classes' frequencies.

    Args:
      x: (n, d), of which only d is read.
      y: (n,) numbers, or classes from 0.
      classes: how many there are; None for numbers.

    Returns:
      (d + 1, outputs), zeros above and the bias in the last row. A class that y does not hold gets
      the frequency of half a row.

    >>> null_weights(np.zeros((4, 1)), np.array([1.0, 2.0, 3.0, 6.0])).tolist()
    [[0.0], [3.0]]
    """
    d = np.shape(x)[1]
    if classes is None:
        bias = np.asarray([np.mean(y, dtype=float)])
    else:
        counts = np.maximum(np.bincount(y, minlength=classes), 0.5)
        bias = np.log(counts / counts.sum())
    return np.concatenate([np.zeros((d, len(bias))), bias[None]])


def ridge_path(x: Any, y: Any, *, decays: Sequence[float] = DECAYS) -> np.ndarray:
    r"""Linear regression with the squares of its weights as penalty, for many penalties at once.

    .. math::
        \min_{w, b} \tfrac1n \lVert X w + b - y \rVert^2 + \lambda \lVert w \rVert^2, \qquad
        w = V (\Lambda + \lambda)^{-1} V^\top \tfrac1n (X - \bar X)^\top y, \quad
        \tfrac1n (X - \bar X)^\top (X - \bar X) = V \Lambda V^\top

    Args:
      x: (n, d), best standardised: the penalty depends on units.
      y: (n,) numbers.
      decays: the lambdas, each > 0.

    Returns:
      (decays, d + 1, 1): the weights, and below them the bias, which is not penalised.

    Source: Hoerl & Kennard 1970, Ridge Regression, https://doi.org/10.1080/00401706.1970.10488634

    >>> x = np.array([[-1.0], [0.0], [1.0]])
    >>> ridge_path(x, 3 * x[:, 0] + 1, decays=(1e-9,)).round(3).tolist()
    [[[3.0], [1.0]]]
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    middle, mean = x.mean(0), y.mean()
    centred = x - middle
    values, vectors = np.linalg.eigh(centred.T @ centred / len(x))
    along = vectors.T @ (centred.T @ (y - mean)) / len(x)
    weights = [vectors @ (along / (np.maximum(values, 0) + decay)) for decay in decays]
    return np.stack([np.append(w, mean - middle @ w)[:, None] for w in weights])


def logistic_path(
    x: Any, y: Any, *, classes: int, weight: Any = None, decays: Any = DECAYS, iterations: int = 100
) -> jax.Array:
    r"""Logistic regression of any number of classes, for many penalties: pure, may be a lane.

    .. math::
        \min_{W, b} \; -\sum_i v_i \log \operatorname{softmax}(x_i W + b)_{y_i}
        + \tfrac{\lambda}{2} \lVert W \rVert^2, \qquad \textstyle\sum_i v_i = 1

    Its curvature is nowhere above :math:`\tfrac12 X^\top V X + \lambda`, and L-BFGS goes down in
    the coordinates that make this bound round; each penalty starts where the one before it ended.

    Args:
      x: (n, d), best standardised: the penalty depends on units.
      y: (n,) classes from 0.
      classes: how many there are.
      weight: (n,) the v, >= 0, taken relative to their sum; equal by default. A row of weight 0 has
        no part: sets of different sizes, filled up with such rows, share a program.
      decays: the lambdas, each > 0, best from the largest down.
      iterations: at most so many for each penalty.

    Returns:
      (decays, d + 1, classes) float32: the weights, and below them the biases, which are not
      penalised.

    Source: the bound is Böhning 1992, Multinomial logistic regression algorithm,
      https://doi.org/10.1007/BF00048682; the method is `optim.lbfgs`.

    >>> x, y = jnp.array([[-1.0], [-0.5], [0.5], [1.0]]), jnp.array([0, 0, 1, 1])
    >>> weights = logistic_path(x, y, classes=2, decays=(0.1,))[0]
    >>> (x @ weights[:1]).argmax(1).tolist()
    [0, 0, 1, 1]
    """
    x, (n, d) = jnp.asarray(x, jnp.float32), np.shape(x)
    weight = jnp.ones(n) if weight is None else jnp.asarray(weight, jnp.float32)
    share = weight / weight.sum()
    middle = share @ x
    values, vectors = jnp.linalg.eigh((x - middle).T @ (share[:, None] * (x - middle)))
    rotated = (x - middle) @ vectors
    counts = jnp.maximum(weight @ jax.nn.one_hot(y, classes), 0.5)
    start = jnp.zeros((d + 1, classes)).at[d].set(jnp.log(counts / counts.sum()))

    def solve(weights, decay):
        units = 1 / jnp.sqrt(jnp.maximum(values, 0) / 2 + decay)
        units = jnp.append(units, jnp.sqrt(2.0))[:, None]
        design = jnp.column_stack([rotated, jnp.ones(n)]) * units[:, 0]

        def objective(u):
            losses = cross_entropy(design @ u, y)
            return share @ losses + decay / 2 * jnp.sum((units * u)[:-1] ** 2)

        found = minimize(objective, weights / units, lbfgs(), steps=iterations, tol=1e-4)
        weights = found.x * units
        w = vectors @ weights[:-1]
        return weights, jnp.concatenate([w, (weights[-1] - middle @ w)[None]])

    return lax.scan(solve, start, jnp.asarray(decays, jnp.float32))[1]


def linear_outputs(x: Any, weights: np.ndarray) -> np.ndarray:
    """(n, outputs) of one model, or (decays, n, outputs) of a path: x and a 1, times the weights.

    >>> linear_outputs(np.ones((1, 1)), np.array([[2.0], [3.0]])).tolist()
    [[5.0]]
    """
    return np.asarray(x, float) @ weights[..., :-1, :] + weights[..., -1:, :]
