"""Training an MLP 64-128-128-10 on the digits by Adam: fnn beside its peers, in one run.

    python benchmarks/train_mlp.py [--rounds 9] [--epochs 20] [--batch-sizes 32 128]

Each trains from fresh weights for the same number of passes, as its users usually write it:
`fnn.fit` (the whole call, with a check after each pass), `fnn.train.run` (the whole run as one
program), a jitted step in a Python loop for JAX with optax and for Flax Linen, an eager loop for
PyTorch, `MLPClassifier.fit` for scikit-learn. Printed are
microseconds a step and the ratios to fnn, with quartiles over interleaved rounds, and the accuracy
that each reached on the data it trained on: a faster wrong answer does not count. Peers that are
missing are named and left out. pip install 'fnn[bench]' installs them.
"""

import argparse
import functools
import itertools
import warnings

import harness
import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

import fnn

HIDDEN, CLASSES, RATE = (128, 128), 10, 1e-3


def digits():
    """The 1,797 digits as NumPy arrays: 64 pixels in [0, 1] and a label."""
    x, y = load_digits(return_X_y=True)
    return (x / 16).astype(np.float32), y.astype(np.int32)


def orders(n, batch_size, epochs, seed):
    """Batches of a fresh permutation a pass, the remainder left out, as usual loops have it."""
    rng = np.random.default_rng(seed)
    for _ in range(epochs):
        order = rng.permutation(n)
        yield from order[: n - n % batch_size].reshape(-1, batch_size)


class Case:
    """One library's training: calling it trains anew and returns the number of steps."""

    accuracy = float("nan")

    def __init__(self, batch_size, epochs):
        self.x, self.y = digits()
        self.batch_size, self.epochs, self.seed = batch_size, epochs, 0

    def __call__(self):
        self.seed += 1
        steps, predicted = self.train(self.seed)
        self.accuracy = float(np.mean(np.asarray(predicted) == self.y))
        return steps


class Fnn(Case):
    def __init__(self, batch_size, epochs):
        super().__init__(batch_size, epochs)
        hidden = [part for width in HIDDEN for part in (fnn.layers.dense(width), jax.nn.relu)]
        self.net = fnn.serial(*hidden, fnn.layers.dense(CLASSES))
        self.optimizer = fnn.optim.adam(RATE)

    def train(self, seed):
        done = fnn.fit(self.net, self.x, self.y, loss=fnn.losses.cross_entropy,
                       optimizer=self.optimizer, key=jax.random.key(seed), epochs=self.epochs,
                       batch_size=self.batch_size, progress=False)  # fmt: skip
        last = done.last
        logits = fnn.predict(self.net, last.params, last.state, self.x)
        return int(last.step), jnp.argmax(logits, -1)


class FnnRun(Fnn):
    """The whole run as one compiled program, initial weights and orders included."""

    def __init__(self, batch_size, epochs):
        super().__init__(batch_size, epochs)
        self.steps = -(-epochs * len(self.x) // batch_size)
        self.run = jax.jit(self.whole)

    def whole(self, key, x, y):
        return fnn.train.run(key, self.net, x, y, loss=fnn.losses.cross_entropy,
                             optimizer=self.optimizer, steps=self.steps,
                             batch_size=self.batch_size)  # fmt: skip

    def train(self, seed):
        last, _ = self.run(jax.random.key(seed), self.x, self.y)
        logits = fnn.predict(self.net, last.params, last.state, self.x)
        return self.steps, jnp.argmax(logits, -1)


class JaxLoop(Case):
    """JAX and optax by hand: the leanest of the usual loops."""

    def __init__(self, batch_size, epochs):
        super().__init__(batch_size, epochs)
        self.optimizer = optax.adam(RATE)
        self.sizes = (64, *HIDDEN, CLASSES)
        self.step = jax.jit(self.plain_step)

    def init(self, seed):
        keys = jax.random.split(jax.random.key(seed), len(self.sizes) - 1)
        pairs = zip(keys, self.sizes[:-1], self.sizes[1:], strict=True)
        return [(jax.random.normal(k, (i, o)) / i**0.5, jnp.zeros(o)) for k, i, o in pairs]

    def apply(self, params, x):
        for w, b in params[:-1]:
            x = jax.nn.relu(x @ w + b)
        w, b = params[-1]
        return x @ w + b

    def plain_step(self, params, opt_state, x, y):
        def loss(params):
            logits = self.apply(params, x)
            return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

        value, grads = jax.value_and_grad(loss)(params)
        updates, opt_state = self.optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, value

    def train(self, seed):
        params = self.init(seed)
        opt_state, steps = self.optimizer.init(params), 0
        for index in orders(len(self.x), self.batch_size, self.epochs, seed):
            params, opt_state, _ = self.step(params, opt_state, self.x[index], self.y[index])
            steps += 1
        return steps, jnp.argmax(self.apply(params, self.x), -1)


class FlaxLoop(Case):
    """Flax Linen with its TrainState and a jitted step, as in its own examples."""

    def __init__(self, batch_size, epochs):
        from flax import linen as nn
        from flax.training.train_state import TrainState

        super().__init__(batch_size, epochs)

        class Mlp(nn.Module):
            @nn.compact
            def __call__(self, x):
                for width in HIDDEN:
                    x = nn.relu(nn.Dense(width)(x))
                return nn.Dense(CLASSES)(x)

        @jax.jit
        def step(state, x, y):
            def loss(params):
                logits = state.apply_fn(params, x)
                return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

            value, grads = jax.value_and_grad(loss)(state.params)
            return state.apply_gradients(grads=grads), value

        self.net, self.step = Mlp(), step
        self.optimizer = optax.adam(RATE)
        self.create = functools.partial(
            TrainState.create, apply_fn=self.net.apply, tx=self.optimizer
        )
        self.init = jax.jit(self.net.init)

    def train(self, seed):
        state, steps = self.create(params=self.init(jax.random.key(seed), self.x[:1])), 0
        for index in orders(len(self.x), self.batch_size, self.epochs, seed):
            state, _ = self.step(state, self.x[index], self.y[index])
            steps += 1
        return steps, jnp.argmax(self.net.apply(state.params, self.x), -1)


class Torch(Case):
    """PyTorch, eager, with as many threads as there are cores."""

    def train(self, seed):
        import torch

        torch.manual_seed(seed)
        sizes = (64, *HIDDEN)
        parts = []
        for i, o in itertools.pairwise(sizes):
            parts += [torch.nn.Linear(i, o), torch.nn.ReLU()]
        net = torch.nn.Sequential(*parts, torch.nn.Linear(sizes[-1], CLASSES))
        optimizer = torch.optim.Adam(net.parameters(), lr=RATE)
        x, y = torch.from_numpy(self.x), torch.from_numpy(self.y).long()
        steps = 0
        for index in orders(len(self.x), self.batch_size, self.epochs, seed):
            index = torch.from_numpy(index)
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(x[index]), y[index]).backward()
            optimizer.step()
            steps += 1
        with torch.no_grad():
            return steps, net(x).argmax(-1).numpy()


