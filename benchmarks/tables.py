"""Write the tables of README.md from benchmarks/results: no figure there is typed by hand.

python benchmarks/tables.py          # writes README.md
python benchmarks/tables.py --check  # says whether README.md is what the results say
"""

import argparse
import json
import pathlib
import re
import sys

import claims as aims
import harness

README = pathlib.Path(__file__).parents[1] / "README.md"
PLACE = re.compile(r"(<!-- benchmarks/tables\.py (\w+) -->\n).*?(<!-- end -->)", re.S)


def train_mlp(results):
    """Microseconds a step by library, and how many times faster fnn is, for each batch size."""
    sizes = results["batch_sizes"]
    rows = [
        [
            "",
            *(
                head
                for size in sizes
                for head in (f"batch {size}: us a step", "fnn.fit is faster by")
            ),
        ]
    ]
    for name in next(iter(sizes.values())):
        cells = []
        for found in sizes.values():
            low, ratio, high = found[name]["fnn_is_faster_by"]
            cells.append(f"{found[name]['microseconds_a_step'][1]:.0f}")
            cells.append("" if name == "fnn.fit" else f"{ratio:.1f}x ({low:.1f}-{high:.1f})")
        rows.append([name, *cells])
    versions = results["environment"]["versions"]
    names = ("jax", "optax", "flax", "torch", "scikit-learn")
    note = ", ".join(f"{name} {versions[name]}" for name in names if versions[name])
    return f"{harness.table(rows)}\n\n{note}; in brackets the quartiles.\n"


def train_cnn(results):
    """Milliseconds a step of a small CNN by library, and how many times faster fnn is."""
    return steps(results, "faster_by")


def char_gpt(results):
    """Milliseconds a step of a character GPT by library, and how many times faster fnn is."""
    return steps(results, "fnn_is_faster_by")


def steps(results, faster_by):
    """A line for each case; `faster_by` is the entry with the quartiles of the ratio."""
    rows = [["", "ms a step (quartiles)", "fnn.fit is faster by (quartiles)"]]
    for name, found in results["cases"].items():
        low, middle, high = (1e3 * q for q in harness.quartiles(found["seconds_per_unit"]))
        least, ratio, most = found[faster_by]
        times = "" if name == "fnn.fit" else f"{ratio:.2f}x ({least:.2f}-{most:.2f})"
        rows.append([name, f"{middle:.0f} ({low:.0f}-{high:.0f})", times])
    return f"{harness.table(rows)}\n"


def claims(results):
    """What fnn sets out to reach, and what was measured."""
    return f"{aims.table(results['runs'])}\n"


TABLES = {"train_mlp": train_mlp, "train_cnn": train_cnn, "char_gpt": char_gpt, "claims": claims}


def filled(text):
    """README's text with each marked place filled from its results."""

    def fill(match):
        results = json.loads((harness.RESULTS / f"{match[2]}.json").read_text(encoding="utf-8"))
        return f"{match[1]}{TABLES[match[2]](results)}{match[3]}"

    return PLACE.sub(fill, text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--check", action="store_true")
    text = README.read_text(encoding="utf-8")
    if parser.parse_args().check:
        sys.exit(0 if filled(text) == text else "README.md differs: run benchmarks/tables.py")
    README.write_text(filled(text), encoding="utf-8")


if __name__ == "__main__":
    main()
