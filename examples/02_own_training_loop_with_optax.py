"""Your own training loop, with optax: a network is two functions, so nothing is in the way.

`make_step` is pure and not jitted: jit it, scan it, or write your own in six lines, as here.
"""

import jax
import jax.numpy as jnp
import optax

import fnn
from fnn.layers import dense

x, y = fnn.datasets.spirals(jax.random.key(0), n=600, noise=0.05, classes=3)
net = fnn.serial(dense(64), jnp.tanh, dense(64), jnp.tanh, dense(3))
params, state = net.init(jax.random.key(1), x)
optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(3e-3))
opt_state = optimizer.init(params)


@jax.jit
def step(params, opt_state, x, y):
    def loss(params):
        logits, _ = net.apply(params, state, x, train=True)
        return fnn.losses.cross_entropy(logits, y).mean()

    value, grads = jax.value_and_grad(loss)(params)
    updates, opt_state = optimizer.update(grads, opt_state, params)
    return optax.apply_updates(params, updates), opt_state, value


for count, (x_batch, y_batch) in enumerate(
    fnn.data.batches(jax.random.key(2), x, y, batch_size=100, epochs=250)
):
    params, opt_state, value = step(params, opt_state, x_batch, y_batch)
    if count % 300 == 0:
        print(f"step {count:4d}  loss {value:.4f}")

accuracy = fnn.metrics.accuracy(fnn.predict(net, params, state, x), y)
print(f"three spirals told apart: accuracy {accuracy:.3f}")
assert accuracy > 0.97
