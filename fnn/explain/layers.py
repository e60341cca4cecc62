"""A network explained layer by layer: what each takes, gives, and is told by the gradient."""

import math
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn import trees
from fnn.combine import repeat
from fnn.core import Layer, as_jax
from fnn.explain.windows import Window, fields, window_of
from fnn.inspect.probe import Prober
from fnn.inspect.replay import Seen, replay
from fnn.inspect.summary import branch, walk, within
from fnn.inspect.table import Words, cut, cut_start, few
from fnn.inspect.watch import Trace, Watched
from fnn.show import value_text


class LayerRow(NamedTuple):
    r"""One layer in one of its calls; norms are Euclidean, over the whole batch.

    Attributes:
      path: the layer's path, "" for the network itself.
      kind: such as "conv".
      depth: how many layers it lies in.
      call: which of its calls, from 0; in `repeat` the place in depth.
      gives: the shape of its output, of its first array.
      input: the norm of what it takes.
      output: that of what it gives.
      mean: of its output.
      dy: the norm of dC/dy, which comes to it from behind; None in `forward`.
      dx: that of dC/dx, which it hands on to the layers before it.
      dw: that of dC/dw, over all parameters in it; None for a layer without.
      window: what one neuron of a convolution sees; None for others.
    """

    path: str
    kind: str
    depth: int
    call: int
    gives: tuple[int, ...]
    input: float
    output: float
    mean: float
    dy: float | None
    dx: float | None
    dw: float | None
    window: Window | None


class Layers(NamedTuple):
    """A network explained layer by layer; `print` it, `table()` it, or write it as `html`.

    Attributes:
      net: the network in words.
      rows: one for each call of each layer, in the order of their running.
      why: why it is not shown neuron by neuron; "" if it was asked for.
      loss: the name of the loss; "" in `forward`.
      cost: C, the mean of the losses; None in `forward`.
    """

    net: str
    rows: tuple[LayerRow, ...]
    why: str
    loss: str = ""
    cost: float | None = None

    def __getitem__(self, path: Any) -> Any:  # type: ignore[override]
        """The calls of the layer at a path; a field by its number."""
        if not isinstance(path, str):
            return tuple(self)[path]
        return [row for row in self.rows if row.path == path]

    def table(self) -> list[dict[str, Any]]:
        """Rows of a table, such as `pandas.DataFrame` takes."""
        hidden = {"window", *(("dy", "dx", "dw") if self.cost is None else ())}
        return [
            {name: value for name, value in row._asdict().items() if name not in hidden}
            | (row.window._asdict() if row.window else {})
            for row in self.rows
        ]

    def words(self) -> Words:
        """The table in words."""
        heads = ["layer", "call", "output", "|x|", "|y|", "mean y", "|dC/dy|", "|dC/dx|", "|dC/dw|"]
        again = {row.path for row in self.rows if row.call}
        lines = [
            [
                cut_start(row.path or row.kind, 36),
                str(row.call) if row.path in again else "",
                "x".join(map(str, row.gives)) or "()",
                *map(few, (row.input, row.output, row.mean, row.dy, row.dx, row.dw)),
            ]
            for row in self.rows
        ]
        return Words(heads, lines, self.notes(), left=1)

    def notes(self) -> list[str]:
        """What is to be said besides: the cost, the windows of convolutions, why no neurons."""
        found = []
        if self.cost is not None:
            found.append(f"C = mean {self.loss} = {self.cost:.4g}")
        seen = [row for row in self.rows if row.window and not row.call]
        found += [f"{row.path or row.kind}: {row.window}" for row in seen]
        if self.why:
            found.append(f"not shown neuron by neuron: {cut(self.why, 200)}")
        return found

    def html(self, path: str | os.PathLike[str]) -> None:
        """Write the table as a page of one file that needs no network."""
        from fnn.checkpoint.atomic import write_atomically
        from fnn.explain.page import layers_page

        write_atomically(path, layers_page(self))

    def __str__(self) -> str:
        return str(self.words())


