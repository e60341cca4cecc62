"""Layers over time: a recurrent cell led through a sequence, forwards, backwards or both ways."""

from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp

from fnn.checks import check_count, features_of, located
from fnn.core import Layer, Variables, key_for
from fnn.layers.cell import Carry, Cell
from fnn.show import spec_text

_ENTRIES = ("x", "mask", "carry")


def recurrent(
    cell: Cell,
    *,
    reverse: bool = False,
    last: bool = False,
    carry: Literal["fresh", "given", "kept"] = "fresh",
    unroll: int = 1,
) -> Layer:
    r"""Lead a cell through a sequence, moment by moment.

    .. math:: (c_t, y_t) = \operatorname{cell}(c_{t-1}, x_t), \quad c_0 = 0

    What x does on its own is one product for all moments; the loop, a `lax.scan`, does the rest.

    x is one array, or a dict of arrays:

    - "x": the sequences;
    - "mask": boolean (batch, time), True where a moment is real. Where it is not, the carry is held
      and y is zero, whatever x holds there. So a reversed pass starts at each sequence's last real
      moment, as over PyTorch's packed sequences;
    - "carry": where `carry="given"`, the carry to start from; zero if left out.

    Args:
      cell: what happens in a moment: `lstm_cell(features)`, `gru_cell`, `rnn_cell` or one's own.
      reverse: whether to begin at the end; outputs stay in the places of their inputs.
      last: whether to give only the output of the last real moment read, in the order of reading:
        in reverse that is the first in time. Zero for a sequence without a real moment.
      carry: "fresh": each call starts from zero and forgets the end. "given": x may hold the carry
        to start from, and the layer gives (y, carry): for an encoder and its decoder, and for long
        sequences in pieces with a gradient across. "kept": the carry is the layer's state, so that
        each call goes on where the last one ended, in training and at inference: for streams, for
        `models.generate`, and for truncated backpropagation, as no gradient comes from the call
        before. `init` gives zeros, for the batch of its x. The params are the same with all three.
      unroll: moments in one turn of the loop. More make a larger program, which compiles longer and
        on a CPU runs no faster (benchmarks/recurrent.py).

    Shapes:
      x: (batch, time, inputs), or a dict of that and {"mask": (batch, time)}
        -> y: (batch, time, features), or with `last` (batch, features), same dtype.
      params: the cell's own. state: {}; with carry="kept" the cell's carry.

    Raises:
      ValueError: at construction for a reversed pass with carry="kept"; in init and apply for an x
        that is not (batch, time, inputs), other entries, and a mask or carry that does not fit.
      TypeError: at construction if `cell` is no cell; later if x is not floating, a mask not
        boolean.

    >>> from fnn.layers import lstm_cell
    >>> net = recurrent(lstm_cell(4))
    >>> x = jnp.ones((2, 5, 3))
    >>> params, state = net.init(jax.random.key(0), x)
    >>> net.apply(params, state, x)[0].shape
    (2, 5, 4)
    >>> words = {"x": x, "mask": jnp.arange(5) < jnp.array([[5], [2]])}
    >>> y, _ = net.apply(params, state, words)
    >>> print((y != 0).all(-1).sum(1))
    [5 2]
    """
    _check_cell("recurrent", cell)
    unroll = check_count("recurrent", "unroll", unroll)
    if carry not in ("fresh", "given", "kept"):
        raise ValueError(f"recurrent: carry must be 'fresh', 'given' or 'kept', got {carry!r}")
    if carry == "kept" and reverse:
        raise ValueError(
            "recurrent: a pass in reverse ends at the beginning, from where the next call cannot go"
            " on; with carry='kept' leave reverse=False"
        )

    def init(key, x, /):
        x, _, _ = _inputs(cell, x, carry)
        batch, _, inputs = x.shape
        params, _ = cell.init(key, jax.ShapeDtypeStruct((batch, inputs), x.dtype))
        return Variables(params, cell.start((batch,), x.dtype) if carry == "kept" else {})

    def apply(params, state, x, /, *, key=None, train=False):
        del key, train
        x, mask, start = _inputs(cell, x, carry)
        if carry == "kept":
            _check_carry(cell, state, x, "state")
            start = state
        zero = cell.start(x.shape[:1], x.dtype)
        if start is None:
            start = zero
        else:  # in the cell's dtypes: a policy may have cast it
            start = jax.tree.map(lambda a, like: a.astype(like.dtype), start, zero)
        end, y = _led(cell, params, start, x, mask, reverse, unroll)
        if last:
            y = _last(y, mask, reverse)
        if carry == "kept":
            return y, end
        return (y, end) if carry == "given" else y, state

    config = {"cell": cell, "reverse": reverse, "last": last, "carry": carry, "unroll": unroll}
    return Layer(init, apply, name="recurrent", config=config, made_by=recurrent)


