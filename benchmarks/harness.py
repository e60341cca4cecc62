"""How every benchmark here measures: interleaved rounds, medians with quartiles, ratios by pairs.

A case is a function that does the work once and returns how many units of work it did (steps,
updates, runs). Each round calls every case once, in an order of its own, so that the machine's
drift falls on all of them alike, and so does what a neighbour leaves behind, such as threads that
still spin; ratios are taken within a round. The first call of each is a warm-up: compilation and
first touches are its time, reported apart.
"""

import importlib.metadata
import json
import os
import pathlib
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

RESULTS = pathlib.Path(os.environ.get("FNN_BENCH_OUT") or pathlib.Path(__file__).parent / "results")
PEERS = ("flax", "haiku", "equinox", "keras", "torch")
PACKAGES = (
    *("jax", "jaxlib", "numpy", "optax", "flax", "dm-haiku", "equinox", "keras", "torch"),
    *("scikit-learn", "fnn"),
)


class _NotAsked:
    """What is not asked for by `--peers` is as if it were not installed."""

    def __init__(self, asked):
        self.names = set(PEERS) - set(asked)

    def find_spec(self, name, path=None, target=None):
        if name in self.names:
            raise ModuleNotFoundError(f"{name} was not asked for", name=name)


if "FNN_BENCH_PEERS" in os.environ:
    sys.meta_path.insert(0, _NotAsked(os.environ["FNN_BENCH_PEERS"].split(",")))  # pyright: ignore


def interleaved(
    cases: Mapping[str, Callable[[], float]], *, rounds: int, say: Callable[[str], None] = print
) -> dict[str, dict[str, Any]]:
    """Time each case once a round; per case the warm-up's seconds and seconds per unit of work."""
    found: dict[str, dict[str, Any]] = {}
    for name, case in cases.items():
        begun = time.perf_counter()
        case()
        found[name] = {"first_call_seconds": time.perf_counter() - begun, "seconds_per_unit": []}
        say(f"  {name}: first call {found[name]['first_call_seconds']:.2f} s")
    order = list(cases)
    for turn in range(rounds):
        random.Random(turn).shuffle(order)
        for name in order:
            case = cases[name]
            begun = time.perf_counter()
            units = case()
            found[name]["seconds_per_unit"].append((time.perf_counter() - begun) / units)
    return found


def present(makers: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
    """What each makes, by name; a peer that is missing or not asked for is named and left out."""
    made = {}
    for name, make in makers.items():
        try:
            made[name] = make()
        except ImportError as error:
            print(f"  {name}: left out, {error}")
    return made


def quartiles(values: list[float]) -> tuple[float, float, float]:
    """Lower quartile, median, upper quartile; of a single value, three times that."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def ratios(found: Mapping[str, Mapping[str, Any]], name: str, over: str) -> list[float]:
    """How many times faster `name` is than `over`, round by round."""
    pairs = zip(found[over]["seconds_per_unit"], found[name]["seconds_per_unit"], strict=True)
    return [theirs / ours for theirs, ours in pairs]


def environment() -> dict[str, Any]:
    """The machine and the versions that a figure was measured with."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    return {
        "python": platform.python_version(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "versions": versions,
    }


def _processor() -> str:
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def save(name: str, results: Mapping[str, Any]) -> pathlib.Path:
    """Write results with their environment to `benchmarks/results/<name>.json`."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    text = json.dumps({"environment": environment(), **results}, indent=1)
    path.write_text(text + "\n", encoding="utf-8")
    return path


def table(rows: list[list[str]]) -> str:
    """Rows of text, the first being the heads, as an aligned Markdown table."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]

    def line(row):
        first, *rest = (cell.ljust(w) if i == 0 else cell.rjust(w)
                        for i, (cell, w) in enumerate(zip(row, widths, strict=True)))  # fmt: skip
        return "| " + " | ".join([first, *rest]) + " |"

    ruler = "|" + "|".join("-" * (w + 2) for w in widths) + "|"
    return "\n".join([line(rows[0]), ruler, *map(line, rows[1:])])
