"""What survives: kills at random times, mutated checkpoint files, and the price of saving.

    python benchmarks/reliability.py [--kills 200] [--mutations 10000] [--megabytes 200]

Kills: a fit that saves all the time is killed by SIGKILL at random moments, those of saving among
them, and started again, until it ends; its parameters are compared, bit for bit, with those of a
fit that nobody disturbed. Mutations: bytes of a checkpoint are changed, cut off, doubled or moved;
each file must be refused or give what was saved. Price: saving and loading large arrays beside
`numpy.savez`, and a fit with a checkpoint folder beside one without. Written to
`results/reliability.json`.
"""

import argparse
import os
import pathlib
import random
import sys
import tempfile
import time

import harness
import jax
import jax.numpy as jnp
import numpy as np

from fnn import checkpoint

TESTS = pathlib.Path(__file__).parents[1] / "tests"


def kills(count, seed=0):
    """Kill a run `count` times; how many restarts went on, and whether the end is the same."""
    sys.path.insert(0, str(TESTS))
    import test_resume

    draw, went_on, restarts, ends = random.Random(seed), 0, 0, 0
    expected = jax.tree.leaves(test_resume.training(steps=2000).params)
    alike = True
    with tempfile.TemporaryDirectory() as name:
        folder, run = pathlib.Path(name), 0
        left = count
        while left:
            run += 1
            here, out, before = folder / f"run{run}", folder / f"out{run}.npz", -1
            while True:  # one training, killed now and then until it ends
                process = test_resume.start(here, out)
                if left and draw.random() < 0.8:
                    test_resume.running(here, process)
                    time.sleep(draw.uniform(0.0, 0.5))
                    process.kill()
                    process.communicate(timeout=60)
                    left -= 1
                    step = (checkpoint.Checkpoints(here).steps() or [-1])[-1]
                    restarts, went_on = restarts + 1, went_on + (step >= before >= -1)
                    before = step
                    continue
                ended = process.communicate(timeout=300)[0]
                break
            ends += ended.endswith("steps are done\n")
            with np.load(out) as found:
                alike &= all(
                    np.array_equal(found[n], e) for n, e in zip(found, expected, strict=True)
                )
    return {
        "kills": count,
        "restarts_that_lost_nothing": went_on,
        "trainings": run,
        "trainings_that_ended": ends,
        "parameters_bit_identical": bool(alike),
    }


def mutated(content, draw):
    """One of several ways in which a file goes bad."""
    content, kind = bytearray(content), draw.randrange(5)
    place = draw.randrange(len(content))
    if kind == 0:
        for _ in range(draw.randint(1, 8)):
            content[draw.randrange(len(content))] = draw.randrange(256)
    elif kind == 1:
        content[place] ^= 1 << draw.randrange(8)
    elif kind == 2:
        del content[place:]
    elif kind == 3:
        content[place:place] = content[place : place + draw.randint(1, 64)]
    else:
        end = min(len(content), place + draw.randint(1, 64))
        piece = content[place:end]
        del content[place:end]
        other = draw.randrange(len(content) + 1)
        content[other:other] = piece
    return bytes(content)


def mutations(count, seed=0):
    """Load `count` mutated files; none may crash, hang, or give other values in silence."""
    draw = random.Random(seed)
    tree = {"w": jnp.arange(200.0).reshape(20, 10), "key": jax.random.key(3), "step": 7, "none": {}}
    found = {"files": count, "refused": 0, "as_saved": 0, "other_values": 0, "other_errors": 0}
    slowest = 0.0
    with tempfile.TemporaryDirectory() as name:
        path = pathlib.Path(name, "a.safetensors")
        checkpoint.save(path, tree, note={"net": "dense(10)"})
        content, good = path.read_bytes(), checkpoint.load(path)
        for _ in range(count):
            path.write_bytes(mutated(content, draw))
            begun = time.perf_counter()
            try:
                other = checkpoint.load(path)
                words = [jax.tree.map(_bits, t) for t in (good, other)]
                alike = repr(words[0]) == repr(words[1])
                found["as_saved" if alike else "other_values"] += 1
            except checkpoint.CheckpointError:
                found["refused"] += 1
            except Exception as error:
                found["other_errors"] += 1
                print("  another error:", type(error).__name__, error)
            slowest = max(slowest, time.perf_counter() - begun)
    return {**found, "slowest_seconds": slowest}


def _bits(leaf):
    if jnp.issubdtype(getattr(leaf, "dtype", float), jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return np.asarray(leaf).tobytes()


def price(megabytes, rounds):
    """Seconds to save and to load beside `numpy.savez` and plain bytes, forced to the disk."""
    count = megabytes * 1_000_000 // 4 // 10
    draw = np.random.default_rng(0)
    arrays = {f"layer_{i}": draw.standard_normal(count, np.float32) for i in range(10)}
    with tempfile.TemporaryDirectory(dir=TESTS.parent) as name:
        ours, theirs, plain = (pathlib.Path(name, part) for part in ("ours", "theirs.npz", "plain"))

        def forced(path, write):
            with open(path, "wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())

        def touch(tree):
            return sum(float(a[0]) for a in tree.values())

        cases = {
            "fnn.checkpoint.save": lambda: checkpoint.save(ours, arrays),
            "numpy.savez": lambda: forced(theirs, lambda file: np.savez(file, **arrays)),
            "the bytes alone": lambda: forced(
                plain, lambda file: [file.write(a.data) for a in arrays.values()]
            ),
            "fnn.checkpoint.load": lambda: touch(checkpoint.load(ours, arrays)),
            "numpy.load": lambda: touch(dict(np.load(theirs))),
        }
        timed = {name: _one(case) for name, case in cases.items()}
        return harness.interleaved(timed, rounds=rounds)


def _one(case):
    def timed():
        case()
        return 1

    return timed


def fit_price(rounds):
    """Seconds of a fit with a checkpoint folder, and without."""
    import fnn
    from fnn.train import resume

    resume.SAVE_SECONDS = 1.0
    data = fnn.datasets.load("mnist")
    net = fnn.serial(fnn.layers.flatten(), fnn.models.mlp(256, 256, 10))
    optimizer = fnn.optim.adam(1e-3)

    def case(keeps):
        def timed():
            with tempfile.TemporaryDirectory() as folder:
                fnn.fit(
                    net, data.x_train, data.y_train, loss=fnn.losses.cross_entropy,
                    optimizer=optimizer, key=jax.random.key(0), epochs=40, batch_size=128,
                    checkpoint=folder if keeps else None, progress=False,
                )  # fmt: skip
            return 1

        return timed

    cases = {"fit": case(False), "fit, saving every second": case(True)}
    found = harness.interleaved(cases, rounds=rounds)
    costs = [r - 1 for r in harness.ratios(found, "fit", "fit, saving every second")]
    return {**found, "costs": harness.quartiles(costs)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--mutations", type=int, default=10_000)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    found = {"mutations": mutations(options.mutations)}
    print(found["mutations"], flush=True)
    found["price"] = price(options.megabytes, options.rounds)
    for name, case in found["price"].items():
        print(f"  {name}: {harness.quartiles(case['seconds_per_unit'])[1]:.3f} s", flush=True)
    found["fit"] = fit_price(options.rounds)
    print(f"  saving every second costs {found['fit']['costs'][1]:.1%} of a fit", flush=True)
    if options.kills:
        found["kills"] = kills(options.kills)
        print(found["kills"], flush=True)
    print("written:", harness.save("reliability", found))


if __name__ == "__main__":
    main()
