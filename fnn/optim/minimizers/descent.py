"""Whole-batch gradient descent whose step is found by backtracking."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from fnn.optim.minimizers.base import Method, make
from fnn.optim.minimizers.line_search import along, backtracking, moved


class DescentMemory(NamedTuple):
    """The step length that the next search starts from."""

    step: jax.Array


def steepest_descent(*, c1: float = 1e-4, shrink: float = 0.5, growth: float = 2.0) -> Method:
    r"""Down the gradient, as far as the function keeps its promise: the yardstick of all others.

    .. math:: x_{k+1} = x_k - \alpha_k \nabla f(x_k)

    with the step by `backtracking` (Armijo).

    Args:
      c1: share of the promised fall to insist on, in (0, 1).
      shrink: factor of a step that fell short, in (0, 1).
      growth: the first step tried is the last one taken times this, > 1: larger finds long steps
        sooner and spends more evaluations on short ones.

    On an ill-conditioned function the error shrinks by no more than about 1 - 2 / kappa a step, for
    the condition number kappa of the Hessian.

    Source: Nocedal & Wright 2006, section 3.1

    >>> from fnn.optim import minimize
    >>> found = minimize(lambda x: jnp.sum((x - 3.0) ** 2), jnp.zeros(2), steepest_descent())
    >>> print(found.x.round(4), found.reason)
    [3. 3.] converged: the gradient is below tol
    """
    numbers = {
        "c1": (c1, 0.0, 1.0),
        "shrink": (shrink, 0.0, 1.0),
        "growth": (growth, 1.0, float("inf")),
    }
    return make("steepest_descent", _init, _step, numbers=numbers)


def _init(problem, h, x):
    point = problem.start(x)
    return point, DescentMemory(first_step(point.grad) / h.growth)


def first_step(grad: jax.Array) -> jax.Array:
    """min(1, 1 / |grad|): the first step of methods that know no scale yet moves x by at most 1."""
    return 1 / jnp.maximum(jnp.linalg.norm(grad), 1)


def _step(problem, h, point, memory):
    p = -point.grad
    search = backtracking(
        along(problem, point, p),
        point.value,
        point.grad @ p,
        point.grad,
        initial=h.growth * memory.step,
        c1=h.c1,
        shrink=h.shrink,
    )
    step = jnp.where(search.step > 0, search.step, memory.step)
    return moved(point, p, search), DescentMemory(step), search.step == 0
