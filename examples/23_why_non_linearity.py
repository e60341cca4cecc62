"""Why non-linearity: stacked linear layers are worth one, whatever their weights.

    (x W1 + b1) W2 + b2  =  x (W1 W2) + (b1 W2 + b2)

A chain of three linear layers is multiplied out into one, and both are the same function. So it
learns no more than a line, and on XOR a line can do no better than to say "even odds". With tanh
between the layers the four corners are learnt.
"""

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from fnn.layers import dense

linear = fnn.serial(a=dense(16), b=dense(16), c=dense(1))
bent = fnn.serial(a=dense(16), f=jnp.tanh, b=dense(16), g=jnp.tanh, c=dense(1))

x = jax.random.normal(jax.random.key(0), (100, 2))
params, state = linear.init(jax.random.key(1), x)
params = jax.tree.map(lambda a: a + 0.1, params)  # biases off 0
w, b = params["a"]["w"], params["a"]["b"]
for name in ("b", "c"):
    w, b = w @ params[name]["w"], b @ params[name]["w"] + params[name]["b"]

three, _ = linear.apply(params, state, x)
one, _ = dense(1).apply({"w": w, "b": b}, {}, x)
difference = float(jnp.abs(three - one).max() / jnp.abs(three).max())
print(f"three layers of 337 parameters and one of 3: {difference:.0e} apart, of the largest output")
assert difference < 1e-5

corners = jnp.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
is_xor = jnp.array([[0.0], [1.0], [1.0], [0.0]])


def last_loss(key, net):
    """The mean cross-entropy at XOR's corners after a training from this key."""
    end, _ = fnn.train.run(
        key, net, corners, is_xor, loss=fnn.losses.binary_cross_entropy,
        optimizer=fnn.optim.adam(0.02), steps=500, batch_size=None,
    )  # fmt: skip
    z, _ = net.apply(end.params, end.state, corners)
    return jnp.mean(fnn.losses.binary_cross_entropy(z, is_xor))


# With a linear z the loss is convex in it, and by symmetry least where z = 0 at every corner: ln 2,
# the loss of one who says "even odds" whatever comes.
keys = jax.random.split(jax.random.key(2), 50)
for name, net in (("linear", linear), ("tanh between", bent)):
    found = np.asarray(jax.jit(jax.vmap(lambda key, net=net: last_loss(key, net)))(keys))
    print(f"XOR, {name:12}: losses {found.min():.4f} to {found.max():.4f} in 50 trainings")
    if name == "linear":
        assert np.all(found > np.log(2) - 1e-5)
    else:
        assert np.mean(found < 0.05) > 0.9
print(f"even odds: {np.log(2):.4f}")
