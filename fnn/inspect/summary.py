"""The network as a table: what each layer is, gives, holds and spends."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax

from fnn import trees
from fnn.core import Layer, Variables, spec
from fnn.inspect.flops import Flops
from fnn.inspect.table import WIDTH, Words, cut, short
from fnn.inspect.watch import Call, Spent, spent, watched
from fnn.show import spec_text

_NAME, _MADE, _OUTPUT = 26, 26, 24  # the widest that these columns become


@dataclass(frozen=True)
class Row:
    """A layer of a summary; what it counts includes the layers inside it.

    Attributes:
      path: where its variables are, such as "body/dense_0"; "" is the network itself.
      kind: the kind of layer, such as "dense".
      made: the call that builds it, such as "dense(128)"; of a container, its kind.
      depth: how many layers it lies in.
      takes: the shapes and dtypes of its input, of its first call; None if it was not seen.
      gives: those of its output.
      calls: how often it runs in one `apply`; 0 if it was not seen.
      parameters: how many numbers its params hold.
      size: how many bytes they are.
      state: how many numbers its state holds.
      flops: operations of all its calls, `flops.products` and `flops.elementwise`.
    """

    path: str
    kind: str
    made: str
    depth: int
    takes: Any
    gives: Any
    calls: int
    parameters: int
    size: int
    state: int
    flops: Flops


@dataclass(frozen=True)
class Summary:
    """A table of a network; `print` it, or read `rows` and the totals.

    Attributes:
      rows: the network itself and every layer in it, outer ones first.
      x: the shapes and dtypes of the input that it is for.
      parameters: how many numbers are learned or frozen in all.
      size: how many bytes they are.
      state: how many numbers the state holds.
      flops: operations of one `apply` with this input.
    """

    rows: tuple[Row, ...]
    x: Any

    @property
    def parameters(self) -> int:
        return self.rows[0].parameters

    @property
    def size(self) -> int:
        return self.rows[0].size

    @property
    def state(self) -> int:
        return self.rows[0].state

    @property
    def flops(self) -> Flops:
        return self.rows[0].flops

    def __getitem__(self, path: str) -> Row:
        for row in self.rows:
            if row.path == path:
                return row
        raise KeyError(
            f"summary: no layer {path!r}; there are {', '.join(r.path for r in self.rows)}"
        )

    def upto(self, depth: int) -> "Summary":
        """The same summary without the rows that lie in more than `depth` layers."""
        return Summary(tuple(row for row in self.rows if row.depth <= depth), self.x)

    def words(self) -> Words:
        """The table in words."""
        heads = ["layer", "made by", "output", "calls", "params", "bytes", "FLOPs", "state"]
        total = self.flops.total
        products = 100 * self.flops.products / total if total else 100
        notes = [
            f"x: {cut(spec_text(self.x), WIDTH - 3)}",
            f"{self.parameters:,} parameters ({short(self.size, 'B')}); {short(total)} FLOPs,"
            f" {products:.0f}% of them in products and convolutions",
        ]
        if any(row.calls == 0 for row in self.rows):
            notes.append("?: never applied on its own, as far as a trace can see")
        return Words(heads, [_line(row) for row in self.rows], notes, left=3)

    def __str__(self) -> str:
        return str(self.words())

    def __rich__(self) -> Any:
        return self.words().rich()


def summary(
    net: Layer, x: Any, *, variables: Variables | None = None, train: bool = False
) -> Summary:
    r"""What each layer is, gives, holds and spends, for an input like x; nothing is computed.

    The network is traced once, in the abstract, so that the summary of a model which would not fit
    into memory takes as long as that of a small one. A layer's line includes all that is inside it;
    the first line is the whole.

    Operations are those of the forward pass for the whole batch, counted from the program as it is
    traced (see `fnn.inspect.flops`): a product of (m, k) by (k, n) is 2 m k n, elementwise
    arithmetic 1 for each number. A multiply-accumulate is two. A training step costs about three
    times as much. On other backends a layer may be written in other operations.

    Args:
      net: the network.
      x: an array, a `jax.ShapeDtypeStruct` or a pytree of them, with its batch axis.
      variables: params and state, arrays or their shapes and dtypes; what `init` would give if
        None.
      train: whether to look at the network as it trains.

    Raises:
      TypeError, ValueError: as `net.init` and `net.apply`, if x does not fit.

    >>> from fnn import layers, serial
    >>> net = serial(layers.dense(128), jax.nn.relu, layers.dense(10))
    >>> print(summary(net, jax.ShapeDtypeStruct((32, 784), "float32")))
    layer      made by     output     params     bytes   FLOPs
    ----------------------------------------------------------
    serial                 [32,10]   101,770  407.1 kB   6.5 M
      dense_0  dense(128)  [32,128]  100,480  401.9 kB   6.4 M
      relu_1               [32,128]                      4.1 k
      dense_2  dense(10)   [32,10]     1,290    5.2 kB  82.2 k
    x: float32[32,784]
    101,770 parameters (407.1 kB); 6.5 M FLOPs, 100% of them in products and convolutions
    """
    x = spec(x, "summary")
    key = jax.eval_shape(lambda: jax.random.key(0))
    given = jax.eval_shape(net.init, key, x) if variables is None else variables
    params, state = (spec(tree, "summary") for tree in given)
    trace = watched(net, params, state, x, key=key if train else None, train=train)
    used = spent(trace)
    rows = []
    for path, depth, layer in walk(net):
        mine = {i: trace.calls[i] for i in used if within(trace.calls[i].path, path)}
        rows.append(_row(path, depth, layer, mine, used, params, state))
    return Summary(tuple(rows), x)


def walk(net: Layer, path: str = "", depth: int = 0) -> Iterator[tuple[str, int, Layer]]:
    """Every layer of a network with its path and depth, outer ones first, in their order."""
    yield path, depth, net
    for name, child in net.children.items():
        yield from walk(child, f"{path}/{name}" if path else name, depth + 1)


def branch(tree: Any, path: str) -> Any:
    """The part of a nested dict at a path; {} where there is none."""
    for name in path.split("/") if path else []:
        tree = tree.get(name, {}) if isinstance(tree, Mapping) else {}
    return tree


def within(inner: str, outer: str) -> bool:
    """Whether one path leads to another or into it; all paths lead into ""."""
    return not outer or inner == outer or inner.startswith(f"{outer}/")


def _row(
    path: str,
    depth: int,
    layer: Layer,
    inside: dict[int, Call],
    used: dict[int, Spent],
    params: Any,
    state: Any,
) -> Row:
    own = [i for i, call in inside.items() if call.path == path]
    first = inside[min(own)] if own else None
    params = branch(params, path)
    return Row(
        path=path,
        kind=layer.name,
        made=layer.name if layer.children else repr(layer),
        depth=depth,
        takes=first.x if first else None,
        gives=first.y if first else None,
        calls=sum(used[i].times for i in own),
        parameters=trees.count(params),
        size=trees.size_bytes(params),
        state=trees.count(branch(state, path)),
        flops=sum((used[i].flops for i in inside), Flops()),
    )


def _line(row: Row) -> list[str]:
    name = "\0\0" * row.depth + (row.path.split("/")[-1] or row.kind)
    plain = row.made == row.kind and row.path.split("/")[-1].startswith(row.kind)
    return [
        cut(name, _NAME).replace("\0", " "),
        "" if plain or not row.depth else cut(row.made, _MADE),
        cut(spec_text(row.gives).replace("float32[", "["), _OUTPUT) if row.calls else "?",
        str(row.calls) if row.calls > 1 else "",
        f"{row.parameters:,}" if row.parameters else "",
        short(row.size, "B") if row.size else "",
        short(row.flops.total) if row.flops.total else "",
        f"{row.state:,}" if row.state else "",
    ]
