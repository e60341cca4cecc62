"""Attention, positions and experts: against PyTorch's numbers, and what must hold for any."""

import pathlib

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn import functional, layers
from fnn.models import feed_forward, transformer_block

TORCH = dict(np.load(pathlib.Path(__file__).parent / "data" / "attention_torch.npz"))


def exact_gelu(x):
    return jax.nn.gelu(x, approximate=False)


def block(pre):
    mlp = feed_forward(6, hidden=7, activation=exact_gelu)
    return transformer_block(layers.attention(2), mlp, pre=pre)


CASES = {
    "self": layers.attention(2),
    "causal": layers.attention(2, causal=True),
    "padded": layers.attention(2),
    "cross": layers.attention(2),
    "pre": block(True),
    "post": block(False),
}
SPREAD = fnn.initializers.normal(1.0)
DTYPES = [(np.float64, 1e-10), (np.float32, 1e-5)]


def stored(case, prefix):
    """The stored numbers of a case under a prefix, as a nested dict."""
    tree = {}
    for path, a in TORCH.items():
        if path.startswith(f"{case}/{prefix}/"):
            *way, last = path.split("/")[2:]
            branch = tree
            for name in way:
                branch = branch.setdefault(name, {})
            branch[last] = a
    return tree


@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
@pytest.mark.parametrize("case", CASES)
def test_layers_agree_with_pytorch(case, dtype, tolerance, x64):
    inputs = {k: TORCH[f"{case}/{k}"] for k in ("x", "context") if f"{case}/{k}" in TORCH}
    mask = {"mask": jnp.asarray(TORCH["padded/mask"])} if case == "padded" else {}
    params, inputs, dy = fnn.trees.cast(
        jax.tree.map(jnp.asarray, (stored(case, "params"), inputs, TORCH[f"{case}/dy"])), dtype
    )

    def total(params, inputs):
        given = {**inputs, **mask}
        y, _ = CASES[case].apply(params, {}, given if len(given) > 1 else given["x"])
        return jnp.vdot(y, dy), y

    slopes, y = jax.jit(jax.grad(total, argnums=(0, 1), has_aux=True))(params, inputs)
    assert y.dtype == dtype
    wanted = stored(case, "slopes"), {k: TORCH[f"{case}/d{k}"] for k in inputs}
    chex.assert_trees_all_close(y, TORCH[f"{case}/y"].astype(dtype), atol=tolerance, rtol=tolerance)
    chex.assert_trees_all_close(
        slopes, fnn.trees.cast(wanted, dtype), atol=10 * tolerance, rtol=tolerance
    )


@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
def test_grouped_heads_agree_with_pytorch(dtype, tolerance, x64):
    q, k, v, y, dy, *slopes = (
        jnp.asarray(TORCH[f"grouped/{name}"], dtype)
        for name in ("q", "k", "v", "y", "dy", "dq", "dk", "dv")
    )
    found, back = jax.vjp(lambda q, k, v: functional.attention(q, k, v, scale=0.7), q, k, v)
    chex.assert_trees_all_close((found, back(dy)), (y, tuple(slopes)), atol=tolerance)


def random(key, *shape):
    rng = np.random.default_rng(key)
    return jnp.asarray(rng.standard_normal(shape).astype(np.float32))


def made(net, x):
    return jax.jit(lambda: net.init(jax.random.key(0), x))()


def test_a_query_that_sees_nothing_gives_zeros_and_finite_gradients():
    q, k, v = random(0, 1, 3, 2, 4), random(1, 1, 5, 2, 4), random(2, 1, 5, 2, 4)
    mask = jnp.ones((3, 5), bool).at[1].set(False)

    @jax.jit
    def look(**hide):
        y, back = jax.vjp(lambda *a: functional.attention(*a, **hide), q, k, v)
        return y, back(jnp.ones_like(y))

    y, slopes = look(mask=mask)
    assert (y[0, 1] == 0).all()
    assert (y[0, 0] != 0).all()
    assert fnn.trees.all_finite(slopes)
    assert (slopes[0][0, 1] == 0).all()
    hidden = jnp.where(mask, 0.0, -jnp.inf)
    chex.assert_trees_all_close(look(bias=hidden), (y, slopes), atol=1e-6)


def test_weights_are_odds_and_their_mean_of_values_is_attention():
    q, k, v = random(0, 2, 3, 4, 8), random(1, 2, 5, 2, 8), random(2, 2, 5, 2, 6)
    form = {"causal": True, "offset": 1}
    w = jax.jit(lambda: functional.attention_weights(q, k, **form))()
    assert w.shape == (2, 4, 3, 5)
    np.testing.assert_allclose(w.sum(-1), 1, rtol=1e-6)
    assert (w[..., 0, 2:] == 0).all()
    assert (w[..., 2, :4] > 0).all()
    y = jax.jit(lambda: functional.attention(q, k, v, **form))()
    np.testing.assert_allclose(functional.weighted_values(w, v), y, atol=1e-6)


