"""Any network as boxes in boxes: what each layer is, gives and holds, and what feeds what."""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

from fnn import combine
from fnn.core import Layer
from fnn.draw.scene import INK, REST, SOFT, Line, Scene, Shape, Text
from fnn.inspect.summary import Row, Summary, summary
from fnn.inspect.table import cut, short
from fnn.show import spec_text

_WIDE, _TALL, _GAP, _PAD, _HEAD, _BYPASS = 250, 46, 20, 14, 24, 34
_TINT = {
    "dense": "#4477AA",
    "conv": "#117733",
    "attention": "#AA4499",
    "norm": "#DDAA33",
    "pool": "#44AA99",
    "cell": "#CC3311",
    "recurrent": "#CC3311",
    "embed": "#882255",
}


class _Block(NamedTuple):
    """A piece of the picture: its size, and what draws it with its top middle at (x, y)."""

    width: float
    height: float
    draw: Callable[[float, float], list[Any]]


def architecture(net: Layer, x: Any, *, depth: int | None = None, title: str = "") -> Scene:
    """A network as boxes, from what comes in to what goes out; it may be of any kind.

    A box is a layer: the call that makes it, the shape it gives, how many numbers it holds. Layers
    in a chain stand below each other, joined by arrows; branches side by side; around the body of a
    `residual` goes its short cut. Children of a `compose` stand in their order in a dashed frame,
    since the function that joins them may do anything.

    Args:
      net: the network.
      x: an input with its batch axis, or its `jax.ShapeDtypeStruct`; nothing is computed.
      depth: how many levels of containers are opened; all if None.
      title: stands above.

    Returns:
      A scene: `svg()`, `png()`, `save(path)`; notebooks show it.

    Raises:
      TypeError, ValueError: as `net.init` and `net.apply`, if x does not fit.

    >>> import fnn, jax
    >>> net = fnn.serial(fnn.layers.dense(8), jax.nn.relu, fnn.layers.dense(2))
    >>> scene = architecture(net, jax.ShapeDtypeStruct((1, 4), "float32"))
    >>> [piece.words for piece in scene.pieces if getattr(piece, "bold", False)]
    ['x', 'dense(8)', 'relu', 'dense(2)']
    """
    table = summary(net, x)
    block = _block(net, "", table, depth)
    top = 34 if title else 12
    first = _leaf("x", cut(spec_text(table.x), 40), "")
    foot = f"{table.parameters:,} parameters, {short(table.flops.total)} FLOPs"
    width = max(first.width, block.width, 7 * len(foot), 8.5 * len(title)) + 2 * _PAD
    middle, below = width / 2, top + first.height + _GAP
    pieces = [*first.draw(middle, top), _arrow(middle, below - _GAP, below)]
    pieces += block.draw(middle, below)
    end = below + block.height + 22
    pieces.append(Text(middle, end, foot, soft=True, size=11))
    if title:
        pieces.append(Text(_PAD, 22, title, "start", bold=True, size=15))
    return Scene(width, end + 12, tuple(pieces), title or f"the architecture of {net.name}")


def _block(layer: Layer, path: str, table: Summary, depth: int | None) -> _Block:
    row = table[path]
    if not layer.children or depth == 0:
        return _leaf(row.made, _gives(row), _holds(row), row.kind)
    inner = None if depth is None else depth - 1
    kids = [
        _block(child, f"{path}/{name}" if path else name, table, inner)
        for name, child in layer.children.items()
    ]
    if layer.made_by is combine.serial:
        chain = _chain(kids, joined=True)
        return chain if not path else _framed(chain, _name(row))
    if layer.made_by is combine.residual:
        return _framed(_chain(kids[:1], joined=True), _name(row), bypass=kids[1:] or True)
    if layer.made_by is combine.parallel:
        return _framed(_beside(kids), _name(row))
    if len(kids) == 1:  # repeat, shared, frozen, remat, with_policy
        return _framed(kids[0], f"{_name(row)}{_times(layer)}")
    return _framed(_chain(kids, joined=False), _name(row), dashed=True)


def _name(row: Row) -> str:
    name = row.path.split("/")[-1]
    if not name or name.startswith(row.kind):
        return row.kind
    return name if row.kind == "serial" else f"{name}: {row.kind}"


def _times(layer: Layer) -> str:
    n = layer.config.get("n")
    return f" x {n}" if n else ""


