"""Every benchmark that has peers, one after another, and one table of how much faster fnn is.

    python benchmarks/suite.py [CASE ...] [--quick] [--peers torch,flax] [--out DIR]

`fnn bench` is the same. Each case is a program of this folder, run in a process of its own; it
writes its own results, and this one gathers the ratios: for each peer how many times fnn's time it
takes, with the quartiles over interleaved rounds. A row in bold is one where the best JAX peer is
ahead by more than that spread. Below stand the ratios that fnn sets out to reach, and whether it
does (`claims.py`). Written are suite.json, suite.md and suite.png beside the rest.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time
from typing import NamedTuple

import claims
import harness

HERE = pathlib.Path(__file__).parent
JAX_PEERS = ("JAX", "Flax", "Haiku", "Equinox", "Keras", "optax")


class Case(NamedTuple):
    """One program: its arguments for the full run and for the quick one, and how to read it."""

    script: str
    full: str
    quick: str
    read: str  # where in its results the cases stand; empty where it has no peers


CASES = {
    "mlp": Case(
        "train_mlp",
        "--batch-sizes 32 128 1024",
        "--rounds 2 --epochs 8 --batch-sizes 32",
        "batch_sizes",
    ),
    "cnn": Case("train_cnn", "", "--rounds 2 --steps 10 --no-scan", "cases"),
    "lstm": Case("recurrent", "--rounds 5", "--quick", "sizes"),
    "gpt": Case("char_gpt", "--rounds 5", "--rounds 2 --steps 5", "cases"),
    "inference": Case("inference", "", "--quick", "batch_sizes"),
    "around": Case("around", "", "--quick init autoencoder input files", "parts"),
    "cold": Case("cold_start", "", "--quick", "cases"),
    "optimizers": Case(
        "optimizers", "--rounds 3", "--rounds 2 --names adam,flatten(adam)", "cases"
    ),
    "large": Case("large_update", "", "--quick", "cases"),
    "sweep": Case("sweep", "--epochs 20", "--quick", "cases"),
    "depth": Case(
        "depth",
        "--kinds repeat --depths 12 96",
        "--kinds repeat --depths 12 96 --rounds 1",
        "",
    ),
    "random": Case("random_numbers", "--rounds 7", "--rounds 3", ""),
    "import": Case("import_time", "", "--rounds 3", ""),
    "roofline": Case("roofline", "--rounds 5", "--rounds 2 --cases mlp-32", ""),
    "scaling": Case("scaling", "", "--quick", ""),
}

LONG = ("depth", "scaling")  # only in the full run, unless they are asked for


class Row(NamedTuple):
    """One peer in one case: the quartiles of how many times fnn's time it takes."""

    case: str
    peer: str
    low: float
    ratio: float
    high: float


def rows_of(name, results):
    """The rows of one program's results: every entry of the kind `..._faster_by`."""
    if not CASES[name].read:
        return  # it has no peers, and prints its own tables
    entries = results[CASES[name].read]
    if name == "lstm":
        entries = {"x".join(map(str, one["size"])): one["cases"] for one in entries}
    elif name in ("cnn", "gpt", "cold", "large", "sweep"):
        entries = {"": entries}
    elif name == "optimizers":
        entries = {
            tree: {
                f"optax {optimizer}": one[tree] for optimizer, one in entries.items() if tree in one
            }
            for tree in ("net", "mixed", "matrix")
        }
    label = {
        "around": "{}",
        "mlp": "batch {}",
        "inference": "batch {}",
        "lstm": "{}",
        "optimizers": "{}",
    }
    for part, peers in entries.items():
        case = " ".join([name, label.get(name, "").format(part)]).strip()
        for peer, found in peers.items():
            ratio = next((v for key, v in found.items() if key.endswith("faster_by")), None)
            if ratio is not None and not peer.startswith(
                ("fnn", "a plain scan", "one pass", "three kernels")
            ):
                yield Row(case, peer, *ratio)


