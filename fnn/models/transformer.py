"""Transformers: blocks of attention and a feed-forward network, and stacks of them."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax

from fnn import initializers
from fnn.checks import check_count
from fnn.combine import serial
from fnn.compose import compose
from fnn.core import Layer
from fnn.initializers import Initializer
from fnn.layers import attention, dense, dropout, layer_norm

Activation = Callable[[jax.Array], jax.Array] | Layer


def feed_forward(
    features: int,
    *,
    hidden: int | None = None,
    activation: Activation = jax.nn.gelu,
    gated: bool = False,
    bias: bool = True,
    rate: float = 0.0,
    w_init: Initializer = initializers.lecun_normal,
    out_init: Initializer | None = None,
) -> Layer:
    r"""The network that a transformer applies to every place by itself: one hidden layer.

    .. math:: y = a(x W_1 + b_1) W_2 + b_2 \quad\text{or, gated,}\quad
        y = (a(x W_3 + b_3) \odot (x W_1 + b_1)) W_2 + b_2

    Args:
      features: the size of the output's last axis.
      hidden: how many hidden neurons; 4 features if None.
      activation: a. `jax.nn.gelu` is the tanh form, as in GPT-2; PyTorch's default is the exact
        one, `functools.partial(jax.nn.gelu, approximate=False)`, which is slower on CPUs. Gated,
        `jax.nn.silu` makes it SwiGLU and gelu GEGLU.
      gated: whether a second projection is multiplied in. For as many parameters as without, take
        2/3 of the hidden neurons.
      bias: whether to add the b.
      rate: probability to drop each hidden number in training, in [0, 1).
      w_init: initializer of W_1 and W_3.
      out_init: initializer of W_2; `w_init` if None.

    Shapes:
      x: (..., inputs) -> y: (..., features).
      params: {"up": {"w", "b"}, "down": {"w", "b"}}; gated also "gate", W_3. state: {}.

    Source: Vaswani et al. 2017, eq. 2, https://arxiv.org/abs/1706.03762; gates: Shazeer 2020, eq.
      6, https://arxiv.org/abs/2002.05202

    >>> feed_forward(8)
    serial(up=dense(32), activation=gelu, down=dense(8))
    """
    features = check_count("feed_forward", "features", features)
    hidden = 4 * features if hidden is None else check_count("feed_forward", "hidden", hidden)
    up = dense(hidden, bias=bias, w_init=w_init)
    down = dense(features, bias=bias, w_init=out_init or w_init)
    drop: dict[str, Layer] = {"drop": dropout(rate)} if rate else {}
    if gated:
        gate = dense(hidden, bias=bias, w_init=w_init)
        return compose(gated_mlp, gate=gate, activation=activation, up=up, **drop, down=down)
    return serial(up=up, activation=activation, **drop, down=down)


def gated_mlp(f: Any, x: Any) -> Any:
    """The wiring of `feed_forward` with a gate."""
    h = f.activation(f.gate(x)) * f.up(x)
    return f.down(getattr(f, "drop", _same)(h))


def transformer_block(
    attention: Layer,
    mlp: Layer,
    *,
    cross: Layer | None = None,
    norm: Callable[[], Layer] = layer_norm,
    pre: bool = True,
    drop: Layer | None = None,
) -> Layer:
    r"""Attention, then a feed-forward network, each with a normalisation and a path around it.

    .. math::
        h = x + A(N_1(x)), \quad y = h + M(N_2(h)) \qquad\text{(pre)} \\
        h = N_1(x + A(x)), \quad y = N_2(h + M(h)) \qquad\text{(post)}

    with `cross` there is a third such step between the two, which looks at the context.

    x is one array or a dict, as of `fnn.layers.attention`: {"x", "mask"}, and with `cross` also
    {"context", "context_mask"}. A dict comes out as a dict with a new "x", so that blocks stack.

    Args:
      attention: A, such as `fnn.layers.attention(4)`.
      mlp: M, such as `feed_forward(128)` or `fnn.layers.moe(128)`.
      cross: attention to the context.
      norm: makes each N: `fnn.layers.layer_norm` or `rms_norm`.
      pre: whether to normalise before each step, which trains deep stacks without a warm-up, or
        after, as the first transformer did (PyTorch's `norm_first=False`, its default).
      drop: applied to what A and M give before it is added: `dropout(0.1)` or
        `stochastic_depth(0.1)`.

    Shapes:
      x: (batch, time, features) -> y: the same; or a dict, see above.
      params: {"attention", "norm_1", "mlp", "norm_2"}; with `cross`, {"cross", "norm_cross"} too.

    Source: Vaswani et al. 2017, section 3.1; pre-norm: Xiong et al. 2020, table 1,
      https://arxiv.org/abs/2002.04745

    >>> import jax.numpy as jnp
    >>> from fnn import layers
    >>> block = transformer_block(layers.attention(2), feed_forward(8))
    >>> block
    compose(
        pre_norm,
        attention=attention(2),
        norm_1=layer_norm(),
        mlp=serial(up=dense(32), activation=gelu, down=dense(8)),
        norm_2=layer_norm(),
    )
    >>> variables = block.init(jax.random.key(0), jnp.ones((1, 5, 8)))
    >>> block.apply(*variables, jnp.ones((1, 5, 8)))[0].shape
    (1, 5, 8)
    """
    parts = {"attention": attention, "norm_1": norm()}
    if cross is not None:
        parts |= {"cross": cross, "norm_cross": norm()}
    parts |= {"mlp": mlp, "norm_2": norm()}
    if drop is not None:
        parts["drop"] = drop
    return compose(pre_norm if pre else post_norm, **parts)


def pre_norm(f: Any, x: Any) -> Any:
    """The block that normalises what goes into each step; the sum itself is never normalised."""
    given, h = _given(x)
    drop = getattr(f, "drop", _same)
    h = h + drop(f.attention(_own(given, f.norm_1(h))))
    if hasattr(f, "cross"):
        h = h + drop(f.cross(_across(given, f.norm_cross(h))))
    h = h + drop(f.mlp(f.norm_2(h)))
    return {**x, "x": h} if isinstance(x, Mapping) else h


def post_norm(f: Any, x: Any) -> Any:
    """The block that normalises each sum."""
    given, h = _given(x)
    drop = getattr(f, "drop", _same)
    h = f.norm_1(h + drop(f.attention(_own(given, h))))
    if hasattr(f, "cross"):
        h = f.norm_cross(h + drop(f.cross(_across(given, h))))
    h = f.norm_2(h + drop(f.mlp(h)))
    return {**x, "x": h} if isinstance(x, Mapping) else h


def transformer(
    features: int,
    *,
    heads: int,
    blocks: int,
    hidden: int | None = None,
    kv_heads: int | None = None,
    causal: bool = False,
    cross: bool = False,
    rotary: bool | float = False,
    alibi: bool = False,
    activation: Activation = jax.nn.gelu,
    gated: bool = False,
    norm: Callable[[], Layer] = layer_norm,
    pre: bool = True,
    bias: bool = True,
    rate: float = 0.0,
    cache: int | None = None,
    w_init: Initializer = initializers.lecun_normal,
    out_init: Initializer | None = None,
) -> Layer:
    r"""A stack of equal transformer blocks and, after pre-norm blocks, a last normalisation.

    An encoder as it is, a decoder with `causal=True`, the decoder of a pair with `cross=True` as
    well: its x is then {"x": ..., "context": the encoder's output, "context_mask": ...}.

    Args:
      features: the size of x's last axis, which all blocks keep.
      heads: attention heads, a divisor of `features`.
      blocks: how many, >= 1.
      hidden: hidden neurons of the feed-forward networks; 4 features if None.
      kv_heads: heads of keys and values, as of `fnn.layers.attention`.
      causal: no place sees a later one.
      cross: whether each block also looks at a context.
      rotary: whether queries and keys are turned, as of `fnn.layers.attention`.
      alibi: whether scores fall with distance.
      activation: a of `feed_forward`.
      gated: whether the feed-forward networks are gated.
      norm: makes the normalisations, as of `transformer_block`.
      pre: whether they come before each step or after.
      bias: whether the projections have biases.
      rate: probability to drop, in [0, 1): attention weights, hidden numbers, and what each step
        adds, as in PyTorch's layers.
      cache: how many places to remember, as of `fnn.layers.attention`.
      w_init: initializer of the weights.
      out_init: initializer of the last weight of each step; `w_init` if None.

    Shapes:
      x: (batch, time, features), or a dict as of `transformer_block` -> y: (batch, time, features).

    Raises:
      ValueError: at construction for sizes that do not fit.

    >>> import jax.numpy as jnp
    >>> encoder = transformer(8, heads=2, blocks=2)
    >>> decoder = transformer(8, heads=2, blocks=1, causal=True, cross=True)
    >>> words, key = jnp.ones((1, 5, 8)), jax.random.key(0)
    >>> context = encoder.apply(*encoder.init(key, words), words)[0]
    >>> x = {"x": jnp.ones((1, 3, 8)), "context": context}
    >>> decoder.apply(*decoder.init(key, x), x)[0].shape
    (1, 3, 8)
    """
    if check_count("transformer", "features", features) % check_count(
        "transformer", "heads", heads
    ):
        raise ValueError(f"transformer: heads must divide features, got {heads} and {features}")
    inits = {"w_init": w_init, "out_init": out_init}
    shared = {"kv_heads": kv_heads, "bias": bias, "rate": rate, **inits}

    def block():
        look = attention(heads, causal=causal, rotary=rotary, alibi=alibi, cache=cache, **shared)
        mlp = feed_forward(
            features,
            hidden=hidden,
            activation=activation,
            gated=gated,
            bias=bias,
            rate=rate,
            **inits,
        )
        return transformer_block(
            look,
            mlp,
            cross=attention(heads, **shared) if cross else None,
            norm=norm,
            pre=pre,
            drop=dropout(rate) if rate else None,
        )

    n = check_count("transformer", "blocks", blocks)
    stack: dict[str, Any] = {f"block_{i}": block() for i in range(n)}
    return serial(**stack, take=_sequence, **({"norm": norm()} if pre else {}))


def depth_scaled(stddev: float, blocks: int) -> Initializer:
    r"""The initializer of what is added to the sum 2n times: N(0, s^2 / 2n), as in GPT-2.

    Source: Radford et al. 2019, section 2.3

    >>> w = depth_scaled(0.02, 2)(jax.random.key(0), (100, 100), "float32")
    >>> bool(abs(w.std() - 0.01) < 1e-3)
    True
    """
    return initializers.normal(stddev / math.sqrt(2 * blocks))


def _given(x: Any) -> tuple[Mapping[str, Any], Any]:
    given = x if isinstance(x, Mapping) else {"x": x}
    if set(given) - {"x", "mask", "context", "context_mask"} or "x" not in given:
        raise ValueError(
            "transformer_block: x must be an array or a dict with 'x' and perhaps 'mask',"
            f" 'context' and 'context_mask', got the entries {', '.join(map(repr, given))}"
        )
    return given, given["x"]


def _own(given: Mapping[str, Any], h: Any) -> Any:
    return {"x": h, "mask": given["mask"]} if "mask" in given else h


def _across(given: Mapping[str, Any], h: Any) -> Any:
    if "context" not in given:
        raise ValueError(
            "transformer_block: cross attention needs a context; give x as"
            " {'x': ..., 'context': ...}"
        )
    mask = {"mask": given["context_mask"]} if "context_mask" in given else {}
    return {"x": h, "context": given["context"], **mask}


def _sequence(x: Any) -> Any:
    return x["x"] if isinstance(x, Mapping) else x


def _same(x: Any) -> Any:
    return x