def by_layers(
    net: Layer,
    params: Any,
    state: Any,
    x: Any,
    y: Any,
    loss: Callable[[Any, Any], jax.Array] | None,
    why: str,
) -> Layers:
    """The network layer by layer, by probes in one compiled program that is made for this call."""
    prober: Any = _Noting()
    stacked = [path for path, _, layer in walk(net) if layer.made_by is repeat]

    def cost(params, x, state, y):
        out, _ = net.apply(Watched(params, "", prober), state, x)
        if loss is None:
            return jnp.zeros(())
        losses = loss(out, y)
        return prober.probe(jnp.mean(losses, dtype=trees.wide(losses.dtype)), "", "cost")

    def program(params, x, state, y):
        if loss is None:
            return cost(params, x, state, y)
        # by x, too: else what the first layer hands on would be left out
        grads, _ = jax.grad(cost, argnums=(0, 1), allow_int=True)(params, x, state, y)
        for path, g in trees.paths(grads).items():
            prober.probe(g, path, "gradient")
        return grads

    args = (as_jax(params), x, state, y)
    trace = Trace(jax.make_jaxpr(program)(*args), [])

    def look(number, a):
        probe = prober.probes[number]
        kept = sum(within(probe.path, path) for path in stacked) if probe.at == "gradient" else 0
        return _measured(a, kept)

    seen = replay(trace, args, look)
    costs = [s for s in seen if prober.probes[s.number] == ("", "cost", False)]
    value = float(costs[0].value["sum"]) if costs else None
    rows = _rows(net, params, seen, prober, jax.tree.leaves(x))
    return Layers(repr(net), tuple(rows), why, value_text(loss) if loss else "", value)


def _measured(a: jax.Array, kept: int) -> dict[str, Any]:
    """Sums over all axes but the first `kept`."""
    a = a.astype(trees.wide(a.dtype)).reshape(*a.shape[:kept], -1)
    return {"squares": jnp.square(a).sum(-1), "sum": a.sum(-1), "size": jnp.asarray(a.shape[-1])}


class _Noting(Prober):
    """A prober that notes the shape of the first array at each probe."""

    def __init__(self):
        super().__init__()
        self.shapes: dict[int, tuple[int, ...]] = {}

    def probe(self, tree: Any, path: str, at: str) -> Any:
        leaves = jax.tree.leaves(tree)
        self.shapes[len(self.probes)] = jnp.shape(leaves[0]) if leaves else ()
        return super().probe(tree, path, at)


def _rows(net: Layer, params: Any, seen: list[Seen], prober: _Noting, x: Any) -> list[LayerRow]:
    values: dict[tuple[int, tuple[int, ...]], list[Any]] = {}  # by probe and turns, of its arrays
    grads = {}
    for one in seen:
        if prober.probes[one.number].at == "gradient":
            grads[prober.probes[one.number].path] = one.value["squares"]
        else:
            values.setdefault((one.number, one.turns), []).append(one.value)
    wide = fields(net, x[0].ndim - 2) if x and 3 <= x[0].ndim <= 5 else {}
    size = x[0].shape[1:-1] if wide else ()
    found = []
    for path, depth, layer in walk(net):
        field = wide.get(path) and tuple(map(min, wide[path] or (), size))
        for call, (enter, leave, turns) in enumerate(_calls(path, prober, values)):
            takes, gives = prober.shapes[enter], prober.shapes[leave]
            outputs = values[leave, turns]
            total = sum(float(v["sum"]) for v in outputs)
            found.append(
                LayerRow(
                    path=path,
                    kind=layer.name,
                    depth=depth,
                    call=call,
                    gives=gives,
                    input=_norm(values.get((enter, turns))) or 0.0,
                    output=_norm(outputs) or 0.0,
                    mean=total / max(1, sum(int(v["size"]) for v in outputs)),
                    dy=_norm(values.get((leave + 1, turns))),
                    dx=_norm(values.get((enter + 1, turns))),
                    dw=_weights_norm(path, turns, grads),
                    window=window_of(layer, branch(params, path), takes, gives, field),
                )
            )
    return found


def _calls(path: str, prober: _Noting, values: Any) -> list[tuple[int, int, tuple[int, ...]]]:
    """The probes at the input and the output of each call of a layer, and its turns."""
    own = [
        (number, probe.at)
        for number, probe in enumerate(prober.probes)
        if probe.path == path and not probe.backward and probe.at in ("input", "output")
    ]
    pairs = [
        (number, own[place + 1][0])
        for place, (number, at) in enumerate(own[:-1])
        if at == "input" and own[place + 1][1] == "output"
    ]
    return [
        (enter, leave, turns)
        for enter, leave in pairs
        for number, turns in sorted(values)
        if number == leave
    ]


def _norm(parts: list[Any] | None) -> float | None:
    return None if not parts else math.sqrt(sum(float(part["squares"]) for part in parts))


def _weights_norm(path: str, turns: tuple[int, ...], grads: dict[str, Any]) -> float | None:
    """The norm of the gradients of all parameters in a layer; inside a `repeat` of one turn's."""
    squares = [part for name, part in grads.items() if within(name, path)]
    if not squares:
        return None
    return math.sqrt(sum(float(part[turns[: part.ndim]].sum()) for part in squares))
