"""Vanishing and exploding gradients: what reaches the first of 20 layers, and what cures it.

Going back, a gradient is multiplied in every layer by the weights and the activation's slope. A
factor of 0.25, a sigmoid's steepest slope, leaves 1e-12 of it after 20 layers; a factor of 2 makes
it a million. Initial weights chosen for the activation (Glorot & Bengio 2010; He et al. 2015) keep
the factor near 1, and so do layers that normalise.
"""

import jax
import jax.numpy as jnp

import fnn
from fnn import initializers
from fnn.layers import dense, layer_norm

DEPTH, WIDTH = 20, 48
data = fnn.datasets.load("digits")
(x,) = fnn.data.standardize(data.x_train[:512].reshape(512, -1))
y = data.y_train[:512]


def he_doubled(key, shape, dtype=jnp.float32):
    return 2 * initializers.he_normal(key, shape, dtype)


def deep(activation, w_init, norm=False):
    """A layer in, DEPTH equal ones as one loop, and a layer out."""
    parts = [dense(WIDTH, w_init=w_init), *([layer_norm()] if norm else []), activation]
    return fnn.serial(*parts, deep=fnn.repeat(fnn.serial(w=parts[0], f=fnn.serial(*parts[1:])),
                                              DEPTH), out=dense(10))  # fmt: skip


cases = {
    "sigmoid, glorot": deep(jax.nn.sigmoid, initializers.glorot_normal),
    "tanh, glorot": deep(jnp.tanh, initializers.glorot_normal),
    "relu, glorot": deep(jax.nn.relu, initializers.glorot_normal),
    "relu, he": deep(jax.nn.relu, initializers.he_normal),
    "relu, he, doubled": deep(jax.nn.relu, he_doubled),
    "relu, he doubled, layer norm": deep(jax.nn.relu, he_doubled, norm=True),
}

print(f"{DEPTH} layers of {WIDTH}             |gradient| first      last      ratio accuracy")
size, ratio, learnt = {}, {}, {}
for name, net in cases.items():
    params, state = net.init(jax.random.key(0), x)

    def loss(params, net=net, state=state):
        return jnp.mean(fnn.losses.cross_entropy(net.apply(params, state, x)[0], y))

    slopes = jax.jit(jax.grad(loss))(params)
    stacked = slopes["deep"]["body"]["w"]["w"]  # (DEPTH, WIDTH, WIDTH)
    first, last = (float(jnp.linalg.norm(stacked[i])) for i in (0, -1))
    end, _ = jax.jit(
        lambda key, net=net: fnn.train.run(
            key, net, x, y, loss=fnn.losses.cross_entropy, optimizer=fnn.optim.sgd(0.02), steps=400
        )
    )(jax.random.key(0))
    said = fnn.predict(net, end.params, end.state, x)
    size[name], ratio[name] = last, first / last
    learnt[name] = float(fnn.metrics.accuracy(said, y))
    print(f"{name:30} {first:12.1e} {last:9.1e} {ratio[name]:10.1e} {learnt[name]:8.0%}")

assert ratio["sigmoid, glorot"] < 1e-8  # vanished
assert 0.1 < ratio["relu, he"] < 30
assert 0.1 < ratio["tanh, glorot"] < 30
assert size["relu, he, doubled"] > 1e3 * size["relu, he"]  # exploded
assert learnt["sigmoid, glorot"] < 0.3
assert not learnt["relu, he, doubled"] > 0.3
assert (
    min(learnt[name] for name in ("relu, he", "tanh, glorot", "relu, he doubled, layer norm")) > 0.4
)
