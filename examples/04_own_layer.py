"""Your own layer: two functions and a name. Here radial basis functions, which no library has.

    y_j = exp(-|x - c_j|^2 / (2 s_j^2))        each unit answers near its own centre

The contract (`fnn/core.py`): `init(key, x)` reads the shape of x and returns params and state;
`apply(params, state, x)` returns the output and the state. Everything else comes with it: repr,
paths in errors, jit, grad, vmap, fit.
"""

import jax
import jax.numpy as jnp

import fnn


def radial_basis(units, *, width=1.0):
    """`units` Gaussian bumps with learned centres and widths."""

    def init(key, x):
        centres = jax.random.normal(key, (units, x.shape[-1]))
        return fnn.Variables({"centres": centres, "log_width": jnp.full(units, jnp.log(width))}, {})

    def apply(params, state, x, *, key=None, train=False):
        squares = jnp.sum((x[..., None, :] - params["centres"]) ** 2, axis=-1)  # (batch, units)
        return jnp.exp(-squares / (2 * jnp.exp(2 * params["log_width"]))), state

    return fnn.Layer(init, apply, name="radial_basis", config={"units": units, "width": width})


x, y = fnn.datasets.circles(jax.random.key(0), n=400, noise=0.05)
net = fnn.serial(radial_basis(16), fnn.layers.dense(2))
print(net)

trained = fnn.fit(
    net,
    x,
    y,
    loss=fnn.losses.cross_entropy,
    optimizer=fnn.optim.adam(0.02),
    key=jax.random.key(1),
    epochs=60,
    stop=fnn.stop.until(fnn.stop.loss < 0.05),
)
print(trained.stopped)
accuracy = fnn.metrics.accuracy(fnn.predict(net, trained.params, trained.state, x), y)
print(f"a circle inside a circle, which no line can part: accuracy {accuracy:.3f}")
assert accuracy > 0.97

# A mistake is told with the layer's path, what it expected, and what came.
try:
    fnn.predict(net, trained.params, trained.state, jnp.ones((1, 3)))
except (TypeError, ValueError) as error:
    told = next(note for note in error.__notes__ if note.startswith("in layer"))
    print(told)
    assert "radial_basis_0" in told
