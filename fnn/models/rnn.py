"""Recurrent networks: layers over time in stacks, and a language model of them."""

from collections.abc import Mapping
from typing import Any, Literal

from fnn.checks import check_count
from fnn.compose import compose
from fnn.core import Layer
from fnn.layers import Cell, dense, dropout, embed, recurrent


def stacked(*layers: Layer, rate: float = 0.0) -> Layer:
    r"""Recurrent layers over each other, all of which see the same mask.

    .. math:: y = f_n(\dots f_2(f_1(x, m), m) \dots, m)

    For sequences of one length `serial` does the same.

    Args:
      *layers: `recurrent` or `bidirectional` ones, at least one, of carry="fresh" or "kept"; only
        the last may have `last=True`.
      rate: probability to drop each output between two layers in training, in [0, 1).

    Shapes:
      x: (batch, time, inputs), or {"x": that, "mask": (batch, time)}, boolean, True where a moment
        is real -> y: the last layer's.
      params, state: {"layer_0", "layer_1", ...}, each layer's own.

    Raises:
      ValueError: if there are no layers.

    >>> import jax, jax.numpy as jnp
    >>> from fnn.layers import bidirectional, lstm_cell
    >>> net = stacked(bidirectional(lstm_cell(4)), recurrent(lstm_cell(3)), rate=0.2)
    >>> words = {"x": jnp.ones((2, 5, 3)), "mask": jnp.arange(5) < jnp.array([[5], [2]])}
    >>> params, state = net.init(jax.random.key(0), words)
    >>> net.apply(params, state, words)[0].shape
    (2, 5, 3)
    """
    if not layers:
        raise ValueError("stacked: give at least one layer, such as recurrent(lstm_cell(64))")
    parts: dict[str, Layer] = {"layer_0": layers[0]}
    for number, layer in enumerate(layers[1:], start=1):
        if rate:
            parts[f"drop_{number}"] = dropout(rate)
        parts[f"layer_{number}"] = layer
    return compose(one_above_another, **parts)


def one_above_another(f: Any, x: Any) -> Any:
    """The wiring of `stacked`."""
    mask = x.get("mask") if isinstance(x, Mapping) else None
    for name, part in vars(f).items():
        if name.startswith("layer") and mask is not None and not isinstance(x, Mapping):
            x = {"x": x, "mask": mask}
        x = part(x)
    return x


def rnn_lm(
    vocabulary: int,
    *cells: Cell,
    features: int = 64,
    rate: float = 0.0,
    carry: Literal["fresh", "kept"] = "fresh",
) -> Layer:
    r"""From token ids to the logits of each next token: embeddings, recurrent layers, a head.

    .. math:: z_t = \operatorname{cells}(W_e[x_1], \dots, W_e[x_t]) \, W + b

    `models.generate` lets it write: build it with carry="kept" for that; it takes the params of the
    net without.

    Args:
      vocabulary: how many tokens there are.
      *cells: the cell of each layer, at least one, such as `lstm_cell(256)`.
      features: the size of the embeddings.
      rate: probability to drop in training, in [0, 1): each embedding's and each layer's output,
        never what a layer passes on to itself.
      carry: as of `recurrent`. "kept": each call goes on where the last one ended; the state is
        for the batch of init's x.

    Shapes:
      x: (batch, time) integers below `vocabulary` -> y: (batch, time, vocabulary), logits.
      params: {"table", "body": {"layer_0", ...}, "head"}. state: {}; with carry="kept" the cells'
        carries.

    Raises:
      ValueError: if there are no cells, or for numbers that make no sense.
      TypeError: if a cell is none.

    Source: Mikolov et al. 2010, https://doi.org/10.21437/Interspeech.2010-343; dropout as in
      Zaremba et al. 2014, https://arxiv.org/abs/1409.2329

    >>> import jax, jax.numpy as jnp
    >>> from fnn.layers import lstm_cell
    >>> from fnn.models import generate
    >>> net = rnn_lm(65, lstm_cell(8), features=4)
    >>> ids = jnp.zeros((2, 5), int)
    >>> params, state = net.init(jax.random.key(0), ids)
    >>> net.apply(params, state, ids)[0].shape
    (2, 5, 65)
    >>> writer = rnn_lm(65, lstm_cell(8), features=4, carry="kept")
    >>> generate(writer, params, ids, steps=3, key=jax.random.key(1)).shape
    (2, 3)
    """
    vocabulary = check_count("rnn_lm", "vocabulary", vocabulary)
    if not cells:
        raise ValueError("rnn_lm: give the cell of each layer, such as lstm_cell(256); got none")
    layers = [recurrent(cell, carry=carry) for cell in cells]
    parts = {
        "table": embed(vocabulary, check_count("rnn_lm", "features", features)),
        "body": stacked(*layers, rate=rate),
        "head": dense(vocabulary),
    }
    if rate:
        parts["drop"] = dropout(rate)
    return compose(recurrent_language_model, **parts)


def recurrent_language_model(f: Any, ids: Any) -> Any:
    """The wiring of `rnn_lm`."""
    drop = getattr(f, "drop", lambda h: h)
    h = drop(f.table(ids))  # (batch, time, features)
    return f.head(drop(f.body(h)))
