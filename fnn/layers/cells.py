"""Recurrent cells: what happens in one moment of a sequence, given what is remembered.

A cell is no layer: a layer takes its input whole, a cell takes one moment and a carry. `recurrent`
makes a layer of a cell; `cell.step` is for streams that come one moment at a time.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from fnn import initializers
from fnn.checks import check_count, check_features, features_of, need
from fnn.core import Layer, Variables, key_for
from fnn.initializers import Initializer
from fnn.show import call
from fnn.trees import wide

Carry = Any
_ORTHOGONAL = initializers.orthogonal()


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


def rnn_cell(
    features: int,
    *,
    activation: Callable[[jax.Array], jax.Array] = jnp.tanh,
    bias: bool = True,
    w_x_init: Initializer = initializers.lecun_normal,
    w_h_init: Initializer = _ORTHOGONAL,
    b_init: Initializer = initializers.zeros,
) -> Cell:
    r"""The simple recurrent cell: what is seen now and the last output, weighed and squashed.

    .. math:: h_t = a(x_t W_x + h_{t-1} W_h + b), \quad y_t = h_t

    Args:
      features: the size of h, >= 1.
      activation: a. With relu and `w_h_init=identity` it is the IRNN of Le et al. 2015.
      bias: whether to add b. (PyTorch adds two biases, which are one.)
      w_x_init: initializer of W_x.
      w_h_init: initializer of W_h; orthogonal keeps the length of what is remembered.
      b_init: initializer of b.

    Shapes:
      x: (..., inputs) -> y: (..., features), same dtype.
      params: {"w_x": (inputs, features), "w_h": (features, features), "b": (features,)}.
      carry: {"h": (..., features)}, float32 or wider.

    Raises:
      ValueError, TypeError: at construction if `features` is no int or less than 1.

    Source: Elman 1990, https://doi.org/10.1207/s15516709cog1402_1

    >>> cell = rnn_cell(2)
    >>> params, _ = cell.init(jax.random.key(0), jnp.ones((1, 3)))
    >>> jax.tree.map(jnp.shape, params)
    {'b': (2,), 'w_h': (2, 2), 'w_x': (3, 2)}
    """
    where = "rnn_cell"
    features = check_count(where, "features", features)
    if not callable(activation) or isinstance(activation, Layer):
        raise TypeError(f"{where}: activation must be a function of x, got {activation!r}")

    def advance(params, carry, z):
        h = activation(_pre(where, params, carry["h"], z))
        return {"h": h}, h.astype(z.dtype)

    settings = _Settings(features, bias, w_x_init, w_h_init, b_init)
    config = {"features": features, "activation": activation, **settings.config()}
    return Cell(
        init=_gated_init(("h",), settings),
        start=_start(("h",), features),
        advance=advance,
        project=_project(where, features, bias),
        name=where,
        config=config,
        made_by=rnn_cell,
    )


def lstm_cell(
    features: int,
    *,
    forget_bias: float = 1.0,
    bias: bool = True,
    w_x_init: Initializer = initializers.lecun_normal,
    w_h_init: Initializer = _ORTHOGONAL,
    b_init: Initializer = initializers.zeros,
) -> Cell:
    r"""Long short-term memory: a memory c that is added to, and gates that guard it.

    .. math::
        (i, f, g, o) &= x_t W_x + h_{t-1} W_h + b \\
        c_t &= \sigma(f) \, c_{t-1} + \sigma(i) \tanh(g) \\
        h_t &= \sigma(o) \tanh(c_t), \quad y_t = h_t

    Along the last axis of each parameter stand, `features` columns each and in PyTorch's order,
    the input gate i, the forget gate f, the candidate g and the output gate o.

    Args:
      features: the size of h and of c, >= 1.
      forget_bias: added to the forget gate's part of the initial b: at 1 a memory is kept for some
        moments from the first. PyTorch's is 0 (and its biases are two, which are one).
      bias: whether to add b; without, `forget_bias` has no effect.
      w_x_init: initializer of each gate's part of W_x.
      w_h_init: initializer of each gate's part of W_h.
      b_init: initializer of each gate's part of b.

    Shapes:
      x: (..., inputs) -> y: (..., features), same dtype.
      params: {"w_x": (inputs, 4 * features), "w_h": (features, 4 * features),
        "b": (4 * features,)}.
      carry: {"c": (..., features), "h": (..., features)}, float32 or wider.

    Raises:
      ValueError, TypeError: at construction if `features` is no int or less than 1.

    Source: Hochreiter & Schmidhuber 1997, https://doi.org/10.1162/neco.1997.9.8.1735, with the
      forget gate of Gers et al. 2000, https://doi.org/10.1162/089976600300015015, and its bias as
      Jozefowicz et al. 2015 advise, https://proceedings.mlr.press/v37/jozefowicz15.html

    >>> cell = lstm_cell(2)
    >>> params, _ = cell.init(jax.random.key(0), jnp.ones((1, 3)))
    >>> jax.tree.map(jnp.shape, params)
    {'b': (8,), 'w_h': (2, 8), 'w_x': (3, 8)}
    >>> print(params["b"])
    [0. 0. 1. 1. 0. 0. 0. 0.]
    """
    where = "lstm_cell"
    features = check_count(where, "features", features)

    def advance(params, carry, z):
        i, f, g, o = jnp.split(_pre(where, params, carry["h"], z), 4, axis=-1)
        c = jax.nn.sigmoid(f) * carry["c"] + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return {"c": c, "h": h}, h.astype(z.dtype)

    settings = _Settings(features, bias, w_x_init, w_h_init, b_init)
    config = {"features": features, "forget_bias": forget_bias, **settings.config()}
    return Cell(
        init=_gated_init(("i", "f", "g", "o"), settings, {"f": forget_bias}),
        start=_start(("c", "h"), features),
        advance=advance,
        project=_project(where, 4 * features, bias),
        name=where,
        config=config,
        made_by=lstm_cell,
    )


def gru_cell(
    features: int,
    *,
    reset_after: bool = True,
    bias: bool = True,
    w_x_init: Initializer = initializers.lecun_normal,
    w_h_init: Initializer = _ORTHOGONAL,
    b_init: Initializer = initializers.zeros,
) -> Cell:
    r"""The gated recurrent unit: an output that is partly kept and partly made anew.

    .. math::
        r &= \sigma(x_t W_x^r + h_{t-1} W_h^r + b^r) \\
        z &= \sigma(x_t W_x^z + h_{t-1} W_h^z + b^z) \\
        n &= \tanh(x_t W_x^n + b^n + r \, (h_{t-1} W_h^n + b_h)) \\
        h_t &= z \, h_{t-1} + (1 - z) \, n, \quad y_t = h_t

    That is `reset_after=True`: the gate r acts after the product, as in PyTorch, Keras and cuDNN,
    whose weights fit, and a moment is one product. In the paper, and with `reset_after=False`, it
    acts before:

    .. math:: n = \tanh(x_t W_x^n + b^n + (r \, h_{t-1}) W_h^n)

    Along the last axis of each parameter stand, `features` columns each and in PyTorch's order,
    the reset gate r, the update gate z and the candidate n.

    Args:
      features: the size of h, >= 1.
      reset_after: where r acts; see above.
      bias: whether to add b, and with `reset_after` b_h.
      w_x_init: initializer of each gate's part of W_x.
      w_h_init: initializer of each gate's part of W_h.
      b_init: initializer of each gate's part of b, and of b_h.

    Shapes:
      x: (..., inputs) -> y: (..., features), same dtype.
      params: {"w_x": (inputs, 3 * features), "w_h": (features, 3 * features),
        "b": (3 * features,)}, and with `reset_after` "b_h": (features,).
      carry: {"h": (..., features)}, float32 or wider.

    Raises:
      ValueError, TypeError: at construction if `features` is no int or less than 1.

    Source: Cho et al. 2014, eq. 5 to 8, https://arxiv.org/abs/1406.1078 (z keeps the old there and
      here; in Chung et al. 2014 it lets in the new)

    >>> cell = gru_cell(2)
    >>> params, _ = cell.init(jax.random.key(0), jnp.ones((1, 3)))
    >>> jax.tree.map(jnp.shape, params)
    {'b': (6,), 'b_h': (2,), 'w_h': (2, 6), 'w_x': (3, 6)}
    """
    where = "gru_cell"
    features = check_count(where, "features", features)
    wanted = 2 * features  # the columns of r and z

    def advance(params, carry, z):
        h, w_h = carry["h"], need(params, "w_h", where=where, kind="params")
        z_gates, z_new = z[..., :wanted].astype(h.dtype), z[..., wanted:].astype(h.dtype)
        if reset_after:
            m = _product(h, w_h, z.dtype)
            r, u = jnp.split(jax.nn.sigmoid(z_gates + m[..., :wanted]), 2, axis=-1)
            m_new = m[..., wanted:]
            if bias:
                m_new = m_new + need(params, "b_h", where=where, kind="params").astype(h.dtype)
            n = jnp.tanh(z_new + r * m_new)
        else:
            m = _product(h, w_h[:, :wanted], z.dtype)
            r, u = jnp.split(jax.nn.sigmoid(z_gates + m), 2, axis=-1)
            n = jnp.tanh(z_new + _product(r * h, w_h[:, wanted:], z.dtype))
        h = u * h + (1 - u) * n
        return {"h": h}, h.astype(z.dtype)

    settings = _Settings(features, bias, w_x_init, w_h_init, b_init)
    gated = _gated_init(("r", "z", "n"), settings)

    def init(key, x):
        params, state = gated(key, x)
        if bias and reset_after:
            b_h = b_init(key_for(key, "b_h"), (features,), params["b"].dtype)
            params = {**params, "b_h": b_h}
        return Variables(params, state)

    return Cell(
        init=init,
        start=_start(("h",), features),
        advance=advance,
        project=_project(where, 3 * features, bias),
        name=where,
        config={"features": features, "reset_after": reset_after, **settings.config()},
        made_by=gru_cell,
    )


@dataclass(frozen=True)
class _Settings:
    """What all cells are told alike."""

    features: int
    bias: bool
    w_x_init: Initializer
    w_h_init: Initializer
    b_init: Initializer

    def config(self) -> dict[str, Any]:
        names = ("bias", "w_x_init", "w_h_init", "b_init")
        return {name: getattr(self, name) for name in names}


def _gated_init(
    gates: tuple[str, ...], settings: _Settings, offsets: Mapping[str, float] | None = None
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


def _start(names: tuple[str, ...], features: int) -> Callable[[tuple[int, ...], Any], Carry]:
    """Zeros. Wide ones: a memory is a sum over many moments, which 16 bits would lose."""

    def start(batch_shape, dtype):
        return {name: jnp.zeros((*batch_shape, features), wide(dtype)) for name in names}

    return start


def _project(where: str, columns: int, bias: bool) -> Callable[[Any, Any], Any]:
    """x W_x + b: the part of all gates that does not wait for the carry."""

    def project(params, x):
        w_x = need(params, "w_x", where=where, kind="params")
        check_features(x, w_x.shape[0], where)
        if w_x.shape[1] != columns:
            raise ValueError(
                f"{where}: w_x has {w_x.shape[1]} columns, expected {columns};"
                " pass the params that this cell's own init returned"
            )
        z = jnp.matmul(x, w_x.astype(x.dtype))
        return z + need(params, "b", where=where, kind="params").astype(x.dtype) if bias else z

    return project


def _product(h: jax.Array, w: jax.Array, dtype: Any) -> jax.Array:
    """h w in the dtype of x, as h's."""
    return jnp.matmul(h.astype(dtype), w.astype(dtype)).astype(h.dtype)


def _pre(where: str, params: Any, h: jax.Array, z: jax.Array) -> jax.Array:
    """z + h W_h: what the gates are functions of."""
    w_h = need(params, "w_h", where=where, kind="params")
    return z.astype(h.dtype) + _product(h, w_h, z.dtype)
