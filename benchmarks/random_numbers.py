"""What randomness costs in training: fnn.random beside jax.random, in one run.

    python benchmarks/random_numbers.py [--rounds 15]

- a dropout mask of 32 x 128 with a key of its own, inside a compiled loop;
- the order of 60,000 rows, a whole permutation at once;
- the order of one batch of 32 out of 1,797, inside a compiled loop (jax.random has no counterpart:
  it must permute all rows first);
- a training step of an MLP 64-128-128-10 at batch 32: without dropout, and with rate 0.5 after both
  hidden layers, by either generator.
"""

import argparse

import harness
import jax
import jax.numpy as jnp
from jax import lax

import fnn
from fnn.layers import dense, dropout
from fnn.train.run import make_advance

N, BATCH, LOOP = 1797, 32, 1000


def repeated(draw):
    """`draw(i)` LOOP times in one compiled loop, as a case."""

    @jax.jit
    def loop():
        start = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), jax.eval_shape(draw, 0))
        return lax.fori_loop(0, LOOP, lambda i, total: total ^ draw(i), start)

    def case():
        jax.block_until_ready(loop())
        return LOOP

    return case


def once(draw):
    """One compiled call of `draw()` as a case."""
    jitted = jax.jit(draw)

    def case():
        jax.block_until_ready(jitted())
        return 1

    return case


def training(*after_hidden):
    """LOOP steps of training with these layers after each hidden one."""
    hidden = [part for _ in range(2) for part in (dense(128), jax.nn.relu, *after_hidden)]
    net, optimizer = fnn.serial(*hidden, dense(10)), fnn.optim.adam(1e-3)
    x = jax.random.normal(jax.random.key(1), (N, 64))
    y = jnp.arange(N) % 10
    step = fnn.train.make_step(net, fnn.losses.cross_entropy, optimizer)
    advance = jax.jit(make_advance(step, N, BATCH))
    start = fnn.train.init(net, optimizer, jax.random.key(0), x)

    def case():
        jax.block_until_ready(advance(start, (x, y), LOOP))
        return LOOP

    return case


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    key = jax.random.key(0)
    fold = {"fnn": fnn.random.fold_in, "jax": jax.random.fold_in}
    cases = {
        "mask, fnn.random": repeated(
            lambda i: fnn.random.bernoulli(fold["fnn"](key, i), 0.5, (32, 128))
        ),
        "mask, jax.random": repeated(
            lambda i: jax.random.bernoulli(fold["jax"](key, i), 0.5, (32, 128))
        ),
        "permutation of 60,000, fnn.random": once(lambda: fnn.random.permutation(key, 60_000)),
        "permutation of 60,000, jax.random": once(lambda: jax.random.permutation(key, 60_000)),
        "order of a batch of 32, fnn.random": repeated(
            lambda i: fnn.random.batch_order(key, i, n=N, batch_size=BATCH)
        ),
        "training step, no dropout": training(),
        "training step, dropout by fnn.random": training(dropout(0.5)),
        "training step, dropout by jax.random": training(dropout(0.5, bits=jax.random.bits)),
    }
    found = harness.interleaved(cases, rounds=rounds, say=lambda text: None)
    rows = [["", "median us", "quartiles"]]
    for name, case in found.items():
        low, middle, high = (1e6 * v for v in harness.quartiles(case["seconds_per_unit"]))
        rows.append([name, f"{middle:.1f}", f"{low:.1f}-{high:.1f}"])
    print(harness.table(rows))
    pairs = {
        "mask": ("mask, fnn.random", "mask, jax.random"),
        "permutation": ("permutation of 60,000, fnn.random", "permutation of 60,000, jax.random"),
        "dropout over no dropout": (
            "training step, no dropout",
            "training step, dropout by fnn.random",
        ),
    }
    ratios = {name: harness.quartiles(harness.ratios(found, *pair)) for name, pair in pairs.items()}
    for name, (low, middle, high) in ratios.items():
        print(f"{name}: {middle:.2f}x ({low:.2f}-{high:.2f})")
    results = {"rounds": rounds, "cases": found, "ratios": ratios}
    print(f"written: {harness.save('random_numbers', results)}")


if __name__ == "__main__":
    main()
