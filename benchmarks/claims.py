"""What fnn sets out to reach, beside what was measured: in one run, or in several.

    python benchmarks/claims.py [FOLDER ...]

A folder holds the results of one run of `fnn bench`; without one, benchmarks/results is read. Each
line is a ratio (more is better) or a cost (less is better), what it should be at least and what it
aims at. With several folders a line holds only if it holds in each. What was not measured, as its
program was not run or the peer is missing, is named below the table.
"""

import argparse
import json
import pathlib
import statistics
from collections.abc import Callable
from typing import Any, NamedTuple

import harness

JAX_LOOPS = ("JAX", "Haiku", "Flax", "Equinox", "Keras")


class Claim(NamedTuple):
    """One line: `found(read)` is its figure, `read(name)` the results of one program."""

    what: str
    against: str
    at_least: float | None
    aim: float
    found: Callable[[Callable[[str], Any]], float]
    less: bool = False

    @property
    def name(self) -> str:
        return f"{self.what}, against {self.against}"

    def holds(self, figure: float, bound: float) -> bool:
        """Whether a figure keeps a bound."""
        return figure <= bound if self.less else figure >= bound


def faster(program: str, *path: str) -> Callable[[Callable[[str], Any]], float]:
    """The median of how many times fnn's time the peers take whose names begin like the last part.

    Of several peers it is that of the fastest.
    """
    *inside, peer = path

    def found(read):
        cases = read(program)
        for key in inside:
            cases = cases[key]
        ratios = [
            next(v for k, v in case.items() if k.endswith("faster_by"))[1]
            for name, case in cases.items()
            if name.startswith(JAX_LOOPS if peer == "JAX peers" else peer)
        ]
        return min(ratios)

    return found


def second_start(read):
    cases = read("cold_start")["cases"]
    return 1 / cases["fnn.fit, second start"]["fnn_is_faster_by"][1]


def flat_in_depth(read):
    """Seconds to make the gradient of 96 blocks ready, over those of 12."""
    by_depth = {
        one["blocks"]: statistics.median(one["gradient_seconds"])
        for one in read("depth")["results"]
        if one["network"] == "repeat"
    }
    return by_depth[96] / by_depth[12]


def whole_sweep(read):
    """The results of sweep.py, if they are of 64 models: a quick run is another case."""
    results = read("sweep")
    if results["rates"] != 64:
        raise KeyError("64")
    return results


def of_64(peer):
    """`faster` of the sweep of 64 models."""
    return lambda read: faster("sweep", "cases", peer)(lambda name: whole_sweep(read))


def devices(read):
    return statistics.median(whole_sweep(read)["devices_over_one_without_compilation"])


def linear_in_models(read):
    """Seconds of 512 models over eight times those of 64."""
    curve = whole_sweep(read)["curve"]
    return curve["512"] / (8 * curve["64"])


