"""What survives: kills at random times, mutated checkpoint files, and the price of saving.

    python benchmarks/reliability.py [--kills 200] [--mutations 10000] [--tables 2000]

Kills: a fit that saves all the time is killed by SIGKILL at random moments, those of saving among
them, and started again, until it ends; its parameters are compared, bit for bit, with those of a
fit that nobody disturbed. Mutations: bytes of a checkpoint are changed, cut off, doubled or moved;
each file must be refused or give what was saved; tables are mutated by `hostile.py`. Full disk: on
a disk of 1 MB. Price: saving and loading large arrays beside
`numpy.savez`, and a fit with a checkpoint folder beside one without. Written to
`results/reliability.json`; a part whose count is 0 is left out, and stays as an earlier run had it.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

import harness
import jax
import jax.numpy as jnp
import numpy as np

from fnn import checkpoint
from fnn.checkpoint.atomic import write_atomically

TESTS = pathlib.Path(__file__).parents[1] / "tests"


def kills(count, together=2, seed=0):
    """Kill trainings `count` times, a few side by side; did each restart go on, to the same end?"""
    sys.path.insert(0, str(TESTS))
    import test_resume

    expected = jax.tree.leaves(test_resume.training(steps=STEPS).params)
    shares = [count // together + (i < count % together) for i in range(together)]
    begun = time.perf_counter()
    with (
        tempfile.TemporaryDirectory() as name,
        concurrent.futures.ThreadPoolExecutor(together) as threads,
    ):
        os.environ["JAX_COMPILATION_CACHE_DIR"] = f"{name}/cache"  # restarts need not compile anew
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        folders = [pathlib.Path(name, str(i)) for i in range(together)]
        found = threads.map(
            lambda share, folder, i: _killed(test_resume, share, folder, expected, seed + i),
            *(shares, folders, range(together)),
        )
        totals = dict.fromkeys(KILLS, 0)
        for part in found:
            totals = {name: totals[name] + part[name] for name in KILLS}
    return {"side_by_side": together, **totals, "seconds": time.perf_counter() - begun}


STEPS = 2000
KILLS = (
    *("kills", "kills_before_the_first_save", "restarts_that_lost_nothing", "unreadable_files"),
    *("trainings", "trainings_that_ended", "trainings_bit_identical", "files_left_over"),
)


def _killed(test_resume, count, folder, expected, seed):
    """The figures of KILLS for trainings one after the other, killed `count` times in all."""
    draw, found = random.Random(seed), dict.fromkeys(KILLS, 0)
    folder.mkdir()
    while found["kills"] < count:
        found["trainings"] += 1
        here, out, before = folder / f"run{found['trainings']}", folder / "out.npz", 0
        while found["kills"] < count and draw.random() < 0.9:
            process = test_resume.start(here, out)
            test_resume.running(here, process)  # till there is a file: saves go on all the time
            time.sleep(draw.uniform(0.0, 0.5))
            process.kill()
            process.communicate(timeout=60)
            steps = checkpoint.Checkpoints(here).steps()
            found["kills"] += 1
            found["kills_before_the_first_save"] += not steps
            found["restarts_that_lost_nothing"] += bool(steps) and steps[-1] >= before
            found["unreadable_files"] += sum(not _readable(p) for p in here.glob("step_*"))
            before = steps[-1] if steps else 0
        said = test_resume.start(here, out).communicate(timeout=300)[0]
        found["trainings_that_ended"] += said.endswith(f"all {STEPS} steps are done\n")
        with np.load(out) as arrays:
            same = (np.array_equal(arrays[n], e) for n, e in zip(arrays, expected, strict=True))
            found["trainings_bit_identical"] += all(same)
        found["files_left_over"] += sum(not p.name.startswith("step_") for p in here.iterdir())
    return found


def _readable(path):
    try:
        checkpoint.load(path)
    except checkpoint.CheckpointError:
        return False
    return True


FULL = """
import pathlib, sys, jax.numpy as jnp
from fnn import checkpoint
from fnn.checkpoint.atomic import write_atomically
folder, told = pathlib.Path(sys.argv[1]), 0
for count in range(10_000, 400_000, 30_000):  # of 4 bytes, on a disk of 1 MB
    try:
        checkpoint.save(folder / "a", {"w": jnp.full(count, count)})
        last = count
    except OSError as error:
        assert "untouched" in str(error), error
        told += 1
    assert checkpoint.load(folder / "a")["w"].shape == (last,)
