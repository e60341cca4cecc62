"""Why a bias: without one, a neuron's line must go through the origin, wherever the data lie.

    with a bias     z = w x + b      any line
    without one     z = w x          lines through (0, 0) only

Both neurons are trained on points far from the origin and held against the closed forms. Then a
neuron sorts two groups of points that no line through the origin can part.
"""

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from fnn.layers import dense

rng = np.random.default_rng(0)
x = rng.uniform(1, 3, size=(200, 1)).astype(np.float32)
y = (20 - 2 * x + 0.1 * rng.normal(size=x.shape)).astype(np.float32)


def trained(neuron, x, y, loss, rate):
    state, _ = fnn.train.run(
        jax.random.key(0), neuron, x, y, loss=loss, optimizer=fnn.optim.gradient_descent(rate),
        steps=4000, batch_size=None,
    )  # fmt: skip
    return state.params


print("                       w         b    mean squared error")
errors = {}
for name, bias in (("with a bias", True), ("without", False)):
    neuron = dense(1, bias=bias)
    params = trained(neuron, x, y, fnn.losses.squared_error, 0.1)
    columns = np.column_stack([x, np.ones(len(x))]) if bias else x
    exact = np.linalg.lstsq(columns, y, rcond=None)[0].ravel()
    found = [float(leaf.item()) for leaf in (params["w"], *([params["b"]] if bias else []))]
    np.testing.assert_allclose(found, exact, rtol=1e-2)
    errors[name] = float(jnp.mean(fnn.losses.squared_error(fnn.predict(neuron, params, {}, x), y)))
    numbers = [*found, float("nan")][:2]
    print(f"{name:16} {numbers[0]:9.3f} {numbers[1]:9.3f}   {errors[name]:12.3f}")
assert errors["with a bias"] < 0.02 < 1 < errors["without"]

# Two groups on the same ray from the origin: only their distance from it differs.
near = rng.normal([1, 1], 0.15, size=(100, 2))
far = rng.normal([3, 3], 0.15, size=(100, 2))
points = np.concatenate([near, far]).astype(np.float32)
group = np.repeat([0.0, 1.0], 100).astype(np.float32)[:, None]

shares = {}
for name, bias in (("with a bias", True), ("without", False)):
    neuron = dense(1, bias=bias)
    params = trained(neuron, points, group, fnn.losses.binary_cross_entropy, 0.5)
    said = fnn.predict(neuron, params, {}, points) > 0
    shares[name] = float(jnp.mean(said == group))
    print(f"{name:16} sorts {shares[name]:.0%} of the points rightly")
assert shares["with a bias"] > 0.99
assert shares["without"] < 0.75