def bidirectional(
    forward: Cell,
    backward: Cell | None = None,
    *,
    last: bool = False,
    carry: Literal["fresh", "given"] = "fresh",
    unroll: int = 1,
) -> Layer:
    r"""Lead one cell through a sequence and another through it in reverse: y sees past and future.

    .. math:: y_t = \operatorname{concat}(\overrightarrow{y}_t, \overleftarrow{y}_t)

    Args:
      forward: the cell that reads forwards.
      backward: the cell that reads in reverse; one like `forward`, with weights of its own, if
        None.
      last: whether to give only the outputs of the last moments read: each direction has seen the
        whole sequence there.
      carry: as of `recurrent`; each direction has a carry of its own.
      unroll: as of `recurrent`.

    Shapes:
      x: (batch, time, inputs), or a dict with "mask" as of `recurrent`
        -> y: (batch, time, both features together), or with `last` without time.
      params: {"forward", "backward"}: the cells' own. state: {}.
      carry, where given: {"forward", "backward"}.

    Source: Schuster & Paliwal 1997, https://doi.org/10.1109/78.650093

    >>> from fnn.layers import gru_cell
    >>> net = bidirectional(gru_cell(4))
    >>> x = jnp.ones((2, 5, 3))
    >>> params, state = net.init(jax.random.key(0), x)
    >>> net.apply(params, state, x)[0].shape
    (2, 5, 8)
    """
    if carry not in ("fresh", "given"):
        raise ValueError(
            f"bidirectional: carry must be 'fresh' or 'given', got {carry!r};"
            " what reads in reverse cannot go on where the last call ended"
        )
    _check_cell("bidirectional", forward)
    cells = {"forward": forward, "backward": forward if backward is None else backward}
    _check_cell("bidirectional", cells["backward"])
    layers = {
        name: recurrent(cell, reverse=name == "backward", last=last, carry=carry, unroll=unroll)
        for name, cell in cells.items()
    }

    def inputs(x, name):
        if not isinstance(x, Mapping) or x.get("carry") is None:
            return x
        if not isinstance(x["carry"], Mapping) or set(x["carry"]) != set(cells):
            raise ValueError(
                "bidirectional: carry must hold 'forward' and 'backward',"
                f" got {spec_text(x['carry'])}"
            )
        return {**x, "carry": x["carry"][name]}

    def init(key, x, /):
        params = {}
        for name, layer in layers.items():
            with located(name, layer, x):
                params[name] = layer.init(key_for(key, name), inputs(x, name)).params
        return Variables(params, {})

    def apply(params, state, x, /, *, key=None, train=False):
        del key, train
        found = {}
        for name, layer in layers.items():
            with located(name, layer, x):
                found[name], _ = layer.apply(params.get(name, {}), {}, inputs(x, name))
        if carry == "fresh":
            return jnp.concatenate(list(found.values()), -1), state
        y = jnp.concatenate([y for y, _ in found.values()], -1)
        return (y, {name: end for name, (_, end) in found.items()}), state

    config = {
        "forward": forward,
        "backward": backward,
        "last": last,
        "carry": carry,
        "unroll": unroll,
    }
    return Layer(init, apply, name="bidirectional", config=config, made_by=bidirectional)


