"""A flat picture of lines, shapes and words, written as SVG or drawn as a matplotlib figure.

Diagrams are laid out once, in pixels from the top left, and come out alike both ways.
"""

import os
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

from fnn.checkpoint.atomic import write_atomically
from fnn.checks import check_path
from fnn.draw.base import blank, plain, png, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POSITIVE, NEGATIVE = "#4477AA", "#CC3311"
INK, SOFT, REST, PAPER = "#1a1a1a", "#666666", "#b9b9b9", "#ffffff"
_PIXELS = 100  # of an inch, in a figure

ALONE = (
    f"<style>text{{font:12px system-ui,sans-serif;fill:{INK}}}.soft{{fill:{SOFT}}}"
    f".bold{{font-weight:600}}.base{{fill:{PAPER};stroke:{REST};stroke-width:1.5}}</style>"
)


class Line(NamedTuple):
    """A straight line; `words` are said of it, `mark` is its number for a page."""

    x0: float
    y0: float
    x1: float
    y1: float
    colour: str = REST
    width: float = 1.0
    dashed: bool = False
    words: str = ""
    mark: str = ""
    arrow: bool = False


class Shape(NamedTuple):
    """A circle in, or a rectangle filling, the box around (x, y); filled by a colour so strongly.

    Attributes:
      x, y: its middle.
      width, height: of its box.
      round: whether it is an ellipse.
      fill: its colour.
      strength: how strongly it is filled, from 0 to 1.
      words: what is said of it.
      mark: its number for a page.
    """

    x: float
    y: float
    width: float
    height: float
    round: bool = False
    fill: str = POSITIVE
    strength: float = 0.0
    words: str = ""
    mark: str = ""


class Text(NamedTuple):
    """Words with their middle, start or end at (x, y), the line that letters stand on."""

    x: float
    y: float
    words: str
    anchor: str = "middle"
    soft: bool = False
    bold: bool = False
    size: float = 12
    mark: str = ""


