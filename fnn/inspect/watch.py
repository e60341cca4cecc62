"""Looking on while a network is traced: what each layer takes, gives and spends.

The params that `watched` hands to a network carry an onlooker with them. They are the same arrays
under the same names; every layer that is applied to its share of them is applied under a scope that
bears a number, and what it gives is marked with that number. Both are notes in the traced program
(its jaxpr) and no part of what it computes. So whatever stands between a layer and the root, a loop
over depth, a recomputation, a jit, is read from the program afterwards; nothing leaves a trace
early, nothing is global, and a network that nobody watches is the network that it was.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
from jax.ad_checkpoint import checkpoint_name

from fnn.core import Layer, as_jax, spec
from fnn.inspect.flops import Flops, flops_of

if TYPE_CHECKING:  # 15 ms of `import fnn`: jax.extend brings Pallas
    from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn

_SCOPE = re.compile(r"fnn:(\d+)")
_COMBINING = ("scatter", "reduce", "select_and")  # what they hold is said for a pair of numbers


class Call(NamedTuple):
    """One application of a layer, as it was traced.

    Attributes:
      path: the layer's path, such as "body/dense_0"; "" is the network itself.
      x: the shapes and dtypes that it took.
      y: those that it gave.
    """

    path: str
    x: Any
    y: Any


@dataclass(eq=False)
class Onlooker:
    """Notes every application of a layer to params that carry it."""

    calls: list[Call] = field(default_factory=list)
    inside: list[str] = field(default_factory=list)

    def __call__(self, path: str, apply: Callable[..., Any]) -> Callable[..., Any]:
        if self.inside and self.inside[-1] == path:
            return apply  # a layer that hands its params on to another is one layer

        def run(params, state, x, /, **rest):
            number = len(self.calls)
            self.calls.append(Call(path, spec(x), None))
            self.inside.append(path)
            try:
                with jax.named_scope(f"fnn:{number}"):
                    y, after = apply(params, state, x, **rest)
            finally:
                self.inside.pop()
            y = as_jax(y)
            self.calls[number] = Call(path, spec(x), spec(y))
            leaves, structure = jax.tree.flatten(y)
            marked = [checkpoint_name(leaf, f"fnn:{number}:{i}") for i, leaf in enumerate(leaves)]
            return jax.tree.unflatten(structure, marked), after

        return run


@jax.tree_util.register_pytree_with_keys_class
class Watched(Mapping):
    """Params, or a branch of them, that carry an onlooker. Read like the dict they are made of."""

    def __init__(self, entries: Mapping[str, Any], path: str, onlooker: Onlooker):
        self._entries, self._path, self._onlooker = entries, path, onlooker

    def _fnn_watch(self, apply: Callable[..., Any]) -> Callable[..., Any]:
        """`apply` under the onlooker's eyes; `fnn.core.Layer` asks for it."""
        return self._onlooker(self._path, apply)

    def _fnn_like(self, entries: Mapping[str, Any]) -> "Watched":
        """Other entries in the same place."""
        return Watched(entries, self._path, self._onlooker)

    def __getitem__(self, name: str) -> Any:
        return self._branch(name, self._entries[name])

    def get(self, name: str, default: Any = None) -> Any:
        """The entry; where there is none and a dict is the default, a dict that is watched too."""
        return self._branch(name, self._entries.get(name, default))

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def _branch(self, name: str, entry: Any) -> Any:
        if not isinstance(entry, Mapping) or isinstance(entry, Watched):
            return entry
        return Watched(entry, f"{self._path}/{name}" if self._path else name, self._onlooker)

    def tree_flatten_with_keys(self) -> tuple[Any, Any]:
        names = sorted(self._entries)
        keyed = [(jax.tree_util.DictKey(name), self._entries[name]) for name in names]
        return keyed, (tuple(names), self._path, self._onlooker)

    @classmethod
    def tree_unflatten(cls, about: Any, entries: Any) -> "Watched":
        names, path, onlooker = about
        return cls(dict(zip(names, entries, strict=True)), path, onlooker)


@dataclass(frozen=True)
class Trace:
    """A network as one traced program, with the layers' applications by number."""

    jaxpr: "ClosedJaxpr"
    calls: list[Call]


def watched(net: Layer, params: Any, state: Any, x: Any, *, key: Any, train: bool) -> Trace:
    """Trace `net.apply` with an onlooker; params, state, x and key may be specs or arrays."""
    onlooker = Onlooker()

    def run(params, state, x, key):
        return net.apply(Watched(params, "", onlooker), state, x, key=key, train=train)

    return Trace(jax.make_jaxpr(run)(params, state, x, key), onlooker.calls)


class Spent(NamedTuple):
    """How often a layer's application runs, and what it spends in all, its children left out."""

    times: int
    flops: Flops


def spent(trace: Trace) -> dict[int, Spent]:
    """What each application in a trace spends itself, by its number, all loops multiplied out."""
    found: dict[int, Spent] = {}

    def add(number, times, flops):
        before = found.get(number, Spent(0, Flops()))
        found[number] = Spent(before.times + times, before.flops + flops)

    def walk(jaxpr: "Jaxpr", times: int, number: int):
        for eqn in jaxpr.eqns:
            scopes = _SCOPE.findall(str(eqn.source_info.name_stack))
            inner = int(scopes[-1]) if scopes else number
            if mark := mark_of(eqn):
                if mark[1] == 0:
                    add(mark[0], times, Flops())
            elif parts := bodies(eqn):
                for body in parts:
                    walk(body, times * repeats(eqn), inner)
            else:
                add(inner, 0, flops_of(eqn) * times)

    walk(trace.jaxpr.jaxpr, 1, 0)
    return found


def mark_of(eqn: "JaxprEqn") -> tuple[int, int] | None:
    """The number of the application whose output this equation marks, and the leaf's place."""
    if eqn.primitive.name != "name" or not eqn.params["name"].startswith("fnn:"):
        return None
    _, number, leaf = eqn.params["name"].split(":")
    return int(number), int(leaf)


def bodies(eqn: "JaxprEqn") -> "list[Jaxpr]":
    """The programs inside an equation that run whenever it does: of a `cond` the longest branch."""
    found = []
    if eqn.primitive.name.startswith(_COMBINING):
        return found
    for value in eqn.params.values():
        parts = value if isinstance(value, tuple | list) else [value]
        programs = [part for part in map(_open, parts) if part is not None]
        if len(programs) > 1 and eqn.primitive.name == "cond":
            programs = [max(programs, key=_total)]
        found += programs
    return found


def repeats(eqn: "JaxprEqn") -> int:
    """How often an equation runs its body; once for `while`, whose count no trace knows."""
    return eqn.params["length"] if eqn.primitive.name == "scan" else 1


def _open(value: Any) -> "Jaxpr | None":
    value = getattr(value, "jaxpr", value)  # of a closed one
    return value if hasattr(value, "eqns") else None


def _total(jaxpr: "Jaxpr") -> int:
    inner = [(_total(body), repeats(eqn)) for eqn in jaxpr.eqns for body in bodies(eqn)]
    own = sum(flops_of(eqn).total for eqn in jaxpr.eqns if not bodies(eqn))
    return own + sum(a * b for a, b in inner)
