"""XOR's levels from a thousand starts, with 2, 3, 4 and 8 hidden units, and how long that takes.

    python benchmarks/minima.py

Each size is trained three times in a process of its own, compile included. Written to
`results/minima.json`, with the known losses of the plateaus beside those found.
"""

import json
import math
import statistics
import subprocess
import sys
import time

import harness

ALL = """
import json, time
import jax, jax.numpy as jnp
import fnn
x = jnp.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
y = jnp.array([[0.0], [1.0], [1.0], [0.0]])
def loss(logits, y):
    return fnn.losses.binary_cross_entropy(logits, y).mean(-1)
rows, begun = {}, time.perf_counter()
for units in (2, 3, 4, 8):
    net = fnn.serial(fnn.layers.dense(units), jnp.tanh, fnn.layers.dense(1))
    found = fnn.diagnose.minima(net, x, y, loss=loss, key=jax.random.key(0))
    rows[units] = [
        {"loss": one.loss, "share": list(one.share), "gradient": one.gradient,
         "smallest": one.smallest, "largest": one.largest, "verdict": one.verdict,
         "distinct": one.distinct}
        for one in found.levels]
print(json.dumps([time.perf_counter() - begun, rows]))
"""


def main():
    took = []
    for turn in range(3):
        begun = time.perf_counter()
        said = subprocess.run(
            [sys.executable, "-c", ALL], capture_output=True, text=True, check=True
        ).stdout
        inside, rows = json.loads(said)
        took.append({"all_four": inside, "process": time.perf_counter() - begun})
        print(f"round {turn}: {took[-1]}", flush=True)
    third = 0.75 * -(math.log(1 / 3) / 3 + math.log(2 / 3) * 2 / 3)
    known = {"two points as one": 2 * math.log(2) / 4, "three points as one": third}
    middle = statistics.median(one["all_four"] for one in took)
    results = {"seconds": took, "median_seconds": middle, "known": known, "units": rows}
    print("written:", harness.save("minima", results))


if __name__ == "__main__":
    main()
