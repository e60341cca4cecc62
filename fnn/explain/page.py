"""The page in which one steps forward through the neurons and back through the deltas."""

import re
from html import escape
from pathlib import Path
from typing import Any

from fnn.draw.page import STYLE, bullets, embedded, filled, text, words_table
from fnn.explain.diagram import Diagram, diagram
from fnn.explain.layers import Layers
from fnn.explain.neurons import NeuronLayer, Neurons
from fnn.explain.words import (
    backward_lines,
    chosen,
    cost_line,
    forward_lines,
    layer_line,
    plain,
)

_ROWS = 200  # of a table
_LINES = 16  # products and weights of one neuron in the panel


def page(found: Neurons) -> str:
    """The whole page as one file of HTML that needs no network."""
    drawn = diagram(found)
    title = "Forward and backward propagation" if found.cost is not None else "Forward propagation"
    parts = {
        "TITLE": escape(title),
        "NET": escape(found.net),
        "STYLE": STYLE,
        "PICTURE": drawn.svg,
        "STEPS": embedded(_steps(found, drawn)),
        "WORDS": escape(str(found)),
        "TABLES": _tables(found),
    }
    return filled(Path(__file__).parent / "steps.html", parts)


def _steps(found: Neurons, drawn: Diagram) -> list[dict[str, Any]]:
    """Each step: what it is called, its lines, which nodes it is about, which ways it goes."""
    shown = [f"{name} = {plain(value)}" for name, value in found.inputs[:_LINES]]
    left = len(found.inputs) - len(shown)
    more = [f"... {left} more"] if left > 0 else []
    steps = [_step(drawn, "forward", "Input", "what the network is given", shown + more, "x")]
    for layer in found.layers:
        for neuron in chosen(layer, drawn.most):
            lines = forward_lines(neuron, layer, _LINES)
            steps.append(
                _step(drawn, "forward", neuron.name, layer_line(layer), lines, neuron.name)
            )
        if layer.passed:
            lines = [f"{one.name} = {plain(one.a)}" for one in layer.passed[:_LINES]]
            about = f"what {layer.after} makes of {layer.name}"
            steps.append(_step(drawn, "forward", layer.after, about, lines, f"{layer.name}>"))
    if found.cost is None:
        return steps
    steps.append(_step(drawn, "cost", "The error", "what the output costs", [cost_line(found)], ""))
    for layer in reversed(found.layers):
        steps += _back(found, layer, drawn)
    last = [
        f"largest difference between the chain rule and jax.grad: {found.difference:.1e}",
        "A step of gradient descent takes from every weight its gradient, times the learning rate.",
    ]
    return [*steps, _step(drawn, "done", "All gradients are known", "", last, "")]


def _back(found: Neurons, layer: NeuronLayer, drawn: Diagram) -> list[dict[str, Any]]:
    steps = []
    if layer.passed:
        lines = [f"dC/d{one.name} = {plain(one.da or 0.0)}" for one in layer.passed[:_LINES]]
        about = f"the blame goes back through {layer.after} to the neurons that made its output"
        steps.append(_step(drawn, "backward", layer.after, about, lines, f"{layer.name}>"))
    for neuron in chosen(layer, drawn.most):
        lines = backward_lines(neuron, layer, found.loss, _LINES)
        about = layer_line(layer)
        steps.append(_step(drawn, "backward", neuron.name, about, lines, neuron.name))
    return steps


def _step(
    drawn: Diagram, phase: str, name: str, about: str, lines: list[Any], node: str
) -> dict[str, Any]:
    pairs = [line if isinstance(line, tuple) else (line, "") for line in lines]
    pairs = [(_unbroken(words), checked) for words, checked in pairs]
    nodes, edges = drawn.focus(node, backward=phase == "backward")
    return {
        "phase": phase,
        "name": name,
        "about": about,
        "lines": pairs,
        "nodes": nodes,
        "edges": edges,
    }


def _unbroken(line: str) -> str:
    """The line with spaces that keep a product, and the places of an entry, together."""
    return re.sub(r"(?<=,) (?=[\d ,]+\])| (?=\* )|(?<=\*) ", "\u00a0", line)


def _tables(found: Neurons) -> str:
    heads = ["layer", "neuron", "bias", "z", "a"]
    if found.cost is not None:
        heads += ["dC/da", "delta", "jax.grad", "share of error"]
    lines = []
    for layer in found.layers:
        for one in layer.neurons:
            bias = "" if one.bias is None else plain(one.bias)
            line = [layer.path or layer.kind, one.name, bias, plain(one.z), plain(one.a)]
            if found.cost is not None:
                numbers = (one.da or 0.0, one.delta or 0.0, one.autodiff or 0.0)
                line += [*map(plain, numbers), f"{one.share or 0.0:.1%}"]
            lines.append(line)
    tables = ["<h2>Every neuron</h2>", _short(heads, lines), "<h2>Every weight and bias</h2>"]
    heads, lines = ["layer", "parameter", "value", "synapses"], []
    if found.cost is not None:
        heads += ["dC/dw by the chain rule", "by jax.grad"]
    for layer in found.layers:
        for one in layer.parameters:
            line = [layer.path or layer.kind, one.name, plain(one.value), str(one.synapses)]
            if found.cost is not None:
                line += [plain(one.gradient or 0.0), plain(one.autodiff or 0.0)]
            lines.append(line)
    return "".join([*tables, _short(heads, lines)])


def _short(heads: list[str], lines: list[list[str]]) -> str:
    left = len(lines) - _ROWS
    note = text(f"... {left:,} more rows: table() has them all") if left > 0 else ""
    return _numbers(heads, lines[:_ROWS]) + note


def _numbers(heads: list[str], lines: list[list[str]]) -> str:
    return words_table(heads, lines).replace('class="words"', 'class="numbers"', 1)


def layers_page(found: Layers) -> str:
    """The table of `Layers` as a page."""
    words = found.words()
    kept = words.kept()
    lines = [[line[i] for i in kept] for line in words.lines]
    title = "Layer by layer"
    table = _numbers([words.heads[i] for i in kept], lines)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}.sub code {{ white-space: pre-wrap }}</style></head>"
        f"<body><main><h1>{title}</h1>"
        f'<p class="sub"><code>{escape(found.net)}</code></p>{_MEANING}'
        f"{table}{bullets(found.notes())}"
        "</main></body></html>"
    )


_MEANING = text(
    "x is what a layer takes, y what it gives; |.| is the Euclidean norm over the batch. C is the"
    " loss: dC/dy comes to the layer from behind, dC/dx is what it hands on to the layers before"
    " it, dC/dw is the gradient of its own parameters."
)
