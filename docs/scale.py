"""The tables of docs/scale.md, from `benchmarks/results/scale.json` and the formulas.

python docs/scale.py writes them into the page; with --check it only says whether they are there.
"""

import json
import pathlib
import re
import sys
from typing import NamedTuple

HERE = pathlib.Path(__file__).parent
PAGE = HERE / "scale.md"
RESULTS = HERE.parent / "benchmarks" / "results"

# One A100 80GB SXM: bfloat16 dense products, memory, NVLink in one direction, and its share of a
# DGX's eight 200 Gb/s adapters. NVIDIA A100 80GB data sheet and DGX A100 data sheet, 2021.
FLOPS, MEMORY, NEAR, FAR, NODE = 312e12, 80e9, 300e9, 25e9, 8
REACHED = 0.4  # of FLOPS, what large runs report: Narayanan et al. 2021, table 1, arXiv 2104.04473
TOKENS = 500_000  # a step, about GPT-2's and GPT-3's batch


class Gpt(NamedTuple):
    """A GPT: blocks, features, heads, sequence length."""

    name: str
    blocks: int
    features: int
    heads: int
    length: int
    vocabulary: int = 50257

    @property
    def parameters(self) -> int:
        """12 e^2 a block in its six matrices, and the two embeddings."""
        return 12 * self.blocks * self.features**2 + (self.vocabulary + self.length) * self.features


MODELS = (
    Gpt("GPT-2, 124 million", 12, 768, 12, 1024),
    Gpt("GPT-2 XL, 1.5 billion", 48, 1600, 25, 1024),
    Gpt("GPT-3 13B", 40, 5120, 40, 2048),
    Gpt("GPT-3 175B", 96, 12288, 96, 2048),
)


class Cost(NamedTuple):
    """Of one device: bytes that stay, bytes of activations, seconds of products, of exchanges."""

    state: float
    activations: float
    compute: float
    exchange: float

    @property
    def fits(self) -> bool:
        return self.state + self.activations < 0.9 * MEMORY

    @property
    def share(self) -> float:
        """Of a step's time, if nothing is exchanged while products run."""
        return self.exchange / (self.exchange + self.compute)


