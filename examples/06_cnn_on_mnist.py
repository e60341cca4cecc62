"""A convolutional network on MNIST: 99 % from 8,500 digits, in about a minute on two cores.

    shift -> conv 32, pool -> conv 64, pool -> dense 128 -> dense 10

Only training sees the shift: each digit is moved by up to two pixels whenever it comes along, so
that no image is seen often enough to be learned by heart. It is an own layer of ten lines.

The settings were chosen by the last 1,000 training digits; the test digits are looked at once.
"""

import jax
import jax.numpy as jnp

import fnn
from fnn.models import convnet


def shift(most):
    """Move each image by up to `most` pixels either way, at random and where `train=True`."""

    def init(key, x, /):
        return fnn.Variables({}, {})

    def apply(params, state, x, /, *, key=None, train=False):
        if not train:
            return x, state
        wide = jnp.pad(x, ((0, 0), (most, most), (most, most), (0, 0)))
        corners = jax.random.randint(key, (len(x), 2), 0, 2 * most + 1)

        def cut(image, corner):
            return jax.lax.dynamic_slice(image, (*corner, 0), x.shape[1:])

        return jax.vmap(cut)(wide, corners), state

    return fnn.Layer(init, apply, name="shift", config={"most": most}, made_by=shift)


def main():
    data = fnn.datasets.load("mnist")
    x, y, x_val, y_val = (
        data.x_train[:8500],
        data.y_train[:8500],
        data.x_train[8500:],
        data.y_train[8500:],
    )
    net = fnn.serial(shift(2), convnet(32, 64, classes=10, rate=0.3))

    epochs, batch_size = 15, 64
    rate = fnn.optim.schedules.one_cycle(3e-3, steps=epochs * len(x) // batch_size)
    trained = fnn.fit(
        net,
        x,
        y,
        loss=fnn.losses.cross_entropy,
        optimizer=fnn.optim.adam(rate),
        key=jax.random.key(0),
        epochs=epochs,
        batch_size=batch_size,
        validation=(x_val, y_val),
        metrics={"accuracy": fnn.metrics.accuracy},
    )

    print(net)
    print(trained.stopped, f"in {trained.history['seconds'][-1]:.1f} s")
    for epoch, loss, accuracy in zip(
        trained.history["epoch"],
        trained.history["loss"],
        trained.history["val_accuracy"],
        strict=True,
    ):
        print(f"epoch {epoch:5.1f}  training loss {loss:.4f}  validation accuracy {accuracy:.4f}")

    test = fnn.train.evaluate(
        net,
        trained.params,
        trained.state,
        data.x_test,
        data.y_test,
        metrics={"accuracy": fnn.metrics.accuracy},
    )
    print(
        f"test accuracy {test['accuracy']:.4f} on {len(data.x_test)} digits never looked at before"
    )
    assert test["accuracy"] > 0.98


if __name__ == "__main__":
    main()