MLP = ("train_mlp", "batch_sizes", "32")
UPDATE = ("optimizers", "cases")
CLAIMS = [
    Claim("MLP, batch 32, a step", "PyTorch eager", 6, 8, faster(*MLP, "PyTorch")),
    Claim("MLP, batch 32, a step", "scikit-learn", 4, 6, faster(*MLP, "scikit-learn")),
    Claim("MLP, batch 32, a step", "best JAX loop", 1.4, 2, faster(*MLP, "JAX peers")),
    Claim("MLP, batch 32, a step", "its products alone", None, 0.8,
          lambda read: read("roofline")["cases"]["mlp-32"]["fraction_of_product_floor"]),
    Claim("CNN, a step", "PyTorch, 2 threads", 1, 1.25,
          faster("train_cnn", "cases", "PyTorch, 2 threads")),
    Claim("CNN, a step", "best JAX loop", 1.4, 2, faster("train_cnn", "cases", "JAX peers")),
    Claim("CNN, a step", "a plain scan", 30, 50, faster("train_cnn", "cases", "a plain scan")),
    Claim("char GPT, a step", "PyTorch, all threads", 1, 1.5,
          faster("char_gpt", "cases", "PyTorch eager, all threads")),
    Claim("char GPT, a step", "best JAX loop", 1.2, 1.5, faster("char_gpt", "cases", "JAX peers")),
    Claim("64 MLPs, compilation in it", "PyTorch in turn", 10, 15,
          of_64("PyTorch")),
    Claim("64 MLPs, compilation in it", "scikit-learn, 2 jobs", 5, 8,
          of_64("scikit-learn")),
    Claim("64 MLPs, compilation in it", "usual JAX loop", 10, 20, of_64("JAX")),
    Claim("sweep on 2 devices", "on one", 1.7, 1.95,
          devices),
    Claim("512 models", "8 times 64", 1.2, 1.0, linear_in_models, less=True),
    Claim("update of 100 small leaves, flattened", "optax", 2, 4,
          faster(*UPDATE, "flatten(adam)", "net")),
    Claim("update of one large leaf", "optax", 1, 1.3, faster(*UPDATE, "adam", "matrix")),
    Claim("Adam on 50 million", "PyTorch, fused", 0.5, 0.8,
          faster("large_update", "cases", "PyTorch")),
    Claim("Adam on 50 million", "one pass over memory", None, 1 / 1.3,
          faster("large_update", "cases", "one pass")),
    Claim("whole process, cold", "scikit-learn", 0.8, 1,
          faster("cold_start", "cases", "scikit-learn")),
    Claim("whole process, cold", "PyTorch", 2, 3, faster("cold_start", "cases", "PyTorch")),
    Claim("second start of a process", "its first start", 1.5, 2.5, second_start),
    Claim("a step with dropout", "the step without", 1.5, 1.15,
          lambda read: read("random_numbers")["ratios"]["dropout over no dropout"][1], less=True),
    Claim("order of 60,000 rows", "jax.random", 5, 20,
          lambda read: read("random_numbers")["ratios"]["permutation"][1]),
    Claim("import fnn, ms", "import jax", 50, 20,
          lambda read: 1e3 * statistics.median(read("import_time")["over_seconds"]), less=True),
    Claim("96 repeated blocks, compilation", "12 blocks", 1.2, 1.05, flat_in_depth, less=True),
]  # fmt: skip


def figures(folder: pathlib.Path) -> dict[str, float]:
    """The figure of each claim whose program has left results in this folder, by `Claim.name`."""

    def read(name):
        return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))

    found = {}
    for claim in CLAIMS:
        try:
            found[claim.name] = claim.found(read)
        except (OSError, KeyError, ValueError, StopIteration):
            continue
    return found


def table(runs: list[dict[str, float]]) -> str:
    """The claims as Markdown, with a column for each run; bold is what does not hold."""
    heads = ["measured"] if len(runs) == 1 else [f"run {n + 1}" for n in range(len(runs))]
    rows, missing = [["case", "against", *heads, "at least", "aim", ""]], []
    for claim in CLAIMS:
        if not (values := [run[claim.name] for run in runs if claim.name in run]):
            missing.append(claim.name)
            continue
        cells = [f"{run[claim.name]:.2f}" if claim.name in run else "-" for run in runs]
        sign = "<= " if claim.less else ""
        least = "" if claim.at_least is None else f"{sign}{claim.at_least:g}"
        aim = f"{sign}{claim.aim:.3g}"
        rows.append([claim.what, claim.against, *cells, least, aim, verdict(claim, values)])
    told = f"\n\nNot measured: {'; '.join(missing)}." if missing else ""
    return harness.table(rows) + told


def verdict(claim: Claim, values: list[float]) -> str:
    """In a word or two: whether all runs keep the claim."""
    if all(claim.holds(value, claim.aim) for value in values):
        return "aim reached"
    if claim.at_least is None:
        return "aim missed"
    kept = sum(claim.holds(value, claim.at_least) for value in values)
    return "holds" if kept == len(values) else f"**missed**, {kept} of {len(values)} hold"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folders", nargs="*", type=pathlib.Path, default=[harness.RESULTS])
    parser.add_argument("--save", action="store_true", help="to results/claims.json, too")
    arguments = parser.parse_args()
    runs = [figures(folder) for folder in arguments.folders]
    print(table(runs))
    if arguments.save:
        print(f"written: {harness.save('claims', {'runs': runs})}")


if __name__ == "__main__":
    main()
