"""Overfitting and its cures, on the same 100 digits, each over eight seeds in one program.

A net with 9,000 weights learns 100 digits by heart: it has every one of them right, and one in
eight of new ones wrong. The cures are more data (real, or the same moved by a pixel), a price on
weights (L1, L2), noise in the net (dropout) or on its inputs, an earlier end, and several nets that
vote. Which one helps depends on the data; here numbers tell.

    L1: + c sum |w|     L2: + c sum w^2 / 2     dropout: half of the units are 0
"""

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from fnn.layers import dense, dropout, gaussian_noise

SEEDS, STEPS, FEW = 8, 1500, 100
data = fnn.datasets.load("digits")
images, labels = np.asarray(data.x_train[..., 0]), np.asarray(data.y_train)
test, y_test = jnp.asarray(data.x_test).reshape(len(data.x_test), -1), data.y_test
held, y_held = test[: len(test) // 2], y_test[: len(test) // 2]  # chooses when to stop
test, y_test = test[len(test) // 2 :], y_test[len(test) // 2 :]  # judges, and nothing else


def moved(images, right, down):
    return np.roll(images, (down, right), axis=(1, 2))


def made(*before, rate=0.0):
    return fnn.serial(*before, dense(128), jax.nn.relu, dropout(rate), dense(10))


def trainings(net, x, y, *, penalty=None):
    """Eight trainings: logits of the test rows at 15 checks, and the loss on the held-out ones."""
    x = jnp.asarray(x).reshape(len(x), -1)

    def measure(train_state):
        said = net.apply(train_state.params, train_state.state, jnp.concatenate([held, test, x]))[0]
        first, second, third = jnp.split(said, [len(held), len(held) + len(test)])
        loss = jnp.mean(fnn.losses.cross_entropy(first, y_held))
        return loss, second, fnn.metrics.accuracy(third, y)

    def one(key):
        return fnn.train.run(
            key, net, x, y, loss=fnn.losses.cross_entropy, optimizer=fnn.optim.adam(2e-3),
            steps=STEPS, batch_size=32, checks=15, measure=measure, penalty=penalty,
        )[1].measures  # fmt: skip

    return jax.jit(fnn.train.over_lanes(one))(jax.random.split(jax.random.key(0), SEEDS))


def price(c, power):
    def penalty(params):
        weights = fnn.trees.select(params, "*/w").values()
        return c / power * sum(jnp.sum(jnp.abs(w) ** power) for w in weights)

    return penalty


def right(logits):
    return np.asarray(jnp.mean(logits.argmax(-1) == y_test, axis=-1))


few, y_few = images[:FEW], labels[:FEW]
shifts = [(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)]
more = np.concatenate([moved(few, *shift) for shift in shifts])
cases = {
    "nothing": trainings(made(), few, y_few),
    "ten times the data": trainings(made(), images[: 10 * FEW], labels[: 10 * FEW]),
    "moved by a pixel": trainings(made(), more, np.tile(y_few, len(shifts))),
    "L1": trainings(made(), few, y_few, penalty=price(1e-3, 1)),
    "L2": trainings(made(), few, y_few, penalty=price(3e-2, 2)),
    "dropout": trainings(made(rate=0.5), few, y_few),
    "noise on the inputs": trainings(made(gaussian_noise(0.3)), few, y_few),
}

print(f"{FEW} digits, {SEEDS} seeds       training   test: median (least to most)")
found = {}
for name, (_, logits, train) in cases.items():
    found[name] = right(logits[:, -1])
    shares = np.quantile(found[name], (0.5, 0, 1))
    print(f"{name:24} {float(train[:, -1].mean()):9.1%}   {shares[0]:9.1%} ({shares[1]:.1%} to"
          f" {shares[2]:.1%})")  # fmt: skip

# Two cures need no new training: where the held-out loss was least, and eight nets that vote.
loss, logits, _ = cases["nothing"]
best = np.asarray(loss).argmin(1)
found["stopped early"] = right(logits[np.arange(SEEDS), best])
found["eight nets vote"] = right(jax.nn.softmax(logits[:, -1]).mean(0)[None])
for name in ("stopped early", "eight nets vote"):
    print(f"{name:24} {'':9}   {np.median(found[name]):9.1%}")

nothing = np.median(found["nothing"])
assert float(cases["nothing"][2][:, -1].min()) == 1.0  # by heart
assert nothing < 0.95
assert np.median(found["ten times the data"]) > nothing + 0.05
assert np.median(found["moved by a pixel"]) > nothing
