"""The sums and the chain rule in words and numbers, a line for each."""

from typing import Any

from fnn.explain.neurons import Neuron, NeuronLayer, Neurons, Parameter

_MOST = 9  # so many products, neurons and weights stand in a line or below each other in print


def number(value: float) -> str:
    """A number in four digits, in brackets if a sign would run into another.

    >>> number(0.5), number(-1.23456)
    ('0.5', '(-1.235)')
    """
    found = plain(value)
    return f"({found})" if found.startswith("-") else found


def plain(value: float) -> str:
    """A number in four digits.

    >>> plain(-1.23456)
    '-1.235'
    """
    return f"{value + 0.0:.4g}" if value else "0"


def chosen(layer: NeuronLayer, most: int = _MOST) -> list[Neuron]:
    """The neurons to show, in their order: those with the largest |delta|, or the largest |a|."""
    places = sorted(
        range(len(layer.neurons)),
        key=lambda j: -abs(_weight(layer.neurons[j])),
    )
    return [layer.neurons[j] for j in sorted(places[:most])]


def _weight(neuron: Neuron) -> float:
    return neuron.a if neuron.delta is None else neuron.delta


def forward_lines(neuron: Neuron, layer: NeuronLayer, most: int = _MOST) -> list[str]:
    """How a neuron makes a of what comes in: symbols, numbers, tolls, sum, activation."""
    shown = neuron.synapses[:most]
    left = len(neuron.synapses) - len(shown)
    more = [f"... {left} more"] if left else []
    bias = neuron.bias is not None
    symbols = [f"{s.weight} * {s.source}" for s in shown] + more + [neuron.bias_name] * bias
    tolls = [f"{number(s.w)} * {number(s.a)}" for s in shown] + more
    products = [number(s.product) for s in shown] + more
    if neuron.bias is not None:
        tolls.append(number(neuron.bias))
        products.append(number(neuron.bias))
    lines = [f"z = {' + '.join(symbols)}", f"  = {' + '.join(tolls)}"]
    if len(products) > 1:
        lines.append(f"  = {' + '.join(products)}")
    lines.append(f"  = {plain(neuron.z)}")
    if not layer.activation:
        return [*lines, f"a = z = {plain(neuron.a)}"]
    inside = plain(neuron.z) if "," not in layer.activation else "z"
    of_all = ", among all z of its layer" if neuron.slope is None else ""
    return [*lines, f"a = {layer.activation}({inside}) = {plain(neuron.a)}{of_all}"]


def backward_lines(
    neuron: Neuron, layer: NeuronLayer, loss: str, most: int = _MOST
) -> list[tuple[str, str]]:
    """The chain rule for a neuron, each line with what jax.grad says of it ("" if nothing)."""
    lines = [(line, "") for line in _blame_lines(neuron, layer, loss, most)]
    delta = number(neuron.delta or 0.0)
    checked = "" if neuron.autodiff is None else plain(neuron.autodiff)
    if neuron.slope is not None:
        steps = f"dC/da * da/dz = {number(neuron.da or 0.0)} * {number(neuron.slope)}"
        lines.append((f"delta = dC/dz = {steps} = {plain(neuron.delta or 0.0)}", checked))
    else:
        both = [(k.name, k.da or 0.0, s) for k, s in zip(layer.neurons, neuron.slopes, strict=True)]
        both = [row for row in both if row[2]]
        more = [f"... {len(both) - most} more"] if len(both) > most else []
        symbols = [f"dC/da * da/dz of {name}" for name, _, _ in both[:most]] + more
        numbers = [f"{number(da)} * {number(slope)}" for _, da, slope in both[:most]] + more
        lines.append((f"delta = dC/dz = {' + '.join(symbols)}", ""))
        lines.append((f"      = {' + '.join(numbers)}", ""))
        lines.append((f"      = {plain(neuron.delta or 0.0)}", checked))
    lines.append((f"share of its layer's error: |delta| / sum |delta| = {neuron.share:.1%}", ""))
    known = {one.name: one for one in layer.parameters}
    for synapse in neuron.synapses[:most]:
        one = known[synapse.weight]
        line = (
            f"dC/d{synapse.weight} = delta * {synapse.source} = {delta} * {number(synapse.a)}"
            f" = {plain(synapse.gradient or 0.0)}"
        )
        lines.append(_part(line, one))
    if len(neuron.synapses) > most:
        lines.append((f"... {len(neuron.synapses) - most} more weights", ""))
    if neuron.bias is not None:
        line = f"dC/d{neuron.bias_name} = delta = {plain(neuron.delta or 0.0)}"
        lines.append(_part(line, known[neuron.bias_name]))
    return lines


def _part(line: str, one: Parameter) -> tuple[str, str]:
    """The line and jax.grad's number; where a weight is shared, the line is only a part of it."""
    if one.synapses == 1:
        return line, plain(one.autodiff or 0.0)
    total = plain(one.gradient or 0.0)
    return f"{line}, of {total} by all {one.synapses} that share it", plain(one.autodiff or 0.0)


