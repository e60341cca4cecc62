"""Transformers: what a cache must not change, what a mask must hide, and what they learn."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn import layers, models
from fnn.models import generate, gpt, transformer

SMALL = {"length": 12, "features": 16, "heads": 4, "blocks": 2}
LLAMA = {
    "rotary": True,
    "gated": True,
    "kv_heads": 2,
    "norm": layers.rms_norm,
    "activation": jax.nn.silu,
    "bias": False,
    "tied": False,
}
FORMS = {"as GPT-2": {}, "as LLaMA": LLAMA}
IDS = np.random.default_rng(0).integers(0, 7, (3, 12)).astype(np.int32)


def made(net, x, scale=1.0):
    params, state = jax.jit(lambda: net.init(jax.random.key(0), x))()
    return jax.tree.map(lambda p: scale * p, params), state


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_decoding_with_a_cache_equals_the_whole_pass(form):
    net, writer = gpt(7, **SMALL, **form), gpt(7, **SMALL, **form, cache=True)
    params, state = made(net, IDS, 5.0)  # large ones, so that positions and pasts matter
    assert state == {}
    whole = jax.jit(net.apply)(params, {}, IDS)[0]
    assert jnp.ptp(whole) > 1
    own, state = made(writer, IDS[:, :1])
    chex.assert_trees_all_equal_shapes(own, params)
    apply = jax.jit(writer.apply)
    first, state = apply(params, state, IDS[:, :5])

    def step(state, ids):
        logits, state = writer.apply(params, state, ids[:, None])
        return state, logits[:, 0]

    state, rest = jax.jit(lambda *a: jax.lax.scan(step, *a))(state, IDS[:, 5:].T)
    found = jnp.concatenate([first, rest.swapaxes(0, 1)], 1)
    np.testing.assert_allclose(found, whole, atol=1e-5)
    assert jnp.isnan(jax.jit(writer.apply)(params, state, IDS[:, :1])[0]).all()  # no room is left


def test_what_is_written_is_drawn_from_the_odds():
    net, writer = gpt(7, **SMALL), gpt(7, **SMALL, cache=True)
    params, _ = made(net, IDS, 5.0)
    prompt, key = jnp.asarray(IDS[:, :4]), jax.random.key(3)
    write = jax.jit(functools.partial(generate, writer, steps=8), static_argnames=("top",))
    greedy = write(params, prompt, key=key, temperature=0.0)
    assert (write(params, prompt, key=jax.random.key(4), temperature=1.0, top=1) == greedy).all()
    text = jnp.concatenate([prompt, greedy], 1)
    odds = jax.jit(net.apply)(params, {}, text)[0]
    assert (jnp.argmax(odds[:, 3:-1], -1) == greedy).all()

    first = jax.jit(jax.vmap(lambda key: generate(writer, params, prompt[:1], steps=1, key=key)))
    drawn = first(jax.random.split(key, 4000))[:, 0, 0]
    seen = np.bincount(drawn, minlength=7) / 4000
    np.testing.assert_allclose(seen, jax.nn.softmax(odds[0, 3]), atol=0.04)


def test_generate_says_what_it_needs():
    net = gpt(7, **SMALL)
    params, _ = made(net, IDS)
    with pytest.raises(ValueError, match="cache=True"):
        generate(net, params, jnp.asarray(IDS), steps=2, key=jax.random.key(0))
    with pytest.raises(ValueError, match="ids of shape"):
        generate(net, params, jnp.ones((1, 3)), steps=2, key=jax.random.key(0))
    with pytest.raises(ValueError, match="more than length=12"):
        net.apply(params, {}, jnp.zeros((1, 13), int))


def test_no_letter_sees_a_later_one():
    net = gpt(7, **SMALL)
    params, _ = made(net, IDS, 5.0)
    apply = jax.jit(net.apply)
    before, _ = apply(params, {}, IDS)
    after, _ = apply(params, {}, (IDS + (np.arange(12) >= 6)) % 7)
    np.testing.assert_array_equal(before[:, :6], after[:, :6])
    assert (jnp.abs(before[:, 6:] - after[:, 6:]).max((0, 2)) > 1e-3).all()


@pytest.mark.parametrize("pre", [True, False])
def test_padding_changes_nothing_in_encoder_and_decoder(pre):
    rng = np.random.default_rng(0)
    words, more = (rng.standard_normal((2, n, 8)).astype(np.float32) for n in (5, 4))
    form = {"heads": 2, "blocks": 2, "pre": pre}
    encoder = transformer(8, **form)
    decoder = transformer(8, **form, causal=True, cross=True)
    encoding, _ = made(encoder, words)
    decoding, _ = made(decoder, {"x": more, "context": words})

    @jax.jit
    def translate(words, mask):
        context, _ = encoder.apply(encoding, {}, {"x": words, "mask": mask})
        x = {"x": more, "context": context, "context_mask": mask}
        return decoder.apply(decoding, {}, x)[0]

    mask = jnp.arange(5) < jnp.array([[3], [5]])
    y = translate(words, mask)
    np.testing.assert_allclose(translate(words + 9 * ~mask[:, :, None], mask), y, atol=1e-5)
    alone = translate(words[:, :3], mask[:, :3])
    np.testing.assert_allclose(y[0], alone[0], atol=1e-5)


def test_a_block_takes_other_parts():
    x = np.random.default_rng(0).standard_normal((2, 5, 8)).astype(np.float32)
    net = models.transformer_block(
        layers.attention(2), layers.moe(8), norm=layers.rms_norm, drop=layers.stochastic_depth(0.5)
    )
    params, state = made(net, x)
    y, after = jax.jit(functools.partial(net.apply, train=True))(
        params, state, x, key=jax.random.key(2)
    )
    assert y.shape == x.shape
    assert after["mlp"]["balance"] != state["mlp"]["balance"]
    with pytest.raises(ValueError, match="needs a context"):
        models.transformer_block(
            layers.attention(2), layers.moe(8), cross=layers.attention(2)
        ).init(jax.random.key(0), x)


def test_tied_tables_and_shapes():
    tied, _ = made(gpt(7, **SMALL), IDS)
    assert set(tied) == {"table", "positions", "body"}
    untied, _ = made(gpt(7, **SMALL, **LLAMA), IDS)
    assert set(untied) == {"table", "body", "head"}
    assert untied["body"]["block_0"]["attention"]["k"]["w"].shape == (16, 8)
    assert set(untied["body"]["block_0"]["mlp"]) == {"gate", "up", "down"}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: transformer(9, heads=2, blocks=1), "heads must divide features"),
        (lambda: models.vit(3, image=9, patch=2), "patch must divide"),
        (lambda: gpt(7, length=0), "length must be at least 1"),
    ],
)
def test_sizes_that_cannot_be_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def trained(net, x, y, steps, rate):
    loss, schedule = fnn.losses.cross_entropy, fnn.optim.schedules.one_cycle(rate, steps=steps)
    run = functools.partial(
        fnn.train.run, loss=loss, optimizer=fnn.optim.adam(schedule), steps=steps, batch_size=32
    )
    return jax.jit(lambda key, x, y: run(key, net, x, y))(jax.random.key(0), x, y)[0].params


def test_a_small_gpt_reads_better_than_counts_of_pairs():
    text = fnn.datasets.text("shakespeare")[:300_000]
    characters = fnn.data.characters(text)
    read, unread = fnn.data.split_in_order(characters.encode(text))
    pairs = np.ones((characters.size, characters.size))
    np.add.at(pairs, (read[:-1], read[1:]), 1)
    after = pairs / pairs.sum(1, keepdims=True)
    by_pairs = -np.log(after[unread[:-1], unread[1:]]).mean()

    net = gpt(characters.size, length=32, features=48, heads=3, blocks=2)
    params = trained(net, *fnn.data.windows(read, 32), steps=500, rate=1e-2)
    x, y = fnn.data.windows(unread, 32)
    logits = jax.jit(functools.partial(fnn.predict, net))(params, {}, x)
    assert fnn.losses.cross_entropy(logits, y).mean() < by_pairs - 0.2


def test_a_small_vit_reads_digits():
    data = fnn.datasets.load("mnist")
    net = models.vit(10, image=28, patch=7, features=32, heads=4, blocks=2)
    x, y = data.x_train, data.y_train
    x = x.reshape(-1, 28, 28, 1)
    params = trained(net, x, y, steps=500, rate=4e-3)
    logits = jax.jit(functools.partial(fnn.predict, net))(
        params, {}, data.x_test.reshape(-1, 28, 28, 1)
    )
    assert (jnp.argmax(logits, -1) == data.y_test).mean() > 0.85
