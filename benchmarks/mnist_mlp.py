"""How well, and how soon, an MLP learns the packaged MNIST: 9,000 digits to train, 1,000 to test.

    python benchmarks/mnist_mlp.py [--seeds 5]

784-512-256-10 with dropout and a one-cycle learning rate, by `fnn.fit`, from several seeds. Nothing
is chosen by the test digits: the settings are fixed, and the weights tested are the last. A second
run of each seed stops at `until(loss < 0.05)` and says why. Seconds are those of the whole call,
compilation included; the first seed pays for it.
"""

import argparse
import time

import harness
import jax
import numpy as np

import fnn
from fnn.layers import dense, dropout, flatten
from fnn.stop import loss, until

EPOCHS, BATCH = 30, 128


def network():
    """Two hidden layers of relu neurons, each followed by dropout."""
    he = fnn.initializers.he_normal
    return fnn.serial(
        flatten(),
        dropout(0.1),
        dense(512, w_init=he),
        jax.nn.relu,
        dropout(0.3),
        dense(256, w_init=he),
        jax.nn.relu,
        dropout(0.3),
        dense(10),
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    seeds = parser.parse_args().seeds
    data = fnn.datasets.load("mnist")
    net = network()
    rate = fnn.optim.schedules.one_cycle(4e-3, steps=EPOCHS * len(data.x_train) // BATCH)
    settings = {
        "loss": fnn.losses.cross_entropy,
        "optimizer": fnn.optim.adam(rate),
        "epochs": EPOCHS,
        "batch_size": BATCH,
    }
    rows, runs = [["seed", "test accuracy", "seconds", "until(loss < 0.05) stopped"]], []
    for seed in range(seeds):
        key = jax.random.key(seed)
        begun = time.perf_counter()
        done = fnn.fit(net, data.x_train, data.y_train, key=key, **settings)
        seconds = time.perf_counter() - begun
        logits = fnn.train.outputs(net, done.last.params, done.last.state, data.x_test)
        accuracy = float(fnn.metrics.accuracy(logits, data.y_test))
        short = fnn.fit(
            net, data.x_train, data.y_train, key=key, stop=until(loss < 0.05), **settings
        )
        runs.append({"accuracy": accuracy, "seconds": seconds, "stopped": short.stopped})
        rows.append([str(seed), f"{accuracy:.4f}", f"{seconds:.1f}", short.stopped])
        print(rows[-1], flush=True)
    print(harness.table(rows))
    accuracies = [run["accuracy"] for run in runs]
    print(f"mean test accuracy {np.mean(accuracies):.4f}, lowest {min(accuracies):.4f}")
    print(f"written: {harness.save('mnist_mlp', {'net': repr(net), 'runs': runs})}")


if __name__ == "__main__":
    main()