def _blame_lines(neuron: Neuron, layer: NeuronLayer, loss: str, most: int) -> list[str]:
    da = plain(neuron.da or 0.0)
    if not neuron.feeds:
        last = f"{layer.after} passes nothing of it on"
        return [f"dC/da = {da}, {last if layer.after else f'the slope of mean {loss} at a'}"]
    shown, left = neuron.feeds[:most], len(neuron.feeds) - most
    more = [f"... {left} more"] if left > 0 else []
    each = "d{0}/da * dC/d{0}" if layer.after else "w * delta of {0}"
    symbols = [each.format(fed.target) for fed in shown] + more
    numbers = [f"{number(fed.w)} * {number(fed.delta)}" for fed in shown] + more
    return [
        f"dC/da = {' + '.join(symbols)}",
        f"      = {' + '.join(numbers)}",
        f"      = {da}",
    ]


def layer_line(layer: NeuronLayer) -> str:
    """The layer in one line, "some" synapses against "all"."""
    n, some, every = len(layer.neurons), layer.synapses, layer.all_synapses
    weights = sum(one.name.startswith("w") for one in layer.parameters)
    ways = "synapse" if every == 1 else "synapses"
    which = (
        f"{'all ' * (every > 1)}{every:,} {ways}"
        if some == every
        else f"some, {some:,} of {every:,} {ways}"
    )
    shared = f", which share {weights:,} weights" if weights < some else ""
    called = f", a = {layer.activation}(z)" if layer.activation else ", a = z"
    after = f", then {layer.after}" if layer.after else ""
    noun = "neuron" if n == 1 else "neurons"
    path = f"{layer.path} ({layer.kind})" if layer.path else layer.kind
    return f"{layer.role}: {path}, {n:,} {noun} {layer.name}, {which}{shared}{called}{after}"


def text(found: Neurons) -> str:
    """The whole in words: forward, the loss, and backward from the output to the input."""
    inputs = ", ".join(f"{name} = {plain(value)}" for name, value in found.inputs[:_MOST])
    more = f", ... {len(found.inputs) - _MOST} more" if len(found.inputs) > _MOST else ""
    lines = ["Forward", f"  input: {inputs}{more}"]
    for layer in found.layers:
        lines.append(f"  {layer_line(layer)}")
        for neuron in chosen(layer):
            lines.append(f"    {neuron.name}")
            lines += [f"      {line}" for line in forward_lines(neuron, layer)]
        lines += _more(len(layer.neurons) - _MOST)
    if found.cost is None:
        return "\n".join(lines)
    lines += ["", f"The error: {cost_line(found)}", "", "Backward"]
    for layer in reversed(found.layers):
        lines.append(f"  {layer_line(layer)}")
        for neuron in chosen(layer):
            lines.append(f"    {neuron.name}")
            pairs = backward_lines(neuron, layer, found.loss)
            lines += [_beside(f"      {line}", checked) for line, checked in pairs]
        lines += _more(len(layer.neurons) - _MOST)
    lines += ["", f"largest difference between chain rule and jax.grad: {found.difference:.1e}"]
    return "\n".join(lines)


def _more(left: int) -> list[str]:
    return [f"    ... {left} more: see table() and html(path)"] if left > 0 else []


def _beside(line: str, checked: str) -> str:
    return f"{line:<72}  jax.grad {checked}" if checked else line


def cost_line(found: Neurons) -> str:
    """C, its parts and the target."""
    each = found.losses
    parts = ""
    if len(each) > 1:
        more = f" + ... {len(each) - _MOST} more" if len(each) > _MOST else ""
        parts = f"({' + '.join(map(number, each[:_MOST]))}{more}) / {len(each)} = "
    return f"C = mean {found.loss} = {parts}{plain(found.cost or 0.0)}, for target {found.target}"


def rows(found: Neurons, of: str) -> list[dict[str, Any]]:
    """The rows of `Neurons.table`."""
    if of not in ("neurons", "synapses", "parameters"):
        raise ValueError(
            f"explain: table(of) must be 'neurons', 'synapses' or 'parameters', got {of!r}"
        )
    listed = []
    for layer in found.layers:
        if of == "parameters":
            kept = len(Parameter._fields) if found.cost is not None else 3
            for one in layer.parameters:
                listed.append({"layer": layer.path, **dict(list(one._asdict().items())[:kept])})
            continue
        for neuron in layer.neurons:
            if of == "synapses":
                for synapse in neuron.synapses:
                    row = {"layer": layer.path, "neuron": neuron.name, **synapse._asdict()}
                    listed.append(row)
                continue
            row = {"layer": layer.path, "role": layer.role, "neuron": neuron.name}
            row |= {"bias": neuron.bias, "z": neuron.z, "a": neuron.a}
            if found.cost is not None:
                names = ("da", "slope", "delta", "share", "autodiff")
                row |= {name: getattr(neuron, name) for name in names}
            listed.append(row)
    return listed