class Scene(NamedTuple):
    """Pieces from back to front on a sheet of width and height."""

    width: float
    height: float
    pieces: tuple[Any, ...]
    title: str = ""

    def svg(self, *, page: bool = False) -> str:
        """An SVG that stands alone on white; in a page, one that takes the page's colours.

        >>> Scene(20, 10, (Text(10, 8, "a < b"),)).svg(page=True)
        '<svg viewBox="0 0 20 10" role="img" aria-label=""><text x="10" y="8" \
text-anchor="middle">a &lt; b</text></svg>'
        """
        body = "".join(_WRITE[type(piece)](piece) for piece in self.pieces)
        box = f'viewBox="0 0 {_n(self.width)} {_n(self.height)}"'
        label = f'role="{"group" if page and self._marked else "img"}"'
        label += f' aria-label="{escape(self.title)}"'
        if page:
            return f"<svg {box} {label}>{body}</svg>"
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" {box} width="{_n(self.width)}"'
            f' height="{_n(self.height)}" {label}>{ALONE}'
            f'<rect width="100%" height="100%" fill="{PAPER}"/>{body}</svg>\n'
        )

    def png(self) -> bytes:
        """The same as a PNG; needs matplotlib."""
        return png(self.figure())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write .svg or .png, whole or not at all.

        Raises:
          ValueError: for another ending.
        """
        save("Scene.save", path, {".svg": self.svg, ".png": self.png})

    def _repr_svg_(self) -> str:
        return self.svg()

    @property
    def _marked(self) -> bool:
        return any(getattr(piece, "mark", "") for piece in self.pieces)

    def figure(self) -> "Figure":
        """The same as a matplotlib figure."""
        with styled():
            figure, axes = blank(1, 1, (self.width / _PIXELS, self.height / _PIXELS))
            figure.set_layout_engine("none")
            panel = axes[0, 0]
            panel.set_position((0, 0, 1, 1))
            panel.set(xlim=(0, self.width), ylim=(self.height, 0))
            panel.set_axis_off()
            for place, piece in enumerate(self.pieces):
                _PAINT[type(piece)](panel, piece, place)
        return figure


def save(
    where: str, path: str | os.PathLike[str], kinds: dict[str, Callable[[], str | bytes]]
) -> None:
    """Write what the function for the path's ending makes.

    Raises:
      ValueError: if there is none for it.
    """
    path = check_path(where, path)
    if path.suffix not in kinds:
        *others, last = kinds
        raise ValueError(
            f"{where}: the name must end in {', '.join(others)} or {last}, got {path.name!r}"
        )
    made = kinds[path.suffix]()
    write_atomically(path, made.encode() if isinstance(made, str) else made)


def sign_colour(value: float) -> str:
    """Blue for what is not negative, red for what is."""
    return NEGATIVE if value < 0 else POSITIVE


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _title(words: str) -> str:
    return f"<title>{escape(words)}</title>" if words else ""


def _mark(piece: Any) -> str:
    return f' id="{escape(piece.mark)}"' if piece.mark else ""


def _write_line(line: Line) -> str:
    dashes = ' stroke-dasharray="3 3"' if line.dashed else ""
    head = ""
    if line.arrow:
        x, y, side = line.x1, line.y1, 3.5 + line.width
        up = side if line.y1 >= line.y0 else -side
        head = (
            f'<path d="M{_n(x - side)} {_n(y - 1.6 * up)}L{_n(x)} {_n(y)}'
            f'L{_n(x + side)} {_n(y - 1.6 * up)}Z" fill="{line.colour}"/>'
        )
    return (
        f'<line{_mark(line)} class="edge" x1="{_n(line.x0)}" y1="{_n(line.y0)}" x2="{_n(line.x1)}"'
        f' y2="{_n(line.y1)}" stroke="{line.colour}" stroke-width="{line.width:.2f}"{dashes}>'
        f"{_title(line.words)}</line>{head}"
    )


def _write_shape(shape: Shape) -> str:
    w, h = shape.width, shape.height
    if shape.round:
        where = f'cx="{_n(shape.x)}" cy="{_n(shape.y)}" rx="{_n(w / 2)}" ry="{_n(h / 2)}"'
    else:
        where = (
            f'x="{_n(shape.x - w / 2)}" y="{_n(shape.y - h / 2)}" width="{_n(w)}" height="{_n(h)}"'
        )
        where += ' rx="5"' if min(w, h) > 24 else ""
    kind = "ellipse" if shape.round else "rect"
    said = escape(shape.words)
    focus = f' tabindex="0" role="img" aria-label="{said}"' if shape.mark else ""
    look = f'fill="{shape.fill}" fill-opacity="{shape.strength:.2f}"'
    return (
        f'<g{_mark(shape)} class="node"{focus}>{_title(shape.words)}<{kind} class="base" {where}/>'
        f'<{kind} class="fill" {where} {look}/></g>'
    )


def _write_text(text: Text) -> str:
    kinds = " ".join(name for name in ("soft", "bold") if getattr(text, name))
    kind = f' class="{kinds}"' if kinds else ""
    size = f' style="font-size:{_n(text.size)}px"' if text.size != 12 else ""
    return (
        f'<text{_mark(text)} x="{_n(text.x)}" y="{_n(text.y)}" text-anchor="{text.anchor}"{kind}'
        f"{size}>{escape(text.words)}</text>"
    )


def _paint_line(panel: Any, line: Line, place: int) -> None:
    style = (0, (3, 3)) if line.dashed else "-"
    panel.plot([line.x0, line.x1], [line.y0, line.y1], color=line.colour, zorder=place,
               linewidth=0.72 * line.width, linestyle=style, solid_capstyle="butt")  # fmt: skip
    if line.arrow:
        side = 3.5 + line.width
        up = side if line.y1 >= line.y0 else -side
        panel.fill([line.x1 - side, line.x1, line.x1 + side],
                   [line.y1 - 1.6 * up, line.y1, line.y1 - 1.6 * up],
                   color=line.colour, zorder=place, linewidth=0)  # fmt: skip


def _paint_shape(panel: Any, shape: Shape, place: int) -> None:
    from matplotlib.patches import Ellipse, FancyBboxPatch

    w, h = shape.width, shape.height
    for fill, strength, edge in ((PAPER, 1.0, REST), (shape.fill, shape.strength, "none")):
        look: Any = {"facecolor": fill, "alpha": strength, "edgecolor": edge, "zorder": place}
        if shape.round:
            piece: Any = Ellipse((shape.x, shape.y), w, h, **look)
        else:
            corner = 5 if min(w, h) > 24 else 0.01
            style = f"round,pad=0,rounding_size={corner}"
            piece = FancyBboxPatch((shape.x - w / 2, shape.y - h / 2), w, h, style, **look)
        panel.add_patch(piece)


def _paint_text(panel: Any, text: Text, place: int) -> None:
    side = {"middle": "center", "start": "left", "end": "right"}[text.anchor]
    panel.text(text.x, text.y, plain(text.words), ha=side, va="baseline", fontsize=0.72 * text.size,
               color=SOFT if text.soft else INK, zorder=place,
               fontweight="bold" if text.bold else "normal")  # fmt: skip


_WRITE = {Line: _write_line, Shape: _write_shape, Text: _write_text}
_PAINT = {Line: _paint_line, Shape: _paint_shape, Text: _paint_text}
