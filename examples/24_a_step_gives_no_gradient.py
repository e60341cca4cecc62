"""A perceptron's step has the slope 0 everywhere, so gradients cannot train it; its own rule can.

    step(z) = 1 if z > 0 else 0,     d step / dz = 0 wherever it exists

Rosenblatt's rule needs no slope: while an example is on the wrong side of the threshold, its x is
added to the weights, or taken away. It ends after at most (R / margin)^2 corrections if a line can
part the classes (Novikoff 1962), and never if none can, as on XOR. A sigmoid has a slope; so has a
step that pretends to have the sigmoid's (a straight-through estimator).
"""

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from fnn.layers import dense


def step(z):
    return jnp.where(z > 0, 1.0, 0.0)


@jax.custom_vjp
def pretending(z):
    return step(z)


def forward(z):
    return step(z), jax.nn.sigmoid(z)


def backward(s, blame):
    return (blame * s * (1 - s),)


pretending.defvjp(forward, backward)

rng = np.random.default_rng(0)
x = rng.normal(size=(200, 2)).astype(np.float32)
x = x[np.abs(x @ [1.0, 2.0] - 0.5) > 0.3]  # leave a gap between the classes
y = (x @ [1.0, 2.0] > 0.5).astype(np.float32)[:, None]

print("activation       largest gradient   accuracy before and after 500 steps")
for name, function in (("step", step), ("pretending", pretending), ("sigmoid", jax.nn.sigmoid)):
    net = fnn.serial(dense(1, w_init=fnn.initializers.ones), function)
    params, state = net.init(jax.random.key(0), x)

    def loss(params, net=net, state=state):
        return jnp.mean(fnn.losses.squared_error(net.apply(params, state, x)[0], y))

    def accuracy(params, net=net, state=state):
        return float(jnp.mean((net.apply(params, state, x)[0] > 0.5) == y))

    steepest = max(float(jnp.abs(g).max()) for g in jax.tree.leaves(jax.grad(loss)(params)))
    end = fnn.fit(
        net, x, y, loss=fnn.losses.squared_error, optimizer=fnn.optim.gradient_descent(1.0),
        key=jax.random.key(0), batch_size=None, steps=500,
    )  # fmt: skip
    before, after = accuracy(params), accuracy(end.params)
    print(f"{name:12} {steepest:18.4f}   {before:12.1%} {after:8.1%}")
    if name == "step":
        assert steepest == 0
        assert before == after
    else:
        assert steepest > 0
        assert after > max(0.95, before)


def perceptron(x, y, most=10_000):
    """Correct one mistake after another; returns the weights and how many corrections it took."""
    with_one = np.column_stack([x, np.ones(len(x))])
    side, w = 2 * y.ravel() - 1, np.zeros(with_one.shape[1])
    for corrections in range(most):
        wrong = np.flatnonzero(side * (with_one @ w) <= 0)
        if not len(wrong):
            return w, corrections
        w += side[wrong[0]] * with_one[wrong[0]]
    return w, most


w, corrections = perceptron(x, y)
with_one = np.column_stack([x, np.ones(len(x))])
truth = np.array([1.0, 2.0, -0.5]) / np.linalg.norm([1.0, 2.0, -0.5])
margin = ((2 * y.ravel() - 1) * (with_one @ truth)).min()
bound = (np.linalg.norm(with_one, axis=1).max() / margin) ** 2
print(f"perceptron rule: no mistake left after {corrections} corrections; the bound is {bound:.0f}")
assert 0 < corrections <= bound

corners = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]])
_, corrections = perceptron(corners, np.array([0, 1, 1, 0]))
print(f"on XOR: still wrong after {corrections}")
assert corrections == 10_000