def _led(
    cell: Cell,
    params: Any,
    start: Carry,
    x: jax.Array,
    mask: jax.Array | None,
    reverse: bool,
    unroll: int,
) -> tuple[Carry, jax.Array]:
    """The carry after, and the output of, every moment of x (batch, time, inputs)."""
    if mask is not None:
        x = jnp.where(mask[..., None], x, jnp.zeros((), x.dtype))  # or NaN there would reach grads
    z = cell.project(params, jnp.swapaxes(x, 0, 1))  # (time, batch, gates)

    def moment(carry, inputs):
        z, real = inputs
        after, y = cell.advance(params, carry, z)
        if real is not None:
            after = jax.tree.map(
                lambda new, old: jnp.where(_like(real, new), new, old), after, carry
            )
            y = jnp.where(_like(real, y), y, jnp.zeros((), y.dtype))
        return after, y

    real = None if mask is None else mask.T
    end, y = jax.lax.scan(moment, start, (z, real), reverse=reverse, unroll=unroll)
    return end, jnp.swapaxes(y, 0, 1)


def _like(real: jax.Array, a: jax.Array) -> jax.Array:
    return real.reshape(real.shape + (1,) * (a.ndim - 1))


def _last(y: jax.Array, mask: jax.Array | None, reverse: bool) -> jax.Array:
    """The output of the last real moment that was read."""
    time = y.shape[1]
    if not time:
        raise ValueError("recurrent: x has no moment, so there is no last one; got time 0")
    if mask is None:
        return y[:, 0 if reverse else -1]
    at = jnp.argmax(mask, 1) if reverse else time - 1 - jnp.argmax(mask[:, ::-1], 1)
    return jnp.take_along_axis(y, at[:, None, None], axis=1)[:, 0]


def _check_cell(where: str, cell: Any) -> None:
    if isinstance(cell, Cell):
        return
    cure = f"{where}(lstm_cell(features))"
    if callable(cell) and getattr(cell, "__annotations__", {}).get("return") in (Cell, "Cell"):
        cure = f"call it first: {cell.__name__}(features)"
    what = "the layer " if isinstance(cell, Layer) else ""
    raise TypeError(
        f"{where}: cell must be a cell such as lstm_cell(3), got {what}{cell!r}; {cure}"
    )


def _inputs(cell: Cell, x: Any, carry: str) -> tuple[Any, Any, Any]:
    """x, the mask (or None) and the carry (or None) from what the layer was given; checked."""
    given = x if isinstance(x, Mapping) else {"x": x}
    if "x" not in given or set(given) - set(_ENTRIES):
        raise ValueError(
            "recurrent: x must be an array or a dict with 'x' and perhaps 'mask' and 'carry',"
            f" got the entries {', '.join(map(repr, given)) or 'none'}"
        )
    x, mask, start = given["x"], given.get("mask"), given.get("carry")
    features_of(x, "recurrent")
    if len(x.shape) != 3:
        cure = {1: "x[None, :, None]", 2: "x[None] if the batch, x[..., None] if the features"}
        raise ValueError(
            f"recurrent: x must be (batch, time, features), got {spec_text(x)};"
            f" add what is missing: {cure.get(len(x.shape), 'x.reshape(batch, time, -1)')}"
        )
    if mask is not None:
        _check_mask(mask, tuple(x.shape[:2]))
    if start is not None:
        if carry != "given":
            raise ValueError(
                f"recurrent: x holds a carry, but carry={carry!r};"
                " build the layer with carry='given'"
            )
        _check_carry(cell, start, x, "carry")
    return x, mask, start


def _check_mask(mask: Any, wanted: tuple[int, ...]) -> None:
    if tuple(getattr(mask, "shape", ())) != wanted:
        raise ValueError(
            f"recurrent: mask must be (batch, time) = {wanted}, got {spec_text(mask)};"
            " from lengths make jnp.arange(time) < lengths[:, None]"
        )
    if mask.dtype != jnp.bool_:
        raise TypeError(
            "recurrent: mask must be boolean, True where a moment is real,"
            f" got {spec_text(mask)}; use mask.astype(bool)"
        )


def _check_carry(cell: Cell, carry: Any, x: Any, kind: str) -> None:
    """Raise unless the carry is one of this cell, for x's batch; of what dtype is no matter."""
    wanted = jax.eval_shape(lambda: cell.start(tuple(x.shape[:1]), x.dtype))
    if _shapes(carry) != _shapes(wanted):
        raise ValueError(
            f"recurrent: {kind} must be {spec_text(wanted)} for this x, got {spec_text(carry)};"
            " cell.start(batch_shape, dtype) gives one, and init a state for its x"
        )


def _shapes(tree: Any) -> Any:
    return jax.tree.map(lambda a: tuple(a.shape), tree)
