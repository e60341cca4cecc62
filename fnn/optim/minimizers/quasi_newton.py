"""Quasi-Newton methods: curvature learned from how the gradient changed along the way."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from fnn.checks import check_count
from fnn.optim.minimizers.base import Method, make
from fnn.optim.minimizers.descent import first_step
from fnn.optim.minimizers.line_search import along, moved, strong_wolfe


class BfgsMemory(NamedTuple):
    """What BFGS remembers.

    Attributes:
      inverse: (n, n), H, which stands for the inverse of the Hessian.
      fresh: whether nothing was learned yet; the first pair also sets the scale.
    """

    inverse: jax.Array
    fresh: jax.Array


class LbfgsMemory(NamedTuple):
    """The last pairs of L-BFGS, the oldest first; rows of zeros stand for pairs not yet seen.

    Attributes:
      s: (m, n), changes of x.
      y: (m, n), changes of the gradient.
      rho: (m,), 1 / y . s.
      gamma: the scale of the curvature's inverse, y . s / y . y of the newest pair.
      fresh: whether there are no pairs yet.
    """

    s: jax.Array
    y: jax.Array
    rho: jax.Array
    gamma: jax.Array
    fresh: jax.Array


def bfgs(*, c1: float = 1e-4, c2: float = 0.9) -> Method:
    r"""Newton's direction by a matrix that learns the inverse Hessian from gradients alone.

    .. math::
        p_k &= -H_k g_k, \quad s_k = \alpha_k p_k, \quad y_k = g_{k+1} - g_k, \quad
        \rho_k = 1 / y_k^T s_k \\
        H_{k+1} &= (I - \rho_k s_k y_k^T) H_k (I - \rho_k y_k s_k^T) + \rho_k s_k s_k^T

    with steps by `strong_wolfe`, which keep H positive. It holds n^2 numbers; above some thousands
    of parameters take `lbfgs`. On a quadratic with exact steps it ends after at most n steps.

    Args:
      c1: share of the promised fall to insist on, in (0, 1).
      c2: share of the slope that may be left, in (0, 1); smaller searches longer.

    Where implementations disagree: H is scaled by y.s / y.y before its first update, as the book
    advises (6.20); SciPy leaves the identity. A pair with y.s <= 0, which only a failed search can
    bring, is left out.

    Source: Nocedal & Wright 2006, algorithm 6.1

    >>> from fnn.optim import minimize
    >>> rosenbrock = lambda x: (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
    >>> found = minimize(rosenbrock, jnp.array([-1.2, 1.0]), bfgs(), tol=1e-3)
    >>> print(found.x.round(3), found.converged)
    [1. 1.] True
    """
    numbers = {"c1": (c1, 0.0, 1.0), "c2": (c2, 0.0, 1.0)}
    return make("bfgs", _bfgs_init, _bfgs_step, numbers=numbers)


def _bfgs_init(problem, h, x):
    return problem.start(x), _identity(x)


def _identity(x):
    return BfgsMemory(jnp.eye(x.size, dtype=x.dtype), jnp.asarray(True))


def _bfgs_step(problem, h, point, memory):
    p = -(memory.inverse @ point.grad)
    new, s, y, found = _searched(problem, h, point, memory, p)
    ys = y @ s
    learn = _curved(s, y)
    scale = jnp.where(memory.fresh & learn, ys / jnp.where(learn, y @ y, 1), 1)
    inverse = scale * memory.inverse
    rho = jnp.where(learn, 1 / jnp.where(learn, ys, 1), 0)
    hy = inverse @ y
    across = jnp.outer(s, hy)
    inverse = inverse + rho * ((1 + rho * (y @ hy)) * jnp.outer(s, s) - across - across.T)
    following = BfgsMemory(inverse, memory.fresh & ~learn)
    following = jax.tree.map(lambda a, b: jnp.where(found, a, b), following, _identity(s))
    return new, following, ~found & memory.fresh


def _searched(problem, h, point, memory, p):
    """The next point along p, what changed on the way there, and whether a step was found."""
    search = strong_wolfe(
        along(problem, point, p),
        point.value,
        point.grad @ p,
        point.grad,
        initial=jnp.where(memory.fresh, first_step(point.grad), 1),
        c1=h.c1,
        c2=h.c2,
    )
    new = moved(point, p, search)
    return new, new.x - point.x, new.grad - point.grad, search.step > 0


def _curved(s, y):
    """Whether the function curves upwards along s by more than rounding."""
    eps = jnp.finfo(s.dtype).eps
    return y @ s > eps * jnp.linalg.norm(s) * jnp.linalg.norm(y)


def lbfgs(*, memory: int = 10, c1: float = 1e-4, c2: float = 0.9) -> Method:
    r"""BFGS that keeps the last m pairs instead of the matrix: the workhorse for large problems.

    .. math::
        p_k = -H_k g_k, \qquad
        H_k \text{ from } \gamma_k I, \; \gamma_k = \frac{s_{k-1}^T y_{k-1}}{y_{k-1}^T y_{k-1}},
        \text{ by the last } m \text{ updates of } \texttt{bfgs}

    with the product by `two_loop` and steps by `strong_wolfe`. It holds 2 m n numbers.

    Args:
      memory: m >= 1, pairs kept; 3 to 20 in practice. More learns more of the curvature and costs
        4 m n multiplications a step.
      c1: share of the promised fall to insist on, in (0, 1).
      c2: share of the slope that may be left, in (0, 1); smaller searches longer.

    Where implementations disagree: SciPy's is L-BFGS-B, with bounds, another line search (Moré &
    Thuente) and the gradient's largest entry for its tolerance; paths differ, minima do not.

    Source: Nocedal & Wright 2006, algorithms 7.4 and 7.5; Liu & Nocedal 1989,
      https://doi.org/10.1007/BF01589116

    >>> from fnn.optim import minimize
    >>> rosenbrock = lambda x: (1 - x["a"]) ** 2 + 100 * (x["b"] - x["a"] ** 2) ** 2
    >>> found = minimize(rosenbrock, {"a": -1.2, "b": 1.0}, lbfgs(), tol=1e-3)
    >>> print(found.x["a"].round(3), found.x["b"].round(3))
    1.0 1.0
    """
    check_count("lbfgs", "memory", memory)
    numbers = {"c1": (c1, 0.0, 1.0), "c2": (c2, 0.0, 1.0)}
    return make("lbfgs", _lbfgs_init, _lbfgs_step, numbers=numbers, memory=memory)


def _lbfgs_init(problem, h, x):
    return problem.start(x), _no_pairs(h.memory, x)


def _no_pairs(m, x):
    pairs, one = jnp.zeros((m, x.size), x.dtype), jnp.ones((), x.dtype)
    return LbfgsMemory(pairs, pairs, jnp.zeros(m, x.dtype), one, jnp.asarray(True))


def _lbfgs_step(problem, h, point, memory):
    p = -two_loop(point.grad, memory.s, memory.y, memory.rho, memory.gamma)
    new, s, y, found = _searched(problem, h, point, memory, p)
    ys = y @ s
    learn = _curved(s, y)
    kept = LbfgsMemory(
        jnp.concatenate([memory.s[1:], s[None]]),
        jnp.concatenate([memory.y[1:], y[None]]),
        jnp.append(memory.rho[1:], 1 / ys),
        ys / (y @ y),
        jnp.asarray(False),
    )
    kept = jax.tree.map(lambda a, b: jnp.where(learn, a, b), kept, memory)
    kept = jax.tree.map(lambda a, b: jnp.where(found, a, b), kept, _no_pairs(h.memory, s))
    return new, kept, ~found & memory.fresh


def two_loop(
    grad: jax.Array, s: jax.Array, y: jax.Array, rho: jax.Array, gamma: float | jax.Array
) -> jax.Array:
    r"""H times a gradient, H being BFGS's matrix after these pairs, which is never formed.

    .. math::
        q &\leftarrow q - \alpha_i y_i, \quad \alpha_i = \rho_i s_i^T q
            \quad\text{from the newest pair to the oldest} \\
        r &\leftarrow r + s_i (\alpha_i - \rho_i y_i^T r)
            \quad\text{and back, from } r = \gamma q

    Args:
      grad: (n,), q at the start.
      s: (m, n), changes of x, the oldest first.
      y: (m, n), changes of the gradient.
      rho: (m,), 1 / y . s; a pair with 0 counts for nothing.
      gamma: H before the first pair is gamma times the identity; > 0.

    Returns:
      (n,), H grad.

    Source: Nocedal & Wright 2006, algorithm 7.4

    >>> s, y = jnp.array([[1.0, 0.0]]), jnp.array([[4.0, 0.0]])
    >>> print(two_loop(jnp.array([8.0, 1.0]), s, y, jnp.array([0.25]), 1.0))
    [2. 1.]
    """

    def down(q, pair):
        s_i, y_i, rho_i = pair
        alpha = rho_i * (s_i @ q)
        return q - alpha * y_i, alpha

    def up(r, pair):
        s_i, y_i, rho_i, alpha = pair
        return r + s_i * (alpha - rho_i * (y_i @ r)), None

    q, alphas = lax.scan(down, grad, (s, y, rho), reverse=True)
    return lax.scan(up, gamma * q, (s, y, rho, alphas))[0]
