"""What depth costs: n transformer blocks as one loop (`repeat`) and one after another (`serial`).

    python benchmarks/depth.py [--rounds 3] [--depths 1 3 12 48 96]

Each figure comes from a process of its own, which starts with nothing compiled; rounds go through
all of them in turn. Measured are the seconds of `net.init` as it is called first, op by op; the
seconds to make inference and the gradient ready, that is to trace and to compile them; the
milliseconds that one gradient then takes; and the memory that the compiled gradient asks for
beside its arguments and results. The whole takes about a quarter of an hour, most of it the
compilation of the deep `serial`.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time

import harness
import jax
import jax.numpy as jnp

import fnn
from fnn.layers import attention, dense, layer_norm

BATCH, TIME, FEATURES, HEADS = 8, 32, 64, 4
KINDS = ("repeat", "repeat, remat", "serial")
MEASURED = ("init_seconds", "infer_seconds", "gradient_seconds", "gradient_run_ms", "memory_mb")
HEADS_OF_TABLE = ("init s", "inference s", "gradient s", "run ms", "memory MB")


def block():
    """A transformer block: attention, then an MLP, each normalised before and added after."""
    mlp = fnn.serial(layer_norm(), dense(4 * FEATURES), jax.nn.gelu, dense(FEATURES))
    look = fnn.serial(layer_norm(), attention(HEADS, causal=True))
    return fnn.serial(look=fnn.residual(look), mlp=fnn.residual(mlp))


def network(kind, depth):
    if kind == "serial":
        return fnn.serial(**{str(i): block() for i in range(depth)})
    return fnn.repeat(block(), depth, remat=kind == "repeat, remat")


def ready(function, *args):
    """The compiled function, and the seconds that tracing and compiling it took."""
    begun = time.perf_counter()
    compiled = jax.jit(function).lower(*args).compile()
    return compiled, time.perf_counter() - begun


def measure(kind, depth, seconds=2.0):
    """All figures of one network, by a process that has compiled nothing before."""
    net, key = network(kind, depth), jax.random.key(0)
    x = jnp.sin(jnp.arange(BATCH * TIME * FEATURES, dtype=jnp.float32))
    x = x.reshape(BATCH, TIME, FEATURES)
    begun = time.perf_counter()
    params, state = jax.block_until_ready(net.init(key, x))
    init_seconds = time.perf_counter() - begun

    def loss(params, x):
        return jnp.square(net.apply(params, state, x, train=True)[0]).mean()

    _, infer_seconds = ready(lambda params, x: fnn.predict(net, params, state, x), params, x)
    gradient, gradient_seconds = ready(jax.grad(loss), params, x)
    jax.block_until_ready(gradient(params, x))
    times, end = [], time.perf_counter() + seconds
    while len(times) < 5 or time.perf_counter() < end:
        begun = time.perf_counter()
        jax.block_until_ready(gradient(params, x))
        times.append(time.perf_counter() - begun)
    memory = gradient.memory_analysis().temp_size_in_bytes / 1e6
    run = 1e3 * statistics.median(times)
    return dict(
        zip(MEASURED, (init_seconds, infer_seconds, gradient_seconds, run, memory), strict=True)
    )


def in_a_fresh_process(kind, depth):
    command = [sys.executable, __file__, "--one", kind, "--depths", str(depth)]
    out = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(out.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--depths", type=int, nargs="+", default=[1, 3, 12, 48, 96])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--one", choices=KINDS, help="measure one here and print it as JSON")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one, arguments.depths[0])))
        return
    cases = [(kind, depth) for kind in arguments.kinds for depth in arguments.depths]
    found = {case: {name: [] for name in MEASURED} for case in cases}
    for number in range(arguments.rounds):
        for case in cases:
            for name, value in in_a_fresh_process(*case).items():
                found[case][name].append(value)
        print(f"round {number + 1} of {arguments.rounds} done")
    rows = [["network", "blocks", *HEADS_OF_TABLE]]
    for (kind, depth), values in found.items():
        middle = [statistics.median(values[name]) for name in MEASURED]
        rows.append([kind, str(depth), *(f"{value:.2f}" for value in middle)])
    print(harness.table(rows))
    report_flatness(found)
    results = [{"network": kind, "blocks": depth, **found[kind, depth]} for kind, depth in cases]
    sizes = {"batch": BATCH, "time": TIME, "features": FEATURES, "heads": HEADS}
    path = harness.save("depth", {"rounds": arguments.rounds, "sizes": sizes, "results": results})
    print(f"written: {path}")


def report_flatness(found):
    """Print how much longer 96 blocks take to make ready than 12, round by round."""
    for kind in KINDS:
        if (kind, 12) in found and (kind, 96) in found:
            for name in MEASURED[:3]:
                pairs = zip(found[kind, 96][name], found[kind, 12][name], strict=True)
                ratio = statistics.median(deep / shallow for deep, shallow in pairs)
                print(f"{kind}: {name} of 96 blocks over 12: {ratio:.2f}")


if __name__ == "__main__":
    main()
