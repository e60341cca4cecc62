"""Write a page for each optimizer from its docstring, and its path on Beale's function.

    python docs/optimizers.py           texts and pictures, half a minute
    python docs/optimizers.py --texts   texts alone

The pages are docs/optimizers/NAME.md and index.md; a test holds their texts to the docstrings.
"""

import csv
import inspect
import io
import re
import sys
from pathlib import Path
from typing import Any

from fnn.optim.names import NAMES

HERE = Path(__file__).parent / "optimizers"
RESULTS = HERE.parents[1] / "benchmarks" / "results" / "compare" / "results.csv"
HEADS = ("Args", "Returns", "Raises", "Shapes", "Where implementations disagree", "Source",
         "Same as")  # fmt: skip
HEAD = re.compile(rf"^({'|'.join(HEADS)}):\s*(.*)$")


def pages() -> dict[str, str]:
    """The text of every page by its file name."""
    rows = stored_rows()
    texts = {f"{name}.md": page(name, make, rows) for name, make in NAMES.items()}
    return texts | {"index.md": index()}


def page(name: str, make: Any, rows: dict[str, list[dict[str, str]]]) -> str:
    """The page of one optimizer in Markdown."""
    parts = sections(inspect.getdoc(make) or "")
    text = [f"# {name}", parts["summary"], code(signature(name, make)), parts["body"]]
    if "Args" in parts:
        text += ["## Knobs", knobs(parts["Args"])]
    if "Where implementations disagree" in parts:
        told = parts["Where implementations disagree"]
        text += ["## Where implementations disagree", told[:1].upper() + told[1:]]
    if "Raises" in parts:
        text += [f"Raises {' '.join(parts['Raises'].split())}"]
    if "example" in parts:
        text += ["## Example", code(parts["example"])]
    text += [
        "## On Beale's function",
        f"![The path of {name} over the contours of Beale's function]({name}.png)",
        "300 steps with exact gradients from (1, 1.5); the minimum, the star, is at (3, 0.5), and"
        " there is a saddle at the cross. The learning rate is the best of 25 that all optimizers"
        f" try: `fnn compare --surface beale --optimizers {name}` draws it anew.",
    ]
    text += ["## In the comparison", result(rows.get(name, []))]
    for head in ("Source", "Same as"):
        if head in parts:
            text += [f"{head}: {links(' '.join(parts[head].split()))}"]
    text += ["[All optimizers](index.md)"]
    return "\n\n".join(part.strip("\n") for part in text if part.strip()) + "\n"


def sections(doc: str) -> dict[str, str]:
    """The parts of a docstring: its summary, its body, its example, and what stands under HEADS."""
    summary, _, rest = doc.partition("\n\n")
    parts = {"summary": " ".join(summary.split())}
    if ">>>" in rest:
        rest, example = rest[: rest.index(">>>")], rest[rest.index(">>>") :]
        parts["example"] = example.rstrip()
    found: dict[str, list[str]] = {"body": []}
    head = "body"
    for line in rest.split("\n"):
        match = HEAD.match(line)
        if match:
            head, line = match.groups()
        elif head != "body" and line and not line[0].isspace() and blank(found[head]):
            head = "body"  # a paragraph of its own after a section
            found["body"].append("")
        found.setdefault(head, []).append(line)
    parts |= {name: "\n".join(lines).strip("\n") for name, lines in found.items()}
    parts["body"] = mathematics(parts["body"])
    return parts


def blank(lines: list[str]) -> bool:
    return bool(lines) and not lines[-1].strip()


def mathematics(body: str) -> str:
    """The body with its `.. math::` blocks as Markdown shows them."""
    done: list[str] = []
    lines = body.split("\n")
    while lines:
        line = lines.pop(0)
        if not line.startswith(".. math::"):
            done.append(line)
            continue
        equation = [line.removeprefix(".. math::").strip()]
        while lines and (not lines[0].strip() or lines[0][0].isspace()):
            equation.append(lines.pop(0).strip())
        inner = "\n".join(part for part in equation if part)
        if "&" in inner or r"\\" in inner:
            inner = "\\begin{aligned}\n" + inner + "\n\\end{aligned}"
        done += ["```math", inner, "```", ""]
    return "\n".join(done).strip("\n")


def knobs(text: str) -> str:
    """The arguments as a list."""
    items: list[str] = []
    for line in inspect.cleandoc(text).split("\n"):
        match = re.match(r"^(\*{0,2}\w+(?:, \w+)*):\s*(.*)$", line)
        if match:
            items.append(f"- `{match[1]}`: {match[2]}")
        elif line.strip() and items:
            items[-1] += f" {line.strip()}"
    return "\n".join(items)