def cost(net: Gpt, devices: int, layout: str) -> Cost:
    """The formulas of the page."""
    p, e, t = net.parameters, net.features, net.length
    parts = NODE if layout == "tensor" else 1  # that share one batch row
    groups = devices // parts
    rows = max(1, TOKENS // t // groups)
    whole = 16 * p / parts
    state = whole / groups + 4 * p / net.blocks if layout == "full" else whole
    # kept: the input of each block, in bfloat16; and one block's own while it is run again
    block = t * e * (34 + 5 * net.heads * t / e) / parts
    activations = 2 * net.blocks * t * e + block  # of one row; rows are taken one after another
    compute = (8 / 6) * 6 * p * rows * t / parts / (FLOPS * REACHED)
    speed = NEAR if groups <= NODE and parts == 1 else FAR
    ring = (groups - 1) / groups
    exchange = {"data": 2, "full": 3, "tensor": 2}[layout] * 4 * p / parts * ring / speed
    if parts > 1:  # six sums a block: two forward, two again, two backward
        exchange += 6 * net.blocks * 2 * rows * t * e * 2 * (parts - 1) / parts / NEAR
    return Cost(state, activations, compute, exchange)


def extrapolated() -> str:
    lines = [
        "| model | devices | layout | state | activations | products | exchange | breaks first |",
        "|---|---:|---|---:|---:|---:|---:|---|",
    ]
    for net in MODELS:
        for devices in (8, 64, 1024):
            for layout in ("data", "full", "tensor"):
                found = cost(net, devices, layout)
                gb = [f"{value / 1e9:.3g} GB" for value in found[:2]]
                ms = [f"{1e3 * value:.3g} ms" for value in found[2:]]
                cells = [
                    net.name,
                    f"{devices:,}",
                    NAMES[layout],
                    *gb,
                    *ms,
                    breaks(net, devices, layout),
                ]
                lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


NAMES = {"data": "data parallel", "full": "fully sharded", "tensor": "tensor parallel x8"}


def breaks(net: Gpt, devices: int, layout: str) -> str:
    """The first thing in the way."""
    found = cost(net, devices, layout)
    groups = devices // (NODE if layout == "tensor" else 1)
    if not found.fits:
        return "memory: " + ("state" if found.state > found.activations else "activations")
    if layout == "tensor" and net.heads % NODE:
        return f"{net.heads} heads do not divide by {NODE}: attention stays whole"
    if TOKENS // net.length < groups:
        return f"batch: {TOKENS // net.length} rows for {groups} places"
    if found.share > 0.5:
        return f"exchange: {found.share:.0%} of a step"
    return f"nothing ({found.share:.0%} of a step is exchange)"


def measured() -> str:
    found = json.loads((RESULTS / "scale.json").read_text())
    lines = [
        "| layout | state, formula | arguments, compiler | temporaries | exchanged a step | largest"
        " gather |",
        "|---|---:|---:|---:|---|---:|",
    ]
    for name, row in found["layouts"].items():
        sent = ", ".join(
            f"{row['exchanges'][kind]} {kind} of {size:,}"
            for kind, size in sorted(row["exchanged_bytes"].items())
        )
        cells = [name, f"{row['state_bytes_by_formula']:,}", f"{row['argument_bytes']:,}"]
        cells += [f"{row['temporary_bytes']:,}", sent or "nothing", f"{row['largest_gathered']:,}"]
        lines.append("| " + " | ".join(cells) + " |")
    kept = found["temporary_bytes_of_12_blocks"]
    lines += ["", "Temporaries of twelve blocks in a loop, by what is kept for the way back:", ""]
    lines += ["| kept | bytes |", "|---|---:|"]
    lines += [f"| {name} | {size:,} |" for name, size in kept.items()]
    return "\n".join(lines)


def faults() -> str:
    found = json.loads((RESULTS / "processes.json").read_text())
    lines = [
        "| what | processes | times | told after, median (most) | same parameters, bit for bit |",
        "|---|---:|---:|---:|---|",
    ]
    for n in (2, 4):
        row = found[f"faults in {n}"]
        for kind, word in (("kill", "killed"), ("freeze", "frozen")):
            took = row[f"seconds_until_a_{kind}_is_told"]
            time = f"{took['median']:.1f} s ({took['most']:.1f} s)"
            same = "yes" if row["same_parameters_bit_for_bit"] else "no"
            lines.append(f"| {word} | {n} | {row[f'{kind}s']} | {time} | {same} |")
        one = found[f"stuck in {n}"]
        same = "yes" if one["same_parameters_bit_for_bit"] else "no"
        time = f"{one['seconds_until_told']:.1f} s"
        lines.append(f"| in an endless loop | {n} | 1 | {time} | {same} |")
        told = row["told_to_end"]
        same = "yes" if told["same_parameters_bit_for_bit"] else "no"
        lines.append(f"| told to end, and started again | {n} | 1 | {told['stopped']} | {same} |")
    apart = found["losses beside one process"]
    said = ", ".join(f"{size:.0e} in {name}" for name, size in apart.items())
    lines += ["", f"Losses of 1,000 steps, beside those of one process: at most {said} apart."]
    return "\n".join(lines)


def scaling() -> str:
    found = json.loads((RESULTS / "processes.json").read_text())["scaling"]
    base = found["one core alone"]["examples_a_second"]
    lines = [
        "| run | processes | batch | steps a second | examples a second | beside one core |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, row in found.items():
        rate = row["examples_a_second"]
        cells = [name, str(row["processes"]), str(row["batch"]), f"{rate / row['batch']:.1f}"]
        cells += [f"{rate:,.0f}", f"{rate / base:.2f}x"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


TABLES = {"measured": measured, "extrapolated": extrapolated, "faults": faults, "scaling": scaling}


def filled(text: str) -> str:
    """The page with its tables anew; each stands between two comments that name it."""
    for name, table in TABLES.items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.S)
        text = pattern.sub(lambda found, table=table: found[1] + table() + "\n" + found[2], text)
    return text


if __name__ == "__main__":
    old = PAGE.read_text(encoding="utf-8")
    new = filled(old)
    if "--check" in sys.argv[1:]:
        sys.exit("docs/scale.md is old: python docs/scale.py" if new != old else 0)
    PAGE.write_text(new, encoding="utf-8")
