"""What an optimizer's update costs: ours beside optax's, on three trees of parameters, in one run.

    python benchmarks/optimizers.py [--rounds 9] [--names adam,lion] [--trees net,matrix,mixed]

The trees are a net of 50 narrow layers (100 small leaves: the number of operations counts), one
matrix of 50 million numbers (memory's speed counts), and a mixed tree: an embedding table, a
convolution, blocks of dense layers, in all 2.3 million numbers. Both sides do what a training loop
does after its gradient: `update`, then `apply_updates`, jitted, with parameters and state given up
(donated) for the new ones. The memory of the state is counted in bytes. Written to
`results/optimizers.json`; every optimizer that optax has with the same conventions is in it, and
`flatten(adam)` beside optax's adam on the net.
"""

import argparse
import time

import harness
import jax
import jax.numpy as jnp
import optax

import fnn
from fnn.compare.contestants import optax_peers
from fnn.optim.base import accepted

RATE = 1e-3
WIDE = 50_000_000  # numbers in the one large matrix
MATRIX_ONLY = ("muon", "shampoo", "soap")  # products of whole matrices: not at 50 million numbers

FLAT = "flatten(adam)"  # beside optax's adam, on the many small leaves that it is for


def flat_adam(rate):
    """Adam on one vector of all leaves."""
    return fnn.optim.flatten(fnn.optim.adam(rate))


def net():
    """50 narrow layers."""
    layer = {"w": jnp.ones((32, 32)), "b": jnp.ones(32)}
    return {f"{place:02}": jax.tree.map(jnp.copy, layer) for place in range(50)}


def matrix():
    """One matrix of 50 million numbers."""
    return {"w": jnp.ones((WIDE // 5000, 5000))}


def mixed():
    """What a network of many kinds of layers has."""
    blocks = {
        f"block{i}": {
            "norm": {"scale": jnp.ones(256), "offset": jnp.ones(256)},
            "up": {"w": jnp.ones((256, 1024)), "b": jnp.ones(1024)},
            "down": {"w": jnp.ones((1024, 256)), "b": jnp.ones(256)},
        }
        for i in range(3)
    }
    conv = {"w": jnp.ones((3, 3, 64, 128)), "b": jnp.ones(128)}
    return {"table": jnp.ones((2000, 256)), "conv": conv, **blocks}


TREES = {"net": (net, 200), "matrix": (matrix, 2), "mixed": (mixed, 20)}


def updating(make, tree, calls):
    """A case for the harness: `calls` updates in turn, each given up for the next."""
    optimizer = make(RATE)
    extra = accepted(optimizer.update, {"value": jnp.float32(1.0)})  # the loss, to those who ask

    def step(params, state, grads):
        updates, state = optimizer.update(grads, state, params, **extra)
        return optax.apply_updates(params, updates), state

    step = jax.jit(step, donate_argnums=(0, 1))
    draw = jax.random.normal
    grads = jax.tree.map(lambda p: 1e-2 * draw(jax.random.key(0), p.shape, p.dtype), tree())

    def case():
        params = tree()
        state = jax.jit(optimizer.init)(params)
        params, state = jax.block_until_ready(step(params, state, grads))  # first touches
        begun = time.perf_counter()
        for _ in range(calls):
            params, state = step(params, state, grads)
        jax.block_until_ready(params)
        case.seconds = (time.perf_counter() - begun) / calls
        return calls

    def state_bytes():
        state = jax.eval_shape(optimizer.init, tree())
        return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))

    case.state_bytes = state_bytes
    return case


def pair(name, peer, tree, rounds):
    """Both sides of one optimizer on one tree, by turns; seconds an update, ratio and memory."""
    make, calls = TREES[tree]
    ours = flat_adam if name == FLAT else fnn.optim.find(name)
    cases = [updating(side, make, calls) for side in (ours, peer)]
    seconds: list[list[float]] = [[], []]
    for case in cases:
        case()
    for turn in range(rounds):
        for side in (0, 1) if turn % 2 else (1, 0):
            cases[side]()
            seconds[side].append(cases[side].seconds)
    ratios = [theirs / ours for ours, theirs in zip(*seconds, strict=True)]
    ours, theirs = (case.state_bytes() for case in cases)
    return {
        "microseconds": 1e6 * harness.quartiles(seconds[0])[1],
        "optax_microseconds": 1e6 * harness.quartiles(seconds[1])[1],
        "fnn_is_faster_by": harness.quartiles(ratios),
        "state_bytes": ours,
        "optax_state_bytes": theirs,
    }


def show(found):
    """The table that people read: for each tree microseconds, the ratio, and the state's memory."""
    trees = list(next(iter(found.values())))
    heads = [head for tree in trees for head in (f"{tree}: us", "faster by", "state / optax's")]
    rows = [["", *heads]]
    for name, by_tree in found.items():
        cells = []
        for tree in trees:
            one = by_tree.get(tree)
            if one is None:
                cells += ["", "", ""]
                continue
            low, ratio, high = one["fnn_is_faster_by"]
            memory = one["state_bytes"] / max(1, one["optax_state_bytes"])
            cells += [f"{one['microseconds']:.0f}", f"{ratio:.2f}x ({low:.2f}-{high:.2f})"]
            cells += [f"{memory:.3f}" if one["optax_state_bytes"] else f"{one['state_bytes']} B"]
        rows.append([name, *cells])
    return harness.table(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--names", help="which optimizers, with commas between (default: all)")
    parser.add_argument("--trees", default=",".join(TREES), help="net, matrix, mixed")
    options = parser.parse_args()
    peers = {**optax_peers(), FLAT: optax.adam}
    names = options.names.split(",") if options.names else list(peers)
    found = {}
    for name in names:
        found[name] = {}
        for tree in options.trees.split(","):
            if (tree != "net" and name == FLAT) or (tree == "matrix" and name in MATRIX_ONLY):
                continue
            found[name][tree] = pair(name, peers[name], tree, options.rounds)
        ratios = ", ".join(
            f"{t} {one['fnn_is_faster_by'][1]:.2f}x" for t, one in found[name].items()
        )
        print(f"  {name}: {ratios}", flush=True)
    print(show(found))
    print(f"written: {harness.save('optimizers', {'rounds': options.rounds, 'cases': found})}")


if __name__ == "__main__":
    main()
