"""What stands around a training step: init, an autoencoder, input, files, memory; beside peers.

    python benchmarks/around.py [--rounds 9] [--quick] [PART ...]

init: fresh parameters of an MLP 784-512-512-512-10, as a user makes them.
autoencoder: steps of a dense autoencoder 784-128-32-128-784 on MNIST by Adam, batch 128, the
  squared error of all at equal weights compared before anything is timed.
input: shuffled batches of 128 from 9,000 images in memory, five passes; nothing is computed.
files: a tree of 64 MB in 48 arrays saved and loaded again, its bytes compared.
memory: the most memory that a fresh process holds which trains an MLP 784-128-10 on MNIST for 300
  steps; the ratio is of bytes, not seconds.

Printed are milliseconds (MB for memory) and how many times fnn's a peer takes, with quartiles over
interleaved rounds. Peers that are missing are named and left out.
"""

import argparse
import itertools
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ.setdefault("KERAS_BACKEND", "jax")

import harness
import jax
import jax.numpy as jnp
import numpy as np
import optax

import fnn
from fnn.layers import dense
from fnn.train.run import make_advance

WIDTHS = (784, 512, 512, 512, 10)
NARROW = (784, 128, 32, 128, 784)
RATE, BATCH, PASSES = 1e-3, 128, 5


def mnist():
    data = fnn.datasets.load("mnist")
    return np.array(data.x_train, np.float32).reshape(-1, 784), np.array(data.y_train)


def chain(widths):
    """An MLP of fnn."""
    parts = [dense(widths[1])]
    for width in widths[2:]:
        parts += [jax.nn.relu, dense(width)]
    return fnn.serial(*parts)


def torch_chain(widths):
    from torch import nn

    parts = []
    for before, after in itertools.pairwise(widths):
        parts += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*parts[:-1])


def flax_chain(widths):
    from flax import linen as nn

    parts = [nn.Dense(widths[1])]
    for width in widths[2:]:
        parts += [nn.relu, nn.Dense(width)]
    return nn.Sequential(parts)


def repeated(function, count):
    """A case that calls `function` so many times and waits for the last result."""

    def case():
        for turn in range(count):
            last = function(turn)
        jax.block_until_ready(last)
        return count

    return case


# init


def init_fnn():
    net, x = chain(WIDTHS), jnp.ones((1, 784))
    return repeated(lambda turn: net.init(jax.random.key(turn), x).params, 10)


def init_fnn_jit():
    net, x = chain(WIDTHS), jnp.ones((1, 784))
    init = jax.jit(net.init)
    return repeated(lambda turn: init(jax.random.key(turn), x).params, 10)


def init_flax():
    net, x = flax_chain(WIDTHS), jnp.ones((1, 784))
    return repeated(lambda turn: net.init(jax.random.key(turn), x), 10)


def init_haiku():
    import haiku as hk

    net = hk.without_apply_rng(hk.transform(lambda x: hk.nets.MLP(WIDTHS[1:])(x)))
    x = jnp.ones((1, 784))
    return repeated(lambda turn: net.init(jax.random.key(turn), x), 10)


def init_equinox():
    import equinox as eqx

    return repeated(
        lambda turn: eqx.filter(
            eqx.nn.MLP(784, 10, 512, 3, key=jax.random.key(turn)), eqx.is_array
        ),
        10,
    )


def init_torch():
    return repeated(lambda turn: [p.sum() for p in torch_chain(WIDTHS).parameters()] and 0, 10)


# autoencoder