def signature(name: str, make: Any) -> str:
    """The call with its defaults, a line or as many as it needs."""
    fields = []
    for field in inspect.signature(make).parameters.values():
        if field.kind is field.KEYWORD_ONLY and "*" not in fields:
            fields.append("*")
        default = "" if field.default is field.empty else f"={shown(field.default)}"
        fields.append(f"{field.name}{default}")
    line = f"fnn.optim.{name}({', '.join(fields)})"
    if len(line) <= 96:
        return line
    return f"fnn.optim.{name}(\n" + "".join(f"    {field},\n" for field in fields) + ")"


def shown(value: Any) -> str:
    return getattr(value, "__name__", repr(value)) if callable(value) else repr(value)


def code(text: str) -> str:
    return f"```python\n{text}\n```"


def links(text: str) -> str:
    return re.sub(r"(https?://[^\s;,]+[^\s;,.)])", r"<\1>", text)


def stored_rows() -> dict[str, list[dict[str, str]]]:
    """The rows of the stored comparison by optimizer; none if there is no such file."""
    rows: dict[str, list[dict[str, str]]] = {}
    if RESULTS.exists():
        for row in csv.DictReader(io.StringIO(RESULTS.read_text(encoding="utf-8"))):
            rows.setdefault(row["name"], []).append(row)
    return rows


def result(rows: list[dict[str, str]]) -> str:
    """The rows of one optimizer, ours and optax's, as a table."""
    if not rows:
        return "It has not run in the stored comparison, `benchmarks/results/compare`."
    lines = [
        "| by | learning rate | test score | 95 % interval | steps to target | µs a step |",
        "| --- | --: | --: | :-: | --: | --: |",
    ]
    for row in rows:
        ends = f"{number(row['score_low'])} to {number(row['score_high'])}"
        reached = row["steps_to_target"] or "not reached"
        rate, score, cost = row["learning_rate"], row["score"], row["step_us"]
        cells = [row["by"], number(rate, ".2g"), number(score), ends, reached, number(cost, ".0f")]
        lines.append(f"| {' | '.join(cells)} |")
    about = "From `benchmarks/results/compare`, where the settings and the machine stand."
    return "\n".join([*lines, "", about])


def number(text: str, form: str = ".3f") -> str:
    return f"{float(text):{form}}" if text else "-"


def index() -> str:
    """The list of all pages."""
    lines = [
        "# Optimizers",
        "",
        "Each on a page, as `fnn.optim.NAME` and for the command line.",
        "",
    ]
    lines += ["| name | what it does |", "| --- | --- |"]
    for name, make in NAMES.items():
        summary = sections(inspect.getdoc(make) or "")["summary"]
        lines.append(f"| [{name}]({name}.md) | {summary.replace('|', chr(92) + '|')} |")
    return "\n".join([*lines, "", "Written by `python docs/optimizers.py`."]) + "\n"


def pictures() -> dict[str, bytes]:
    """A small picture of each path on Beale's function, by file name."""
    import numpy as np
    from PIL import Image

    from fnn import draw
    from fnn.compare.surface import surface_race
    from fnn.compare.surface_files import note
    from fnn.draw.movies import in_few_colours
    from fnn.surfaces import beale

    found = {}
    for entry in surface_race("beale", NAMES):
        figure = draw.path_panels(
            beale(), {entry.name: entry.path}, notes={entry.name: note(entry)}
        )
        figure.set_size_inches(3.6, 3.0)
        pixels = np.asarray(Image.open(io.BytesIO(draw.png(figure, dpi=130))).convert("RGB"))
        file = io.BytesIO()
        in_few_colours(pixels).save(file, "PNG", optimize=True)
        found[f"{entry.name}.png"] = file.getvalue()
    return found


def main() -> None:
    HERE.mkdir(exist_ok=True)
    texts = pages()
    images = {} if "--texts" in sys.argv else pictures()
    for name, text in texts.items():
        (HERE / name).write_text(text, encoding="utf-8")
    for name, image in images.items():
        (HERE / name).write_bytes(image)
    kept = texts.keys() | {name.replace(".md", ".png") for name in texts}
    for old in HERE.iterdir():
        if old.name not in kept:
            old.unlink()  # of an optimizer that is no more
    print(f"{len(texts)} pages and {len(images)} pictures in {HERE}")


if __name__ == "__main__":
    main()
