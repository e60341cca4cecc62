"""Second-order methods: a small net fitted to the last digits, and a look at the curvature.

Adam sees one number and its gradient. Levenberg-Marquardt sees every residual, and knows from their
Jacobian how the parameters hang together: on small nets and all of the data at once it arrives
in a few hundred steps where Adam does not in ten thousand. Larger models are for L-BFGS, which
needs no more memory than some copies of the parameters.
"""

import time

import jax
import jax.numpy as jnp

import fnn
from fnn import optim

jax.config.update("jax_enable_x64", True)

# 1. A sine by a net of 49 numbers: every method from the same start.
x = jnp.linspace(-jnp.pi, jnp.pi, 64)[:, None]
y = jnp.sin(x)
net = fnn.serial(fnn.layers.dense(16), jnp.tanh, fnn.layers.dense(1))
params, _ = net.init(jax.random.key(0), x)
params = fnn.trees.cast(params, jnp.float64)
objective = fnn.train.objective(net, fnn.losses.squared_error, x, y)
residuals = fnn.train.residuals(net, x, y)

print("method                 steps   seconds   mean squared error")
errors = {}
for name, fun, method, steps in (
    ("steepest_descent", objective, optim.steepest_descent(), 1000),
    ("conjugate_gradients", objective, optim.conjugate_gradients(), 1000),
    ("lbfgs", objective, optim.lbfgs(), 1000),
    ("bfgs", objective, optim.bfgs(), 1000),
    ("newton_cg", objective, optim.newton_cg(), 300),
    ("levenberg_marquardt", residuals, optim.levenberg_marquardt(), 500),
    ("  and geodesic", residuals, optim.levenberg_marquardt(acceleration="geodesic"), 500),
):
    begun = time.perf_counter()
    found = jax.block_until_ready(optim.minimize(fun, params, method, steps=steps, tol=0.0))
    seconds = time.perf_counter() - begun  # with compilation
    errors[name] = float(objective(found.x))
    print(f"{name:20} {int(found.steps):7} {seconds:9.2f}   {errors[name]:.1e}")

optimizer = optim.adam(1e-2)


@jax.jit
def ten_thousand_steps_of_adam(params):
    def step(_, carry):
        params, opt_state = carry
        updates, opt_state = optimizer.update(jax.grad(objective)(params), opt_state, params)
        return optim.apply_updates(params, updates), opt_state

    return jax.lax.fori_loop(0, 10_000, step, (params, optimizer.init(params)))[0]


begun = time.perf_counter()
errors["adam"] = float(objective(ten_thousand_steps_of_adam(params)))
print(f"{'adam':20} {10_000:7} {time.perf_counter() - begun:9.2f}   {errors['adam']:.1e}")
assert errors["  and geodesic"] < 1e-11
assert errors["levenberg_marquardt"] < 1e-8 < errors["adam"]

# 2. Why: the Hessian at the end has eigenvalues over many powers of ten.
low, high = optim.curvature.extreme_eigenvalues(objective, found.x, jax.random.key(1))
values = jnp.linalg.eigvalsh(optim.curvature.hessian(objective, found.x))
print(f"\neigenvalues at the minimum: {low:.1e} to {high:.1e}, by Lanczos")
print("how many of the 49 lie in each power of ten, from 100 down, the rest in the last:")
powers = jnp.floor(jnp.log10(jnp.maximum(jnp.abs(values), 1e-12)))
for power in range(2, -13, -1):
    count = int(jnp.sum(powers == power))
    print(f"  1e{power:+03d}  {'#' * count}")
assert abs(high - values[-1]) < 1e-8 * high

# 3. Logistic regression on all of the digits: many parameters, one minimum, no learning rate.
data = fnn.datasets.load("mnist")
net = fnn.serial(fnn.layers.flatten(), fnn.layers.dense(10))
params, state = net.init(jax.random.key(0), data.x_train[:1])
x, y = jnp.asarray(data.x_train[:2000]), jnp.asarray(data.y_train[:2000])
objective = fnn.train.objective(
    net,
    fnn.losses.cross_entropy,
    x,
    y,
    penalty=lambda params: 3e-3 * fnn.trees.norm(params) ** 2,
)
found = optim.minimize(objective, params, optim.lbfgs(), steps=100, tol=1e-3)
logits = fnn.predict(net, found.x, state, data.x_test)
accuracy = jnp.mean(jnp.argmax(logits, axis=-1) == data.y_test)
print(f"\nlogistic regression of 2,000 digits: loss {found.value:.3f} after {found.steps} steps of")
print(f"lbfgs and {found.evaluations} evaluations; {accuracy:.1%} of the test digits are right")
assert accuracy > 0.8
