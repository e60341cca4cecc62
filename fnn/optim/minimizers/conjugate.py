"""Non-linear conjugate gradients: directions that do not undo each other, without a matrix."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from fnn.optim.base import one_of
from fnn.optim.minimizers.base import Method, make
from fnn.optim.minimizers.descent import first_step
from fnn.optim.minimizers.line_search import along, moved, strong_wolfe


class ConjugateMemory(NamedTuple):
    """What conjugate gradients remember.

    Attributes:
      p: the direction to go next.
      step: the length of the last step.
      slope: the slope at its start, grad . p.
      fresh: whether p is the gradient's own, as at the start and after a failure.
    """

    p: jax.Array
    step: jax.Array
    slope: jax.Array
    fresh: jax.Array


# g: the gradient before, n: the new one, p: the direction before, y = n - g
BETAS = {
    "fletcher_reeves": lambda n, g, p, y: (n @ n) / (g @ g),
    "polak_ribiere": lambda n, g, p, y: jnp.maximum((n @ y) / (g @ g), 0),
    "hestenes_stiefel": lambda n, g, p, y: (n @ y) / (y @ p),
    "dai_yuan": lambda n, g, p, y: (n @ n) / (y @ p),
}


def conjugate_gradients(
    beta: str = "polak_ribiere", *, c1: float = 1e-4, c2: float = 0.1, restart: float = 0.1
) -> Method:
    r"""The gradient corrected by a share of the last direction; two vectors of memory.

    .. math::
        x_{k+1} &= x_k + \alpha_k p_k, \qquad
        p_{k+1} = -g_{k+1} + \beta_{k+1} p_k, \qquad y_k = g_{k+1} - g_k \\
        \beta^{FR} &= \frac{g_{k+1}^T g_{k+1}}{g_k^T g_k}, \quad
        \beta^{PR+} = \max\left(\frac{g_{k+1}^T y_k}{g_k^T g_k}, 0\right), \quad
        \beta^{HS} = \frac{g_{k+1}^T y_k}{y_k^T p_k}, \quad
        \beta^{DY} = \frac{g_{k+1}^T g_{k+1}}{y_k^T p_k}

    with steps by `strong_wolfe`. On a quadratic with exact steps all four are one method, which
    ends after at most n steps.

    Args:
      beta: "polak_ribiere" (with max(0), which restarts by itself), "fletcher_reeves",
        "hestenes_stiefel" or "dai_yuan".
      c1: share of the promised fall to insist on, in (0, 1).
      c2: share of the slope that may be left, in (0, 1); below 1/2 Fletcher-Reeves always descends.
        Smaller spends more evaluations on each step and keeps directions conjugate.
      restart: begin anew from the gradient where neighbouring gradients overlap by this share,
        |g_{k+1} . g_k| >= restart |g_{k+1}|^2; larger restarts more seldom.

    Source: Nocedal & Wright 2006, algorithm 5.4, equations 5.41, 5.44-5.46, 5.49 and 5.52

    >>> from fnn.optim import minimize
    >>> quadratic = lambda x: jnp.sum(jnp.array([1.0, 10.0]) * (x - 3.0) ** 2)
    >>> found = minimize(quadratic, jnp.zeros(2), conjugate_gradients(), tol=1e-3)
    >>> print(jnp.allclose(found.x, 3.0, rtol=1e-3), found.converged)
    True True
    """
    one_of("conjugate_gradients", "beta", beta, tuple(BETAS))
    numbers = {
        "c1": (c1, 0.0, 1.0),
        "c2": (c2, 0.0, 1.0),
        "restart": (restart, 0.0, float("inf")),
    }
    return make("conjugate_gradients", _init, _step, numbers=numbers, beta=beta)


def _init(problem, h, x):
    point = problem.start(x)
    return point, _afresh(point.grad)


def _afresh(grad):
    # so that the first search begins with `first_step`: slope / slope times it
    return ConjugateMemory(-grad, first_step(grad), -grad @ grad, jnp.asarray(True))


def _step(problem, h, point, memory):
    g, p = point.grad, memory.p
    slope = g @ p
    search = strong_wolfe(
        along(problem, point, p),
        point.value,
        slope,
        g,
        initial=memory.step * memory.slope / slope,  # as far down as the last step (3.60)
        c1=h.c1,
        c2=h.c2,
    )
    new, found = moved(point, p, search), search.step > 0
    n = new.grad
    beta = BETAS[h.beta](n, g, p, n - g)
    beta = jnp.where(jnp.abs(n @ g) < h.restart * (n @ n), beta, 0)
    ahead = -n + beta * p
    descends = jnp.isfinite(beta) & (n @ ahead < 0)
    ahead = jnp.where(descends, ahead, -n)
    following = ConjugateMemory(ahead, search.step, slope, jnp.asarray(False))
    following = jax.tree.map(lambda a, b: jnp.where(found, a, b), following, _afresh(n))
    return new, following, ~found & memory.fresh
