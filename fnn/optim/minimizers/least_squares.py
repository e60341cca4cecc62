"""Least squares: methods that see every residual, not only the sum of their squares."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.linalg import cho_solve, solve_triangular

from fnn.optim.base import one_of
from fnn.optim.minimizers.base import Method, Point, make
from fnn.optim.minimizers.line_search import along, backtracking


class SquaresMemory(NamedTuple):
    """The residuals r, (m,), and their Jacobian J, (m, n), where the method stands."""

    r: jax.Array
    J: jax.Array


class MarquardtMemory(NamedTuple):
    """What Levenberg-Marquardt remembers.

    Attributes:
      r: (m,), the residuals.
      J: (m, n), their Jacobian.
      D: (n,), the squared scale of each parameter.
      mu: the damping.
      nu: the factor by which the next failure raises it.
    """

    r: jax.Array
    J: jax.Array
    D: jax.Array
    mu: jax.Array
    nu: jax.Array


def gauss_newton(*, c1: float = 1e-4, shrink: float = 0.5) -> Method:
    r"""Solve the residuals' linear model for its least squares, and go as far as it holds.

    .. math::
        p_k &= \arg\min_p \|J_k p + r_k\|^2 \\
        x_{k+1} &= x_k + \alpha_k p_k

    with f = |r|^2 / 2 and alpha by `backtracking` from 1. Where J has not full rank, p is the
    shortest solution. It holds m n numbers.

    Args:
      c1: share of the promised fall to insist on, in (0, 1).
      shrink: factor of a step that fell short, in (0, 1).

    `minimize` is given the residuals, `fun(x) -> array`, and reports f. Near a minimum whose
    residuals are zero or nearly linear it converges as Newton's method does, without second
    derivatives; where J is nearly singular it stalls, and `levenberg_marquardt` does not.

    Source: Nocedal & Wright 2006, section 10.3

    >>> from fnn.optim import minimize
    >>> residuals = lambda x: jnp.array([10 * (x[1] - x[0] ** 2), 1 - x[0]])  # Rosenbrock's
    >>> found = minimize(residuals, jnp.array([-1.2, 1.0]), gauss_newton())
    >>> print(found.x.round(4), found.converged)
    [1. 1.] True
    """
    numbers = {"c1": (c1, 0.0, 1.0), "shrink": (shrink, 0.0, 1.0)}
    return make("gauss_newton", _init, _step, takes="residuals", numbers=numbers)


def _linear(problem, x):
    """The point at x with its residuals and their Jacobian."""
    r, J = problem.residuals(x), problem.jacobian(x)
    count = jnp.ones((), jnp.int32)
    return Point(x, r @ r / 2, J.T @ r, count, count * min(J.shape)), SquaresMemory(r, J)


def _init(problem, h, x):
    return _linear(problem, x)


def _step(problem, h, point, memory):
    p = -jnp.linalg.lstsq(memory.J, memory.r)[0]
    search = backtracking(
        along(problem, point, p), point.value, point.grad @ p, point.grad, c1=h.c1, shrink=h.shrink
    )
    new, memory = _linear(problem, point.x + search.step * p)
    evaluations = point.evaluations + search.evaluations + new.evaluations
    new = new._replace(evaluations=evaluations, products=point.products + new.products)
    return new, memory, search.step == 0


def levenberg_marquardt(
    *,
    damping: float = 1e-3,
    scaling: str = "marquardt",
    solver: str = "qr",
    acceleration: str = "none",
) -> Method:
    r"""Gauss-Newton damped by how well the last step was foretold: least squares' method of choice.

    .. math::
        p_k &= \arg\min_p \|J_k p + r_k\|^2 + \mu_k \|D_k^{1/2} p\|^2, \qquad
        \rho_k = \frac{f(x_k) - f(x_k + p_k)}{\tfrac12 p_k^T (\mu_k D_k p_k - J_k^T r_k)} \\
        \rho_k > 0 &: \; x_{k+1} = x_k + p_k, \quad
            \mu_{k+1} = \mu_k \max(\tfrac13, 1 - (2 \rho_k - 1)^3), \quad \nu_{k+1} = 2 \\
        \text{else} &: \; x_{k+1} = x_k, \quad \mu_{k+1} = \mu_k \nu_k, \quad \nu_{k+1} = 2 \nu_k

    with f = |r|^2 / 2. Little damping is Gauss-Newton, much is a short step down the gradient. It
    holds m n numbers; no step that raises f is taken.

    Args:
      damping: mu_0 as a share of J'J's diagonal (of its largest entry if scaling is "identity"),
        > 0; larger begins more carefully.
      scaling: D. "marquardt": the largest diagonal entries of J'J so far, so that the units of the
        parameters do not matter; "identity": 1, as Levenberg and Nielsen have it.
      solver: "qr" of J above sqrt(mu D), which sees condition numbers up to 1 / eps; "cholesky" of
        J'J + mu D, several times faster where m >> n, blind from 1 / sqrt(eps) on.
      acceleration: "none", or "geodesic": half the second-order correction a is added to p,

        .. math:: a_k = \arg\min_a \|J_k a + \ddot r_k\|^2 + \mu_k \|D_k^{1/2} a\|^2, \quad
            \ddot r_k = \frac{d^2}{dt^2} r(x_k + t p_k)

        where 2 |a| <= 3/4 |p| in the norm of D. It costs about two more evaluations and one more
        solution a step, and follows a long narrow valley in about half the steps.

    `minimize` is given the residuals, `fun(x) -> array`, and reports f; the mean squared error of m
    residuals is 2 f / m. For a network see `fnn.train.residuals`.

    Where implementations disagree: on the damping, which Marquardt multiplies and divides by 10 and
    MINPACK (SciPy's "lm") finds from a trust radius. This is Nielsen's, continuous in rho.

    Source: damping: Nielsen 1999 as in Madsen, Nielsen & Tingleff 2004, algorithm 3.16,
      http://www2.imm.dtu.dk/pubdb/pubs/3215-full.html; scaling: Marquardt 1963,
      https://doi.org/10.1137/0111030, with Moré's maximum, 1978, https://doi.org/10.1007/BFb0067700;
      acceleration: Transtrum & Sethna 2012, section 4, https://arxiv.org/abs/1201.5885

    >>> from fnn.optim import minimize
    >>> t = jnp.linspace(0, 1, 10)
    >>> found = minimize(lambda x: x[0] * jnp.exp(x[1] * t) - 2 * jnp.exp(-3 * t), jnp.ones(2),
    ...                  levenberg_marquardt())
    >>> print(jnp.allclose(found.x, jnp.array([2.0, -3.0]), rtol=1e-4))
    True
    """
    one_of("levenberg_marquardt", "scaling", scaling, ("marquardt", "identity"))
    one_of("levenberg_marquardt", "solver", solver, ("qr", "cholesky"))
    one_of("levenberg_marquardt", "acceleration", acceleration, ("none", "geodesic"))
    return make(
        "levenberg_marquardt",
        _marquardt_init,
        _marquardt_step,
        takes="residuals",
        numbers={"damping": (damping, 0.0, float("inf"))},
        scaling=scaling,
        solver=solver,
        acceleration=acceleration,
    )


def _marquardt_init(problem, h, x):
    point, (r, J) = _linear(problem, x)
    D, largest = jnp.ones_like(x), jnp.max(jnp.sum(J**2, axis=0))
    if h.scaling == "marquardt":
        D, largest = _scales(J, jnp.zeros_like(x)), jnp.ones_like(point.value)
    return point, MarquardtMemory(r, J, D, h.damping * largest, jnp.full_like(h.damping, 2))


def _scales(J, D):
    """The largest squared length of each column so far; never 0, for a column may vanish."""
    D = jnp.maximum(D, jnp.sum(J**2, axis=0))
    return jnp.maximum(D, jnp.finfo(D.dtype).eps * jnp.max(D))


def _marquardt_step(problem, h, point, memory):
    r, J, D, mu, nu = memory
    solve = (_by_qr if h.solver == "qr" else _by_cholesky)(J, mu * D)
    p = solve(r)
    x = point.x + p
    if h.acceleration == "geodesic":
        x = x + _acceleration(problem, point.x, p, solve, D) / 2
    trial = problem.residuals(x)
    value = trial @ trial / 2
    fall = p @ (mu * D * p - point.grad) / 2
    ratio = (point.value - value) / fall
    taken = jnp.isfinite(value) & (value < point.value) & (ratio > 0)
    fresh = point._replace(evaluations=point.evaluations + 1)

    def accept():
        new_J = problem.jacobian(x)
        new_D = _scales(new_J, D) if h.scaling == "marquardt" else D
        new_mu = mu * jnp.maximum(1 / 3, 1 - (2 * ratio - 1) ** 3)
        products = point.products + min(J.shape)
        new = Point(x, value, new_J.T @ trial, fresh.evaluations, products)
        return new, MarquardtMemory(trial, new_J, new_D, new_mu, jnp.full_like(nu, 2))

    def reject():
        return fresh, MarquardtMemory(r, J, D, mu * nu, 2 * nu)

    new, memory = lax.cond(taken, accept, reject)
    return new, memory, ~taken & jnp.all(x == point.x)


def _by_qr(J, damping):
    """b -> argmin |J p + b|^2 + p' diag(damping) p, as least squares of the stacked system."""
    Q, R = jnp.linalg.qr(jnp.concatenate([J, jnp.diag(jnp.sqrt(damping))]))
    return lambda b: -solve_triangular(R, Q[: len(J)].T @ b)


def _by_cholesky(J, damping):
    """The same by the normal equations."""
    factor = jnp.linalg.cholesky(J.T @ J + jnp.diag(damping))
    return lambda b: -cho_solve((factor, True), J.T @ b)


def _acceleration(problem, x, p, solve, D):
    """What the residuals' second derivative along p adds to it; 0 where that is no correction."""

    def speed(x):
        return jax.jvp(problem.residuals, (x,), (p,))[1]

    a = solve(jax.jvp(speed, (x,), (p,))[1])
    small = 4 * (a * D) @ a <= 0.75**2 * (p * D) @ p
    return jnp.where(small, a, 0)