class Autoencoder:
    """fnn's: a run is one program; calling it goes on for some steps."""

    def __init__(self, steps):
        self.steps, self.x = steps, mnist()[0]
        rng = np.random.default_rng(0)
        self.start = [
            (rng.normal(size=pair).astype(np.float32) * pair[0] ** -0.5, np.zeros(pair[1], "f4"))
            for pair in itertools.pairwise(NARROW)
        ]
        self.prepare()

    def prepare(self):
        net = chain(NARROW)
        names = [name for name in net.children if name.startswith("dense")]
        params = {n: {"w": w, "b": b} for n, (w, b) in zip(names, self.start, strict=True)}
        optimizer = fnn.optim.adam(RATE)
        state = fnn.train.init(net, optimizer, jax.random.key(0), self.x[:1])
        self.state = state._replace(params=jax.tree.map(jnp.asarray, params))
        self.advance = jax.jit(
            make_advance(
                fnn.train.make_step(net, fnn.losses.squared_error, optimizer), len(self.x), BATCH
            )
        )
        self.data = jnp.asarray(self.x)
        self.net = net

    def loss(self):
        said, _ = self.net.apply(self.state.params, self.state.state, self.x[:256])
        return float(jnp.mean((said - self.x[:256]) ** 2))

    def __call__(self):
        self.state, _ = self.advance(self.state, (self.data, self.data), self.steps)
        jax.block_until_ready(self.state)
        return self.steps


class LoopedAutoencoder(Autoencoder):
    """JAX and optax, a jitted step in a Python loop."""

    def prepare(self):
        self.params = jax.tree.map(jnp.asarray, self.start)
        optimizer = optax.adam(RATE)
        self.opt_state = optimizer.init(self.params)
        self.rng = np.random.default_rng(1)

        @jax.jit
        def step(params, opt_state, x):
            slopes = jax.grad(lambda p: jnp.mean(jnp.sum((self.apply(p, x) - x) ** 2, 1) / 784))(
                params
            )
            updates, opt_state = optimizer.update(slopes, opt_state)
            return optax.apply_updates(params, updates), opt_state

        self.step = step

    def apply(self, params, x):
        for w, b in params[:-1]:
            x = jax.nn.relu(x @ w + b)
        w, b = params[-1]
        return x @ w + b

    def loss(self):
        return float(jnp.mean((self.apply(self.params, self.x[:256]) - self.x[:256]) ** 2))

    def __call__(self):
        for _ in range(self.steps):
            rows = self.rng.integers(0, len(self.x), BATCH)
            self.params, self.opt_state = self.step(self.params, self.opt_state, self.x[rows])
        jax.block_until_ready(self.params)
        return self.steps


class TorchAutoencoder(Autoencoder):
    """PyTorch, eager, all threads."""

    def prepare(self):
        import torch

        self.torch, self.net = torch, torch_chain(NARROW)
        layers = [part for part in self.net if hasattr(part, "weight")]
        with torch.no_grad():
            for layer, (w, b) in zip(layers, self.start, strict=True):
                layer.weight.copy_(torch.from_numpy(w.T))
                layer.bias.copy_(torch.from_numpy(b))
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=RATE)
        self.data = torch.from_numpy(self.x)

    def loss(self):
        with self.torch.no_grad():
            x = self.data[:256]
            return float(((self.net(x) - x) ** 2).mean())

    def __call__(self):
        for _ in range(self.steps):
            x = self.data[self.torch.randint(0, len(self.data), (BATCH,))]
            self.optimizer.zero_grad()
            ((self.net(x) - x) ** 2).mean().backward()
            self.optimizer.step()
        return self.steps


# input


def input_fnn():
    x, y = mnist()

    def case():
        batches = fnn.data.batches(jax.random.key(0), x, y, batch_size=BATCH, epochs=PASSES)
        return sum(1 for a, _ in batches if a.block_until_ready() is not None)

    return case


def input_numpy():
    x, y = mnist()

    def case():
        rng, count = np.random.default_rng(0), 0
        for _ in range(PASSES):
            order = rng.permutation(len(x))
            for index in order[: len(x) - len(x) % BATCH].reshape(-1, BATCH):
                batch = x[index], y[index]
                count += len(batch) // 2
        return count

    return case


def input_torch():
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    loader = DataLoader(TensorDataset(*map(torch.from_numpy, mnist())), BATCH, shuffle=True)

    def case():
        return sum(1 for _ in range(PASSES) for _ in loader)

    return case


