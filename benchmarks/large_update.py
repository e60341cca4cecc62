"""Adam on 50 million parameters in 12 arrays, beside one pass over its memory.

    python benchmarks/large_update.py [--rounds 7] [--quick]

An update must read the parameters, the gradients and two averages, and write all but the gradients:
seven times 200 MB. One pass is that many bytes at the rate at which this machine turns the sign of
an array in place. XLA writes one array a kernel, so three kernels read what the first two wrote:
ten times 200 MB, the least for any optimizer written in JAX alone. Peers: optax, and PyTorch, whose
fused Adam is one kernel of its own. Buffers are given up for the new ones (donated) in all.
"""

import argparse
import random
import time

import harness
import jax
import jax.numpy as jnp
import optax
from optimizers import RATE, updating

import fnn

SHAPES = [(2048, 2048)] * 11 + [(2048, 1886)]  # 50 million
NUMBERS = sum(rows * columns for rows, columns in SHAPES)
PASSES = {"one pass over memory": 7, "three kernels' passes": 10}


def tree():
    """The parameters."""
    return {f"{place:02}": jnp.ones(shape) for place, shape in enumerate(SHAPES)}


def by_torch(calls):
    """PyTorch's fused Adam on all threads."""
    import torch

    params = [torch.ones(shape, requires_grad=True) for shape in SHAPES]
    for param in params:
        param.grad = torch.full_like(param, 1e-2)
    optimizer = torch.optim.Adam(params, lr=RATE, fused=True)
    optimizer.step()

    def case():
        begun = time.perf_counter()
        for _ in range(calls):
            optimizer.step()
        case.seconds = (time.perf_counter() - begun) / calls

    return case


def by_copy(calls):
    """Seconds in which 200 MB are read or written once, of an array whose sign is turned."""
    turn = jax.jit(lambda a: -a, donate_argnums=0)

    def case():
        array = turn(jnp.ones(NUMBERS))
        begun = time.perf_counter()
        for _ in range(calls):
            array = turn(array)
        jax.block_until_ready(array)
        case.seconds = (time.perf_counter() - begun) / calls / 2

    return case


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="two rounds")
    arguments = parser.parse_args()
    rounds = 2 if arguments.quick else arguments.rounds
    cases = harness.present(
        {
            "fnn.optim.adam": lambda: updating(fnn.optim.adam, tree, 5),
            "optax.adam": lambda: updating(optax.adam, tree, 5),
            "PyTorch, fused": lambda: by_torch(5),
            "copy": lambda: by_copy(10),
        }
    )
    seconds = {name: [] for name in [*cases, *PASSES]}
    for case in cases.values():
        case()
    for turn in range(rounds):
        for name in random.Random(turn).sample(list(cases), len(cases)):
            cases[name]()
            seconds[name].append(cases[name].seconds)
        for name, count in PASSES.items():
            seconds[name].append(count * seconds["copy"][-1])
    rows, found = [["", "ms", "quartiles", "fnn is faster by"]], {}
    for name, values in seconds.items():
        if name == "copy":
            continue
        pairs = zip(values, seconds["fnn.optim.adam"], strict=True)
        ratio = harness.quartiles([theirs / ours for theirs, ours in pairs])
        found[name] = {"seconds": values, "fnn_is_faster_by": ratio}
        low, middle, high = (1e3 * second for second in harness.quartiles(values))
        rows.append([name, f"{middle:.0f}", f"{low:.0f}-{high:.0f}", f"{ratio[1]:.2f}x"])
    print(harness.table(rows))
    results = {"rounds": rounds, "numbers": NUMBERS, "cases": found}
    print(f"written: {harness.save('large_update', results)}")


if __name__ == "__main__":
    main()
