"""A traced network run anew, with a look at what every layer gives.

The program is the one of `fnn.inspect.watch`: its marks say which value is the output of which
layer. A loop over depth is replayed as a loop whose turns hand out what was looked at, so that each
of its layers is seen, and the whole compiles as one program.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from jax.core import eval_jaxpr

from fnn.inspect.watch import Trace, bodies, mark_of

if TYPE_CHECKING:
    from jax.extend.core import Jaxpr, JaxprEqn

_TURN = None  # stands in a place for the turn of a loop that is not yet known


class Seen(NamedTuple):
    """What was looked at in one application of a layer.

    Attributes:
      number: which application of the trace.
      leaf: which array of its output.
      turns: in which turn of each loop around it; () outside loops.
      value: what `look` gave.
    """

    number: int
    leaf: int
    turns: tuple[int, ...]
    value: Any


def replay(trace: Trace, args: Any, look: Callable[[int, jax.Array], Any]) -> list[Seen]:
    """What `look(number, array)` says of every layer's output, in the order of their running.

    Args:
      trace: of `watched`.
      args: what was traced, (params, state, x, key).
      look: from the number of an application and an array that it gave to a pytree of arrays, an
        empty one if there is nothing to see; called while tracing.
    """
    marks: dict[Any, tuple[int, int]] = {}

    def run(*flat):
        _, found = _run(trace.jaxpr.jaxpr, trace.jaxpr.consts, flat, look)
        marks.update({place: mark for place, (mark, _) in found.items()})
        return {_text(place): value for place, (_, value) in found.items()}

    values = jax.device_get(jax.jit(run)(*jax.tree.leaves(args)))
    ordered = []
    for place, mark in marks.items():
        ordered += _turns(place, mark, values[_text(place)])
    return [seen for _, seen in sorted(ordered, key=lambda pair: pair[0])]


def _text(place: tuple[Any, ...]) -> str:
    return ".".join(map(str, place))


def _turns(place: tuple[Any, ...], mark: tuple[int, int], value: Any) -> list[tuple[Any, Seen]]:
    """What was seen in all turns of the loops around one mark, each with its place in time."""
    if not jax.tree.leaves(value):
        return []  # nothing was found worth a look, as in integers
    sizes = jax.tree.leaves(value)[0].shape[: place.count(_TURN)]
    found = []
    for turns in np.ndindex(*sizes):
        left = iter(turns)
        when = tuple(next(left) if step is _TURN else step for step in place)
        own = jax.tree.map(lambda a, turns=turns: a[turns], value)
        found.append((when, Seen(*mark, turns, own)))
    return found


def _run(
    jaxpr: "Jaxpr",
    consts: Sequence[Any],
    args: Sequence[Any],
    look: Callable[[int, jax.Array], Any],
) -> tuple[list[Any], dict[Any, Any]]:
    """The program's outputs, and by place in time what was looked at."""
    from jax.extend.core import Literal

    values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *args], strict=True))
    found, marked = {}, set()

    def read(atom):
        return atom.val if isinstance(atom, Literal) else values[atom]

    for step, eqn in enumerate(jaxpr.eqns):
        given, inner = [read(atom) for atom in eqn.invars], {}
        if mark := mark_of(eqn):
            out = given
            if id(eqn.invars[0]) not in marked:  # else a layer passes on another's
                inner = {(): (mark, look(mark[0], given[0]))}
            marked.add(id(eqn.outvars[0]))
        elif eqn.primitive.name == "scan" and _marked(eqn):
            out, inner = _loop(eqn, given, look)
        elif _inlined(eqn):
            held = getattr(_program(eqn), "consts", ())
            out, inner = _run(bodies(eqn)[0], held, given, look)
        else:
            needed = [*dict.fromkeys(a for a in eqn.invars if not isinstance(a, Literal))]
            alone = jaxpr.replace(constvars=[], invars=needed, outvars=eqn.outvars, eqns=[eqn])
            out = eval_jaxpr(alone, (), *map(read, needed))
        values.update(zip(eqn.outvars, out, strict=True))
        found |= {(step, *place): seen for place, seen in inner.items()}
    return [read(atom) for atom in jaxpr.outvars], found


def _loop(eqn: "JaxprEqn", given: list[Any], look: Any) -> tuple[list[Any], dict[Any, Any]]:
    """A scan whose turns also give what was looked at in them."""
    knobs, program = eqn.params, eqn.params["jaxpr"]
    first, start = knobs["num_consts"], knobs["num_consts"] + knobs["num_carry"]
    marks: dict[Any, Any] = {}

    def turn(carry, x):
        args = [*given[:first], *carry, *(x or ())]
        out, found = _run(program.jaxpr, program.consts, args, look)
        marks.update({place: mark for place, (mark, _) in found.items()})
        seen = [value for _, value in found.values()]
        return out[: len(carry)], (out[len(carry) :], seen)

    carry, (out, seen) = jax.lax.scan(
        turn, given[first:start], given[start:], length=knobs["length"], reverse=knobs["reverse"]
    )
    places = zip(marks.items(), seen, strict=True)
    return [*carry, *out], {(_TURN, *place): (mark, value) for (place, mark), value in places}


def _inlined(eqn: "JaxprEqn") -> bool:
    """Whether an equation only runs the marked program inside it: jit, remat, a custom gradient."""
    parts = bodies(eqn)
    only = len(parts) == 1 and len(parts[0].invars) == len(eqn.invars)
    return (
        only and eqn.primitive.name not in ("scan", "while", "cond", "shard_map") and _marked(eqn)
    )


def _marked(eqn: "JaxprEqn") -> bool:
    return any(mark_of(e) or _marked(e) for body in bodies(eqn) for e in body.eqns)


def _program(eqn: "JaxprEqn") -> Any:
    return next((value for value in eqn.params.values() if hasattr(value, "consts")), None)