# files


def tree():
    rng = np.random.default_rng(0)
    return {
        f"layer_{i}": {
            "w": rng.normal(size=(1024, 650)).astype(np.float32),
            "b": np.zeros(650, "f4"),
        }
        for i in range(24)
    }


def files(save, load):
    """Saves and loads into a folder of its own; the first time the bytes are compared."""
    folder, given, compared = tempfile.TemporaryDirectory(), tree(), []
    path = pathlib.Path(folder.name) / "tree"

    def case():
        assert folder
        save(path, given)
        found = jax.tree.leaves(load(path, given))
        if not compared:
            compared.extend(map(np.testing.assert_array_equal, jax.tree.leaves(given), found))
        return 1

    return case


def files_fnn():
    name = ".safetensors"
    return files(
        lambda path, one: fnn.checkpoint.save(path.with_suffix(name), one),
        lambda path, one: fnn.checkpoint.load(path.with_suffix(name), like=one),
    )


def files_flax():
    from flax import serialization

    return files(
        lambda path, one: path.write_bytes(serialization.to_bytes(one)),
        lambda path, one: serialization.from_bytes(one, path.read_bytes()),
    )


def files_torch():
    import torch

    def back(path, _):
        return jax.tree.map(lambda a: a.numpy(), torch.load(path))

    return files(
        lambda path, one: torch.save(jax.tree.map(torch.from_numpy, one), path),
        back,
    )


def files_equinox():
    import equinox as eqx

    return files(
        lambda path, one: eqx.tree_serialise_leaves(path, one),
        lambda path, one: eqx.tree_deserialise_leaves(path, one),
    )


# memory

TRAININGS = {
    "fnn": """
import jax, fnn
data = fnn.datasets.load("mnist")
x, y = data.x_train.reshape(-1, 784), data.y_train
fnn.fit(fnn.models.mlp(128, 10), x, y, loss=fnn.losses.cross_entropy, optimizer=fnn.optim.adam(),
        key=jax.random.key(0), steps=300)
""",
    "Flax Linen + optax": """
import jax, jax.numpy as jnp, numpy as np, optax
from flax import linen as nn
x, y = DATA
net = nn.Sequential([nn.Dense(128), nn.relu, nn.Dense(10)])
params = net.init(jax.random.key(0), x[:1])
tx = optax.adam(1e-3)
state = tx.init(params)
@jax.jit
def step(params, state, x, y):
    def loss(p):
        return optax.softmax_cross_entropy_with_integer_labels(net.apply(p, x), y).mean()
    updates, state = tx.update(jax.grad(loss)(params), state)
    return optax.apply_updates(params, updates), state
rng = np.random.default_rng(0)
for _ in range(300):
    i = rng.integers(0, len(x), 32)
    params, state = step(params, state, x[i], y[i])
""",
    "PyTorch eager": """
import numpy as np, torch
x, y = DATA
x, y = torch.from_numpy(x), torch.from_numpy(y.astype(np.int64))
net = torch.nn.Sequential(torch.nn.Linear(784, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))
optimizer = torch.optim.Adam(net.parameters())
for _ in range(300):
    i = torch.randint(0, len(x), (32,))
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(net(x[i]), y[i]).backward()
    optimizer.step()
""",
    "Keras on JAX": """
import keras
x, y = DATA
net = keras.Sequential([keras.layers.Dense(128, activation="relu"), keras.layers.Dense(10)])
net.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
net.fit(x[:9600], y[:9600], batch_size=32, epochs=1, verbose=0)
""",
    "scikit-learn": """
from sklearn.neural_network import MLPClassifier
x, y = DATA
MLPClassifier((128,), batch_size=32, max_iter=1).fit(x[:9600], y[:9600])
""",
}
_LOAD = """
import numpy as np, warnings
warnings.simplefilter("ignore")
with np.load({path!r}) as file:
    DATA = file["x"], file["y"]
"""

