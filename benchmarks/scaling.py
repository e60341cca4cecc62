"""How the cost of training grows: with width, batch, depth, models and devices.

    python benchmarks/scaling.py [--rounds 5] [--quick]

A step of Adam on an MLP 64-128-128-10 with batches of 128, one of these sizes varied at a time, is
timed in a compiled loop beside the sum of its matrix products alone (`roofline.py`): where both
lines meet, nothing is left to gain but in the products. For depth the seconds to compile are given
too, of layers one after another (`serial`) and as one loop (`repeat`). Models: so many runs of an
MLP 64-128-10 at batch 32 in one program, a step of one of them, on one device and on all. Devices:
a step of an MLP 64-1024-1024-10 at batch 1024, its batch divided by `fit(mesh=...)`. Written to
results/scaling.json and scaling.png.
"""

import argparse
import os
import time

import harness
import jax
import jax.numpy as jnp
from roofline import RATE, loss_of, measure

import fnn
from fnn.layers import dense
from fnn.train import compiled, over_lanes

SIZES = {
    "width": (16, 64, 256, 1024),
    "batch": (8, 32, 128, 512, 2048),
    "depth": (1, 2, 4, 8, 16, 32),
}
QUICK = {"width": (16, 256), "batch": (32, 512), "depth": (1, 8)}
MODELS = (1, 4, 16, 64, 256)
STEPS = 50


def digits_like(batch):
    """A batch in the shapes of the digits."""
    return jnp.ones((batch, 64)), jnp.zeros(batch, jnp.int32)


def sized(axis, size):
    """The network and its batch, with one size other than usual."""
    usual = {"width": 128, "batch": 128, "depth": 2}
    width, batch, depth = (size if axis == name else usual[name] for name in usual)
    return fnn.models.mlp(*[width] * depth, 10), *digits_like(batch)


def compile_seconds(net):
    """Seconds to trace and to compile one step."""
    x, y = digits_like(128)
    optimizer = fnn.optim.adam(RATE)
    step = fnn.train.make_step(net, loss_of, optimizer)
    start = jax.eval_shape(lambda key: fnn.train.init(net, optimizer, key, x), jax.random.key(0))
    begun = time.perf_counter()
    compiled(step).lower(start, (x, y)).compile()
    return time.perf_counter() - begun


def made_ready(depths, rounds):
    """By depth: seconds to compile `serial` and `repeat`, every round anew."""
    found = {"serial": {}, "repeat": {}}
    for depth in depths:
        layers = {
            "serial": lambda n=depth: fnn.serial(*[fnn.serial(dense(128), jax.nn.relu)] * n),
            "repeat": lambda n=depth: fnn.repeat(fnn.serial(dense(128), jax.nn.relu), n),
        }
        for kind, make in layers.items():
            found[kind][depth] = [
                compile_seconds(fnn.serial(dense(128), make(), dense(10))) for _ in range(rounds)
            ]
    return found


def models(counts, rounds):
    """By the number of models and of devices: seconds a step of one model."""
    net, (x, y) = fnn.models.mlp(128, 10), digits_like(1024)

    def one(rate, shared):
        _, trace = fnn.train.run(
            jax.random.key(0), net, *shared, loss=fnn.losses.cross_entropy, batch_size=32,
            optimizer=fnn.optim.adam(rate), steps=STEPS,
        )  # fmt: skip
        return trace.loss

    def case(lanes, devices):
        program = compiled(lambda r, shared: over_lanes(one, devices=devices)(r, shared=shared))
        rates = jnp.full(lanes, RATE)

        def call():
            jax.block_until_ready(program(rates, (x, y)))
            return lanes * STEPS

        return call

    cases = {}
    for devices in range(1, len(jax.devices()) + 1):
        for lanes in counts:
            if lanes >= devices:
                cases[f"{devices} devices, {lanes}"] = case(lanes, jax.devices()[:devices])
    found = harness.interleaved(cases, rounds=rounds, say=lambda text: None)
    return {name: one["seconds_per_unit"] for name, one in found.items()}


