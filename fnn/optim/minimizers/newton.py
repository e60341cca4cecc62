"""Newton's method with the whole Hessian, plain and damped by a line search."""

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.linalg import cho_solve

from fnn.optim.minimizers.base import Method, Point, make
from fnn.optim.minimizers.line_search import along, backtracking, moved


def newton(*, beta: float = 1e-3) -> Method:
    r"""Jump to the minimum of the quadratic that touches the function here.

    .. math:: x_{k+1} = x_k - (\nabla^2 f(x_k) + \tau_k I)^{-1} \nabla f(x_k)

    with tau = 0 wherever the Hessian is positive, else as `positive_cholesky` finds it. Near a
    minimum the number of right digits doubles with every step; far from one it may jump anywhere,
    for nothing checks where it lands: that is `damped_newton`. It holds n^2 numbers and spends n
    Hessian products and n^3 / 3 multiplications a step.

    Args:
      beta: the first shift of an indefinite Hessian as a share of its norm, in (0, 1); larger turns
        the step further towards the gradient.

    Source: Nocedal & Wright 2006, section 3.3 and algorithm 3.2

    >>> from fnn.optim import minimize
    >>> found = minimize(lambda x: jnp.sum(jnp.exp(x) - 2 * x), jnp.zeros(3), newton())
    >>> print(found.x.round(4), found.steps)  # log 2
    [0.6931 0.6931 0.6931] 4
    """
    return make("newton", _init, _step, numbers={"beta": (beta, 0.0, 1.0)})


def damped_newton(*, beta: float = 1e-3, c1: float = 1e-4, shrink: float = 0.5) -> Method:
    r"""Newton's direction, as far as the function keeps its promise.

    .. math:: x_{k+1} = x_k - \alpha_k (\nabla^2 f(x_k) + \tau_k I)^{-1} \nabla f(x_k)

    with alpha by `backtracking` from 1 and tau as in `newton`. It goes down from anywhere and,
    once near a minimum, takes Newton's full steps.

    Args:
      beta: the first shift of an indefinite Hessian as a share of its norm, in (0, 1).
      c1: share of the promised fall to insist on, in (0, 1/2) for full steps in the end.
      shrink: factor of a step that fell short, in (0, 1).

    Source: Boyd & Vandenberghe 2004, algorithm 9.5, https://web.stanford.edu/~boyd/cvxbook/;
      the shift: Nocedal & Wright 2006, algorithm 3.3

    >>> from fnn.optim import minimize
    >>> f = lambda x: jnp.sum(jnp.sqrt(1 + x**2))  # plain Newton diverges from |x| > 1
    >>> found = minimize(f, jnp.array([3.0]), damped_newton())
    >>> print(found.converged, bool(abs(found.x[0]) < 1e-4))
    True True
    """
    numbers = {
        "beta": (beta, 0.0, 1.0),
        "c1": (c1, 0.0, 1.0),
        "shrink": (shrink, 0.0, 1.0),
    }
    return make("damped_newton", _init, _damped_step, numbers=numbers)


def _init(problem, h, x):
    return problem.start(x), ()


def _direction(problem, h, point):
    factor, _ = positive_cholesky(problem.hessian(point.x), beta=h.beta)
    return -cho_solve((factor, True), point.grad)


def _step(problem, h, point, memory):
    x = point.x + _direction(problem, h, point)
    value, grad = problem.value_and_grad(x)
    new = Point(x, value, grad, point.evaluations + 1, point.products + x.size)
    return new, memory, jnp.all(x == point.x)


def _damped_step(problem, h, point, memory):
    p = _direction(problem, h, point)
    search = backtracking(
        along(problem, point, p), point.value, point.grad @ p, point.grad, c1=h.c1, shrink=h.shrink
    )
    new = moved(point, p, search)
    return new._replace(products=point.products + p.size), memory, search.step == 0


def positive_cholesky(
    matrix: jax.Array, *, beta: float | jax.Array = 1e-3
) -> tuple[jax.Array, jax.Array]:
    r"""The Cholesky factor of a symmetric matrix, shifted until it is positive definite.

    .. math:: L L^T = A + \tau I, \qquad \tau = 0 \text{ if } A \text{ is positive definite}

    Args:
      matrix: A, (n, n), symmetric.
      beta: the first shift beyond the smallest diagonal entry, as a share of A's Frobenius norm;
        each further one is twice the last.

    Returns:
      L, (n, n), lower triangular (NaN if A is), and tau.

    Where implementations disagree: the book's beta is an absolute number, which knows nothing of
    the units of the function; here it is a share of the norm.

    Source: Nocedal & Wright 2006, algorithm 3.3 (Cholesky with added multiple of the identity)

    >>> factor, shift = positive_cholesky(jnp.array([[1.0, 0.0], [0.0, -1.0]]), beta=0.5)
    >>> print((factor @ factor.T).round(2)[1, 1], round(float(shift), 2))
    0.71 1.71
    """
    eye = jnp.eye(matrix.shape[0], dtype=matrix.dtype)
    least, beta = jnp.min(jnp.diagonal(matrix)), beta * jnp.linalg.norm(matrix)

    def body(carry):
        tau, _ = carry
        factor = jnp.linalg.cholesky(matrix + tau * eye)
        good = jnp.all(jnp.isfinite(factor))
        return jnp.where(good, tau, jnp.maximum(2 * tau, beta)), (factor, good)

    def go(carry):
        tau, (_, good) = carry
        return ~good & jnp.isfinite(tau) & jnp.isfinite(beta)

    tau = jnp.where(least > 0, 0, beta - least)
    start = (jnp.full_like(matrix, jnp.nan), jnp.asarray(False))
    tau, (factor, _) = lax.while_loop(go, body, (tau, start))
    return factor, tau