def run(name, quick, environment):
    """Run one program; its results, or None if it failed."""
    case = CASES[name]
    arguments = (case.quick if quick else case.full).split()
    command = [sys.executable, str(HERE / f"{case.script}.py"), *arguments]
    print(f"\n== {name}: {' '.join(command[1:])}", flush=True)
    begun = time.perf_counter()
    code = subprocess.run(command, env=environment).returncode
    print(f"   {time.perf_counter() - begun:.0f} s", flush=True)
    if code:
        print(f"   {name} ended with code {code}; its rows are missing below")
        return None
    path = pathlib.Path(environment["FNN_BENCH_OUT"], f"{case.script}.json")
    return json.loads(path.read_text(encoding="utf-8"))


def behind(row):
    """Whether a JAX peer is ahead by more than the spread."""
    return row.peer.startswith(JAX_PEERS) and row.high < 1


def table(rows):
    """The rows as Markdown; bold is where a JAX peer is ahead beyond the spread."""
    cells = [["case", "peer", "fnn is faster by", "quartiles"]]
    for row in rows:
        mark = "**" if behind(row) else ""
        ratio = f"{mark}{row.ratio:.2f}x{mark}"
        cells.append([row.case, row.peer, ratio, f"{row.low:.2f}-{row.high:.2f}"])
    return harness.table(cells)


def picture(rows, path):
    """A line for each row but the optimizers', on a log scale: median a dot, quartiles a bar."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    # a hundred, and near 1: the table has them
    rows = [row for row in rows if not row.case.startswith("optimizers")]
    figure, axes = plt.subplots(figsize=(8, 1.2 + 0.22 * len(rows)), layout="constrained")
    for place, row in enumerate(rows):
        color = "tab:red" if row.ratio < 1 else "tab:blue"
        axes.plot([row.low, row.high], [place, place], color=color, linewidth=3, alpha=0.4)
        axes.plot(row.ratio, place, "o", color=color, markersize=4)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set(xscale="log", ylim=(len(rows) - 0.5, -0.5), xlabel="times faster than the peer")
    ticks = [0.2, 0.5, 1, 2, 5, 10, 20, 50, 100]
    axes.set_xticks(ticks, [f"{tick:g}x" for tick in ticks])
    axes.minorticks_off()
    axes.set_yticks(range(len(rows)), [f"{row.case}: {row.peer}" for row in rows], fontsize=7)
    axes.grid(axis="x", alpha=0.3)
    axes.set_title("fnn's time against its peers', median and quartiles", fontsize=10)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="fnn bench", description=__doc__.split("\n\n")[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)}; all")
    parser.add_argument("--quick", action="store_true", help="few rounds: under five minutes")
    parser.add_argument("--peers", help=f"which of {', '.join(harness.PEERS)}; all installed")
    parser.add_argument("--out", default="bench", help="folder for results (./bench)")
    options = parser.parse_args(arguments)
    unknown = [case for case in options.cases if case not in CASES]
    if unknown:
        parser.error(f"no case {', '.join(unknown)}; there are {', '.join(CASES)}")
    out = pathlib.Path(options.out).resolve()
    out.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "FNN_BENCH_OUT": str(out)}
    if options.peers is not None:
        environment["FNN_BENCH_PEERS"] = options.peers
    rows, failed = [], []
    begun = time.perf_counter()
    left_out = LONG if options.quick and not options.cases else ()
    if left_out:
        print(f"left out by --quick: {', '.join(left_out)}")
    chosen = options.cases or [name for name in CASES if name not in left_out]
    for name in chosen:
        results = run(name, options.quick, environment)
        if results is None:
            failed.append(name)
        else:
            rows += rows_of(name, results)
    text = table(rows) + "\n\n" + claims.table([claims.figures(out)])
    print(f"\n{text}\n\n{time.perf_counter() - begun:.0f} s in all")
    found = {"quick": options.quick, "rows": [row._asdict() for row in rows], "failed": failed}
    harness.RESULTS = out
    harness.save("suite", found)
    (out / "suite.md").write_text(text + "\n", encoding="utf-8")
    if rows:
        picture(rows, out / "suite.png")
    print(f"written: suite.json, suite.md, suite.png in {out}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
