"""Backpropagation by hand: who is to blame for the error, neuron by neuron, on XOR.

A net of two inputs, two hidden neurons and one output is shown one example. Forward, each neuron
adds what its synapses bring, weight times activation, and its bias. Backward, the chain rule hands
the error back: delta = dC/dz of a neuron is what the neurons behind it pass on by their weights,
times the slope of its own activation. Every gradient follows, and stands beside `jax.grad`'s.
"""

import jax
import jax.numpy as jnp

import fnn
from fnn.layers import dense

net = fnn.serial(dense(2), jnp.tanh, dense(1))
params = {
    "dense_0": {"w": jnp.array([[1.0, -0.5], [0.5, -1.0]]), "b": jnp.array([0.1, 0.2])},
    "dense_2": {"w": jnp.array([[1.0], [0.5]]), "b": jnp.array([0.0])},
}
x = jnp.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
y = jnp.array([[0.0], [1.0], [1.0], [0.0]])


def explained(params, row):
    """One example, explained: `print` it, or read each number."""
    one = slice(row, row + 1)
    return fnn.explain.backprop(net, params, {}, x[one], y[one], fnn.losses.squared_error)


# 1. One example in words and numbers. `found.html("steps.html")` is a page to step through it.
found = explained(params, 1)
print(found)
assert found.difference < 1e-6

# 2. The same by one's own hand, for the weight from the second input to the first hidden neuron.
hidden, out = found["h1[0]"], found["out[0]"]
slope_of_error = 2 * (out.a - 1.0)
delta = slope_of_error * float(params["dense_2"]["w"][0, 0]) * (1 - hidden.a**2)
print(f"\n2 (a - y) * w * (1 - tanh(z)^2) = {delta:.4f}, and delta of h1[0] is {hidden.delta:.4f}")
assert abs(delta - hidden.delta) < 1e-6


# 3. The blame moves with the example; and the gradient of the four is the mean of theirs.
each = [explained(params, row) for row in range(len(x))]
for row, found in enumerate(each):
    shares = ", ".join(f"{one.name} {one.share:.0%}" for one in found["h1"].neurons)
    print(f"x = {x[row].tolist()}, C = {found.cost:.3f}: of the blame {shares}")


def cost(params):
    return fnn.losses.squared_error(net.apply(params, {}, x)[0], y).mean()


whole = jax.grad(cost)(params)["dense_0"]["w"].ravel()
for place in range(4):
    parts = [found["h1"].parameters[place].gradient for found in each]
    mean = sum(parts) / len(parts)
    print(
        f"{found['h1'].parameters[place].name}: mean of", *(f"{part:.4f}" for part in parts), end=""
    )
    print(f" = {mean:.4f}, jax.grad of all four {whole[place]:.4f}")
    assert abs(mean - whole[place]) < 1e-6
