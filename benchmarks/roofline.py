"""How near to the machine's limit a training step is: its products alone, and its bytes alone.

    python benchmarks/roofline.py [--rounds 7] [--cases mlp-32,cnn]

For each case the whole step, as `fnn.train.run` takes it inside one program, is timed beside two
floors. The floor of the products is the sum of the times of all its matrix products and
convolutions, each measured alone, at its own shapes and dtypes, in a loop of its own: what would
remain if everything else cost nothing. The floor of the bytes is what the compiled step must at
least read and write, parameters, optimizer's state and batch, at the speed at which this machine
copies. Also printed: FLOPs a step as XLA counts them, and the rate that the step reaches.
"""

import argparse
import functools

import harness
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend import core

import fnn
from fnn.train import compiled

RATE = 1e-3


def mlp(batch):
    """64-128-128-10 on the digits' shapes."""
    net = fnn.models.mlp(128, 128, 10)
    return net, jnp.ones((batch, 64)), jnp.zeros(batch, jnp.int32)


def cnn(batch):
    """conv 32, conv 64, max-pool, dense 128, dense 10, as in train_cnn.py."""
    conv, dense, relu = fnn.layers.conv, fnn.layers.dense, jax.nn.relu
    layers = (conv(32, 3), relu, conv(64, 3), relu, fnn.layers.max_pool(2), fnn.layers.flatten())
    net = fnn.serial(*layers, dense(128), relu, dense(10))
    return net, jnp.ones((batch, 28, 28, 1)), jnp.zeros(batch, jnp.int32)


def gpt(batch):
    """4 blocks of 128 features, context 64, as in char_gpt.py."""
    net = fnn.models.gpt(65, length=64, features=128, heads=4, blocks=4)
    return net, jnp.zeros((batch, 64), jnp.int32), jnp.zeros((batch, 64), jnp.int32)


CASES = {
    "mlp-32": functools.partial(mlp, 32),
    "mlp-128": functools.partial(mlp, 128),
    "mlp-1024": functools.partial(mlp, 1024),
    "cnn": functools.partial(cnn, 64),
    "gpt": functools.partial(gpt, 32),
}


def products(jaxpr, times=1):
    """Every product and convolution of a jaxpr: (equation, how often), alike ones together."""
    found = {}
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("dot_general", "conv_general_dilated"):
            avals = [(v.aval.shape, v.aval.dtype.name) for v in equation.invars]
            key = str((equation.primitive.name, avals, sorted(equation.params.items(), key=str)))
            found[key] = equation, found.get(key, (None, 0))[1] + times
        inner = times * (equation.params["length"] if equation.primitive.name == "scan" else 1)
        for part in jax.tree.leaves(
            list(equation.params.values()),
            is_leaf=lambda p: isinstance(p, core.Jaxpr | core.ClosedJaxpr),
        ):
            if isinstance(part, core.Jaxpr | core.ClosedJaxpr):
                for key, (inside, count) in products(getattr(part, "jaxpr", part), inner).items():
                    found[key] = inside, found.get(key, (None, 0))[1] + count
    return found


def loop(body, carry, turns):
    """A case for the harness: `turns` turns of a compiled loop."""
    run = compiled(lambda carry: lax.fori_loop(0, turns, lambda _, c: body(c), carry))

    def case():
        jax.block_until_ready(run(carry))
        return turns

    return case


def product(equation, turns):
    """One product in a loop; each turn changes its first factor, or XLA would do it once."""
    a, b = (jnp.full(v.aval.shape, 1e-3, v.aval.dtype) for v in equation.invars)

    def body(carry):
        a, b = carry
        out = equation.primitive.bind(a, b, **equation.params)
        return a.at[(0,) * a.ndim].set(out[(0,) * out.ndim].astype(a.dtype)), b

    return loop(body, (a, b), turns)


def loss_of(logits, labels):
    """Cross-entropy, one number for each example, and for a text the mean over its characters."""
    losses = fnn.losses.cross_entropy(logits, labels)
    return losses.mean(-1) if losses.ndim > 1 else losses


def measure(net, x, y, rounds):
    """Seconds of a whole step of Adam, of its products alone and of its bytes alone."""
    step = fnn.train.make_step(net, loss_of, fnn.optim.adam(RATE))
    start = fnn.train.init(net, fnn.optim.adam(RATE), jax.random.key(0), x)
    counted = list(products(jax.make_jaxpr(step)(start, (x, y)).jaxpr).values())
    flops = compiled(step).lower(start, (x, y)).compile().cost_analysis().get("flops", np.nan)
    size = fnn.trees.size_bytes
    state_bytes = 2 * size((start.params, start.opt_state)) + size((x, y))
    guess = max(flops / 5e10, 1e-5)
    turns = int(np.clip(0.3 / guess, 3, 3000))
    cases = {"step": loop(lambda s: step(s, (x, y))[0], start, turns)}
    for at, (equation, _) in enumerate(counted):
        cases[f"product {at}"] = product(equation, turns)
    block = jnp.ones(4_000_000)
    cases["copy"] = loop(lambda a: -a, block, 50)
    found = harness.interleaved(cases, rounds=rounds, say=lambda text: None)
    median = {key: harness.quartiles(one["seconds_per_unit"])[1] for key, one in found.items()}
    floor = sum(n * median[f"product {at}"] for at, (_, n) in enumerate(counted))
    rate = 2 * block.nbytes / median["copy"]
    return {
        "step_seconds": median["step"],
        "products_seconds": floor,
        "products": sum(n for _, n in counted),
        "bytes_seconds": state_bytes / rate,
        "copy_bytes_per_second": rate,
        "flops": flops,
        "fraction_of_product_floor": floor / median["step"],
    }


def show(found):
    """The table that people read."""
    heads = ["", "step us", "products alone us", "fraction", "bytes alone us", "MFLOP", "GFLOP/s"]
    rows = [heads]
    for name, one in found.items():
        rows.append(
            [
                name,
                f"{1e6 * one['step_seconds']:.0f}",
                f"{1e6 * one['products_seconds']:.0f} ({one['products']})",
                f"{one['fraction_of_product_floor']:.2f}",
                f"{1e6 * one['bytes_seconds']:.0f}",
                f"{one['flops'] / 1e6:.1f}",
                f"{one['flops'] / one['step_seconds'] / 1e9:.1f}",
            ]
        )
    return harness.table(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--cases", default=",".join(CASES), help="with commas between")
    arguments = parser.parse_args()
    found = {name: measure(*CASES[name](), arguments.rounds) for name in arguments.cases.split(",")}
    print(show(found))
    print(f"written: {harness.save('roofline', {'rounds': arguments.rounds, 'cases': found})}")


if __name__ == "__main__":
    main()
