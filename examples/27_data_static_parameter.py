"""Placeholder, constant, variable: what old graphs declared are here three kinds of values.

    placeholder -> data:      an argument of a compiled function; new values, no new compilation
    constant    -> static:    a plain Python value among a layer's settings; another, another net
    variable    -> parameter: a named array in a dict, which `jax.grad` differentiates by
    (and what a net carries along without learning it, such as running means, is its state)

How often a function is compiled is counted by a line that runs only while it is traced.
"""

import jax
import jax.numpy as jnp

import fnn
from fnn.layers import batch_norm, dense

compiled = []


def made(width):
    """A network and its loss; width is static: it is in the shapes."""
    net = fnn.serial(dense(width), batch_norm(), jnp.tanh, dense(1))

    @jax.jit
    def loss(params, state, x, y):
        compiled.append(width)
        return jnp.mean(fnn.losses.squared_error(net.apply(params, state, x)[0], y))

    return net, loss


net, loss = made(8)
x, y = jax.random.normal(jax.random.key(0), (2, 100, 1))
params, state = net.init(jax.random.key(1), x)

for batch in range(5):  # data change: the same program
    loss(params, state, x + batch, y)
print(f"5 batches: compiled {len(compiled)} time")
assert len(compiled) == 1

for factor in (0.5, 2.0, 3.0):  # parameters change: the same program
    loss(jax.tree.map(lambda a, factor=factor: a * factor, params), state, x, y)
assert len(compiled) == 1

wide, wide_loss = made(16)  # a static setting changes: another network, another program
wide_loss(*wide.init(jax.random.key(1), x), x, y)
print(f"another width: compiled {len(compiled)} times, for {compiled}")
assert compiled == [8, 16]

slopes = jax.grad(loss)(params, state, x, y)
print(f"jax.grad goes by parameters: {sorted(fnn.trees.paths(slopes))}")
assert fnn.trees.paths(slopes).keys() == fnn.trees.paths(params).keys()

_, after = net.apply(params, state, x, train=True)
moved = fnn.trees.paths(jax.tree.map(lambda a, b: bool((a != b).any()), state, after))
print(f"state moves by being returned: {moved}")
assert all(value for name, value in moved.items() if name.endswith(("mean", "var")))

# A parameter that is to be a constant after all: `frozen` stops its gradient, optimizers let it be.
half = fnn.serial(fnn.frozen(dense(8)), jnp.tanh, dense(1))
end = fnn.fit(half, x, y, loss=fnn.losses.squared_error, optimizer=fnn.optim.adam(0.01),
              key=jax.random.key(2), steps=100)  # fmt: skip
start = fnn.train.init(half, fnn.optim.adam(0.01), jax.random.key(2), x[:1]).params
moved = fnn.trees.paths(jax.tree.map(lambda a, b: bool((a != b).any()), start, end.params))
print(f"after a training: {moved}")
assert not any(value for name, value in moved.items() if name.startswith("frozen"))
assert all(value for name, value in moved.items() if name.startswith("dense"))
