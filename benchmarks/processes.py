"""Several processes as one run: what a dead, frozen or stuck one costs, and how work scales.

    python benchmarks/processes.py [--kills 20] [--freezes 4] [--stuck 2] [--seconds 20]

Faults: `fnn train --data digits` runs in 2 and in 4 processes on loopback, and one of them is
killed (SIGKILL), frozen (SIGSTOP) or sent into an endless loop at a random moment, again and again.
Counted is how long it takes until the launcher says so, and whether the parameters in the end are,
bit for bit, those of a run with as many processes that nobody disturbed. SIGTERM: each run is told
to end once. Loading: a checkpoint of 4 processes goes on in 1 and in 2. Scaling: steps a second of
one network in 1, 2 and 4 processes, with one batch shared (strong) and a batch each (weak); on two
cores, one of which a process alone is held to for comparison. Written to `results/processes.json`;
a part whose count is 0 is left out, and stays as an earlier run had it.
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import harness

from fnn.shard.launch import launch

STEPS = {2: 20_000, 4: 2_500}  # of digits, 32 examples each: a minute or two on two cores
MORE = 500  # steps that a checkpoint goes on
STUCK = """
import os, sys
import jax, fnn
joined = fnn.shard.join()
mark, folder = sys.argv[1] + "/mark", sys.argv[1] + "/kept"
mesh = jax.make_mesh((jax.device_count(),), ("data",))
data = fnn.datasets.load("digits")

def check(report):
    if joined.index == joined.count - 1 and report.step >= 1500 and not os.path.exists(mark):
        open(mark, "w").close()
        while True:
            pass

done = fnn.fit(fnn.models.mlp(32, 10), data.x_train, data.y_train, mesh=mesh, checkpoint=folder,
               loss=fnn.losses.cross_entropy, optimizer=fnn.optim.adam(1e-3), steps=3000,
               key=jax.random.key(0), check_every=100, stop=fnn.stop.Rule(check), save_seconds=0.5)