# not ru_maxrss, which a process inherits from the one that started it
_PEAK = """
import re
with open("/proc/self/status") as file:
    print(re.search(r"VmHWM:\\s+(\\d+)", file.read())[1])
"""


def memory(rounds):
    """The most resident bytes of a process for each training, in interleaved rounds."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        x, y = mnist()
        path = str(pathlib.Path(folder) / "mnist.npz")
        np.savez(path, x=x, y=y)
        for turn in range(rounds):
            for name, code in TRAININGS.items():
                given = code if name == "fnn" else _LOAD.format(path=path) + code
                done = subprocess.run([sys.executable, "-c", given + _PEAK], capture_output=True,
                                      text=True)  # fmt: skip
                if done.returncode:
                    if not turn:
                        print(f"  {name}: left out, {done.stderr.strip().splitlines()[-1]}")
                    continue
                megabytes = int(done.stdout.split()[-1]) / 1024
                found.setdefault(name, {"seconds_per_unit": []})["seconds_per_unit"].append(
                    megabytes
                )
    return found


PARTS = {
    "init": {
        "fnn": init_fnn,
        "fnn, under jit": init_fnn_jit,
        "Flax Linen": init_flax,
        "Haiku": init_haiku,
        "Equinox": init_equinox,
        "PyTorch": init_torch,
    },
    "autoencoder": {
        "fnn": lambda: Autoencoder(100),
        "JAX + optax, jitted loop": lambda: LoopedAutoencoder(100),
        "PyTorch eager": lambda: TorchAutoencoder(100),
    },
    "input": {
        "fnn": input_fnn,
        "NumPy by hand": input_numpy,
        "PyTorch DataLoader": input_torch,
    },
    "files": {
        "fnn": files_fnn,
        "Flax, msgpack": files_flax,
        "Equinox": files_equinox,
        "PyTorch, torch.save": files_torch,
    },
    "memory": {},
}


def measure(part, rounds):
    """The figures of one part, by name: quartiles and how many times fnn's a peer takes."""
    if part == "memory":
        found, unit, factor = memory(rounds), "megabytes", 1.0
    else:
        cases = harness.present(PARTS[part])
        if part == "autoencoder":
            alike(cases, rtol=1e-4)
        found, unit, factor = harness.interleaved(cases, rounds=rounds), "milliseconds", 1e3
        if part == "autoencoder":  # after as many steps on other batches each
            found["fnn"]["losses_at_the_end"] = alike(cases, rtol=0.1)
    rows = [["", unit, "quartiles", "fnn is ahead by", "quartiles"]]
    for name, one in found.items():
        low, middle, high = (factor * v for v in harness.quartiles(one["seconds_per_unit"]))
        slow, ratio, fast = harness.quartiles(harness.ratios(found, "fnn", name))
        one |= {unit: (low, middle, high), "fnn_is_faster_by": (slow, ratio, fast)}
        rows.append([name, f"{middle:.3g}", f"{low:.3g}-{high:.3g}", f"{ratio:.2f}x",
                     f"{slow:.2f}-{fast:.2f}"])  # fmt: skip
    for one in found.values():
        del one["seconds_per_unit"]
    print(harness.table(rows), flush=True)
    return found


def alike(cases, rtol):
    """The losses of all, or an error if they are not fnn's: a faster wrong answer is none."""
    losses = {name: case.loss() for name, case in cases.items()}
    np.testing.assert_allclose(list(losses.values()), losses["fnn"], rtol=rtol)
    return losses


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="three rounds")
    options = parser.parse_args()
    rounds = 3 if options.quick else options.rounds
    results = {"rounds": rounds, "parts": {}}
    for part in options.parts or PARTS:
        print(f"\n{part}")
        results["parts"][part] = measure(part, rounds)
    print(f"written: {harness.save('around', results)}")


if __name__ == "__main__":
    main()
