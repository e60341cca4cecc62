"""Newton's method by products in a region of trust: for functions too large for a Hessian."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from fnn.optim.base import one_of
from fnn.optim.minimizers.base import Method, Point, make
from fnn.optim.minimizers.line_search import rounding


class TrustMemory(NamedTuple):
    """The radius within which the quadratic model is trusted."""

    radius: jax.Array


class Inner(NamedTuple):
    """What `steihaug` found.

    Attributes:
      step: (n,), p.
      product: (n,), B p.
      fall: how much the model falls there, -(g . p + p . B p / 2) >= 0.
      bounded: whether p ends on the region's boundary.
      products: how many products B v were spent.
    """

    step: jax.Array
    product: jax.Array
    fall: jax.Array
    bounded: jax.Array
    products: jax.Array


class _Walk(NamedTuple):
    z: jax.Array
    bz: jax.Array  # B z, so that the residual is g + B z
    d: jax.Array
    bounded: jax.Array
    done: jax.Array
    count: jax.Array


def newton_cg(
    *,
    radius: float = 1.0,
    max_radius: float = 1e3,
    eta: float = 0.1,
    curvature: str = "hessian",
    limit: int | None = None,
) -> Method:
    r"""Newton's step by conjugate gradients, no longer than the quadratic model deserves.

    .. math::
        p_k &\approx \arg\min_{\|p\| \le \Delta_k} m_k(p), \qquad
            m_k(p) = f_k + g_k^T p + \tfrac12 p^T B_k p \\
        \rho_k &= \frac{f(x_k) - f(x_k + p_k)}{m_k(0) - m_k(p_k)}, \qquad
            x_{k+1} = x_k + p_k \text{ if } \rho_k > \eta, \text{ else } x_k \\
        \Delta_{k+1} &= \Delta_k / 4 \text{ if } \rho_k < \tfrac14; \quad
            \min(2 \Delta_k, \Delta_{max}) \text{ if } \rho_k > \tfrac34
            \text{ and } \|p_k\| = \Delta_k

    with p by `steihaug` to the relative residual min(1/2, sqrt(|g|)): superlinear near a minimum.
    No step that raises the function is ever taken.

    Args:
      radius: Delta_0 > 0, in units of x.
      max_radius: the largest Delta, > 0.
      eta: how well the model must have foretold the fall for the step to be taken, in (0, 1/4).
      curvature: "hessian": B is the Hessian, and directions in which it is negative are followed to
        the boundary; "gauss_newton": B is the Gauss-Newton matrix of a `composite` or
        `fnn.train.objective`, never negative for a convex loss ("Hessian-free" training).
      limit: products a step may spend; None for 2 n.

    Source: Nocedal & Wright 2006, algorithms 4.1 and 7.2; Gauss-Newton: Martens 2010,
      https://www.cs.toronto.edu/~jmartens/docs/Deep_HessianFree.pdf

    >>> from fnn.optim import minimize
    >>> rosenbrock = lambda x: (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
    >>> found = minimize(rosenbrock, jnp.array([-1.2, 1.0]), newton_cg(), tol=1e-4)
    >>> print(found.x.round(3), found.converged)
    [1. 1.] True
    """
    one_of("newton_cg", "curvature", curvature, ("hessian", "gauss_newton"))
    numbers = {
        "radius": (radius, 0.0, float("inf")),
        "max_radius": (max_radius, 0.0, float("inf")),
        "eta": (eta, 0.0, 0.25),
    }
    takes = "composite" if curvature == "gauss_newton" else "scalar"
    words = {"curvature": curvature, "limit": limit}
    return make("newton_cg", _init, _step, takes=takes, numbers=numbers, **words)


def _init(problem, h, x):
    return problem.start(x), TrustMemory(h.radius)


def _step(problem, h, point, memory):
    x, g, radius = point.x, point.grad, memory.radius
    by = problem.hessian_product if h.curvature == "hessian" else problem.gauss_newton_product
    size = jnp.linalg.norm(g)
    tol = jnp.minimum(0.5, jnp.sqrt(size)) * size
    inner = steihaug(by(x), g, radius, tol=tol, limit=h.limit)
    value, grad = problem.value_and_grad(x + inner.step)
    ratio = (point.value - value) / inner.fall
    sound = jnp.isfinite(value) & jnp.all(jnp.isfinite(grad))
    noise = inner.fall <= rounding(point.value)  # then the ratio is one of rounding errors
    taken = sound & (value <= point.value) & ((ratio > h.eta) | noise)
    grown = jnp.minimum(2 * radius, h.max_radius)
    new_radius = jnp.where((ratio > 0.75) & inner.bounded, grown, radius)
    new_radius = jnp.where(~sound | (ratio < 0.25), radius / 4, new_radius)
    evaluations, products = point.evaluations + 1, point.products + inner.products
    new = Point(x + inner.step, value, grad, evaluations, products)
    old = point._replace(evaluations=evaluations, products=products)
    new = jax.tree.map(lambda a, b: jnp.where(taken, a, b), new, old)
    still = jnp.all(x + inner.step == x) | noise
    return new, TrustMemory(new_radius), ~taken & still


def steihaug(
    product: Callable[[jax.Array], jax.Array],
    g: jax.Array,
    radius: float | jax.Array,
    *,
    tol: float | jax.Array,
    limit: int | None = None,
) -> Inner:
    r"""Conjugate gradients on a quadratic model, stopped by the boundary of a ball.

    .. math:: p \approx \arg\min_{\|p\| \le \Delta} g^T p + \tfrac12 p^T B p

    Conjugate gradients walk from 0 until the residual B p + g is below `tol`. Where they would
    leave the ball, or meet a direction of negative curvature, they go to the boundary and end.

    Args:
      product: v -> B v, for a symmetric B.
      g: (n,), the gradient.
      radius: Delta > 0; `inf` for none, if B is positive definite.
      tol: the norm of the residual to stop at.
      limit: products it may spend; None for 2 n.

    Source: Nocedal & Wright 2006, algorithm 7.2; Steihaug 1983, https://doi.org/10.1137/0720042;
      Toint 1981

    >>> found = steihaug(lambda v: 2 * v, jnp.array([3.0, 4.0]), 1.0, tol=1e-6)
    >>> print(found.step, found.bounded)  # Newton's step, (-1.5, -2), is too long
    [-0.6 -0.8] True
    """
    limit = 2 * g.size if limit is None else limit

    def go(w):
        return ~w.done & (w.count < limit)

    def body(w):
        r = g + w.bz
        bd = product(w.d)
        curve = w.d @ bd
        alpha = (r @ r) / curve
        z = w.z + alpha * w.d
        bounded = (curve <= 0) | (jnp.linalg.norm(z) >= radius)
        alpha = jnp.where(bounded, _to_boundary(w.z, w.d, radius), alpha)
        z, bz = w.z + alpha * w.d, w.bz + alpha * bd
        new = g + bz
        d = -new + (new @ new) / (r @ r) * w.d
        return _Walk(z, bz, d, bounded, bounded | (jnp.linalg.norm(new) <= tol), w.count + 1)

    zero, no = jnp.zeros_like(g), jnp.asarray(False)
    start = _Walk(zero, zero, -g, no, jnp.linalg.norm(g) <= tol, jnp.zeros((), jnp.int32))
    w = lax.while_loop(go, body, start)
    return Inner(w.z, w.bz, -(g @ w.z + w.z @ w.bz / 2), w.bounded, w.count)


def _to_boundary(z, d, radius):
    """tau >= 0 with |z + tau d| = radius, in the form that does not cancel."""
    a, b, c = d @ d, z @ d, radius**2 - z @ z
    root = jnp.sqrt(jnp.maximum(b**2 + a * c, 0))
    return jnp.where(b > 0, c / (b + root), (root - b) / a)
