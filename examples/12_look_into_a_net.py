"""Look into a net: what it is made of, what it spends, how a batch fares in it, and what is wrong.

A deep net of sigmoids hardly learns: the gradient that reaches its first layers is a thousandth of
that of its last. With relu and weights for it, all layers learn alike. The tables show both, before
a single step is trained; and when a NaN turns up, they name the layer that made it.
"""

import jax
import jax.numpy as jnp

import fnn
from fnn.layers import batch_norm, conv, dense, flatten, max_pool

data = fnn.datasets.load("mnist")
x, y = data.x_train[:128], data.y_train[:128]

# 1. What a net is made of: nothing is computed, so that a model larger than the memory is as quick.
net = fnn.serial(
    conv(16, (3, 3), stride=2),
    batch_norm(),
    jax.nn.relu,
    fnn.residual(fnn.serial(conv(16, (3, 3)), jax.nn.relu)),
    max_pool(2),
    flatten(),
    head=dense(10),
)
summary = fnn.inspect.summary(net, x)
print(summary)
product = 2 * 128 * 784 * 10  # (128, 784) times (784, 10): a multiplication and an addition each
assert summary["head"].flops.products == product
assert summary["residual_3/body/conv_0"].parameters == 3 * 3 * 16 * 16 + 16


# 2. How a batch fares: twelve layers, by sigmoids and by relu.
def deep(activation, w_init):
    blocks = [layer for _ in range(12) for layer in (dense(64, w_init=w_init), activation)]
    return fnn.serial(flatten(), *blocks, head=dense(10))


def first_and_last(net):
    params, state = net.init(jax.random.key(0), x)
    found = fnn.inspect.gradients(
        net, fnn.losses.cross_entropy, params, state, x, y, optimizer=fnn.optim.adam(1e-3)
    )
    weights = [row for row in found.rows if row.path.endswith("/w")]
    return weights[1], weights[-2], found


for activation, w_init in (
    (jax.nn.sigmoid, fnn.initializers.lecun_normal),
    (jax.nn.relu, fnn.initializers.he_normal),
):
    first, last, _ = first_and_last(deep(activation, w_init))
    share = first.relative / last.relative
    print(
        f"\n{activation.__name__}: gradient / weights is {first.relative:.1e} in {first.path}, and"
    )
    print(f"{last.relative:.1e} in {last.path}: {share:.2g} of it arrives")
    assert (share < 1e-3) == (activation is jax.nn.sigmoid)

# 3. What is wrong: the first layer that gives a number which is none, and what it was given.
net = fnn.serial(flatten(), dense(64), jnp.tanh, dense(64), jnp.log, head=dense(10))
params, state = net.init(jax.random.key(0), x)
params["dense_1"]["w"] = 50 * params["dense_1"]["w"]  # as after one step that was far too large
found = fnn.inspect.activations(net, params, state, x)
print()
print(found)
assert found.first_bad.path == "log_4"
assert found["tanh_2"][0].saturated > 0.5
