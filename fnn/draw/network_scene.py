"""The diagram of a network laid out, and the page in which one scrubs through its frames."""

import math
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fnn.draw.page import STYLE, embedded, filled
from fnn.draw.scene import REST, Line, Scene, Shape, Text, sign_colour

if TYPE_CHECKING:
    from fnn.draw.network import Drawing

_HEAD, _FOOT, _LEAST, _WIDEST = 66, 30, 0.5, 5.0


def scene(drawing: "Drawing", frame: int) -> Scene:
    """The pieces of one frame: lines below, nodes above them, words on top."""
    columns, top = drawing.columns, 26 if drawing.title else 0
    tall = max(len(column.units) for column in columns)
    row = 84 if tall <= 4 else 62 if tall <= 8 else 46
    radius = 20 if tall <= 4 else 16 if tall <= 8 else 12
    across = max(150, min(240, 900 // len(columns)))
    left, right = (_room(columns[c].names, across, radius) for c in (0, -1))
    width, height = left + across * len(columns) + right, top + _HEAD + row * tall + _FOOT
    places = [
        [(left + across * (c + 0.5), top + _HEAD + row * (r + 0.5 + (tall - len(column.units)) / 2))
         for r in range(len(column.units))]
        for c, column in enumerate(columns)
    ]  # fmt: skip
    lines, nodes, words = [], [], []
    for c, synapses in enumerate(drawing.synapses):
        looks = _looks(synapses.w, frame, len(synapses.start))
        ends = zip(synapses.start, synapses.end, strict=True)
        for number, ((start, end), (colour, thick)) in enumerate(zip(ends, looks, strict=True)):
            (x0, y0), (x1, y1) = places[c][start], places[c + 1][end]
            names = f"{columns[c].names[start]} to {columns[c + 1].names[end]}"
            said = names if synapses.w is None else f"{names}: w = {synapses.w[frame, number]:.4g}"
            plain = synapses.w is None
            lines.append(Line(x0 + radius, y0, x1 - radius, y1, colour, thick, dashed=plain,
                              words=said, mark=f"e{c}-{number}"))  # fmt: skip
    for c, column in enumerate(columns):
        x = left + across * (c + 0.5)
        words.append(Text(x, top + 18, column.title, bold=True, size=13.5))
        words.append(Text(x, top + 36, column.words, soft=True, size=11))
        if column.note:
            words.append(Text(x, top + 51, f"{column.note} shown", soft=True, size=11))
        largest = 1.0 if column.a is None else _largest(column.a)
        for r, (name, (_, y)) in enumerate(zip(column.names, places[c], strict=True)):
            a = None if column.a is None else float(column.a[frame, r])
            said = name if a is None else f"{name} = {a:.4g}"
            if column.b is not None:
                said += f", bias {column.b[frame, r]:.4g}"
            side = 2 * radius if column.neurons else 1.7 * radius
            fill = sign_colour(a or 0.0)
            nodes.append(Shape(x, y, side, side, column.neurons, fill, strength(a, largest),
                               said, f"n{c}-{r}"))  # fmt: skip
            if a is not None and radius > 12:
                words.append(Text(x, y + 4, brief(a), size=11, mark=f"t{c}-{r}"))
            ends = c in (0, len(columns) - 1)
            if ends and radius <= 16:
                x_name = x - radius - 6 if c == 0 else x + radius + 6
                words.append(Text(x_name, y + 4, name, "start" if c else "end", soft=True, size=11))
            elif ends or row > 60:
                words.append(Text(x, y + radius + 13, name, soft=True, size=11))
    if drawing.title:
        words.append(Text(12, 20, drawing.title, "start", bold=True, size=15))
    label = drawing.title or "network"
    words.append(Text(width / 2, height - 10, _caption(drawing, frame), soft=True, size=11))
    return Scene(width, height, (*lines, *nodes, *words), label)


def _room(names: Any, across: float, radius: float) -> float:
    """How far names beside a column at the edge reach beyond it."""
    return max(0.0, 6.5 * max(map(len, names)) + radius + 14 - across / 2)


def _caption(drawing: "Drawing", frame: int) -> str:
    filled = "" if drawing.columns[0].a is None else "; nodes: activation, by colour and strength"
    words = f"lines: weights, blue positive, red negative, thick large{filled}"
    return f"{drawing.labels[frame]}. {words}" if len(drawing.labels) > 1 else words


def _looks(w: Any, frame: int, count: int) -> list[tuple[str, float]]:
    """Colour and thickness of each line; the largest of all frames is the thickest."""
    if w is None:
        return [(REST, 1.0)] * count
    largest = _largest(w)
    return [
        (sign_colour(one), _LEAST + (_WIDEST - _LEAST) * abs(one) / largest)
        if math.isfinite(one)
        else (REST, _LEAST)
        for one in w[frame].tolist()
    ]


def _largest(values: np.ndarray) -> float:
    """The largest size among the finite ones; 1 where there is none but 0."""
    return float(np.max(np.abs(values), initial=0.0, where=np.isfinite(values))) or 1.0


def strength(a: float | None, largest: float) -> float:
    """How strongly a node is filled; not at all without an activation, or with no finite one."""
    return 0.06 + 0.6 * abs(a) / largest if a is not None and math.isfinite(a) else 0.0


def brief(a: float) -> str:
    """A number that fits into a circle.

    >>> brief(-0.0874), brief(1.0), brief(12345.0)
    ('-0.09', '1', '1e+04')
    """
    if not math.isfinite(a):
        return str(a)
    found = f"{a:.2f}" if abs(a) < 100 else f"{a:.0e}" if abs(a) >= 10000 else f"{a:.0f}"
    found = found.rstrip("0").rstrip(".") if "." in found else found
    return "0" if found == "-0" else found


def page(drawing: "Drawing") -> str:
    """The page: the first frame as SVG, and what each frame changes in it."""
    plain = drawing._replace(title="")  # the page has a heading of its own, and a caption
    scenes = [scene(plain, frame) for frame in range(len(drawing.labels))]
    frames = []
    for label, (_, _, pieces, _) in zip(drawing.labels, scenes, strict=True):
        frames.append(
            {
                "label": label,
                "edges": [[p.colour, round(p.width, 2), p.words] for p in pieces
                          if isinstance(p, Line)],
                "nodes": [[p.fill, round(p.strength, 2), p.words] for p in pieces
                          if isinstance(p, Shape)],
                "texts": {p.mark: p.words for p in pieces if isinstance(p, Text) and p.mark},
            }
        )  # fmt: skip
    first = scenes[0]
    kept = first.pieces[:-1]
    data = {"frames": frames, "ends": _ends(drawing)}
    parts = {
        "TITLE": escape(drawing.title or "A network"),
        "STYLE": STYLE,
        "WIDE": f"{first.width:.0f}",
        "PICTURE": first._replace(pieces=kept).svg(page=True),
        "DATA": embedded(data),
    }
    return filled(Path(__file__).parent / "network.html", parts)


def _ends(drawing: "Drawing") -> list[tuple[int, int]]:
    """The two nodes of each line, by their numbers in the page."""
    starts = np.cumsum([0, *(len(column.units) for column in drawing.columns)])
    return [
        (int(starts[c] + start), int(starts[c + 1] + end))
        for c, synapses in enumerate(drawing.synapses)
        for start, end in zip(synapses.start, synapses.end, strict=True)
    ]