class ScikitLearn(Case):
    def train(self, seed):
        from sklearn.neural_network import MLPClassifier

        net = MLPClassifier(HIDDEN, batch_size=self.batch_size, max_iter=self.epochs, alpha=0.0,
                            learning_rate_init=RATE, n_iter_no_change=self.epochs + 1,
                            tol=0.0, random_state=seed)  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it did not converge in these passes
            net.fit(self.x, self.y)
        return self.epochs * -(-len(self.x) // self.batch_size), net.predict(self.x)


PEERS = {
    "fnn.fit": (Fnn, "fnn"),
    "fnn.train.run, one program": (FnnRun, "fnn"),
    "JAX + optax, jitted loop": (JaxLoop, "optax"),
    "Flax Linen + optax, jitted loop": (FlaxLoop, "flax"),
    "PyTorch eager": (Torch, "torch"),
    "scikit-learn MLPClassifier": (ScikitLearn, "sklearn"),
}


def measure(batch_size, epochs, rounds):
    """One batch size: the cases, interleaved, as rows for people and records for machines."""
    cases = {}
    for name, (case, package) in PEERS.items():
        try:
            __import__(package)
        except ImportError:
            print(f"  {name}: left out, {package} is not installed")
            continue
        cases[name] = case(batch_size, epochs)
    found = harness.interleaved(cases, rounds=rounds)
    for name, case in cases.items():
        low, middle, high = harness.quartiles(found[name]["seconds_per_unit"])
        by_round = harness.quartiles(harness.ratios(found, "fnn.fit", name))
        found[name] |= {"accuracy": case.accuracy, "fnn_is_faster_by": by_round}
        found[name]["microseconds_a_step"] = [1e6 * v for v in (low, middle, high)]
    return found


def show(found):
    """The table that people read."""
    rows = [["", "us a step", "quartiles", "fnn.fit is faster by", "quartiles", "accuracy"]]
    for name, case in found.items():
        low, middle, high = case["microseconds_a_step"]
        slow, ratio, fast = case["fnn_is_faster_by"]
        rows.append([name, f"{middle:.0f}", f"{low:.0f}-{high:.0f}", f"{ratio:.2f}x",
                     f"{slow:.2f}-{fast:.2f}", f"{case['accuracy']:.4f}"])  # fmt: skip
    return harness.table(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[32, 128])
    arguments = parser.parse_args()
    results = {"epochs": arguments.epochs, "rounds": arguments.rounds, "batch_sizes": {}}
    for batch_size in arguments.batch_sizes:
        print(f"batch size {batch_size}")
        found = measure(batch_size, arguments.epochs, arguments.rounds)
        results["batch_sizes"][batch_size] = found
        print(show(found), flush=True)
    print(f"written: {harness.save('train_mlp', results)}")


if __name__ == "__main__":
    main()
