"""Attention as a layer: projections to queries, keys and values, and of what comes out."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from fnn import functional, initializers
from fnn.checks import check_count, check_features, need
from fnn.core import Layer, Variables, key_for
from fnn.initializers import Initializer
from fnn.layers.attention_inputs import attention_inputs, per_head
from fnn.layers.dropout import dropout
from fnn.show import spec_text
from fnn.trees import wide


def attention(
    heads: int,
    *,
    features: int | None = None,
    kv_heads: int | None = None,
    head_dim: int | None = None,
    causal: bool = False,
    rotary: bool | float = False,
    alibi: bool = False,
    bias: bool = True,
    rate: float | jax.Array = 0.0,
    cache: int | None = None,
    w_init: Initializer = initializers.lecun_normal,
    b_init: Initializer = initializers.zeros,
    out_init: Initializer | None = None,
) -> Layer:
    r"""Let every place of a sequence look at all places, and gather what fits what it asks for.

    .. math::
        q = x W_q + b_q, \quad k = c W_k + b_k, \quad v = c W_v + b_v, \qquad
        y = \operatorname{concat}_h(\operatorname{softmax}(q_h k_h^T / \sqrt{d}) \, v_h) W_o + b_o

    in self-attention c is x; in cross-attention it is the context.

    x is one array, for self-attention, or a dict of arrays:

    - "x": the queries' sequence;
    - "context": the sequence that is looked at; x itself if left out;
    - "mask": boolean, True where a key is real, (batch, keys), or where a query may see a key,
      (batch, queries, keys) or (batch, heads, queries, keys). PyTorch's masks mean the opposite.

    A query that may see nothing gives b_o. With `cache` the layer decodes: see there.

    Args:
      heads: how many, >= 1.
      features: the size of the output's last axis; x's if None.
      kv_heads: how many heads of keys and values, a divisor of `heads`; each serves heads /
        kv_heads neighbouring query heads. 1 is multi-query attention; `heads` if None.
      head_dim: d, the size of each head; x's features / heads if None.
      causal: no place sees a later one.
      rotary: True turns queries and keys by `functional.rotary`, with base 10,000; a number is
        another base.
      alibi: whether scores fall linearly with distance, by `functional.alibi`.
      bias: whether to add the four b.
      rate: probability to drop each weight in training, in [0, 1), as of `dropout`.
      cache: how many places to remember. None: each call sees its own x alone. With a number, the
        state holds the keys and values of all places seen, and each call appends those of x (one
        place or more), which see all before them: outputs are those of one call with the whole
        sequence. `init` gives the empty cache, for the batch of its x; the params are the same
        with and without. A place that the cache has no room for gives NaN: compiled programs
        cannot raise an error.
      w_init: initializer of the four w; PyTorch takes glorot_uniform.
      b_init: initializer of the b.
      out_init: initializer of W_o, where it shall be another than `w_init`, such as smaller ones
        in deep networks.

    Shapes:
      x: (batch, time, inputs), or a dict of that and {"context": (batch, keys, context inputs),
        "mask": (batch, keys)} -> y: (batch, time, features), same dtype.
      params: {"q": {"w": (inputs, heads * head_dim), "b": (heads * head_dim,)},
        "k" and "v": the same from the context, with kv_heads,
        "out": {"w": (heads * head_dim, features), "b": (features,)}}, float32 or wider.
      state: {}; with `cache` {"k" and "v": (batch, cache, kv_heads, head_dim), in x's dtype,
        "position": ()}.

    Raises:
      ValueError: at construction for numbers that do not fit; in init and apply for a dict with
        other entries, and for shapes that do not fit.
      TypeError: if x holds no floating arrays.

    Source: Vaswani et al. 2017, section 3.2, https://arxiv.org/abs/1706.03762

    >>> net = attention(2, causal=True)
    >>> x = jnp.ones((1, 5, 4))
    >>> params, state = net.init(jax.random.key(0), x)
    >>> net.apply(params, state, x)[0].shape
    (1, 5, 4)
    >>> jax.tree.map(jnp.shape, params["q"])
    {'b': (4,), 'w': (4, 4)}
    >>> words = {"x": x, "mask": jnp.array([[True, True, True, False, False]])}
    >>> net.apply(params, state, words)[0].shape
    (1, 5, 4)

    One place at a time:

    >>> decoder = attention(2, causal=True, cache=5)
    >>> empty = decoder.init(jax.random.key(0), x[:, :1]).state
    >>> y, state = decoder.apply(params, empty, x[:, :1])
    >>> y, state = decoder.apply(params, state, x[:, 1:2])
    >>> int(state["position"]), bool(jnp.allclose(y, net.apply(params, {}, x)[0][:, 1:2]))
    (2, True)
    """
    heads = check_count("attention", "heads", heads)
    kv_heads = _check_kv_heads(kv_heads, heads)
    _check_cache(cache, causal)
    base = _check_rotary(rotary)
    drop = dropout(rate)
    config = {
        "heads": heads,
        "features": None if features is None else check_count("attention", "features", features),
        "kv_heads": None if kv_heads == heads else kv_heads,
        "head_dim": None if head_dim is None else check_count("attention", "head_dim", head_dim),
        "causal": causal,
        "rotary": rotary,
        "alibi": alibi,
        "bias": bias,
        "rate": rate,
        "cache": cache,
        "w_init": w_init,
        "b_init": b_init,
        "out_init": out_init,
    }

    def init(key, x, /):
        x, context, _ = attention_inputs(x, cache)
        inputs, size = x.shape[-1], _head_dim(x, heads, head_dim)
        widths = {
            "q": (inputs, heads * size),
            "k": (context.shape[-1], kv_heads * size),
            "v": (context.shape[-1], kv_heads * size),
            "out": (heads * size, features or inputs),
        }
        params = {}
        for name, shape in widths.items():
            makes = (out_init or w_init) if name == "out" else w_init, b_init if bias else None
            params[name] = _projection(key_for(key, name), shape, wide(x.dtype), *makes)
        if cache is None:
            return Variables(params, {})
        past = jnp.zeros((x.shape[0], cache, kv_heads, size), x.dtype)
        return Variables(params, {"k": past, "v": past, "position": jnp.zeros((), jnp.int32)})

    def apply(params, state, x, /, *, key=None, train=False):
        x, context, mask = attention_inputs(x, cache)
        q, k, v = _queries_keys_values(params, x, context, bias, (heads, kv_heads, kv_heads))
        first = 0 if cache is None else need(state, "position", where="attention", kind="state")
        if base is not None:
            q, k = (_turned(a, base, first) for a in (q, k))
        if cache is not None:
            state = _remembered(state, k, v, first)
            k, v = state["k"], state["v"]
        settings = {"causal": causal, "offset": first, "mask": per_head(mask)}
        if alibi:
            settings["bias"] = functional.alibi(heads, q.shape[1], k.shape[1], offset=first)
        noise = functools.partial(drop.apply, {}, {}, key=key, train=True)
        y = _gathered(q, k, v, noise if train and not _is_zero(rate) else None, settings)
        y = _projected(params, "out", y.reshape(*y.shape[:2], -1), bias)
        if cache is not None:
            late = first + jnp.arange(x.shape[1], dtype=jnp.int32) >= cache
            y = jnp.where(late[:, None], jnp.asarray(jnp.nan, y.dtype), y)
        return y, state

    return Layer(init, apply, name="attention", config=config, made_by=attention)


def _projection(
    key: jax.Array,
    shape: tuple[int, int],
    dtype: Any,
    w_init: Initializer,
    b_init: Initializer | None,
) -> dict[str, jax.Array]:
    """Fresh weights of one of the four projections, with a bias if it has an initializer."""
    w = {"w": w_init(key_for(key, "w"), shape, dtype)}
    return w if b_init is None else w | {"b": b_init(key_for(key, "b"), shape[1:], dtype)}


def _gathered(
    q: jax.Array, k: jax.Array, v: jax.Array, noise: Any, settings: Mapping[str, Any]
) -> jax.Array:
    """What each query gathers, (batch, time, heads, head_dim); noise drops some of its weights."""
    if noise is None:
        return functional.attention(q, k, v, **settings)
    w, _ = noise(functional.attention_weights(q, k, **settings))
    return functional.weighted_values(w, v)


def _check_kv_heads(kv_heads: int | None, heads: int) -> int:
    kv_heads = heads if kv_heads is None else check_count("attention", "kv_heads", kv_heads)
    if heads % kv_heads:
        raise ValueError(
            f"attention: kv_heads must divide heads, got {kv_heads} and {heads};"
            f" each head of keys serves heads / kv_heads queries"
        )
    return kv_heads


def _check_cache(cache: int | None, causal: bool) -> None:
    if cache is None:
        return
    check_count("attention", "cache", cache)
    if not causal:
        raise ValueError(
            "attention: a cache holds the places that came before, got causal=False;"
            " use attention(..., causal=True, cache=n)"
        )


def _head_dim(x: Any, heads: int, head_dim: int | None) -> int:
    if head_dim is None and x.shape[-1] % heads:
        raise ValueError(
            f"attention: x has {x.shape[-1]} features, which {heads} heads do not divide;"
            " give head_dim"
        )
    return head_dim or x.shape[-1] // heads


def _queries_keys_values(
    params: Mapping[str, Any], x: Any, context: Any, bias: bool, heads: tuple[int, int, int]
) -> list[jax.Array]:
    """q, k and v, each (batch, time, heads, head_dim); of one array all in one product."""
    if x is not context:
        pairs = zip("qkv", (x, context, context), strict=True)
        parts = [_projected(params, name, a, bias) for name, a in pairs]
        return [y.reshape(*y.shape[:-1], n, -1) for y, n in zip(parts, heads, strict=True)]
    # Side by side stand the parts of one head: devices that share the heads (`fnn.shard`) then have
    # their columns of the joined matrix already, and exchange nothing.
    groups, own = heads[1], [_weights(params, name, x, bias) for name in "qkv"]

    def join(parts: Any) -> jax.Array:
        cut = [
            a.reshape(*a.shape[:-1], groups, n // groups, -1)
            for a, n in zip(parts, heads, strict=True)
        ]
        return jnp.concatenate(cut, -2)

    w, b = zip(*own, strict=True)
    columns = join(w)  # (features, groups, heads of a group, head_dim)
    y = functional.rows_times(x, columns.reshape(columns.shape[0], -1))
    if bias:
        y = y + join(b).reshape(-1)
    y = y.reshape(*y.shape[:-1], *columns.shape[1:])
    q, k, v = jnp.split(y, [heads[0] // groups, heads[0] // groups + 1], axis=-2)
    return [a.reshape(*a.shape[:-3], -1, a.shape[-1]) for a in (q, k, v)]


def _projected(params: Mapping[str, Any], name: str, x: jax.Array, bias: bool) -> jax.Array:
    """x w + b of one of the four projections."""
    w, b = _weights(params, name, x, bias)
    y = functional.rows_times(x, w)
    return y if b is None else y + b


def _weights(
    params: Mapping[str, Any], name: str, x: jax.Array, bias: bool
) -> tuple[jax.Array, jax.Array | None]:
    """w and b (or None) of one of the four projections, in x's dtype."""
    own, where = _branch(params, name), f"params[{name!r}]"
    w = need(own, "w", where="attention", kind=where)
    check_features(x, w.shape[0], "attention")
    b = need(own, "b", where="attention", kind=where).astype(x.dtype) if bias else None
    return w.astype(x.dtype), b