def devices(rounds):
    """By the number of devices: seconds a step of a wide network."""
    net, (x, y) = fnn.models.mlp(1024, 1024, 10), digits_like(4096)
    found = {}
    for _ in range(rounds):
        for count in range(1, len(jax.devices()) + 1):
            mesh = jax.make_mesh((count,), ("data",), devices=jax.devices()[:count])
            done = fnn.fit(
                net, x, y, loss=fnn.losses.cross_entropy, optimizer=fnn.optim.adam(RATE),
                key=jax.random.key(0), steps=30, batch_size=1024, mesh=mesh, progress=False,
            )  # fmt: skip
            found.setdefault(count, []).append(float(done.history["seconds"][-1]) / 30)
    return found


def middle(values):
    return harness.quartiles(values)[1]


def show(found):
    """The tables that people read."""
    rows = [["", "size", "step us", "products alone us", "fraction"]]
    for axis in SIZES:
        for size, one in found[axis].items():
            rows.append([axis, str(size), f"{1e6 * one['step_seconds']:.0f}",
                         f"{1e6 * one['products_seconds']:.0f}",
                         f"{one['fraction_of_product_floor']:.2f}"])  # fmt: skip
    print(harness.table(rows))
    kinds = found["compile_seconds"]
    rows = [["layers", *(f"{kind}: s to compile" for kind in kinds)]]
    for depth in found["depth"]:
        rows.append([str(depth), *(f"{middle(of[depth]):.2f}" for of in kinds.values())])
    print(f"\n{harness.table(rows)}")
    rows = [["models", "us a step of one model"]]
    rows += [[name, f"{1e6 * middle(values):.1f}"] for name, values in found["models"].items()]
    print(f"\n{harness.table(rows)}")
    rows = [["devices", "ms a step"]]
    rows += [[str(n), f"{1e3 * middle(values):.2f}"] for n, values in found["devices"].items()]
    print(f"\n{harness.table(rows)}")


def picture(found, path):
    """A panel for each size that varies."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(2, 2, figsize=(9, 7), layout="constrained")
    for axes, axis in zip(panels.flat, SIZES, strict=False):
        sizes = list(found[axis])
        for key, label, style in (
            ("step_seconds", "a training step", "o-"),
            ("products_seconds", "its matrix products alone", "s--"),
        ):
            axes.plot(sizes, [1e6 * found[axis][size][key] for size in sizes], style, label=label)
        axes.set(xscale="log", yscale="log", xlabel=axis, ylabel="microseconds")
        axes.set_xticks(sizes, [str(size) for size in sizes])
        axes.minorticks_off()
    panels[0, 0].legend()
    axes = panels[1, 1]
    for count in range(1, len(jax.devices()) + 1):
        names = [n for n in MODELS if f"{count} devices, {n}" in found["models"]]
        times = [1e6 * middle(found["models"][f"{count} devices, {n}"]) for n in names]
        axes.plot(names, times, "o-", label=f"{count} device{'s' * (count > 1)}")
    axes.set(xscale="log", xlabel="models in one program", ylabel="microseconds a step of one")
    axes.set_ylim(bottom=0)
    axes.set_xticks(MODELS, [str(n) for n in MODELS])
    axes.minorticks_off()
    axes.legend()
    for axes in panels.flat:
        axes.grid(alpha=0.3)
    figure.suptitle("What a training step costs as the work grows", fontsize=11)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="fewer sizes, two rounds")
    arguments = parser.parse_args()
    rounds = 2 if arguments.quick else arguments.rounds
    sizes = QUICK if arguments.quick else SIZES
    found = {
        axis: {size: measure(*sized(axis, size), rounds) for size in sizes[axis]} for axis in SIZES
    }
    found |= {
        "compile_seconds": made_ready(sizes["depth"], min(rounds, 3)),
        "models": models(MODELS[:3] if arguments.quick else MODELS, rounds),
        "devices": devices(rounds),
    }
    show(found)
    path = harness.save("scaling", {"rounds": rounds, **found})
    picture(found, path.with_suffix(".png"))
    print(f"written: {path} and scaling.png")


if __name__ == "__main__":
    jax.config.update("jax_num_cpu_devices", len(os.sched_getaffinity(0)))
    main()
