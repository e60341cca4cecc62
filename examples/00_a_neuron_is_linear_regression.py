"""A single neuron without activation is linear regression: training finds the least squares.

    z = w . x + b        each weight is a synapse's strength, b the bias

The neuron is trained by gradient descent on the mean squared error of 200 noisy points, then its
weights are held against `numpy.linalg.lstsq`, which solves the same problem in closed form.
"""

import jax
import numpy as np

import fnn

# Three inputs, one output: y = 2 x1 - 1 x2 + 0.5 x3 + 3, and some noise.
rng = np.random.default_rng(0)
x = rng.normal(size=(200, 3)).astype(np.float32)
y = x @ np.array([2.0, -1.0, 0.5]) + 3.0 + 0.1 * rng.normal(size=200)
y = y.astype(np.float32)[:, None]

neuron = fnn.layers.dense(1)
trained = fnn.fit(
    neuron,
    x,
    y,
    loss=fnn.losses.squared_error,
    optimizer=fnn.optim.gradient_descent(0.1),
    key=jax.random.key(0),
    batch_size=None,  # the whole set at each step: gradient descent in its first sense
    steps=500,
)

with_ones = np.column_stack([x, np.ones(len(x))])
exact = np.linalg.lstsq(with_ones, y, rcond=None)[0][:, 0]
found = np.append(trained.params["w"][:, 0], trained.params["b"])

print("            w1       w2       w3        b")
print("neuron ", *(f"{value:8.4f}" for value in found))
print("lstsq  ", *(f"{value:8.4f}" for value in exact))
distance = np.abs(found - exact).max()
print(f"largest difference {distance:.1e}: the neuron is the linear regression")
assert distance < 1e-4
