"""A network drawn as circles and lines, each of which the page can light up."""

from html import escape
from typing import Any, NamedTuple

from fnn.draw.network_scene import brief
from fnn.draw.scene import sign_colour
from fnn.explain.neurons import Neurons
from fnn.explain.words import chosen, plain

_MOST = 8  # nodes drawn of a layer
_TOP, _RADIUS, _WIDTH = 52, 19, 920


class Node(NamedTuple):
    """A circle, or a square for what is no neuron.

    Attributes:
      name: such as "h1[0]".
      column: which column it is in.
      kind: "input", "neuron", "passed".
      a: its activation.
      delta: its error; None if there is none.
      share: of its layer's error.
    """

    name: str
    column: str
    kind: str
    a: float
    delta: float | None
    share: float


class Edge(NamedTuple):
    """A synapse between two nodes; w is None where a function such as pooling leads."""

    start: int
    end: int
    w: float | None


class Diagram(NamedTuple):
    """What is drawn: the SVG, and its nodes and edges in the order of their numbers."""

    svg: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    most: int = _MOST

    def focus(self, name: str, *, backward: bool) -> tuple[list[int], list[int]]:
        """The numbers of the nodes that a name means, and of the edges that lead there.

        Backward they are those along which the blame comes.
        """
        nodes = [
            i for i, node in enumerate(self.nodes) if name and name in (node.name, node.column)
        ]
        inside = set(nodes)
        edges = [
            i
            for i, edge in enumerate(self.edges)
            if (edge.start if backward else edge.end) in inside
        ]
        return nodes, edges


def diagram(found: Neurons) -> Diagram:
    """The network as an SVG: weights by sign and size, activations by colour.

    Of a layer with many neurons those with the largest |delta| (or |a|) are drawn.
    """
    columns = _columns(found)
    nodes = [node for column, _, _ in columns for node in column]
    number = {node.name: i for i, node in enumerate(nodes)}
    edges = []
    for layer in found.layers:
        for neuron in chosen(layer, _MOST):
            for synapse in neuron.synapses:
                if synapse.source in number:
                    edges.append(Edge(number[synapse.source], number[neuron.name], synapse.w))
        for one in layer.passed:
            for source in one.sources if one.name in number else ():
                if source in number:
                    edges.append(Edge(number[source], number[one.name], None))
    tall = max(len(column) for column, _, _ in columns)
    row = 88 if tall <= 4 else 72
    height = _TOP + row * tall + 4
    places = {}
    for c, (column, _, _) in enumerate(columns):
        across = _WIDTH * (c + 0.5) / len(columns)
        for r, node in enumerate(column):
            places[node.name] = (across, _TOP + row * (r + 0.5 + (tall - len(column)) / 2))
    pieces = [_heads(columns)]
    widest = max((abs(edge.w) for edge in edges if edge.w is not None), default=1.0) or 1.0
    pieces += [_line(i, edge, nodes, places, widest) for i, edge in enumerate(edges)]
    largest = max(abs(node.a) for node in nodes) or 1.0
    pieces += [_node(i, node, places[node.name], largest) for i, node in enumerate(nodes)]
    svg = (
        f'<svg viewBox="0 0 {_WIDTH} {height}" id="net" role="group"'
        f' aria-label="the network">{"".join(pieces)}</svg>'
    )
    return Diagram(svg, tuple(nodes), tuple(edges))


def _columns(found: Neurons) -> list[tuple[list[Node], str, int]]:
    """The nodes drawn of each column, its title, and how many are left out."""
    tolls: dict[str, float] = {}
    for neuron in chosen(found.layers[0], _MOST):
        for synapse in neuron.synapses:
            tolls[synapse.source] = max(tolls.get(synapse.source, 0.0), abs(synapse.product))
    best = sorted(found.inputs, key=lambda pair: -tolls.get(pair[0], 0.0))[:_MOST]
    shown = [
        Node(name, "x", "input", a, None, 0.0) for name, a in found.inputs if (name, a) in best
    ]
    columns = [(shown[:_MOST], "input", len(found.inputs) - len(shown[:_MOST]))]
    for layer in found.layers:
        kept = [
            Node(one.name, layer.name, "neuron", one.a, one.delta, one.share or 0.0)
            for one in chosen(layer, _MOST)
        ]
        columns.append((kept, layer.role, len(layer.neurons) - len(kept)))
        if layer.passed:
            order = sorted(layer.passed, key=lambda one: -abs(one.da or one.a))[:_MOST]
            kept = [
                Node(one.name, f"{layer.name}>", "passed", one.a, one.da, 0.0)
                for one in layer.passed
                if one in order
            ][:_MOST]
            columns.append((kept, layer.after, len(layer.passed) - len(kept)))
    return columns


def _heads(columns: Any) -> str:
    pieces = []
    for c, (column, title, left) in enumerate(columns):
        x = _WIDTH * (c + 0.5) / len(columns)
        pieces.append(f'<text x="{x:.1f}" y="20" class="head">{escape(title)}</text>')
        if left:
            note = f"{len(column)} of {len(column) + left:,}"
            pieces.append(f'<text x="{x:.1f}" y="37" class="soft">{note}</text>')
    return "".join(pieces)


def _line(number: int, edge: Edge, nodes: Any, places: Any, widest: float) -> str:
    (x0, y0), (x1, y1) = places[nodes[edge.start].name], places[nodes[edge.end].name]
    if edge.w is None:
        look, words = 'class="way edge" stroke-width="1"', "passed on"
    else:
        colour = sign_colour(edge.w)
        width = 0.8 + 4.2 * abs(edge.w) / widest
        look = f'class="edge" stroke="{colour}" stroke-width="{width:.2f}"'
        words = f"w = {plain(edge.w)}"
    return (
        f'<line id="e{number}" {look} x1="{x0 + _RADIUS:.1f}" y1="{y0:.1f}"'
        f' x2="{x1 - _RADIUS:.1f}" y2="{y1:.1f}"><title>{words}</title></line>'
    )


def _node(number: int, node: Node, place: tuple[float, float], largest: float) -> str:
    x, y = place
    colour = sign_colour(node.a)
    fill = f'fill="{colour}" fill-opacity="{0.08 + 0.5 * min(1.0, abs(node.a) / largest):.2f}"'
    r = _RADIUS
    if node.kind == "neuron":
        shape, box = f'<circle class="{{}}" r="{r}" {{}}/>', 0
    else:
        box = r - 2
        shape = (
            f'<rect class="{{}}" x="{-box}" y="{-box}" width="{2 * box}" height="{2 * box}" {{}}/>'
        )
    blame = ""
    if node.delta is not None:
        sign = "delta" if node.kind == "neuron" else "dC/da"
        ring = sign_colour(node.delta)
        width = 2 + 4 * node.share
        blame = shape.format("ring", f'fill="none" stroke="{ring}" stroke-width="{width:.2f}"')
        blame += f'<text y="{-r - 6}" class="delta">{sign} {plain(node.delta)}</text>'
    label = f"{node.name}, activation {plain(node.a)}"
    return (
        f'<g id="n{number}" class="node" tabindex="0" role="button" aria-label="{escape(label)}"'
        f' transform="translate({x:.1f} {y:.1f})"><title>{escape(label)}</title>'
        f"{shape.format('base', '')}{shape.format('fill', fill)}{blame}"
        f'<text y="4.5" class="value">{brief(node.a)}</text>'
        f'<text y="{r + 13}" class="name">{escape(node.name)}</text></g>'
    )
