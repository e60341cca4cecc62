"""What batch size, shuffling and a curriculum do, each over eight seeds in one program.

The gradient of a batch of b examples has the same mean for every b and a standard deviation that
falls as 1 / sqrt(b): large batches take few sure steps an epoch, small ones many unsure ones. In
order of their classes, examples teach one class and unlearn the one before. A curriculum (Bengio
et al. 2009) begins with the easy ones: here those near the mean of their class.
"""

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from fnn.data import orders

SEEDS, EPOCHS = 8, 5
data = fnn.datasets.load("digits")
by_class = np.argsort(data.y_train, kind="stable")
x = data.x_train[by_class].reshape(len(by_class), -1)
y = data.y_train[by_class]
x, x_test = fnn.data.standardize(x, data.x_test.reshape(len(data.x_test), -1))
net = fnn.models.mlp(64, 10)


def accuracies(batch_size, *, epochs=EPOCHS, steps=None, rate=0.05, order=orders.shuffled):
    """Test accuracies of eight seeds, in per cent."""
    steps = steps or epochs * len(x) // batch_size

    def one(key):
        end, _ = fnn.train.run(
            key, net, x, y, loss=fnn.losses.cross_entropy, optimizer=fnn.optim.sgd(rate),
            steps=steps, batch_size=batch_size, order=order,
        )  # fmt: skip
        return fnn.metrics.accuracy(net.apply(end.params, end.state, x_test)[0], data.y_test)

    keys = jax.random.split(jax.random.key(0), SEEDS)
    return 100 * np.asarray(jax.jit(fnn.train.over_lanes(one))(keys))


def show(name, found):
    low, middle, high = np.quantile(found, (0, 0.5, 1))
    print(f"  {name:34} {middle:5.1f} %   ({low:.1f} to {high:.1f})")
    return middle


# How unsure a batch's gradient is: its standard deviation over 200 batches.
params, state = net.init(jax.random.key(1), x)


def slope(rows):
    def loss(params):
        return jnp.mean(fnn.losses.cross_entropy(net.apply(params, state, x[rows])[0], y[rows]))

    return jnp.concatenate([g.ravel() for g in jax.tree.leaves(jax.grad(loss)(params))])


print("batch size     standard deviation of the gradient, times sqrt(b)")
scaled = []
for b in (4, 16, 64):
    rows = jax.random.randint(jax.random.key(2), (200, b), 0, len(x))
    spread = jnp.sqrt(jax.jit(jax.vmap(slope))(jnp.asarray(rows)).var(0).sum())
    scaled.append(float(spread * jnp.sqrt(b)))
    print(f"{b:10} {float(spread):20.3f} {scaled[-1]:22.3f}")
assert max(scaled) < 1.15 * min(scaled)  # the law of 1 / sqrt(b)

print(f"test accuracy after {EPOCHS} epochs, median of {SEEDS} seeds (all of them)")
small = show("batch 16", accuracies(16))
large = show("batch 256", accuracies(256))
scaled_up = show("batch 256, rate times 16", accuracies(256, rate=0.8))
assert small > large + 1
assert scaled_up > large  # with the rate scaled along, most of it comes back

steps = 2 * len(x) // 32
print(f"two epochs, {steps} steps of batch 32")
mixed = show("shuffled anew each epoch", accuracies(32, steps=steps))
sorted_ = show("in order of the classes", accuracies(32, steps=steps, order=orders.sequential))
centres = np.stack([np.mean(x[y == k], axis=0) for k in range(10)])
hard = np.linalg.norm(np.asarray(x) - centres[y], axis=1)
easy_first = orders.curriculum(hard, steps=steps * 3 // 4)
hard_first = orders.curriculum(-hard, steps=steps * 3 // 4)
show("easy first", accuracies(32, steps=steps, order=easy_first))
show("hard first", accuracies(32, steps=steps, order=hard_first))
assert mixed > sorted_ + 2
