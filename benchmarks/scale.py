"""Memory and communication of a GPT on eight simulated devices, beside their formulas.

    python benchmarks/scale.py

Each layout's training step is compiled for eight devices of one process; the compiler says how many
bytes one device holds and which arrays the devices exchange. Beside them stand the formulas of
docs/scale.md. Written to `results/scale.json`. Nothing is timed: simulated devices share cores.
"""

import collections

import harness
import jax
import jax.numpy as jnp

import fnn
from fnn import shard
from fnn.train.step import init, make_step

VOCABULARY, LENGTH, FEATURES, HEADS, BLOCKS, BATCH = 512, 64, 128, 8, 4, 16


def main():
    jax.config.update("jax_num_cpu_devices", 8)
    net = fnn.models.gpt(
        VOCABULARY, length=LENGTH, features=FEATURES, heads=HEADS, blocks=BLOCKS, bias=False
    )
    adam = fnn.optim.adam(1e-3)
    ids = jax.ShapeDtypeStruct((BATCH, LENGTH), jnp.int32)
    start = jax.eval_shape(lambda: init(net, adam, jax.random.key(0), jnp.zeros(ids.shape, int)))
    numbers = sum(a.size for a in jax.tree.leaves(start.params))
    eight, grid = jax.make_mesh((8,), ("data",)), jax.make_mesh((2, 4), ("data", "model"))
    layouts = {
        "one device": (jax.make_mesh((1,), ("data",), devices=jax.devices()[:1]), None),
        "data parallel 8": (eight, None),
        "fully sharded 8": (eight, shard.fully_sharded()),
        "tensor parallel 2x4": (grid, shard.tensor_parallel("model")),
        "tensor parallel 2x4, fully sharded": (
            grid,
            shard.mixed(shard.tensor_parallel("model"), shard.fully_sharded("data")),
        ),
    }
    found, data = {}, (ids, ids)
    for name, (mesh, rules) in layouts.items():
        found[name] = measured(net, token_loss, adam, start, data, mesh, rules)
        print(f"{name}: {found[name]}", flush=True)
    kept = {name: activations(wrap, eight) for name, wrap in WRAPS.items()}
    print(kept)
    formulas = {
        "parameters": numbers,
        "state_bytes_whole": 12 * numbers,
        "gradient_bytes": 4 * numbers,
        "activation_bytes_of_a_batch_row_in_one_place": 4 * LENGTH * FEATURES,
    }
    sizes = {"vocabulary": VOCABULARY, "length": LENGTH, "features": FEATURES, "heads": HEADS,
             "blocks": BLOCKS, "batch": BATCH}  # fmt: skip
    print(
        "written:",
        harness.save(
            "scale",
            {
                "net": sizes,
                "formulas": formulas,
                "layouts": found,
                "temporary_bytes_of_12_blocks": kept,
            },
        ),
    )


def token_loss(logits, ids):
    return fnn.losses.cross_entropy(logits, ids).mean(-1)


WRAPS = {
    "all kept": lambda block: block,
    "inputs of blocks kept": fnn.remat,
    "products kept": lambda block: fnn.remat(
        block, policy=jax.checkpoint_policies.dots_with_no_batch_dims_saveable
    ),
}


def activations(wrap, mesh):
    """What one of eight devices needs beside its arguments for twelve blocks in a loop alone."""
    block = fnn.models.transformer_block(
        fnn.layers.attention(HEADS, causal=True), fnn.models.feed_forward(FEATURES)
    )
    net, adam = fnn.repeat(wrap(block), 12), fnn.optim.adam(1e-3)
    x = jax.ShapeDtypeStruct((BATCH, LENGTH, FEATURES), jnp.float32)
    start = jax.eval_shape(lambda: init(net, adam, jax.random.key(0), jnp.zeros(x.shape)))
    row = measured(net, squared, adam, start, (x, x), mesh, None)
    return row["temporary_bytes"]


def squared(y, target):
    return ((y - target) ** 2).mean((-1, -2))


def measured(net, loss, optimizer, start, data, mesh, rules):
    """What the compiler says of one device, and what `fnn.shard` foresees."""
    where = shard.layout(start, mesh, rules, BATCH)
    program = jax.jit(
        where.keeping(make_step(net, loss, optimizer)),
        in_shardings=(where.state, where.batch),
        out_shardings=(where.state, where.whole),
    )
    compiled = program.lower(start, data).compile()
    memory, sent = compiled.memory_analysis(), shard.collectives(compiled)
    total = collections.Counter()
    for one in sent:
        total[one.kind] += sum(one.bytes)
    gathered = [max(one.bytes) for one in sent if one.kind == "all-gather"]
    return {
        "state_bytes_by_formula": shard.bytes_per_device(start, where.state),
        "argument_bytes": memory.argument_size_in_bytes,
        "temporary_bytes": memory.temp_size_in_bytes,
        "exchanged_bytes": dict(total),
        "exchanges": dict(collections.Counter(one.kind for one in sent)),
        "largest_gathered": max(gathered, default=0),
    }


if __name__ == "__main__":
    main()
