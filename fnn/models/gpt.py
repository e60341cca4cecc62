"""GPT: a stack of causal transformer blocks that gives the odds of every next token."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from fnn import random
from fnn.checks import check_count, check_given_key, need
from fnn.compose import compose
from fnn.core import Layer, Variables, key_for, spec
from fnn.initializers import normal
from fnn.layers import dense, dropout, embed, layer_norm
from fnn.models.transformer import Activation, depth_scaled, transformer
from fnn.show import spec_text


def gpt(
    vocabulary: int,
    *,
    length: int,
    features: int = 128,
    heads: int = 4,
    blocks: int = 4,
    hidden: int | None = None,
    kv_heads: int | None = None,
    rotary: bool | float = False,
    activation: Activation = jax.nn.gelu,
    gated: bool = False,
    norm: Callable[[], Layer] = layer_norm,
    bias: bool = True,
    rate: float = 0.0,
    tied: bool = True,
    cache: bool = False,
) -> Layer:
    r"""From token ids to the logits of each next token: embeddings, causal blocks, a head.

    .. math:: z_t = W_e \, N(\operatorname{blocks}(W_e[x_t] + W_p[t]))

    The defaults are GPT-2's: pre-norm, learned positions, one table for input and output, weights
    from N(0, 0.02^2) and those at the end of each step smaller by 1 / sqrt(2 blocks). With
    `rotary=True, gated=True, activation=jax.nn.silu, norm=fnn.layers.rms_norm, bias=False,
    tied=False` and a `hidden` of 8/3 features it is LLaMA's.

    Args:
      vocabulary: how many tokens there are, >= 1.
      length: the longest sequence, >= 1.
      features: the size of each token's vector.
      heads: attention heads, a divisor of `features`.
      blocks: how many.
      hidden: hidden neurons of the feed-forward networks; 4 features if None.
      kv_heads: as of `fnn.layers.attention`.
      rotary: positions by rotary angles, True or their base, in place of learned vectors.
      activation: of the feed-forward networks, as of `feed_forward`.
      gated: whether they are gated.
      norm: makes the normalisations.
      bias: whether the projections have biases.
      rate: probability to drop in training, in [0, 1); as of `transformer`, and of the embeddings.
      tied: whether the token table also gives the logits; if not, a dense layer of its own does.
      cache: the net that decodes, with room for `length` places: its state holds what it has seen,
        and x the tokens that follow. It takes the params of the net without. See `generate`.

    Shapes:
      x: (batch, time) integers below `vocabulary` -> y: (batch, time, vocabulary), logits.
      params: {"table", "positions" (unless rotary), "body", "head" (unless tied)}.
      state: {}; with `cache` the caches of the blocks, and the position.

    Source: Radford et al. 2019, section 2,
      https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf

    >>> net = gpt(65, length=16, features=8, heads=2, blocks=1)
    >>> ids = jnp.zeros((2, 5), int)
    >>> params, state = net.init(jax.random.key(0), ids)
    >>> net.apply(params, state, ids)[0].shape
    (2, 5, 65)
    """
    length = check_count("gpt", "length", length)
    small = normal(0.02)
    parts: dict[str, Any] = {"table": embed(vocabulary, features, attend=tied, w_init=small)}
    if rotary is False:
        parts |= {
            "places": _places(length, cache),
            "positions": embed(length, features, w_init=small),
        }
    if rate:
        parts["drop"] = dropout(rate)
    parts["body"] = transformer(
        features,
        heads=heads,
        blocks=blocks,
        hidden=hidden,
        kv_heads=kv_heads,
        causal=True,
        rotary=rotary,
        activation=activation,
        gated=gated,
        norm=norm,
        bias=bias,
        rate=rate,
        cache=length if cache else None,
        w_init=small,
        out_init=depth_scaled(0.02, blocks),
    )
    if not tied:
        parts["head"] = dense(vocabulary, bias=False, w_init=small)
    return compose(language_model, **parts)


def language_model(f: Any, ids: Any) -> Any:
    """The wiring of `gpt`."""
    h = f.table(ids)  # (batch, time, features)
    if hasattr(f, "positions"):
        h = h + f.positions(f.places(ids))
    if hasattr(f, "drop"):
        h = f.drop(h)
    h = f.body(h)
    return f.head(h) if hasattr(f, "head") else f.table(h)


def generate(
    net: Layer,
    params: Any,
    prompt: jax.Array,
    *,
    steps: int,
    key: jax.Array,
    temperature: float | jax.Array = 1.0,
    top: int | None = None,
) -> jax.Array:
    r"""Let a language model go on with a text: token after token, each drawn from its odds.

    .. math:: x_{t+1} \sim \operatorname{softmax}(z_t / T)

    One pass over the prompt, then one `lax.scan`, in which each step reads one token and the cache.

    Args:
      net: a net whose state is its memory, such as `gpt(..., cache=True)`, made with the sizes of
        the one that was trained, or a recurrent one that gives its state back.
      params: the trained parameters.
      prompt: (batch, time) ids, at least one each.
      steps: how many tokens to write, >= 1.
      key: seeds the draws.
      temperature: T, >= 0; below 1 the likely becomes likelier, and 0 always takes the likeliest.
        May be traced.
      top: draw among the `top` likeliest tokens only; all if None.

    Returns:
      (batch, steps), the ids written, of the prompt's dtype.

    Raises:
      ValueError: if there is no prompt, or if the cache has no room for prompt and steps.

    >>> net = gpt(5, length=8, features=8, heads=2, blocks=1, cache=True)
    >>> prompt = jnp.array([[1, 2, 3]])
    >>> params, _ = net.init(jax.random.key(0), prompt)
    >>> generate(net, params, prompt, steps=4, key=jax.random.key(1)).shape
    (1, 4)
    """
    check_given_key(key, "generate")
    steps = check_count("generate", "steps", steps)
    if prompt.ndim != 2 or not prompt.shape[1] or not jnp.issubdtype(prompt.dtype, jnp.integer):
        raise ValueError(
            f"generate: prompt must be ids of shape (batch, time), got {spec_text(prompt)}"
        )
    fresh = jax.eval_shape(net.init, key, spec(prompt)).state
    if not fresh:
        raise ValueError(
            "generate: net remembers nothing, its state is empty; build it with a cache:"
            " gpt(..., cache=True), which takes the same params"
        )
    state = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), fresh)

    def draw(logits, t):
        return _draw(random.fold_in(key_for(key, "draw"), t), logits[:, -1], temperature, top)

    def step(carry, t):
        state, token = carry
        logits, state = net.apply(params, state, token[:, None])
        token = draw(logits, t).astype(prompt.dtype)
        return (state, token), token

    logits, state = net.apply(params, state, prompt)
    first = draw(logits, 0).astype(prompt.dtype)
    _, tokens = jax.lax.scan(step, (state, first), jnp.arange(1, steps, dtype=jnp.int32))
    return jnp.concatenate([first[None], tokens]).T


def _draw(key: jax.Array, logits: jax.Array, temperature: Any, top: int | None) -> jax.Array:
    """One token for each row of logits (batch, vocabulary)."""
    if top is not None:
        least = jax.lax.top_k(logits, check_count("generate", "top", top))[0][:, -1:]
        logits = jnp.where(logits < least, -jnp.inf, logits)
    temperature = jnp.asarray(temperature, logits.dtype)
    # Gumbel's trick: the largest z / T + g is drawn from softmax(z / T); T times it allows T = 0
    noise = jax.random.gumbel(key, logits.shape, logits.dtype)
    return jnp.argmax(logits + temperature * noise, -1)


def _places(length: int, cache: bool) -> Layer:
    """The position of each id, counted on from call to call where there is a cache."""

    def init(key, x, /):
        del key, x
        return Variables({}, {"position": jnp.zeros((), jnp.int32)} if cache else {})

    def apply(params, state, x, /, *, key=None, train=False):
        del params, key, train
        time = x.shape[-1]
        if time > length:
            raise ValueError(
                f"gpt: x has {time} places, more than length={length};"
                " shorten x, or build the net with a greater length"
            )
        at = jnp.arange(time, dtype=jnp.int32)
        if not cache:
            return at, state
        first = need(state, "position", where="gpt", kind="state")
        return at + first, {"position": first + jnp.asarray(time, first.dtype)}

    return Layer(
        init, apply, name="places", config={"length": length, "cache": cache}, made_by=_places
    )
