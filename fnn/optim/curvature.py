"""Curvature: products with the Hessian, its diagonal, its spectrum, without ever forming it.

Functions take `fun(x) -> one number` of any tree x. What is a vector of parameters is a tree like
x; what is indexed by parameters twice is a matrix in the order of `jax.flatten_util.ravel_pytree`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.flatten_util import ravel_pytree

from fnn.checks import check_count, check_given_key
from fnn.optim.minimizers.base import Composite, Problem
from fnn.optim.minimizers.base import gauss_newton_product as _gauss_newton_product


class Estimate(NamedTuple):
    """An average over random probes, and how far it may be from what it estimates.

    Attributes:
      value: the estimate.
      standard_error: its standard deviation over repetitions, as the probes' spread tells it.
    """

    value: Any
    standard_error: Any


class Lanczos(NamedTuple):
    """A symmetric matrix as far as Lanczos walked it: Q' A Q = T, tridiagonal.

    Attributes:
      alphas: (k,), the diagonal of T.
      betas: (k - 1,), beside it.
      vectors: (k, n), the rows of Q', orthonormal.
    """

    alphas: jax.Array
    betas: jax.Array
    vectors: jax.Array

    @property
    def tridiagonal(self) -> jax.Array:
        """(k, k), T; its eigenvalues, Ritz's, approach A's extreme ones first."""
        return jnp.diag(self.alphas) + jnp.diag(self.betas, 1) + jnp.diag(self.betas, -1)


class Spectrum(NamedTuple):
    """The eigenvalues as a sum of weighted points, one row for each probe.

    Attributes:
      nodes: (probes, k), where in the spectrum.
      weights: (probes, k), which share of all eigenvalues lies there; each row sums to 1.
    """

    nodes: jax.Array
    weights: jax.Array

    def density(self, grid: jax.Array, width: float | jax.Array) -> jax.Array:
        """(points,), the density on a grid, each node drawn as a Gaussian bell of that width."""
        bells = jnp.exp(-(((grid[:, None, None] - self.nodes) / width) ** 2) / 2)
        total = jnp.sum(self.weights * bells, axis=(1, 2)) / self.nodes.shape[0]
        return total / (width * jnp.sqrt(2 * jnp.pi))


def hvp(fun: Callable[[Any], jax.Array], x: Any, v: Any) -> Any:
    r"""The Hessian times a vector, at the cost of about two gradients.

    .. math:: H v = \left. \frac{d}{d\epsilon} \nabla f(x + \epsilon v) \right|_{\epsilon = 0}

    Args:
      fun: x -> one number.
      x: where, a tree.
      v: like x.

    Source: Pearlmutter 1994, https://doi.org/10.1162/neco.1994.6.1.147

    >>> print(hvp(lambda x: jnp.sum(x**3), jnp.array([1.0, 2.0]), jnp.ones(2)))
    [ 6. 12.]
    """
    return jax.jvp(jax.grad(fun), (x,), (v,))[1]


def gnvp(model: Callable[[Any], Any], loss: Callable[[Any], jax.Array], x: Any, v: Any) -> Any:
    r"""The Gauss-Newton matrix times a vector: the Hessian without the model's own curvature.

    .. math:: G v = J^T \, H_L \, J v, \qquad J = \partial z / \partial x, \quad
        H_L = \nabla^2_z L(z), \quad z = \text{model}(x)

    It has no negative eigenvalue if the loss is convex, and is the Fisher matrix if the loss is a
    negative log-likelihood in natural parameters, such as cross entropy of logits.

    Args:
      model: x -> outputs, an array or a tree.
      loss: outputs -> one number.
      x: where, a tree.
      v: like x.

    Source: Schraudolph 2002, https://doi.org/10.1162/08997660260028683

    >>> print(gnvp(lambda x: x**2, lambda z: jnp.sum(z**2) / 2, jnp.array([3.0]), jnp.ones(1)))
    [36.]
    """
    vector, tree = ravel_pytree(x)
    product = _gauss_newton_product(Composite(model, loss), tree, vector)
    return tree(product(ravel_pytree(v)[0]))


def hessian(fun: Callable[[Any], jax.Array], x: Any) -> jax.Array:
    """(n, n), the whole Hessian, n products; for up to some thousand parameters.

    Args:
      fun: x -> one number.
      x: where, a tree of n numbers.

    >>> print(hessian(lambda x: x["a"] ** 2 * x["b"], {"a": 1.0, "b": 3.0}))
    [[6. 2.]
     [2. 0.]]
    """
    problem = Problem(fun, x)
    return problem.hessian(problem.x0)


def hessian_diagonal(
    fun: Callable[[Any], jax.Array], x: Any, *, batch_size: int | None = None
) -> Any:
    """The exact diagonal of the Hessian as a tree like x, column by column: n products.

    Args:
      fun: x -> one number.
      x: where, a tree of n numbers.
      batch_size: columns computed at once, n times which is the memory it takes; None for one after
        the other.

    >>> print(hessian_diagonal(lambda x: jnp.sum(x**3), jnp.array([1.0, 2.0])))
    [ 6. 12.]
    """
    problem = Problem(fun, x)
    product, n = problem.hessian_product(problem.x0), problem.x0.size

    def entry(i):
        return product(jnp.zeros_like(problem.x0).at[i].set(1))[i]

    return problem.tree(lax.map(entry, jnp.arange(n), batch_size=batch_size))


def hutchinson(
    fun: Callable[[Any], jax.Array], x: Any, key: jax.Array, *, samples: int = 100
) -> Estimate:
    r"""The diagonal of the Hessian from random products, with its standard error.

    .. math:: \operatorname{diag} H = \mathbb{E}[v \odot H v], \qquad v_i = \pm 1

    The variance of an entry is the sum of the squares of its row beside the diagonal, over the
    samples; a diagonal Hessian is met exactly by one.

    Args:
      fun: x -> one number.
      x: where, a tree.
      key: what the signs are drawn from.
      samples: products to spend, >= 2; the error falls with their root.

    Returns:
      An `Estimate` of trees like x.

    Source: Bekas, Kokiopoulou & Saad 2007, https://doi.org/10.1016/j.apnum.2007.01.003;
      Hutchinson 1989 for the trace

    >>> found = hutchinson(lambda x: jnp.sum(x**3), jnp.array([1.0, 2.0]), jax.random.key(0))
    >>> print(found.value, found.standard_error)
    [ 6. 12.] [0. 0.]
    """
    check_count("hutchinson", "samples", samples, low=2)
    check_given_key(key, "hutchinson")
    problem = Problem(fun, x)
    product = problem.hessian_product(problem.x0)

    def sample(mean_and_squares, i):
        mean, squares = mean_and_squares  # Welford's, which does not cancel
        v = jax.random.rademacher(jax.random.fold_in(key, i), problem.x0.shape, problem.x0.dtype)
        one = v * product(v)
        new = mean + (one - mean) / (i + 1)
        return (new, squares + (one - mean) * (one - new)), None

    zero = jnp.zeros_like(problem.x0)
    (mean, squares), _ = lax.scan(sample, (zero, zero), jnp.arange(samples))
    error = jnp.sqrt(squares / (samples - 1) / samples)
    return Estimate(problem.tree(mean), problem.tree(error))


def lanczos(product: Callable[[jax.Array], jax.Array], start: jax.Array, steps: int) -> Lanczos:
    r"""An orthonormal basis in which a symmetric matrix is tridiagonal, grown by products with it.

    .. math::
        \beta_j q_{j+1} = A q_j - \alpha_j q_j - \beta_{j-1} q_{j-1}, \qquad
        \alpha_j = q_j^T A q_j

    Each new vector is made orthogonal to all before it, twice ("full reorthogonalisation"): without
    that, rounding brings found eigenvalues back as ghosts.

    Args:
      product: v -> A v, for vectors; `Hvp = lambda v: hvp(fun, x, v)` for a vector x.
      start: (n,), where to start; random for a spectrum.
      steps: k <= n, products to spend. Where the space is exhausted before (start within an
        invariant subspace) the rest of T and Q is zero.

    Source: Lanczos 1950; Golub & Van Loan 2013, section 10.1 and, on orthogonality, 10.3;
      twice is enough: Parlett 1998, section 6.9

    >>> found = lanczos(lambda v: jnp.array([1.0, 2.0, 4.0]) * v, jnp.ones(3), 3)
    >>> print(jnp.linalg.eigvalsh(found.tridiagonal).round(4))
    [1. 2. 4.]
    """
    check_count("lanczos", "steps", steps)
    if steps > start.size:
        raise ValueError(
            f"lanczos: steps must be at most {start.size}, the size of start, got {steps}"
        )
    tiny = start.size * jnp.finfo(start.dtype).eps

    def step(carry, j):
        basis, q, scale = carry
        basis = basis.at[j].set(q)
        r = product(q)
        alpha = q @ r
        for _ in range(2):
            r = r - (basis @ r) @ basis
        scale = jnp.maximum(scale, jnp.abs(alpha))
        beta = jnp.linalg.norm(r)
        goes_on = beta > tiny * scale
        q = jnp.where(goes_on, r / jnp.where(goes_on, beta, 1), 0)
        beta = jnp.where(goes_on, beta, 0)
        return (basis, q, jnp.maximum(scale, beta)), (alpha, beta)

    basis = jnp.zeros((steps, start.size), start.dtype)
    first = (basis, start / jnp.linalg.norm(start), jnp.zeros((), start.dtype))
    (basis, _, _), (alphas, betas) = lax.scan(step, first, jnp.arange(steps))
    return Lanczos(alphas, betas[:-1], basis)


def spectrum(
    fun: Callable[[Any], jax.Array], x: Any, key: jax.Array, *, steps: int = 50, probes: int = 10
) -> Spectrum:
    r"""The density of the Hessian's eigenvalues by stochastic Lanczos quadrature.

    .. math::
        \phi(t) = \frac1n \sum_i \delta(t - \lambda_i) \approx
            \frac1P \sum_p \sum_j w_{pj} \, \delta(t - \theta_{pj}), \qquad w_{pj} = (u_{pj})_1^2

    with the Ritz values theta and the first entries of T's eigenvectors u for each of P random
    starts. Moments up to degree 2 k - 1 are met without bias; the spread is that of the starts.

    Args:
      fun: x -> one number.
      x: where, a tree of n numbers.
      key: what the starts are drawn from.
      steps: k, products for each probe; at most n are done. More resolve finer structure.
      probes: P, random starts; the error falls with the root of P n.

    Returns:
      A `Spectrum`; its method `density(grid, width)` draws it.

    Source: Ubaru, Chen & Saad 2017, https://doi.org/10.1137/16M1104974; for networks Ghorbani,
      Krishnan & Xiao 2019, https://arxiv.org/abs/1901.10159

    >>> f = lambda x: jnp.sum(jnp.array([1.0, 1.0, 4.0]) * x**2) / 2
    >>> found = spectrum(f, jnp.zeros(3), jax.random.key(0), probes=200)
    >>> print((found.nodes * found.weights).sum(axis=1).mean().round())  # (1 + 1 + 4) / 3
    2.0
    """
    check_count("spectrum", "probes", probes)
    check_given_key(key, "spectrum")
    problem = Problem(fun, x)
    product, n = problem.hessian_product(problem.x0), problem.x0.size

    def probe(i):
        v = jax.random.normal(jax.random.fold_in(key, i), (n,), problem.x0.dtype)
        values, vectors = jnp.linalg.eigh(lanczos(product, v, min(steps, n)).tridiagonal)
        return values, vectors[0] ** 2

    return Spectrum(*lax.map(probe, jnp.arange(probes)))


def extreme_eigenvalues(
    fun: Callable[[Any], jax.Array], x: Any, key: jax.Array, *, steps: int = 50
) -> tuple[jax.Array, jax.Array]:
    """The smallest and the largest eigenvalue of the Hessian, by Lanczos.

    Args:
      fun: x -> one number.
      x: where, a tree of n numbers.
      key: what the start is drawn from.
      steps: products to spend; at most n are done, and then both are exact up to rounding. Fewer
        give values inside the true interval, which come near its ends first.

    Source: Golub & Van Loan 2013, section 10.1.4 (Kaniel and Paige's bounds)

    >>> f = lambda x: jnp.sum(jnp.array([1.0, 2.0, -4.0]) * x**2) / 2
    >>> low, high = extreme_eigenvalues(f, jnp.zeros(3), jax.random.key(0))
    >>> print(low.round(3), high.round(3))
    -4.0 2.0
    """
    check_given_key(key, "extreme_eigenvalues")
    problem = Problem(fun, x)
    v = jax.random.normal(key, problem.x0.shape, problem.x0.dtype)
    found = lanczos(problem.hessian_product(problem.x0), v, min(steps, problem.x0.size))
    # an exhausted space leaves rows of zeros: count only the rows that are there
    values, vectors = jnp.linalg.eigh(found.tridiagonal)
    there = jnp.linalg.norm(found.vectors, axis=1) > 0.5
    real = (vectors**2).T @ there > 0.5
    return jnp.min(values, initial=jnp.inf, where=real), jnp.max(
        values, initial=-jnp.inf, where=real
    )


def largest_eigenvalue(
    fun: Callable[[Any], jax.Array], x: Any, key: jax.Array, *, steps: int = 50
) -> jax.Array:
    """The largest eigenvalue of the Hessian, the sharpness: `extreme_eigenvalues(...)[1]`.

    Gradient descent with a rate above 2 over it diverges from the minimum of a quadratic.

    >>> f = lambda x: jnp.sum(jnp.array([1.0, 3.0]) * x**2) / 2
    >>> print(round(float(largest_eigenvalue(f, jnp.zeros(2), jax.random.key(0))), 3))
    3.0
    """
    return extreme_eigenvalues(fun, x, key, steps=steps)[1]


def condition_number(fun: Callable[[Any], jax.Array], x: Any) -> jax.Array:
    r"""The largest over the smallest size of the Hessian's eigenvalues, from the whole Hessian.

    .. math:: \kappa = \max_i |\lambda_i| / \min_i |\lambda_i|

    Infinite where the Hessian is singular; beyond 1 / eps of the dtype it is a rounding error. For
    more than some thousand parameters take the ratio of `extreme_eigenvalues`.

    >>> f = lambda x: jnp.sum(jnp.array([1.0, 10.0]) * x**2)
    >>> print(condition_number(f, jnp.zeros(2)))
    10.0
    """
    sizes = jnp.abs(jnp.linalg.eigvalsh(hessian(fun, x)))
    return jnp.max(sizes) / jnp.min(sizes)