text = fnn.trees.fingerprint(fnn.processes.whole(done.last.params))
if joined.index == 0:
    open(sys.argv[1] + "/result.json", "w").write('{"parameters": "%s"}' % text)
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--freezes", type=int, default=4)
    parser.add_argument("--stuck", type=int, default=2)
    parser.add_argument("--losses", type=int, default=1, help="0 leaves them out")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each scaling run, about")
    options = parser.parse_args()
    path = harness.RESULTS / "processes.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    results.pop("environment", None)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        os.environ["FNN_CACHE"] = str(folder / "programs")  # restarts need not compile anew
        for n in (2, 4) if options.kills or options.freezes else ():
            counts = (options.kills // 2, options.freezes // 2)
            results[f"faults in {n}"] = faults(folder / str(n), n, *counts, STEPS[n])
            harness.save("processes", results)
        if options.kills or options.freezes:
            results["a checkpoint of 4"] = loads(folder / "4", STEPS[4])
        if options.losses:
            results["losses beside one process"] = losses(folder / "losses")
        for n in (2, 4)[: options.stuck]:
            results[f"stuck in {n}"] = stuck(folder / f"stuck{n}", n)
        if options.seconds:
            results["scaling"] = scaling(folder / "scaling", options.seconds)
    print("written:", harness.save("processes", results))


def train(out, processes, *, steps, batch=32, width=32, said=None, restarts=0, more=()):
    """One run of the command by the launcher; what it says goes into `said` with its time."""
    said = [] if said is None else said
    command = [sys.executable, "-m", "fnn", "train", "--data", "digits", "--out", str(out)]
    command += ["--steps", str(steps), "--batch-size", str(batch), "--width", str(width)]
    command += ["--save-seconds", "0.5", *more]
    return launch(
        command,
        processes=processes,
        restarts=restarts,
        tell=lambda text: said.append((time.monotonic(), text)),
    )


def faults(folder, n, kills, freezes, steps):
    """Kill and freeze processes of one run until the counts are reached, and let it end."""
    print(f"{n} processes: undisturbed", flush=True)
    train(folder / "alone", n, steps=steps)
    expected = result(folder / "alone")["parameters"]
    out, said, struck = folder / "struck", [], []
    wanted = [signal.SIGKILL] * kills + [signal.SIGSTOP] * freezes
    random.Random(n).shuffle(wanted)
    done = threading.Event()
    striker = threading.Thread(target=strike, args=(out, wanted, said, struck, done, n))
    striker.start()
    ended = train(out, n, steps=steps, said=said, restarts=len(wanted) + 2)
    done.set()
    striker.join()
    took = {"SIGKILL": [], "SIGSTOP": []}
    for (when, kind), (heard, text) in zip(struck, said, strict=False):
        took[kind.name].append(heard - when)
        print(f"  {kind.name}: after {heard - when:.2f} s: {text}", flush=True)
    found = {
        "processes": n,
        "kills": len(took["SIGKILL"]),
        "freezes": len(took["SIGSTOP"]),
        "restarts": ended.restarts,
        "seconds_until_a_kill_is_told": spread(took["SIGKILL"]),
        "seconds_until_a_freeze_is_told": spread(took["SIGSTOP"]),
        "same_parameters_bit_for_bit": result(out)["parameters"] == expected,
        "told_to_end": told(folder / "told", n, steps, expected),
    }
    print(found, flush=True)
    return found


def strike(out, wanted, said, struck, done, seed):
    """Send the signals, each to a random process, a while after a checkpoint of its own start."""
    rng = random.Random(seed)
    for number, kind in enumerate(wanted):
        before = newest(out)
        while newest(out) == before and not done.wait(0.02):
            pass
        done.wait(rng.uniform(0, 1.5))
        there = children()
        if done.is_set() or not there:
            return
        struck.append((time.monotonic(), kind))
        os.kill(rng.choice(there), kind)
        while len(said) <= number and not done.wait(0.02):
            pass


def told(out, n, steps, expected):
    """SIGTERM to one process in the middle, and the same command again: how that went."""
    said, done = [], threading.Event()
    striker = threading.Thread(target=strike, args=(out, [signal.SIGTERM], said, [], done, n))
    striker.start()
    first = train(out, n, steps=steps, said=said)
    done.set()
    striker.join()
    there = result(out)
    train(out, n, steps=steps)
    return {
        "exit_code": first.code,
        "stopped": there["stopped"],
        "same_parameters_bit_for_bit": result(out)["parameters"] == expected,
    }


def loads(folder, steps):
    """Go on from a checkpoint of 4 processes in 1, 2 and 4, and compare the losses."""
    more, losses = steps + MORE, {}
    for n in (4, 2, 1):
        out = folder / f"on{n}"
        shutil.copytree(folder / "alone", out)
        train(out, n, steps=more)
        losses[n] = result(out)["loss"][-MORE // 100 :]
    apart = {
        f"in {n}": max(abs(a - b) / b for a, b in zip(losses[n], losses[4], strict=True))
        for n in (1, 2)
    }
    print("a checkpoint of 4 goes on; largest relative difference of losses", apart, flush=True)
    return {"steps_more": MORE, "largest_relative_difference_of_losses": apart}


def losses(folder):
    """The largest relative difference of any check's loss from that of one process."""
    found = {}
    for n in (1, 2, 4):
        train(folder / str(n), n, steps=1000)
        found[n] = result(folder / str(n))
    return {
        f"{n} processes": max(
            abs(a - b) / a
            for name in ("loss", "val_loss")
            for a, b in zip(found[1][name], found[n][name], strict=True)
        )
        for n in (2, 4)
    }


def stuck(folder, n):
    """One process enters an endless loop, once."""
    ends = []
    for name in ("alone", "struck"):
        out, said = folder / name, []
        out.mkdir(parents=True)
        (out / "train.py").write_text(STUCK)
        if name == "alone":
            (out / "mark").touch()
        begun = time.time()
        ended = launch(
            [sys.executable, str(out / "train.py"), str(out)],
            processes=n,
            tell=lambda text, said=said: said.append((time.time(), text)),
        )
        ends.append(result(out)["parameters"])
        if name == "struck":
            took = said[0][0] - (out / "mark").stat().st_mtime
            print(f"stuck in {n}: told after {took:.1f} s: {said[0][1]}", flush=True)
    return {
        "processes": n,
        "seconds_until_told": took,
        "restarts": ended.restarts,
        "seconds": time.time() - begun,
        "same_parameters_bit_for_bit": ends[0] == ends[1],
    }


def scaling(folder, seconds):
    """Steps a second: strong, one batch of 512 shared, and weak, 512 each; three rounds of each."""
    rows = {}
    cases = [("one core alone", 1, 512, ("taskset", "-c", "0"))]
    cases += [(f"strong {n}", n, 512, ()) for n in (1, 2, 4)]
    cases += [(f"weak {n}", n, 512 * n, ()) for n in (2, 4)]
    for turn in range(3):
        for name, n, batch, before in cases:
            out = folder / f"{turn} {name}"
            steps = int(60 * seconds / 3)
            command = [*before, sys.executable, "-m", "fnn", "train", "--data", "mnist"]
            command += ["--width", "1024", "--batch-size", str(batch), "--out", str(out)]
            launch([*command, "--steps", str(steps)], processes=n, restarts=0)
            found = result(out)
            checks, spent = len(found["seconds"]), found["seconds"]
            rate = 100 * (checks - 1) / (spent[-1] - spent[0]) if checks > 1 else steps / spent[-1]
            row = rows.setdefault(name, {"processes": n, "batch": batch, "steps_a_second": []})
            row["steps_a_second"].append(rate)
            print(f"{name}: {rate:.1f} steps a second, {rate * batch:.0f} examples", flush=True)
    for row in rows.values():
        middle = statistics.median(row["steps_a_second"])
        row["examples_a_second"] = middle * row["batch"]
    return rows


def result(out):
    return json.loads((out / "result.json").read_text())


def spread(values):
    if not values:
        return None
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def newest(out):
    """What the newest checkpoint is called, and when it came."""
    kept = out / "checkpoints"
    names = list(kept.glob("*.sharded")) if kept.is_dir() else []
    return max((path.name for path in names), default=None)


def children():
    """The processes of the run."""
    found = []
    for line in subprocess.run(
        ["ps", "-o", "pid=,args=", "--ppid", str(os.getpid())],
        capture_output=True, text=True, check=True,
    ).stdout.splitlines():  # fmt: skip
        pid, _, said = line.strip().partition(" ")
        if "-m fnn train" in said:
            found.append(int(pid))
    return found


if __name__ == "__main__":
    main()
