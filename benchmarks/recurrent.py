"""A training step of an LSTM: fnn beside its peers, and what `unroll` does to it, in one run.

    python benchmarks/recurrent.py [--rounds 9] [--quick]

One step is the gradient of a mean squared output, with respect to all parameters and to the inputs,
and a step of Adam, for a batch of sequences of random numbers: jitted for fnn with its own Adam and
for Flax Linen with optax, eager for PyTorch, on one thread and on as many as there are cores. The
losses at equal weights are compared before anything is timed: a faster wrong answer does not count.
Printed are milliseconds a step, the ratios to fnn, with quartiles over interleaved rounds, and the
first call's seconds, which for compiled programs are compilation. Peers that are missing are named
and left out.
"""

import argparse
import os

import harness
import jax
import jax.numpy as jnp
import numpy as np
import optax

import fnn
from fnn.layers import lstm_cell, recurrent

# (batch, time, features): as of a small forecaster, a character model, a larger one
SIZES = [(8, 200, 32), (32, 64, 128), (64, 64, 256)]
UNROLLS = (1, 2, 4, 8)
RATE = 1e-3


class Case:
    """One library's steps: calling it takes some and returns how many."""

    def __init__(self, size, steps):
        self.steps, rng = steps, np.random.default_rng(0)
        batch, time, features = size
        self.x = rng.normal(size=(batch, time, features)).astype(np.float32)
        scale = features**-0.5
        self.w_x, self.w_h = (
            rng.uniform(-scale, scale, (features, 4 * features)).astype(np.float32)
            for _ in range(2)
        )
        self.b = rng.uniform(-scale, scale, 4 * features).astype(np.float32)

    def __call__(self):
        for _ in range(self.steps):
            self.step()
        self.wait()
        return self.steps


class Fnn(Case):
    def __init__(self, size, steps, **settings):
        super().__init__(size, steps)
        net = recurrent(lstm_cell(size[-1]), **settings)
        optimizer = fnn.optim.adam(RATE)
        self.net, self.x = net, jnp.asarray(self.x)
        self.params = {"w_x": self.w_x, "w_h": self.w_h, "b": self.b}
        self.params = jax.tree.map(jnp.asarray, self.params)
        self.opt_state = optimizer.init(self.params)

        @jax.jit
        def step(params, opt_state, x):
            value, (slopes, dx) = jax.value_and_grad(self.loss, (0, 1))(params, x)
            updates, opt_state = optimizer.update(slopes, opt_state, params)
            return optax.apply_updates(params, updates), opt_state, value, dx

        self.run = step

    def loss(self, params, x):
        return jnp.mean(self.net.apply(params, {}, x)[0] ** 2)

    def step(self):
        self.params, self.opt_state, self.value, self.dx = self.run(
            self.params, self.opt_state, self.x
        )

    def wait(self):
        jax.block_until_ready((self.params, self.value, self.dx))


class Flax(Fnn):
    def __init__(self, size, steps):
        from flax import linen as nn

        super().__init__(size, steps)
        self.net = nn.RNN(nn.OptimizedLSTMCell(size[-1]))
        shape = self.net.init(jax.random.key(0), self.x)
        parts = {}
        for i, gate in enumerate("ifgo"):
            columns = slice(i * size[-1], (i + 1) * size[-1])
            parts[f"i{gate}"] = {"kernel": self.w_x[:, columns]}
            parts[f"h{gate}"] = {"kernel": self.w_h[:, columns], "bias": self.b[columns]}
        cell = next(iter(shape["params"]))
        self.params = jax.tree.map(jnp.asarray, {"params": {cell: parts}})
        optimizer = optax.adam(RATE)
        self.opt_state = optimizer.init(self.params)

        @jax.jit
        def step(params, opt_state, x):
            value, (slopes, dx) = jax.value_and_grad(self.loss, (0, 1))(params, x)
            updates, opt_state = optimizer.update(slopes, opt_state, params)
            return optax.apply_updates(params, updates), opt_state, value, dx

        self.run = step

    def loss(self, params, x):
        return jnp.mean(self.net.apply(params, x) ** 2)