assert [path.name for path in folder.iterdir()] == ["a"]
print(told, last * 4)
"""


def full_disk():
    """Save more and more to a disk of 1 MB, where one may be made: the last good file stays."""
    with tempfile.TemporaryDirectory() as folder:
        mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder]
        if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
            return "left out: a disk of 1 MB needs the rights to mount one; see test_checkpoint.py"
        try:
            done = subprocess.run(
                [sys.executable, "-c", FULL, folder],
                capture_output=True,
                text=True,
                cwd=TESTS.parent,
                env={**os.environ, "PYTHONPATH": "."},
            )
        finally:
            subprocess.run(["umount", folder], check=True)
    if done.returncode:
        return f"failed: {done.stderr.strip().splitlines()[-1]}"
    told, last = map(int, done.stdout.split())
    return {"saves_refused_in_words": told, "largest_saved_bytes": last, "last_good_stays": True}


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
    """Seconds to save and to load beside NumPy, safetensors and plain bytes, forced to the disk."""
    import safetensors.numpy as safe

    count = megabytes * 1_000_000 // 4 // 10
    draw = np.random.default_rng(0)
    arrays = {f"layer_{i}": draw.standard_normal(count, np.float32) for i in range(10)}
    with tempfile.TemporaryDirectory(dir=TESTS.parent) as name:
        names = ("ours", "theirs.npz", "peer", "plain", "whole")
        ours, theirs, peer, plain, whole = (pathlib.Path(name, part) for part in names)

        def forced(path, write):
            with open(path, "wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())

        def write_all(file):
            for array in arrays.values():
                file.write(array.data)

        def write_whole(path):
            with open(path, "wb") as file:
                write_all(file)

        def touch(tree):
            return sum(float(a[0]) for a in tree.values())

        cases = {
            "fnn.checkpoint.save": lambda: checkpoint.save(ours, arrays),
            "numpy.savez": lambda: forced(theirs, lambda file: np.savez(file, **arrays)),
            "safetensors": lambda: forced(peer, lambda file: file.write(safe.save(arrays))),
            "the bytes alone": lambda: forced(plain, write_all),
            "the bytes alone, whole or not at all": lambda: write_atomically(whole, write_whole),
            "fnn.checkpoint.load": lambda: touch(checkpoint.load(ours, arrays)),
            "numpy.load": lambda: touch(dict(np.load(theirs))),
            "safetensors.load_file": lambda: touch(safe.load_file(peer)),
            "reading the bytes alone": lambda: [file.read_bytes()[:1] for file in (plain,)],
        }
        timed = {name: _one(case) for name, case in cases.items()}
        return harness.interleaved(timed, rounds=rounds)


def compared(found):
    """Quartiles of how many times as long as its peers fnn takes, to save and to load."""
    saves = ("numpy.savez", "safetensors", "the bytes alone")
    pairs = [("fnn.checkpoint.save", n) for n in (*saves, f"{saves[-1]}, whole or not at all")]
    loads = ("numpy.load", "safetensors.load_file", "reading the bytes alone")
    pairs += [("fnn.checkpoint.load", name) for name in loads]
    return {
        f"{ours} / {peer}": harness.quartiles(harness.ratios(found, peer, ours))
        for ours, peer in pairs
    }


def tables(count, seed=0):
    """Mutated CSV files, by the trials of `hostile.py`."""
    try:
        import hostile
    except ImportError as error:
        return f"left out: {error}"
    return hostile.csv_trials(count, seed)


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
    parser.add_argument("--tables", type=int, default=2_000, help="mutated CSV files")
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    path = harness.RESULTS / "reliability.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    found.pop("environment", None)
    if options.mutations:
        found["mutations"] = mutations(options.mutations)
        print(found["mutations"], flush=True)
        found["full_disk"] = full_disk()
        print("full disk:", found["full_disk"], flush=True)
    if options.tables:
        found["tables"] = tables(options.tables)
        print("tables:", found["tables"], flush=True)
    if options.rounds:
        found |= prices(options.megabytes, options.rounds)
    if options.kills:
        found["kills"] = kills(options.kills)
        print(found["kills"], flush=True)
    print("written:", harness.save("reliability", found))


def prices(megabytes, rounds):
    """What saving and loading cost, printed and as entries of the results."""
    found = {"price": price(megabytes, rounds)}
    for name, case in found["price"].items():
        print(f"  {name}: {harness.quartiles(case['seconds_per_unit'])[1]:.3f} s", flush=True)
    found["price_ratios"] = compared(found["price"])
    for name, ratio in found["price_ratios"].items():
        print(f"  {name}: {ratio[1]:.2f}", flush=True)
    found["fit"] = fit_price(rounds)
    print(f"  saving every second costs {found['fit']['costs'][1]:.1%} of a fit", flush=True)
    return found


if __name__ == "__main__":
    main()
