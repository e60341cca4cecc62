"""Your own optimizer: its equations, written for one leaf, and nothing else. Then a fair race.

Here the sign of a running average moves each weight by a step that shrinks as 1 / sqrt(t):

    m_t = b1 m_{t-1} + (1 - b1) g_t
    u_t = -eta / sqrt(t) sign(m_t)

Its hyperparameters are leaves of its state: a learning rate can be swept by vmap, and changed
without compiling again; it works inside optax's chain, as optax's optimizers work inside fnn's.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

import fnn
from fnn.optim.base import HyperLeaf, Hypers, Optimizer, advance, each, zeros


class SignAverageState(NamedTuple):
    count: jax.Array
    mu: Any
    learning_rate: HyperLeaf
    b1: HyperLeaf


def sign_average(learning_rate, *, b1=0.9):
    """Step by the sign of the average gradient, ever less."""
    hypers = Hypers("sign_average", learning_rate=learning_rate, b1=b1)

    def init(params):
        return SignAverageState(jnp.zeros((), jnp.int32), zeros(params), **hypers.init())

    def update(grads, state, params=None):
        def rule(h, g, m):
            m = h.b1 * m + (1 - h.b1) * g
            return -h.learning_rate / jnp.sqrt(h.t) * jnp.sign(m), m

        now = hypers.at(state.count, state)
        updates, mu = each(rule, now, grads, state.mu, count=state.count)
        return updates, SignAverageState(advance(state.count), mu, **now)

    return Optimizer(init, update)


x, y = fnn.datasets.moons(jax.random.key(0), n=500, noise=0.1)
net = fnn.serial(fnn.layers.dense(32), jnp.tanh, fnn.layers.dense(2))


def final_loss(learning_rate):
    """The mean training loss of the last 100 of 400 steps."""
    _, trace = fnn.train.run(
        jax.random.key(1),
        net,
        x,
        y,
        loss=fnn.losses.cross_entropy,
        optimizer=sign_average(learning_rate),
        steps=400,
        checks=4,
    )
    return trace.loss[-1]


# Eight learning rates as one compiled program.
rates = jnp.logspace(-4, 0, 8)
losses = jax.jit(jax.vmap(final_loss))(rates)
for rate, loss in zip(rates, losses, strict=True):
    print(f"learning rate {rate:.4f}  loss {loss:.4f}")
best = float(rates[jnp.argmin(losses)])

trained = fnn.fit(
    net,
    x,
    y,
    loss=fnn.losses.cross_entropy,
    optimizer=optax.chain(optax.clip_by_global_norm(1.0), sign_average(best)),
    key=jax.random.key(1),
    steps=400,
)
accuracy = fnn.metrics.accuracy(fnn.predict(net, trained.params, trained.state, x), y)
print(f"two moons at learning rate {best:.3g}: accuracy {accuracy:.3f}")
assert accuracy > 0.95
