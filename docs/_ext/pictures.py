"""The pictures of the concept pages, each made by the library as a user would make it."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

import fnn
from fnn.compare.surface import choose, walk
from fnn.layers import conv, dense, flatten, max_pool

HERE = Path(__file__).parents[1] / "pictures"


def diagrams() -> None:
    x = jnp.array([[0.5, -1.0]])
    net = fnn.serial(dense(3), jax.nn.sigmoid, dense(1))
    params, state = net.init(jax.random.key(3), x)
    fnn.draw.network(net, params, state, x).save(HERE / "network.svg")
    fnn.draw.architecture(net, x).save(HERE / "architecture.svg")
    image = jnp.asarray(fnn.datasets.load("mnist").x_test[:1])
    net = fnn.serial(
        conv(4, 3), jax.nn.relu, max_pool(2), flatten(), dense(8), jax.nn.relu, dense(3)
    )
    params, state = net.init(jax.random.key(0), image)
    fnn.draw.network(net, params, state, image).save(HERE / "convolution.svg")


def functions() -> None:
    named = ("linear", "elu", "relu", "leaky_relu", "sigmoid", "tanh", "gelu")
    given: Any = {name: getattr(fnn.activations, name) for name in named}
    given["step"] = lambda z: jnp.where(z > 0, 1.0, 0.0)
    _save(fnn.draw.activation(given), "activations")


def digits() -> None:
    data = fnn.datasets.load("mnist")
    net = fnn.serial(flatten(), dense(64), jax.nn.relu, dense(10))
    done = fnn.fit(net, data.x_train[:4000], data.y_train[:4000], loss=fnn.losses.cross_entropy,
                   optimizer=fnn.optim.adam(1e-3), key=jax.random.key(0), epochs=6)  # fmt: skip
    logits = fnn.predict(net, done.params, done.state, data.x_test)
    _save(fnn.draw.confusion(fnn.metrics.confusion_matrix(logits, data.y_test)), "confusion")
    some = jnp.asarray(data.x_test[:5])
    steep = jnp.abs(fnn.inspect.saliency(net, done.params, done.state, some))
    parts = fnn.inspect.integrated_gradients(net, done.params, done.state, some).values
    rows = jnp.stack([some, _to_one(steep), 0.5 + 0.5 * _to_one(parts)])
    _save(fnn.draw.images(rows), "saliency")
    found = fnn.diagnose.landscape(
        net, done.params, done.state, data.x_train[:500], data.y_train[:500],
        loss=fnn.losses.cross_entropy, key=jax.random.key(1), grid=25,
    )  # fmt: skip
    found.picture(HERE / "landscape.png")


def _to_one(images: Any) -> Any:
    return images / jnp.abs(images).max(axis=(1, 2, 3), keepdims=True)


def minima() -> None:
    x = jnp.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    y = jnp.array([[0.0], [1.0], [1.0], [0.0]])
    net = fnn.serial(dense(2), jnp.tanh, dense(1))
    found = fnn.diagnose.minima(net, x, y, loss=fnn.losses.binary_cross_entropy,
                                key=jax.random.key(0), starts=1000)  # fmt: skip
    found.picture(HERE / "minima.png")


def boundary() -> None:
    x, y = fnn.datasets.spirals(jax.random.key(0), n=300)
    net = fnn.serial(dense(16), jnp.tanh, dense(16), jnp.tanh, dense(1))
    _, trace = fnn.train.run(
        jax.random.key(1), net, x, y[:, None].astype(jnp.float32), steps=400, checks=4,
        loss=fnn.losses.binary_cross_entropy, optimizer=fnn.optim.adam(0.02),
        measure=lambda train_state: train_state.params,
    )  # fmt: skip
    labels = [f"step {step}" for step in trace.step]
    frames = fnn.trees.unstack(trace.measures)
    _save(fnn.draw.boundary(net, frames, {}, x, y, labels=labels), "boundary")


def surfaces() -> None:
    rates = {"sgd": 0.01, "momentum": 0.003, "nag": 0.003, "adagrad": 0.5, "adadelta": 30.0,
             "rmsprop": 0.02, "adam": 0.1}  # fmt: skip
    makers = {name: fnn.optim.find(name) for name in rates}
    for surface in (fnn.surfaces.beale(), fnn.surfaces.saddle()):
        walks = walk(surface, makers, {name: [rate] for name, rate in rates.items()}, steps=150)
        ways = {entry.name: entry.path for entry in choose(walks)}
        _save(fnn.draw.paths(surface, ways), surface.name)


def _save(figure: Any, name: str) -> None:
    (HERE / f"{name}.png").write_bytes(fnn.draw.png(figure, dpi=110))


def write(app: Any) -> None:
    """Make those that are not there; remove docs/pictures to have them anew."""
    HERE.mkdir(exist_ok=True)
    for make, one in ((diagrams, "convolution.svg"), (functions, "activations.png"),
                      (digits, "landscape.png"), (minima, "minima.png"),
                      (boundary, "boundary.png"), (surfaces, "saddle.png")):  # fmt: skip
        if not (HERE / one).exists():
            make()


def setup(app: Any) -> dict[str, bool]:
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


if __name__ == "__main__":
    write(None)
