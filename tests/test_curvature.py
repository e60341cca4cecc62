"""Curvature by products agrees with the Hessian written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.optim import curvature


def bowl(x):
    """Its Hessian is full, changes with x, and is known to `jax.hessian`."""
    return jnp.sum(jnp.exp(x["a"])) * jnp.sum(x["b"] ** 2) + jnp.prod(jnp.sin(x["a"]))


@pytest.fixture
def x(x64):
    return {"a": jnp.array([0.1, -0.4, 0.7]), "b": jnp.array([[1.0, 2.0]])}


def dense(fun, x):
    vector, tree = jax.flatten_util.ravel_pytree(x)
    return jax.hessian(lambda v: fun(tree(v)))(vector)


def diagonal_quadratic(values):
    values = jnp.asarray(values)
    return lambda x: jnp.sum(values * x**2) / 2


def test_the_hessian_its_products_and_its_diagonal_are_those_of_second_derivatives(x):
    H = dense(bowl, x)
    np.testing.assert_allclose(curvature.hessian(bowl, x), H, atol=1e-12)
    v = jax.tree.map(lambda a: jnp.cos(a), x)
    flat = jax.flatten_util.ravel_pytree
    np.testing.assert_allclose(flat(curvature.hvp(bowl, x, v))[0], H @ flat(v)[0], atol=1e-12)
    for batch_size in (None, 2):
        found = curvature.hessian_diagonal(bowl, x, batch_size=batch_size)
        assert found["b"].shape == (1, 2)
        np.testing.assert_allclose(flat(found)[0], jnp.diagonal(H), atol=1e-12)


def test_a_hessian_product_is_the_difference_of_gradients(x):
    v, eps = jax.tree.map(jnp.ones_like, x), 1e-5
    up = jax.grad(bowl)(jax.tree.map(lambda a, b: a + eps * b, x, v))
    down = jax.grad(bowl)(jax.tree.map(lambda a, b: a - eps * b, x, v))
    slope = jax.tree.map(lambda a, b: (a - b) / (2 * eps), up, down)
    found = curvature.hvp(bowl, x, v)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), found, slope)


def test_gauss_newton_is_j_transposed_times_loss_hessian_times_j(x64, key):
    inputs = jax.random.normal(key, (6, 2))
    net = fnn.serial(fnn.layers.dense(3), jnp.tanh, fnn.layers.dense(2))
    params, _ = net.init(key, inputs)
    vector, tree = jax.flatten_util.ravel_pytree(params)

    def model(params):
        return net.apply(params, {}, inputs)[0]

    def loss(z):
        return jnp.mean(jax.nn.logsumexp(z, axis=1) - z[:, 0])

    J = jax.jacobian(lambda v: model(tree(v)).ravel())(vector)
    H = jax.hessian(lambda z: loss(z.reshape(6, 2)))(model(params).ravel())
    v = jnp.sin(jnp.arange(vector.size))
    found = curvature.gnvp(model, loss, params, tree(v))
    np.testing.assert_allclose(jax.flatten_util.ravel_pytree(found)[0], J.T @ H @ J @ v, atol=1e-12)


def test_hutchinson_lies_within_its_standard_error_and_the_error_is_the_known_one(x, key):
    H = dense(bowl, x)
    found = curvature.hutchinson(bowl, x, key, samples=2000)
    value, error = (jax.flatten_util.ravel_pytree(tree)[0] for tree in found)
    known = jnp.sqrt((jnp.sum(H**2, axis=1) - jnp.diagonal(H) ** 2) / 2000)
    np.testing.assert_allclose(error, known, rtol=0.1)
    assert jnp.all(jnp.abs(value - jnp.diagonal(H)) < 4 * error)


def test_lanczos_with_all_steps_has_all_eigenvalues_and_an_orthonormal_basis(x64, key):
    A = jax.random.normal(key, (40, 40))
    A = A + A.T
    found = curvature.lanczos(lambda v: A @ v, jnp.ones(40), 40)
    np.testing.assert_allclose(
        jnp.linalg.eigvalsh(found.tridiagonal), jnp.linalg.eigvalsh(A), atol=1e-9
    )
    Q = found.vectors
    np.testing.assert_allclose(Q @ Q.T, jnp.eye(40), atol=1e-12)
    np.testing.assert_allclose(Q @ A @ Q.T, found.tridiagonal, atol=1e-9)


def test_full_reorthogonalisation_leaves_no_ghosts_in_float32():
    values = jnp.append(jnp.linspace(0.0, 1.0, 99), 100.0)  # a lone large one, found at once
    found = curvature.lanczos(lambda v: values * v, jnp.ones(100), 60)
    ritz = jnp.linalg.eigvalsh(found.tridiagonal)
    assert jnp.sum(ritz > 50) == 1
    np.testing.assert_allclose(found.vectors @ found.vectors.T, jnp.eye(60), atol=1e-5)


def test_lanczos_ends_quietly_where_the_space_is_exhausted(x64, key):
    found = curvature.lanczos(lambda v: 3 * v, jnp.ones(5), 4)
    np.testing.assert_allclose(found.alphas, [3.0, 0, 0, 0], atol=1e-12)
    np.testing.assert_allclose(found.betas, 0)
    low, high = curvature.extreme_eigenvalues(diagonal_quadratic([3.0] * 5), jnp.ones(5), key)
    np.testing.assert_allclose([low, high], 3.0)  # and the zeros of T are not taken for eigenvalues


def test_the_spectrums_moments_are_the_traces_of_powers(x64, key):
    values = jnp.linspace(-1.0, 5.0, 200)
    found = curvature.spectrum(
        diagonal_quadratic(values), jnp.zeros(200), key, steps=20, probes=100
    )
    np.testing.assert_allclose(jnp.sum(found.weights, axis=1), 1.0)
    for power in (1, 2, 3):
        moments = jnp.sum(found.weights * found.nodes**power, axis=1)
        error = jnp.std(moments) / jnp.sqrt(100)
        assert abs(jnp.mean(moments) - jnp.mean(values**power)) < 4 * error
    grid = jnp.linspace(-4, 8, 600)
    density = found.density(grid, 0.2)
    np.testing.assert_allclose(jnp.sum(density) * (grid[1] - grid[0]), 1.0, rtol=1e-3)
    inside = density[(grid > 0) & (grid < 4)]
    np.testing.assert_allclose(jnp.mean(inside), 1 / 6, rtol=0.05)


def test_extremes_and_condition_number_are_those_of_the_dense_hessian(x, key):
    values = jnp.linalg.eigvalsh(dense(bowl, x))
    low, high = curvature.extreme_eigenvalues(bowl, x, key)
    np.testing.assert_allclose([low, high], [values[0], values[-1]], rtol=1e-9)
    np.testing.assert_allclose(curvature.largest_eigenvalue(bowl, x, key), high)
    sizes = jnp.abs(values)
    np.testing.assert_allclose(curvature.condition_number(bowl, x), sizes.max() / sizes.min())


def test_gradient_descent_diverges_above_two_over_the_largest_eigenvalue_and_not_below(x64, key):
    fun = diagonal_quadratic([1.0, 5.0, 20.0])
    sharpness = curvature.largest_eigenvalue(fun, jnp.ones(3), key)

    def after(rate):
        return jax.lax.fori_loop(0, 300, lambda _, x: x - rate * jax.grad(fun)(x), jnp.ones(3))

    assert fun(after(1.98 / sharpness)) < fun(jnp.ones(3)) < fun(after(2.02 / sharpness))


def test_tools_of_curvature_run_under_jit(x, key):
    found = jax.jit(lambda x: curvature.spectrum(bowl, x, key, probes=2))(x)
    assert found.nodes.shape == (2, 5)
    assert jnp.isfinite(jax.jit(lambda x: curvature.hessian_diagonal(bowl, x))(x)["a"]).all()


def test_errors_say_what_was_wrong(key):
    with pytest.raises(ValueError, match="steps must be at most 3, the size of start, got 4"):
        curvature.lanczos(lambda v: v, jnp.ones(3), 4)
    with pytest.raises(ValueError, match="samples must be at least 2, got 1"):
        curvature.hutchinson(bowl, {"a": jnp.ones(1)}, key, samples=1)
    with pytest.raises(TypeError, match="key must be one PRNG key"):
        curvature.spectrum(bowl, {"a": jnp.ones(1)}, None)  # type: ignore[arg-type]