def test_fewer_heads_of_keys_are_as_their_copies():
    q, k, v = random(0, 2, 3, 6, 4), random(1, 2, 3, 2, 4), random(2, 2, 3, 2, 4)
    mask = jax.random.bernoulli(jax.random.key(3), 0.7, (2, 6, 3, 3))
    bias = random(4, 6, 1, 3)
    copies = (jnp.repeat(a, 3, axis=2) for a in (k, v))
    attention = jax.jit(functional.attention)
    np.testing.assert_allclose(
        attention(q, k, v, mask=mask, bias=bias),
        attention(q, *copies, mask=mask, bias=bias),
        atol=1e-6,
    )


def test_large_scores_do_not_overflow_and_half_precision_is_normalised_in_float32():
    q = k = jnp.full((1, 3, 1, 4), 1e4)
    v = random(0, 1, 3, 1, 4)
    np.testing.assert_allclose(functional.attention(q, k, v)[0, 0, 0], v.mean((0, 1, 2)), rtol=1e-5)
    ones = jnp.ones((1, 1000, 1, 1), jnp.bfloat16)  # a bfloat16 sum of ones stops at 256
    w = functional.attention_weights(ones, ones)
    assert w.dtype == jnp.float32
    np.testing.assert_allclose(w.sum(-1), 1, rtol=1e-5)
    assert functional.attention(ones, ones, ones).dtype == jnp.bfloat16


def test_rotary_products_depend_on_distance_alone():
    q, k = random(0, 1, 1, 8), random(1, 1, 1, 8)

    for form in ({}, {"interleaved": True}, {"base": 10.0}):

        @jax.jit
        def score(i, j, form=form):
            turned = [functional.rotary(a, jnp.array([t]), **form) for a, t in ((q, i), (k, j))]
            return jnp.vdot(*turned)

        np.testing.assert_allclose(score(7, 3), score(104, 100), atol=1e-4)
        assert abs(score(7, 3) - score(8, 3)) > 1e-3


def test_rotary_multiplies_complex_numbers_by_unit_ones():
    x = random(0, 5, 2, 6)
    theta = 100.0 ** (-np.arange(3) / 3)
    turn = np.exp(1j * np.arange(5)[:, None, None] * theta)
    half = (np.asarray(x[..., :3]) + 1j * np.asarray(x[..., 3:])) * turn
    found = functional.rotary(x, base=100.0)
    np.testing.assert_allclose(found, np.concatenate([half.real, half.imag], -1), atol=1e-5)
    pairs = (np.asarray(x[..., ::2]) + 1j * np.asarray(x[..., 1::2])) * turn
    found = functional.rotary(x, base=100.0, interleaved=True)
    np.testing.assert_allclose(
        found, np.stack([pairs.real, pairs.imag], -1).reshape(x.shape), atol=1e-5
    )


def test_alibi_slopes_are_the_papers():
    np.testing.assert_allclose(functional.alibi_slopes(8), 0.5 ** np.arange(1, 9))
    twelve = [*0.5 ** np.arange(1, 9), *0.5 ** np.array([0.5, 1.5, 2.5, 3.5])]
    np.testing.assert_allclose(functional.alibi_slopes(12), twelve, rtol=1e-6)
    bias = functional.alibi(2, 3, 5, offset=2)
    np.testing.assert_allclose(bias[:, 1, :4] / bias[:, 1, 2:3], [[3, 2, 1, 0]] * 2)


@pytest.mark.parametrize(
    "settings", [{}, {"rotary": True, "kv_heads": 1}, {"alibi": True, "bias": False}], ids=str
)
def test_a_cache_gives_what_one_look_at_all_gives(settings):
    x = random(0, 2, 6, 8)
    net = layers.attention(2, causal=True, **settings)
    decoder = layers.attention(2, causal=True, cache=6, **settings)
    params, _ = made(net, x)
    chex.assert_trees_all_equal(params, made(decoder, x[:, :1]).params)
    state = made(decoder, x[:, :1]).state

    apply = jax.jit(decoder.apply)
    first, state = apply(params, state, x[:, :3])

    def step(state, x):
        y, state = decoder.apply(params, state, x[:, None])
        return state, y[:, 0]

    state, rest = jax.jit(lambda *a: jax.lax.scan(step, *a))(state, x[:, 3:].swapaxes(0, 1))
    y = jnp.concatenate([first, rest.swapaxes(0, 1)], 1)
    np.testing.assert_allclose(y, jax.jit(net.apply)(params, {}, x)[0], atol=1e-5)
    assert state["position"] == 6
    assert jnp.isnan(apply(params, state, x[:, :1])[0]).all()  # no room


def test_masks_of_three_ranks_say_the_same():
    net = layers.attention(2)
    x = random(0, 2, 3, 4)
    params, _ = made(net, x)
    real = jnp.array([[True, True, False], [True, False, False]])
    outputs = [
        net.apply(params, {}, {"x": x, "mask": jnp.broadcast_to(mask, shape)})[0]
        for mask, shape in (
            (real, (2, 3)),
            (real[:, None], (2, 3, 3)),
            (real[:, None, None], (2, 2, 3, 3)),
        )
    ]
    chex.assert_trees_all_equal(*outputs)
    changed = net.apply(params, {}, {"x": x.at[0, 2].set(9.0), "mask": real})[0]
    np.testing.assert_array_equal(changed[0, :2], outputs[0][0, :2])