class Torch(Case):
    def __init__(self, size, steps, threads):
        import torch

        super().__init__(size, steps)
        self.torch, self.threads = torch, threads
        self.net = torch.nn.LSTM(size[-1], size[-1], batch_first=True)
        with torch.no_grad():
            self.net.weight_ih_l0.copy_(torch.from_numpy(self.w_x.T))
            self.net.weight_hh_l0.copy_(torch.from_numpy(self.w_h.T))
            self.net.bias_ih_l0.copy_(torch.from_numpy(self.b))
            self.net.bias_hh_l0.zero_()
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=RATE)
        self.x = torch.from_numpy(self.x).requires_grad_()

    def __call__(self):
        self.torch.set_num_threads(self.threads)
        return super().__call__()

    def step(self):
        self.optimizer.zero_grad()
        self.x.grad = None
        self.value = (self.net(self.x)[0] ** 2).mean()
        self.value.backward()
        self.optimizer.step()

    def wait(self):
        self.value = float(self.value.detach())


def peers(size, steps):
    """The cases by name, and a word for each that is missing."""
    cores = len(os.sched_getaffinity(0))
    yield "fnn", lambda: Fnn(size, steps)
    yield "Flax Linen + optax", lambda: Flax(size, steps)
    for threads in sorted({1, cores}):
        name = f"PyTorch eager, {threads} thread{'s' * (threads > 1)}"
        yield name, lambda threads=threads: Torch(size, steps, threads)


def alike(cases):
    """Raise unless the first step's loss is the same for all."""
    for case in cases.values():
        case.step()
        case.wait()
    values = {name: float(case.value) for name, case in cases.items()}
    np.testing.assert_allclose(list(values.values()), values["fnn"], rtol=1e-4)


def measure(cases, rounds):
    found = harness.interleaved(cases, rounds=rounds, say=lambda text: None)
    first = next(iter(cases))
    for name in cases:
        seconds = harness.quartiles(found[name]["seconds_per_unit"])
        found[name]["milliseconds_a_step"] = [1e3 * s for s in seconds]
        found[name]["first_is_faster_by"] = harness.quartiles(harness.ratios(found, first, name))
    return found


def show(found, first):
    rows = [["", "ms a step", "quartiles", f"{first} is faster by", "quartiles"]]
    for name, case in found.items():
        low, middle, high = case["milliseconds_a_step"]
        slow, ratio, fast = case["first_is_faster_by"]
        rows.append([name, f"{middle:.2f}", f"{low:.2f}-{high:.2f}", f"{ratio:.2f}x",
                     f"{slow:.2f}-{fast:.2f}"])  # fmt: skip
    return harness.table(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="two sizes, two rounds")
    arguments = parser.parse_args()
    rounds = 2 if arguments.quick else arguments.rounds
    results = {"rounds": rounds, "sizes": [], "unroll": []}
    for size in SIZES[:2] if arguments.quick else SIZES:
        steps = int(np.clip(1.6e8 / np.prod(size) / size[-1], 2, 40))
        print(f"\nbatch {size[0]}, time {size[1]}, features {size[2]}; {steps} steps a round")
        cases = harness.present(dict(peers(size, steps)))
        alike(cases)
        found = measure(cases, rounds)
        results["sizes"].append({"size": size, "cases": found})
        print(show(found, "fnn"), flush=True)
        turns = {f"unroll={n}": Fnn(size, steps, unroll=n) for n in UNROLLS}
        found = measure(turns, rounds)
        results["unroll"].append({"size": size, "cases": found})
        print(show(found, "unroll=1"), flush=True)
    print(f"written: {harness.save('recurrent', results)}")


if __name__ == "__main__":
    main()
