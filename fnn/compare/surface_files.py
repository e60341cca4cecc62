"""The files of a walk over a surface, and its table."""

import json
import math
from collections.abc import Sequence
from typing import Any

from fnn.checkpoint import write_atomically
from fnn.compare.files import check_out
from fnn.compare.surface import Entry
from fnn.surfaces import Surface

MANY = 12  # paths that one picture can hold


def note(entry: Entry) -> str:
    """A few words on an entry, for a legend."""
    if entry.diverged:
        return "diverged at every rate"
    reached = "" if entry.steps is None else f", {entry.steps} steps"
    return f"rate {entry.learning_rate:.2g}{'*' if entry.at_edge else ''}{reached}"


def table(surface: Surface, entries: Sequence[Entry]) -> str:
    """The table of the walks in plain text, and what its columns mean."""
    heads = ["optimizer", "learning rate", "end above lowest", "distance", "steps", "diverges from"]
    lines = [heads, *([*map(str, _cells(entry))] for entry in entries)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(heads))]
    rows = [
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]
    steps = len(entries[0].path) - 1
    notes = [
        f"Every optimizer tried the same rates for {steps} steps with exact gradients; the one that"
        " ended lowest is shown, * if the smallest or largest tried.",
        "distance: from the end to the nearest minimum. steps: until 99.9 % of the way down, for"
        " good (99 % where the surface falls without end, and walks end at the edge of the box).",
        "diverges from: the smallest rate from which on all larger ones that were tried left the"
        " box for good or were not finite.",
    ]
    return "\n".join([f"{surface.name}:", "", rows[0], "-" * len(rows[0]), *rows[1:], "", *notes])


def _cells(entry: Entry) -> list[str]:
    def number(value):
        return "-" if value is None or math.isnan(value) else f"{value:.2g}"

    return [
        entry.name,
        number(entry.learning_rate) + ("*" if entry.at_edge else ""),
        "diverged" if entry.diverged else number(entry.gap),
        "-" if entry.diverged else number(entry.distance),
        "not reached" if entry.steps is None else str(entry.steps),
        number(entry.diverges_from),
    ]


def write(surface: Surface, entries: Sequence[Entry], out: Any) -> list[str]:
    """Write NAME.png, NAME.gif, NAME.html and NAME.json; return their paths."""
    from fnn import draw

    folder = check_out(out)
    walked = {entry.name: entry.path for entry in entries}
    few = dict(list(walked.items())[:MANY])
    notes = {entry.name: note(entry) for entry in entries}
    many = len(walked) > MANY
    title = f"{surface.name}: {len(walked)} optimizers, each at its tuned learning rate"
    best = f"{surface.name}: the best {MANY} of {len(walked)}" if many else surface.name
    figure = (draw.path_panels if many else draw.paths)(surface, walked, notes=notes, title=title)
    contents = {
        "png": draw.png(figure),
        "gif": draw.path_gif(surface, few, title=best),
        "html": draw.path_page(surface, walked, notes=notes, title=title).encode(),
        "json": as_json(surface, entries).encode(),
    }
    for kind, content in contents.items():
        write_atomically(folder / f"{surface.name}.{kind}", content)
    return [str(folder / f"{surface.name}.{kind}") for kind in contents]


def as_json(surface: Surface, entries: Sequence[Entry]) -> str:
    """Everything, six digits of each number; what is not finite is null."""

    def number(value):
        known = value is not None and math.isfinite(value)
        return float(f"{value:.6g}") if known else None

    listed = [
        {
            **{name: number(value) if isinstance(value, float) else value
               for name, value in entry._asdict().items() if name != "path"},
            "path": [[number(v) for v in point] for point in entry.path.tolist()],
        }
        for entry in entries
    ]  # fmt: skip
    whole = {"surface": surface.name, "start": surface.start, "optimizers": listed}
    return json.dumps(whole, allow_nan=False) + "\n"