def test_dropped_weights_average_to_all_of_them():
    net, x = layers.attention(1, rate=0.5), random(0, 1, 4, 4)
    params, _ = made(net, x)
    keys = jax.random.split(jax.random.key(1), 4000)
    drawn = jax.jit(jax.vmap(lambda key: net.apply(params, {}, x, key=key, train=True)[0]))(keys)
    np.testing.assert_allclose(drawn.mean(0), net.apply(params, {}, x)[0], atol=0.1)
    assert drawn.std(0).min() > 0.05


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: layers.attention(4, kv_heads=3), "kv_heads must divide heads"),
        (lambda: layers.attention(4, cache=8), "causal=True"),
        (lambda: layers.attention(4, rotary=-1.0), "base must be > 0"),
        (lambda: layers.moe(8, experts=2, top=3), "top must be from 1 to the 2"),
        (lambda: functional.alibi_slopes(0), "at least 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize(
    ("x", "words"),
    [
        ({"x": jnp.ones((1, 2, 4)), "masks": None}, "got the entries 'masks', 'x'"),
        (jnp.ones((2, 4)), "must be \\(batch, time, features\\)"),
        (jnp.ones((1, 2, 5)), "5 features, which 2 heads do not divide"),
        ({"x": jnp.ones((1, 2, 4)), "mask": jnp.ones((1, 3), bool)}, "mask must be \\(batch, keys"),
        ({"x": jnp.ones((1, 2, 4)), "context": jnp.ones((2, 2, 4))}, "context 2"),
        ({"x": jnp.ones((1, 2, 4)), "mask": jnp.ones((1, 2))}, "mask must be boolean"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(x, words):
    with pytest.raises((ValueError, TypeError), match=words):
        layers.attention(2).init(jax.random.key(0), x)


def test_functional_attention_refuses_what_would_broadcast():
    q = k = jnp.ones((2, 3, 2, 4))
    with pytest.raises(ValueError, match="mask must broadcast"):
        functional.attention(q, k, k, mask=jnp.ones((2, 3, 3, 3), bool))
    with pytest.raises(TypeError, match="go into bias"):
        functional.attention(q, k, k, mask=jnp.ones((3, 3)))
    with pytest.raises(ValueError, match="multiple of the heads"):
        functional.attention_weights(q, jnp.ones((2, 3, 4, 4)))
    with pytest.raises(ValueError, match="same axes"):
        functional.attention(q, k, jnp.ones((2, 4, 2, 4)))


@pytest.mark.parametrize("top", [1, 2])
def test_experts_are_weighed_by_the_router(top):
    net, x = (
        layers.moe(5, experts=3, top=top, activation=jax.nn.relu, b_init=SPREAD),
        random(0, 7, 4),
    )
    params, state = made(net, x)
    y, _ = jax.jit(net.apply)(params, state, x)
    params, x = jax.tree.map(np.asarray, (params, x))
    up, down = params["up"], params["down"]
    for i in range(7):
        p = np.exp(x[i] @ params["router"]["w"])
        p /= p.sum()
        best = np.argsort(-p)[:top]
        total = p[best].sum() if top > 1 else 1.0
        wanted = 0
        for e in best:
            hidden = np.maximum(x[i] @ up["w"][e] + up["b"][e], 0)
            wanted += p[e] / total * (hidden @ down["w"][e] + down["b"][e])
        np.testing.assert_allclose(y[i], wanted, atol=1e-5)


def test_balance_is_one_for_even_use_and_the_number_of_experts_for_one_that_does_all():
    net = layers.moe(2, experts=4, top=1)
    x = jnp.eye(4)
    params, state = made(net, x)

    @jax.jit
    def balance(router):
        given = {**params, "router": {"w": router}}
        return net.apply(given, state, x, train=True)[1]["balance"]

    np.testing.assert_allclose(balance(30 * jnp.eye(4)), 1, rtol=1e-5)
    np.testing.assert_allclose(balance(30 * jnp.ones((4, 1)) * jnp.eye(4)[0]), 4, rtol=1e-5)


def test_a_layer_can_add_the_gradient_of_its_balance():
    x = random(0, 9, 4)
    net, with_balance = layers.moe(3), layers.moe(3, balance=0.1)
    params, state = made(net, x)

    @jax.jit
    def slopes(params):
        def loss(params, net, c):
            y, after = net.apply(params, state, x, train=True)
            return jnp.mean(y**2) + c * after["balance"]

        cases = ((net, 0.1), (with_balance, 0.0), (net, 0.0))
        return [jax.grad(loss)(params, *case) for case in cases]

    asked, given, without = slopes(params)
    chex.assert_trees_all_close(asked, given, atol=1e-6)
    assert jnp.abs(given["router"]["w"] - without["router"]["w"]).max() > 1e-4