def _branch(params: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The projection called `name`, or an error that says what there is."""
    if not isinstance(params.get(name), Mapping):
        raise ValueError(
            f"attention: params must hold {name!r}, got {spec_text(dict(params))};"
            " pass the params that init returned: apply(params, state, x)"
        )
    return params[name]


def _turned(a: jax.Array, base: float, first: int | jax.Array) -> jax.Array:
    positions = jnp.arange(a.shape[1], dtype=jnp.int32) + first
    return functional.rotary(a, positions, base=base)


def _remembered(
    state: Mapping[str, Any], k: jax.Array, v: jax.Array, first: Any
) -> dict[str, jax.Array]:
    """The cache with the keys and values of new places behind the old ones."""
    after = {"position": first + jnp.asarray(k.shape[1], first.dtype)}
    for name, new in (("k", k), ("v", v)):
        past = need(state, name, where="attention", kind="state")
        if past.shape[0] != new.shape[0] or past.shape[1] < new.shape[1]:
            raise ValueError(
                f"attention: x has {new.shape[0]} examples of {new.shape[1]} places, the cache"
                f" holds {past.shape[0]} of {past.shape[1]}; call init with a batch like this one"
            )
        new = new.astype(past.dtype)
        after[name] = jax.lax.dynamic_update_slice_in_dim(past, new, first, axis=1)
    return after


def _check_rotary(rotary: bool | float) -> float | None:
    """The base of the angles, or None."""
    if rotary is False:
        return None
    base = 10_000.0 if rotary is True else rotary
    if not isinstance(base, Tracer) and not base > 0:
        raise ValueError(f"attention: rotary's base must be > 0, got {rotary!r}")
    return base


def _is_zero(rate: Any) -> bool:
    return not isinstance(rate, jax.Array) and rate == 0
