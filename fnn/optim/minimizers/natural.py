"""Natural gradient: steepest descent where distance is how much the predictions change."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from fnn.optim.minimizers.base import Method, make
from fnn.optim.minimizers.line_search import along, backtracking, moved
from fnn.optim.minimizers.trust_region import steihaug


class NaturalMemory(NamedTuple):
    """The damping lambda that is added to the Fisher matrix."""

    damping: jax.Array


def natural_gradient(
    *,
    damping: float = 1e-2,
    adapt: float = 1.5,
    cg_tol: float = 1e-2,
    limit: int = 100,
    c1: float = 1e-4,
    shrink: float = 0.5,
) -> Method:
    r"""The gradient in the metric of the predictions: F^-1 g, with the exact Fisher matrix.

    .. math::
        F &= \mathbb{E}_{x,\, y \sim p_\theta(y|x)} \left[ \nabla_\theta \log p_\theta(y|x) \,
             \nabla_\theta \log p_\theta(y|x)^T \right] = J^T F_z J \\
        p_k &= -(F_k + \lambda_k I)^{-1} g_k, \qquad x_{k+1} = x_k + \alpha_k p_k

    where z are the outputs, J their Jacobian and F_z their own Fisher matrix, the expectation over
    the model's labels in closed form: nothing is sampled and no label of the data enters it. The
    system is solved by conjugate gradients over products, alpha is found by `backtracking`, and
    lambda follows how well the quadratic with F foretold the fall.

    `minimize` needs `fun` in its parts: `fnn.train.objective(net, loss, x, y)` or `composite`. F_z
    is taken as the Hessian of the loss in z, which it is for a negative log-likelihood in natural
    parameters: cross entropy of logits (softmax or sigmoid), Poisson of log-rates, half a squared
    error. For another convex loss this is the Gauss-Newton matrix, no Fisher matrix; a squared
    error without the half has 2 F, which moves lambda alone.

    Args:
      damping: lambda_0 > 0, in units of F; more is nearer to plain gradient descent.
      adapt: lambda is divided by this where the model foretold more than 3/4 of the fall, and
        multiplied by it below 1/4; > 1.
      cg_tol: residual of the linear system as a share of the gradient, in (0, 1).
      limit: products a step may spend.
      c1: share of the promised fall to insist on, in (0, 1).
      shrink: factor of a step that fell short, in (0, 1).

    Source: Amari 1998, https://doi.org/10.1162/089976698300017746; Martens 2020, sections 5-9 and,
      on the damping, 6, https://arxiv.org/abs/1412.1193

    >>> import fnn
    >>> from fnn.optim import minimize
    >>> x, y = jnp.array([[-1.0], [0.0], [1.0], [2.0]]), jnp.array([0, 1, 0, 1])
    >>> net = fnn.layers.dense(2)
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> objective = fnn.train.objective(net, fnn.losses.cross_entropy, x, y)
    >>> found = minimize(objective, params, natural_gradient(), tol=1e-4)
    >>> print(found.converged, found.value.round(4))
    True 0.5869
    """
    numbers = {
        "damping": (damping, 0.0, float("inf")),
        "adapt": (adapt, 1.0, float("inf")),
        "cg_tol": (cg_tol, 0.0, 1.0),
        "c1": (c1, 0.0, 1.0),
        "shrink": (shrink, 0.0, 1.0),
    }
    return make("natural_gradient", _init, _step, takes="composite", numbers=numbers, limit=limit)


def _init(problem, h, x):
    return problem.start(x), NaturalMemory(h.damping)


def _step(problem, h, point, memory):
    g, damping = point.grad, memory.damping
    fisher = problem.gauss_newton_product(point.x)
    tol = h.cg_tol * jnp.linalg.norm(g)
    inner = steihaug(lambda v: fisher(v) + damping * v, g, jnp.inf, tol=tol, limit=h.limit)
    p = inner.step
    curve = p @ inner.product - damping * (p @ p)
    new, damping, stalled = damped_search(problem, h, point, p, curve, damping)
    new = new._replace(products=point.products + inner.products)
    return new, NaturalMemory(damping), stalled


def damped_search(problem, h, point, p, curve, damping, initial=1.0):
    """The point that backtracking along p finds, the damping for the next step, and if it stalled.

    `curve` is p . F p; the damping falls where the quadratic with F foretold the fall well.
    """
    slope = point.grad @ p
    phi, sizes = along(problem, point, p), {"c1": h.c1, "shrink": h.shrink}
    search = backtracking(phi, point.value, slope, point.grad, initial=initial, **sizes)
    alpha = search.step
    ratio = (point.value - search.value) / -(alpha * slope + alpha**2 * curve / 2)
    change = jnp.where(ratio > 0.75, 1 / h.adapt, jnp.where(ratio < 0.25, h.adapt, 1.0))
    found = alpha > 0
    return moved(point, p, search), damping * jnp.where(found, change, h.adapt), ~found
