"""A whole process, from `python` to a trained network: the digits, 30 passes, in fresh processes.

    python benchmarks/cold_start.py [--rounds 5] [--quick]

Each round starts one process a case, in turn: import, data, an MLP 64-128-128-10 trained by Adam
for 30 passes in batches of 32, its training accuracy printed. fnn is started with an empty
compilation cache and with the one that the start before has filled (`jax_compilation_cache_dir`);
with its default `fit` and with the whole run as one program. Peers: scikit-learn's `MLPClassifier`,
PyTorch eager. Seconds are the process's whole life, as whoever waits for it sees them.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import textwrap
import time
from functools import partial

import harness

DATA = """
import numpy as np
from sklearn.datasets import load_digits
x, y = load_digits(return_X_y=True)
x, y = (x / 16).astype(np.float32), y.astype(np.int32)
"""

FIT = (
    DATA
    + """
import jax, fnn
net = fnn.models.mlp(128, 128, 10)
done = fnn.fit(net, x, y, loss=fnn.losses.cross_entropy, optimizer=fnn.optim.adam(1e-3),
               key=jax.random.key(0), epochs=30, batch_size=32, progress=False)
logits = fnn.predict(net, done.last.params, done.last.state, x)
print("accuracy", float(fnn.metrics.accuracy(logits, y)))
"""
)

RUN = (
    DATA
    + """
import jax, fnn
net = fnn.models.mlp(128, 128, 10)
last, _ = jax.jit(lambda key, x, y: fnn.train.run(
    key, net, x, y, loss=fnn.losses.cross_entropy, optimizer=fnn.optim.adam(1e-3),
    steps=30 * len(x) // 32, batch_size=32))(jax.random.key(0), x, y)
logits = fnn.predict(net, last.params, last.state, x)
print("accuracy", float(fnn.metrics.accuracy(logits, y)))
"""
)

SCIKIT_LEARN = (
    DATA
    + """
import warnings
from sklearn.neural_network import MLPClassifier
warnings.simplefilter("ignore")
net = MLPClassifier((128, 128), batch_size=32, max_iter=30, alpha=0.0, n_iter_no_change=31,
                    tol=0.0, random_state=0).fit(x, y)
print("accuracy", net.score(x, y))
"""
)

TORCH = (
    DATA
    + """
import torch
torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 128),
                          torch.nn.ReLU(), torch.nn.Linear(128, 10))
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
x, y = torch.from_numpy(x), torch.from_numpy(y).long()
for _ in range(30):
    for index in torch.randperm(len(x)).split(32):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(x[index]), y[index]).backward()
        optimizer.step()
print("accuracy", float((net(x).argmax(-1) == y).float().mean()))
"""
)

# name, package that it needs, program, whether JAX's compilation cache is on
CASES = [
    ("fnn.fit", "fnn", FIT, False),
    ("fnn.fit, second start", "fnn", FIT, True),
    ("fnn.train.run, one program", "fnn", RUN, False),
    ("fnn.train.run, second start", "fnn", RUN, True),
    ("scikit-learn", "sklearn", SCIKIT_LEARN, False),
    ("PyTorch eager", "torch", TORCH, False),
]


def process(program, cache=None):
    """Seconds of the life of a process that runs the program, and the accuracy it printed."""
    settings = dict(os.environ)
    settings.pop("JAX_COMPILATION_CACHE_DIR", None)
    settings.pop("PYTHONDONTWRITEBYTECODE", None)  # as an installed package keeps it
    if cache:
        settings |= {
            "JAX_COMPILATION_CACHE_DIR": cache,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=True,
        env=settings,
    )
    seconds = time.perf_counter() - begun
    return seconds, float(re.search(r"accuracy ([\d.]+)", done.stdout)[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one round")
    arguments = parser.parse_args()
    rounds = 1 if arguments.quick else arguments.rounds
    there = harness.present({case[0]: partial(__import__, case[1]) for case in CASES})
    cases = [case for case in CASES if case[0] in there]
    seconds = {name: [] for name, *_ in cases}
    accuracy = {}
    with tempfile.TemporaryDirectory() as cache:
        for turn in range(rounds + 1):  # the first fills the caches and is not counted
            for name, _, program, cached in cases:
                spent, accuracy[name] = process(program, cache if cached else None)
                if turn:
                    seconds[name].append(spent)
    rows = [["", "seconds", "quartiles", "fnn.fit is faster by", "accuracy"]]
    found = {}
    for name in seconds:
        low, middle, high = harness.quartiles(seconds[name])
        pairs = zip(seconds[name], seconds["fnn.fit"], strict=True)
        ratio = harness.quartiles([theirs / ours for theirs, ours in pairs])
        found[name] = {
            "seconds": seconds[name],
            "fnn_is_faster_by": ratio,
            "accuracy": accuracy[name],
        }
        rows.append([name, f"{middle:.2f}", f"{low:.2f}-{high:.2f}", f"{ratio[1]:.2f}x",
                     f"{accuracy[name]:.4f}"])  # fmt: skip
    print(harness.table(rows))
    print(f"written: {harness.save('cold_start', {'rounds': rounds, 'cases': found})}")


if __name__ == "__main__":
    main()
