"""Bias and variance: what is wrong with small nets, and what with large ones, measured.

    expected squared error  =  bias^2  +  variance  +  noise

Bias is how far the mean of all trainings lies from the truth, variance how far one training lies
from that mean. Nets of several widths are trained on 100 samples of y = sin(2 x) + noise each, all
trainings of a width as one program. Their errors on fresh rows are the sum of the three.
"""

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from fnn.layers import dense

ROWS, NOISE, RUNS = 25, 0.4, 100
grid = jnp.linspace(-2.5, 2.5, 101)[:, None]
truth = jnp.sin(2 * grid)


def sample(key, x):
    return jnp.sin(2 * x) + NOISE * jax.random.normal(key, x.shape)


def learnt(key, net):
    """What a net trained on a sample of its own says on the grid."""
    of_x, of_y, of_run = jax.random.split(key, 3)
    x = jax.random.uniform(of_x, (ROWS, 1), minval=-2.5, maxval=2.5)
    end, _ = fnn.train.run(
        of_run, net, x, sample(of_y, x), loss=fnn.losses.squared_error,
        optimizer=fnn.optim.adam(0.01), steps=3000, batch_size=None,
    )  # fmt: skip
    return net.apply(end.params, end.state, grid)[0]


nets = {"a constant": fnn.serial(lambda x: 0 * x, dense(1)), "a line": dense(1)}
nets |= {f"{n} tanh": fnn.serial(dense(n), jnp.tanh, dense(1)) for n in (2, 8, 64)}

print("net            bias^2  variance   noise     sum   error on fresh rows")
found = {}
keys = jax.random.split(jax.random.key(0), RUNS)
for name, net in nets.items():
    said = jax.jit(fnn.train.over_lanes(lambda key, net=net: learnt(key, net)))(keys)
    said = np.asarray(said, np.float64)[..., 0]  # (runs, points of the grid)
    bias = np.mean((said.mean(0) - np.asarray(truth[:, 0])) ** 2)
    variance = np.mean(said.var(0))
    fresh = jax.vmap(lambda key: sample(key, grid))(jax.random.split(jax.random.key(1), RUNS))
    error = np.mean((said - np.asarray(fresh)[..., 0]) ** 2)
    total = bias + variance + NOISE**2
    found[name] = bias, variance, error
    print(f"{name:12} {bias:8.3f} {variance:9.3f} {NOISE**2:7.3f} {total:7.3f} {error:12.3f}")
    assert abs(total - error) < 0.1 * total

assert found["a line"][0] > 10 * found["8 tanh"][0]  # too simple: biased
assert found["64 tanh"][1] > 3 * found["a line"][1]  # too free: every sample another net
best = min(found, key=lambda name: found[name][2])
print(f"the least error on fresh rows has: {best}")
assert best in ("2 tanh", "8 tanh")