def _gives(row: Row) -> str:
    return cut(spec_text(row.gives).replace("float32[", "["), 24) if row.calls else ""


def _holds(row: Row) -> str:
    return f"{row.parameters:,}" if row.parameters else ""


def _leaf(made: str, gives: str, holds: str, kind: str = "") -> _Block:
    tint = next((colour for word, colour in _TINT.items() if word in kind), REST)
    words = " · ".join(word for word in (gives, f"{holds} parameters" if holds else "") if word)

    def draw(x: float, y: float) -> list[Any]:
        box = Shape(x, y + _TALL / 2, _WIDE, _TALL, False, tint, 0.22 if kind else 0.06, made)
        return [
            box,
            Text(x, y + 19, cut(made, 34), bold=True, size=12.5),
            Text(x, y + 36, words, soft=True, size=11),
        ]

    return _Block(_WIDE, _TALL, draw)


def _chain(kids: list[_Block], *, joined: bool) -> _Block:
    """Below each other."""
    height = sum(kid.height for kid in kids) + _GAP * (len(kids) - 1)

    def draw(x: float, y: float) -> list[Any]:
        pieces = []
        for place, kid in enumerate(kids):
            if place and joined:
                pieces.append(_arrow(x, y - _GAP, y))
            pieces += kid.draw(x, y)
            y += kid.height + _GAP
        return pieces

    return _Block(max(kid.width for kid in kids), height, draw)


def _beside(kids: list[_Block]) -> _Block:
    """Side by side, an arrow to and from each."""
    width = sum(kid.width for kid in kids) + _GAP * (len(kids) - 1)
    tall = max(kid.height for kid in kids)
    height = tall + 2 * _GAP

    def draw(x: float, y: float) -> list[Any]:
        left, pieces = x - width / 2, []
        for kid in kids:
            middle = left + kid.width / 2
            pieces += [Line(x, y, middle, y, SOFT), Line(x, y + height, middle, y + height, SOFT)]
            pieces.append(_arrow(middle, y, y + _GAP))
            pieces.append(Line(middle, y + _GAP + kid.height, middle, y + height, SOFT))
            pieces += kid.draw(middle, y + _GAP)
            left += kid.width + _GAP
        return pieces

    return _Block(width, height, draw)


def _framed(inside: _Block, name: str, *, bypass: Any = None, dashed: bool = False) -> _Block:
    """In a frame with a name; for a residual with the short cut beside it and the sum below."""
    short_cut = bypass[0] if isinstance(bypass, list) else None
    beside = (short_cut.width + _GAP if short_cut else _BYPASS) if bypass else 0
    foot = 30 if bypass else 0
    width = max(inside.width + 2 * beside, 8 * len(name)) + 2 * _PAD
    height = inside.height + _HEAD + 2 * _PAD + foot

    def draw(x: float, y: float) -> list[Any]:
        left, right, bottom = x - width / 2, x + width / 2, y + height
        corners = [(left, y), (right, y), (right, bottom), (left, bottom), (left, y)]
        pieces: list[Any] = [
            Line(*a, *b, REST, 1.2, dashed) for a, b in itertools.pairwise(corners)
        ]
        pieces.append(Text(left + 8, y + 16, name, "start", soft=True))
        top = y + _HEAD + _PAD
        pieces.append(Line(x, y, x, top, SOFT))
        pieces += inside.draw(x, top)
        end = top + inside.height
        if bypass:
            at = x + inside.width / 2 + beside / 2
            join = end + _PAD
            pieces += [Line(x, y + _HEAD, at, y + _HEAD, SOFT),
                       Line(at, y + _HEAD, at, join + 9, SOFT),
                       Line(at, join + 9, x + 10, join + 9, SOFT)]  # fmt: skip
            if short_cut:
                pieces += short_cut.draw(at, top)
            pieces += [_arrow(x, end, join), Shape(x, join + 9, 18, 18, round=True, words="sum"),
                       Text(x, join + 13.5, "+", size=14)]  # fmt: skip
            end = join + 18
        pieces.append(Line(x, end, x, bottom, SOFT))
        return pieces

    return _Block(width, height, draw)


def _arrow(x: float, start: float, end: float) -> Line:
    return Line(x, start, x, end, INK, 1.0, arrow=True)
