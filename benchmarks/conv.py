"""Convolution by shape: forward, input gradient and weight gradient, in a loop and outside.

Ours, XLA's own (`lax.conv_general_dilated` and its gradients) and PyTorch's, in one run. Ours and
XLA's are compiled alike, by `fnn.train.compiled`. In a loop: twice in one `fori_loop`, so that
buffers are reused as in a training run; PyTorch has no loop. Writes `results/conv.json`.
"""

import argparse

import harness
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import fnn

# name: (x, window, outputs, settings); batch 32
SHAPES = {
    "28x28x1 to 32, 3x3": ((28, 28, 1), (3, 3), 32, {}),
    "28x28x32 to 64, 3x3": ((28, 28, 32), (3, 3), 64, {}),
    "14x14x64 to 64, 3x3": ((14, 14, 64), (3, 3), 64, {}),
    "32x32x64 to 64, 3x3": ((32, 32, 64), (3, 3), 64, {}),
    "28x28x32 to 64, 3x3, stride 2": ((28, 28, 32), (3, 3), 64, {"stride": 2}),
    "14x14x64 to 64, 3x3, 4 groups": ((14, 14, 64), (3, 3), 64, {"groups": 4}),
    "14x14x64, 3x3, depthwise": ((14, 14, 64), (3, 3), 64, {"groups": 64}),
}
BATCH, LOOP = 32, 2


def lax_conv(x, w, *, stride=1, groups=1):
    return lax.conv_general_dilated(
        x, w, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )  # fmt: skip


def parts(conv, settings):
    """Forward, input gradient and weight gradient as functions of (x, w, gradient of y)."""

    def forward(x, w, g):
        return conv(x, w, **settings)

    def inputs(x, w, g):
        return jax.vjp(lambda x: forward(x, w, g), x)[1](g)[0]

    def weights(x, w, g):
        return jax.vjp(lambda w: forward(x, w, g), w)[1](g)[0]

    return {"forward": forward, "input gradient": inputs, "weight gradient": weights}


def looped(part):
    def run(x, w, g):
        def body(_, carry):
            x, w, g = carry
            y = part(x, w, g)  # a trace of it goes into what comes next, so that nothing is hoisted
            return tuple(a.at[(0,) * a.ndim].add(1e-20 * jnp.sum(y)) for a in (x, w, g))

        return lax.fori_loop(0, LOOP, body, (x, w, g))[1]

    return run


def jax_case(function, arrays, units):
    program = fnn.train.compiled(function)

    def case():
        jax.block_until_ready(program(*arrays))
        return units

    return case


def torch_cases(x, w, g, settings):
    import torch
    from torch.nn import functional as F
    from torch.nn import grad

    torch.set_num_threads(2)
    stride, groups = settings.get("stride", 1), settings.get("groups", 1)
    image, upper = (torch.tensor(np.asarray(a)).permute(0, 3, 1, 2).contiguous() for a in (x, g))
    window = torch.tensor(np.asarray(w)).permute(3, 2, 0, 1).contiguous()
    knobs = {"stride": stride, "padding": 1, "groups": groups}

    def one(function, *arguments):
        def case():
            function(*arguments, **knobs)
            return 1

        return case

    return {
        "forward": one(F.conv2d, image, window, None),
        "input gradient": one(grad.conv2d_input, image.shape, window, upper),
        "weight gradient": one(grad.conv2d_weight, image, window.shape, upper),
    }


def measure(shape, window, outputs, settings, rounds):
    r = np.random.default_rng(0)
    inputs = shape[-1] // settings.get("groups", 1)
    x = jnp.asarray(r.standard_normal((BATCH, *shape)), jnp.float32)
    w = jnp.asarray(r.standard_normal((*window, inputs, outputs)) / 10, jnp.float32)
    g = jnp.ones_like(lax_conv(x, w, **settings)) * 0.5
    cases = {}
    for name, conv in {"fnn": fnn.functional.conv, "XLA": lax_conv}.items():
        for part, function in parts(conv, settings).items():
            cases[f"{part}, {name}, loop"] = jax_case(looped(function), (x, w, g), LOOP)
            cases[f"{part}, {name}"] = jax_case(function, (x, w, g), 1)
    torch = torch_cases(x, w, g, settings)
    cases |= {f"{part}, PyTorch": case for part, case in torch.items()}
    return harness.interleaved(cases, rounds=rounds, say=lambda line: None)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    head = ["ms", "fnn, loop", "XLA, loop", "fnn", "XLA", "PyTorch"]
    rows, results = [head], {}
    for name, (shape, window, outputs, settings) in SHAPES.items():
        found = results[name] = measure(shape, window, outputs, settings, options.rounds)
        for part in ("forward", "input gradient", "weight gradient"):
            labels = [f"{part}, {column}" for column in head[1:]]
            middles = (harness.quartiles(found[n]["seconds_per_unit"])[1] for n in labels)
            rows.append([f"{name}: {part}", *(f"{1e3 * seconds:.2f}" for seconds in middles)])
            print(rows[-1], flush=True)
    print(harness.table(rows))
    print("written to", harness.save("conv", {"batch": BATCH, "shapes": results}))


if __name__ == "__main__":
    main()
