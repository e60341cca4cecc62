"""What a batch makes of each layer: sizes of outputs, dead and saturated units, the first NaN."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from fnn import trees
from fnn.core import Layer, as_jax
from fnn.inspect.replay import Seen, replay
from fnn.inspect.summary import walk
from fnn.inspect.table import Words, cut, cut_start, share
from fnn.inspect.watch import watched
from fnn.show import spec_text

# Where an activation's ends are. Within 1.5 % of its range from either end it is saturated: tanh
# where |y| > 0.97, the sigmoid at inputs twice as large; slopes there are below 6 % of the best.
_ENDS = {
    "tanh": (-1.0, 1.0),
    "hard_tanh": (-1.0, 1.0),
    "soft_sign": (-1.0, 1.0),
    "softsign": (-1.0, 1.0),
    "sigmoid": (0.0, 1.0),
    "hard_sigmoid": (0.0, 1.0),
    "logistic": (0.0, 1.0),
}
_MANY = 0.5  # the share of dead or saturated units from which on a note is made


@dataclass(frozen=True)
class Activation:
    """What one layer gave in one of its calls.

    Attributes:
      path: the layer's path.
      kind: its kind, such as "dense".
      call: which of its calls, from 0; in `repeat` the place in depth.
      shape: of the output.
      mean: of its finite numbers, nan if there is none; so with the next three.
      std: their standard deviation.
      low: the smallest.
      high: the largest.
      zeros: the share of its numbers that are 0.
      dead: the share of its units (places on the last axis) that are 0 for every example and place.
      saturated: the share of its numbers at the ends of the activation's range, for tanh beyond
        0.97; None for a layer whose range has no ends.
      bad: the share of its numbers that are NaN or infinite.
    """

    path: str
    kind: str
    call: int
    shape: tuple[int, ...]
    mean: float
    std: float
    low: float
    high: float
    zeros: float
    dead: float
    saturated: float | None
    bad: float


@dataclass(frozen=True)
class Activations:
    """A table of what each layer gave; `print` it or read `rows`.

    In print a dot is none at all; "sat." is saturated, "bad" NaN or infinite.

    Attributes:
      rows: one for each call of each layer, in the order of their running. A layer that passes on
        what another gave has none, such as a container or dropout at inference.
      notes: what to look at, in sentences.
    """

    rows: tuple[Activation, ...]
    notes: tuple[str, ...]

    @property
    def first_bad(self) -> Activation | None:
        """The first output with a number that is not finite."""
        return next((row for row in self.rows if row.bad), None)

    def __getitem__(self, path: str) -> list[Activation]:
        """The calls of the layer at `path`."""
        return [row for row in self.rows if row.path == path]

    def words(self) -> Words:
        """The table in words."""
        heads = ["layer", "call", "mean", "std", "low", "high", "zeros", "dead", "sat.", "bad"]
        calls = {row.path for row in self.rows if row.call}
        lines = [
            [
                cut_start(row.path or row.kind, 36),
                str(row.call) if row.path in calls else "",
                *(f"{number:.3g}" for number in (row.mean, row.std, row.low, row.high)),
                *map(share, (row.zeros, row.dead, row.saturated, row.bad)),
            ]
            for row in self.rows
        ]
        return Words(heads, lines, list(self.notes), left=1)

    def __str__(self) -> str:
        return str(self.words())

    def __rich__(self) -> Any:
        return self.words().rich()


def activations(
    net: Layer, params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False
) -> Activations:
    r"""Run a batch through the network and tell how each layer's output looks.

    Dead units give 0 whatever comes and learn nothing more; saturated ones have no slope to speak
    of; a standard deviation that shrinks or grows from layer to layer does so for gradients, too.
    Where a number is not finite, the notes name the first layer that gave one.

    All is computed in one compiled program that is made for this call; statistics are taken in
    float32 or wider.

    Args:
      net: the network.
      params: its parameters.
      state: its state.
      x: a batch; the more examples, the surer it is that a dead unit is dead.
      key: for what is random, with `train=True`.
      train: whether to look at the network as it trains.

    >>> from fnn import layers, serial
    >>> net = serial(layers.dense(2), jax.nn.relu, layers.dense(1))
    >>> params, state = net.init(jax.random.key(0), jnp.ones((1, 1)))
    >>> params["dense_0"] = {"w": jnp.array([[1.0, 1.0]]), "b": jnp.array([0.0, -9.0])}
    >>> found = activations(net, params, state, jnp.array([[1.0], [3.0]]))
    >>> found["relu_1"][0].dead, found["relu_1"][0].mean
    (0.5, 1.0)
    """
    x = as_jax(x)
    trace = watched(net, params, state, x, key=key, train=train)
    kinds = {path: layer.name for path, _, layer in walk(net)}

    def look(number, a):
        return _measured(a, _ENDS.get(kinds.get(trace.calls[number].path, "")))

    seen = replay(trace, (params, state, x, key), look)
    counted: dict[tuple[str, int], int] = {}
    rows = []
    for one in seen:
        path = trace.calls[one.number].path
        call = counted.get((path, one.leaf), 0)
        counted[path, one.leaf] = call + 1
        shape = jax.tree.leaves(trace.calls[one.number].y)[one.leaf].shape
        rows.append(_row(path, kinds.get(path, "layer"), call, shape, one))
    return Activations(tuple(rows), tuple(_notes(rows, params, state, x)))


def _measured(a: jax.Array, ends: tuple[float, float] | None) -> dict[str, jax.Array]:
    """The statistics of one array; {} if it holds no floats or nothing."""
    if not jnp.issubdtype(a.dtype, jnp.floating) or not a.size:
        return {}
    a = a.astype(trees.wide(a.dtype))
    good, n = jnp.isfinite(a), jnp.isfinite(a).sum()
    mean = jnp.where(good, a, 0).sum() / n  # nan where nothing is finite
    units = a.reshape(-1, a.shape[-1] if a.ndim else 1)
    found = {
        "mean": mean,
        "std": jnp.sqrt(jnp.where(good, jnp.square(a - mean), 0).sum() / n),
        "low": jnp.where(n > 0, jnp.where(good, a, jnp.inf).min(), jnp.nan),
        "high": jnp.where(n > 0, jnp.where(good, a, -jnp.inf).max(), jnp.nan),
        "zeros": (a == 0).mean(),
        "dead": (units == 0).all(0).mean(),
        "bad": (~good).mean(),
    }
    if ends is not None:
        edge = 0.015 * (ends[1] - ends[0])
        found["saturated"] = ((a < ends[0] + edge) | (a > ends[1] - edge)).mean()
    return found


def _row(path: str, kind: str, call: int, shape: tuple[int, ...], seen: Seen) -> Activation:
    numbers = {name: float(value) for name, value in seen.value.items()}
    return Activation(path, kind, call, shape, **{"saturated": None, **numbers})


def _notes(rows: list[Activation], params: Any, state: Any, x: Any) -> list[str]:
    """What to look at, in sentences."""
    found = []
    given = {"params": params, "state": state, "x": x}
    bad = {kind: bad_leaves(tree) for kind, tree in given.items()}
    for kind, leaves in bad.items():
        if leaves:
            where = ", ".join(leaves) if kind != "x" or leaves != [""] else spec_text(x)
            found.append(f"not finite before anything ran: {kind}: {cut(where, 200)}")
    first = next((row for row in rows if row.bad), None)
    if first is not None:
        call = f", call {first.call}" if first.call else ""
        found.append(
            f"the first output that is not finite is that of '{first.path}' ({first.kind}{call}):"
            f" {100 * first.bad:.3g}% of {'x'.join(map(str, first.shape))} numbers"
        )
    for word, what in (("dead", "give 0 for every example"), ("saturated", "are saturated")):
        for row in rows:
            part = getattr(row, word)
            if part is not None and part >= _MANY:
                noun = "units" if word == "dead" else "numbers"
                call = f", call {row.call}" if row.call else ""
                found.append(f"'{row.path}'{call}: {100 * part:.0f}% of its {noun} {what}")
    return found


def bad_leaves(tree: Any) -> list[str]:
    """The paths of the arrays that hold a NaN or an infinity."""
    return [path for path, a in trees.paths(tree).items() if not bool(trees.all_finite(a))]
