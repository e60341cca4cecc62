"""Recurrent cells: what happens in one moment of a sequence, given what is remembered.

A cell is no layer: a layer takes its input whole, a cell takes one moment and a carry. `recurrent`
makes a layer of a cell; `cell.step` is for streams that come one moment at a time.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from fnn import initializers
from fnn.checks import check_count, need
from fnn.core import Layer, Variables, key_for
from fnn.initializers import Initializer
from fnn.layers.cell import (
    Cell,
    Settings,
    biased,
    gated_init,
    product,
    projection,
    weighed,
    zero_carry,
)
from fnn.layers.gates import gru_gates, lstm_gates

_ORTHOGONAL = initializers.orthogonal()


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
        h = activation(weighed(where, params, carry["h"], z, bias))
        return {"h": h}, h.astype(z.dtype)

    settings = Settings(features, bias, w_x_init, w_h_init, b_init)
    config = {"features": features, "activation": activation, **settings.config()}
    return Cell(
        init=gated_init(("h",), settings),
        start=zero_carry(("h",), features),
        advance=advance,
        project=projection(where, features),
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
        c, h = lstm_gates(weighed(where, params, carry["h"], z, bias), carry["c"])
        return {"c": c, "h": h}, h.astype(z.dtype)

    settings = Settings(features, bias, w_x_init, w_h_init, b_init)
    config = {"features": features, "forget_bias": forget_bias, **settings.config()}
    return Cell(
        init=gated_init(("i", "f", "g", "o"), settings, {"f": forget_bias}),
        start=zero_carry(("c", "h"), features),
        advance=advance,
        project=projection(where, 4 * features),
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
        z_gates, z_new = jnp.split(biased(where, params, h, z, bias), [wanted], axis=-1)
        if reset_after:
            m = product(h, w_h, z.dtype)
            m_new = m[..., wanted:]
            if bias:
                m_new = m_new + need(params, "b_h", where=where, kind="params").astype(h.dtype)
            h = gru_gates(z_gates + m[..., :wanted], z_new, m_new, h)
        else:
            m = product(h, w_h[:, :wanted], z.dtype)
            r, u = jnp.split(jax.nn.sigmoid(z_gates + m), 2, axis=-1)
            n = jnp.tanh(z_new + product(r * h, w_h[:, wanted:], z.dtype))
            h = u * h + (1 - u) * n
        return {"h": h}, h.astype(z.dtype)

    settings = Settings(features, bias, w_x_init, w_h_init, b_init)
    gated = gated_init(("r", "z", "n"), settings)

    def init(key, x):
        params, state = gated(key, x)
        if bias and reset_after:
            b_h = b_init(key_for(key, "b_h"), (features,), params["b"].dtype)
            params = {**params, "b_h": b_h}
        return Variables(params, state)

    return Cell(
        init=init,
        start=zero_carry(("h",), features),
        advance=advance,
        project=projection(where, 3 * features),
        name=where,
        config={"features": features, "reset_after": reset_after, **settings.config()},
        made_by=gru_cell,
    )
