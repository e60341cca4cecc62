"""What a recurrent cell is, and what the cells of `fnn.layers.cells` share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from fnn.checks import check_features, features_of, need
from fnn.core import Variables, key_for
from fnn.initializers import Initializer
from fnn.show import call
from fnn.trees import wide

Carry = Any


@dataclass(frozen=True, eq=False, repr=False)
class Cell:
    """One moment of a recurrent network: four pure functions.

    The work of a moment has two parts. `project` is what x does to it on its own: a sequence has it
    done for all moments at once, in one product. `advance` is what needs the carry, and so has to
    wait its turn. A cell of one's own may leave `project` out and see x itself in `advance`.

    The carry, what is remembered, is a nested dict of arrays. It starts at zero.

    Attributes:
      init: `init(key, x) -> Variables(params, {})` for a moment x (batch, features); reads shapes
        and dtypes only.
      start: `start(batch_shape, dtype) -> carry` for moments of shape (*batch_shape, features).
      advance: `advance(params, carry, z) -> (carry, y)`, where z is what `project` made.
      project: `project(params, x) -> z`, for x with any axes before its features.
      name: the kind of cell, such as "lstm_cell".
      config: the settings it was built with; for reading.
      made_by: the function that built it, so that `repr` can leave out its defaults.

    A cell that adds up what it sees, and a stream that it reads:

    >>> cell = Cell(
    ...     init=lambda key, x: Variables({"w": jnp.full(x.shape[-1:], 2.0)}, {}),
    ...     start=lambda batch_shape, dtype: {"sum": jnp.zeros((*batch_shape, 1), dtype)},
    ...     advance=lambda p, carry, x: ({"sum": carry["sum"] + p["w"] * x}, carry["sum"]),
    ...     name="adder",
    ... )
    >>> params, _ = cell.init(jax.random.key(0), jnp.ones((1, 1)))
    >>> carry = cell.start((1,), jnp.float32)
    >>> for x in (1.0, 2.0, 3.0):
    ...     carry, y = cell.step(params, carry, jnp.array([[x]]))
    >>> print(carry["sum"], y)
    [[12.]] [[6.]]
    """

    init: Callable[[jax.Array, Any], Variables]
    start: Callable[[tuple[int, ...], Any], Carry]
    advance: Callable[[Any, Carry, Any], tuple[Carry, Any]]
    project: Callable[[Any, Any], Any] = lambda params, x: x
    name: str = "cell"
    config: Mapping[str, Any] = field(default_factory=dict)
    made_by: Callable[..., Any] | None = None

    def step(self, params: Any, carry: Carry, x: Any, /) -> tuple[Carry, Any]:
        """One moment: `(carry, y)` from x (..., features). A whole sequence is one scan of it."""
        return self.advance(params, carry, self.project(params, jnp.asarray(x)))

    def __repr__(self) -> str:
        return call(self.name, self.config, {}, self.made_by)


@dataclass(frozen=True)
class Settings:
    """What all cells are told alike."""

    features: int
    bias: bool
    w_x_init: Initializer
    w_h_init: Initializer
    b_init: Initializer

    def config(self) -> dict[str, Any]:
        names = ("bias", "w_x_init", "w_h_init", "b_init")
        return {name: getattr(self, name) for name in names}


def gated_init(
    gates: tuple[str, ...], settings: Settings, offsets: Mapping[str, float] | None = None
) -> Callable[[jax.Array, Any], Variables]:
    """`init` of weights for several gates side by side, each of them drawn on its own."""

    def init(key, x):
        inputs, features = features_of(x, "cell"), settings.features
        dtype = wide(x.dtype)

        def drawn(name, make, *rows):
            own = key_for(key, name)
            parts = [make(key_for(own, gate), (*rows, features), dtype) for gate in gates]
            return jnp.concatenate(parts, -1)

        params = {
            "w_x": drawn("w_x", settings.w_x_init, inputs),
            "w_h": drawn("w_h", settings.w_h_init, features),
        }
        if settings.bias:
            more = [jnp.full(features, (offsets or {}).get(gate, 0.0), dtype) for gate in gates]
            params["b"] = drawn("b", settings.b_init) + jnp.concatenate(more)
        return Variables(params, {})

    return init


def zero_carry(names: tuple[str, ...], features: int) -> Callable[[tuple[int, ...], Any], Carry]:
    """Zeros. Wide ones: a memory is a sum over many moments, which 16 bits would lose."""

    def start(batch_shape, dtype):
        return {name: jnp.zeros((*batch_shape, features), wide(dtype)) for name in names}

    return start


def projection(where: str, columns: int) -> Callable[[Any, Any], Any]:
    """x W_x: the part of all gates that does not wait for the carry.

    The bias waits: added in the loop it costs nothing, added to all moments at once it is one more
    pass over the largest array there is, and its gradient another (a fifth of a large LSTM's step).
    """

    def project(params, x):
        w_x = need(params, "w_x", where=where, kind="params")
        check_features(x, w_x.shape[0], where)
        if w_x.shape[1] != columns:
            raise ValueError(
                f"{where}: w_x has {w_x.shape[1]} columns, expected {columns};"
                " pass the params that this cell's own init returned"
            )
        return jnp.matmul(x, w_x.astype(x.dtype))

    return project


def product(h: jax.Array, w: jax.Array, dtype: Any) -> jax.Array:
    """h w in the dtype of x, as h's."""
    return jnp.matmul(h.astype(dtype), w.astype(dtype)).astype(h.dtype)


def biased(where: str, params: Any, h: jax.Array, z: jax.Array, bias: bool) -> jax.Array:
    """z + b in h's dtype, if there is a b."""
    z = z.astype(h.dtype)
    return z + need(params, "b", where=where, kind="params").astype(h.dtype) if bias else z


def weighed(where: str, params: Any, h: jax.Array, z: jax.Array, bias: bool) -> jax.Array:
    """z + h W_h + b: what the gates are functions of."""
    w_h = need(params, "w_h", where=where, kind="params")
    return biased(where, params, h, z, bias) + product(h, w_h, z.dtype)
