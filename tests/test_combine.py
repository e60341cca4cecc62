"""Combinators against the mathematics that they stand for, written out by hand."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn import (
    compose,
    frozen,
    initializers,
    parallel,
    remat,
    repeat,
    residual,
    serial,
    shared,
    trees,
)
from fnn.core import Layer, Variables, key_for
from fnn.layers import batch_norm, dense, dropout

X = jnp.linspace(-1.0, 1.0, 8).reshape(2, 4)


def counter():
    """Adds how often it was called before to x."""

    def init(key, x, /):
        return Variables({}, {"n": jnp.zeros(())})

    def apply(params, state, x, /, *, key=None, train=False):
        return x + state["n"], {"n": state["n"] + 1}

    return Layer(init, apply, name="counter", made_by=counter)


def test_serial_is_composition(key):
    net = serial(dense(3), jnp.tanh, head=dense(2))
    params, state = net.init(key, X)
    first, head = params["dense_0"], params["head"]
    wanted = jnp.tanh(X @ first["w"] + first["b"]) @ head["w"] + head["b"]
    y, after = net.apply(params, state, X)
    np.testing.assert_allclose(y, wanted, rtol=1e-6)
    assert after == state == {}


def test_serial_of_nothing_is_the_identity(key):
    net = serial()
    assert net.init(key, X) == ({}, {})
    np.testing.assert_array_equal(net.apply({}, {}, X)[0], X)


def test_nesting_changes_names_and_not_mathematics(key):
    flat = serial(a=dense(3), b=dense(2))
    nested = serial(serial(a=dense(3)), serial(b=dense(2)))
    params, _ = flat.init(key, X)
    moved = {"serial_0": {"a": params["a"]}, "serial_1": {"b": params["b"]}}
    np.testing.assert_array_equal(nested.apply(moved, {}, X)[0], flat.apply(params, {}, X)[0])


def test_residual_adds_its_input(key):
    net = residual(dense(4))
    params, state = net.init(key, X)
    w, b = params["body"]["w"], params["body"]["b"]
    np.testing.assert_allclose(net.apply(params, state, X)[0], X + X @ w + b, rtol=1e-6)


def test_residual_with_a_shortcut_adds_its_output(key):
    net = residual(dense(3), shortcut=dense(3, bias=False))
    params, state = net.init(key, X)
    body, way = params["body"], params["shortcut"]
    wanted = X @ way["w"] + X @ body["w"] + body["b"]
    np.testing.assert_allclose(net.apply(params, state, X)[0], wanted, rtol=1e-6)


def test_residual_adds_pytrees_leaf_by_leaf():
    net = residual(lambda x: {"a": 2 * x["a"], "b": x["b"]})
    y, _ = net.apply({}, {}, {"a": 1.0, "b": 2.0})
    assert y == {"a": 3.0, "b": 4.0}


@pytest.mark.parametrize("body", [dense(1), dense(3), lambda x: (x, x), lambda x: {"x": x}])
def test_residual_broadcasts_nothing(key, body):
    with pytest.raises(ValueError, match=r"residual: body gives .* give a shortcut that maps"):
        serial(residual(body)).init(key, X)


def test_parallel_combines_in_the_order_given(key):
    net = parallel(lambda a, b: a - 2 * b, z=dense(3), a=jnp.sin)
    with pytest.raises(TypeError, match="sub got incompatible shapes"):
        net.init(key, X) and net.apply(*net.init(key, X), X)
    net = parallel(lambda a, b: a - 2 * b, z=dense(4), a=jnp.sin)
    params, state = net.init(key, X)
    wanted = X @ params["z"]["w"] + params["z"]["b"] - 2 * jnp.sin(X)
    np.testing.assert_allclose(net.apply(params, state, X)[0], wanted, rtol=1e-6, atol=1e-7)


def test_a_branch_may_be_called_combine():
    net = parallel(jnp.add, combine=jnp.sin, other=jnp.cos)
    np.testing.assert_allclose(net.apply({}, {}, X)[0], jnp.sin(X) + jnp.cos(X), rtol=1e-6)
    assert repr(net) == "parallel(add, combine=sin, other=cos)"


def test_shared_applies_one_set_of_weights_again_and_again(key):
    net = shared(dense(4), 3)
    params, state = net.init(key, X)
    assert jax.tree.map(jnp.shape, params) == {"body": {"b": (4,), "w": (4, 4)}}
    y = X
    for _ in range(3):
        y = y @ params["body"]["w"] + params["body"]["b"]
    np.testing.assert_allclose(net.apply(params, state, X)[0], y, rtol=1e-5)


def test_shared_passes_its_state_on(key):
    net = shared(counter(), 3)
    params, state = net.init(key, X)
    y, after = net.apply(params, state, X)
    np.testing.assert_array_equal(y, X + 0 + 1 + 2)
    assert after == {"body": {"n": 3.0}}


def test_shared_dropout_draws_a_new_mask_each_time(key):
    y, _ = shared(dropout(0.5), 2).apply({}, {}, jnp.ones(4000), key=key, train=True)
    assert set(np.unique(y)) == {0.0, 4.0}
    assert 0.2 < (y == 4).mean() < 0.3  # one mask would leave a half


@pytest.mark.parametrize(("n", "error"), [(0, ValueError), (-1, ValueError), (2.0, TypeError)])
def test_shared_counts_in_whole_numbers(n, error):
    with pytest.raises(error, match="shared: n must be"):
        shared(dense(4), n)


def test_shared_needs_a_layer_that_gives_what_it_takes(key):
    with pytest.raises(ValueError, match=r"takes float32\[2,4\], gives float32\[2,3\]"):
        shared(dense(3), 2).init(key, X)


def block():
    return residual(serial(dense(4), batch_norm(), dropout(0.3), jax.nn.silu))


@pytest.mark.parametrize("how", [{}, {"remat": True}, {"unroll": 2}, {"unroll": 9}], ids=str)
def test_repeat_is_serial_with_its_variables_stacked(key, how):
    body = block()
    loop, chain = repeat(body, 3, **how), serial(**{str(i): body for i in range(3)})
    (params, state), (links, states) = loop.init(key, X), chain.init(key, X)
    chex.assert_trees_all_equal(trees.unstack(params["body"]), list(links.values()))
    chex.assert_trees_all_equal(trees.unstack(state["body"]), list(states.values()))

    def run(net):
        def loss(params, state, x):
            y, after = net.apply(params, state, x, key=key, train=True)
            return jnp.vdot(y, jnp.cos(X)), (y, after)

        return jax.jit(jax.grad(loss, (0, 2), has_aux=True))

    (by_params, by_x), (y, after) = run(loop)(params, state, X)
    (by_links, wanted_by_x), (wanted, afters) = run(chain)(links, states, X)
    close = functools.partial(chex.assert_trees_all_close, rtol=1e-5, atol=1e-5)
    close((y, by_x), (wanted, wanted_by_x))
    close(trees.unstack(by_params["body"]), list(by_links.values()))
    close(trees.unstack(after["body"]), list(afters.values()))


def test_each_copy_in_a_repeat_is_what_the_body_makes_of_its_key(key):
    body = serial(dense(4, w_init=initializers.orthogonal()), dense(4))
    params, _ = repeat(body, 3).init(key, X)
    for i, copy in enumerate(trees.unstack(params["body"])):
        own = body.init(key_for(key, str(i)), X).params
        chex.assert_trees_all_close(copy, own, rtol=1e-5, atol=1e-6)
    first, second, _ = trees.unstack(params["body"])
    assert not jnp.allclose(first["dense_1"]["w"], second["dense_1"]["w"])


def test_repeat_passes_a_mask_along(key):
    def masked(f, x):
        return {**x, "x": jnp.where(x["mask"], f.block(x["x"]), x["x"])}

    net = repeat(compose(masked, block=dense(4)), 2)
    x = {"x": X, "mask": jnp.array([[True], [False]]), "none": None}
    params, state = net.init(key, x)
    y, _ = net.apply(params, state, x)
    np.testing.assert_array_equal(y["x"][1], X[1])
    assert jnp.abs(y["x"][0] - X[0]).min() > 0
    np.testing.assert_array_equal(y["mask"], x["mask"])


def test_repeats_nest_and_one_block_can_be_replaced(key):
    net = repeat(repeat(dense(4), 2), 3)
    params, _ = net.init(key, X)
    assert jax.tree.map(jnp.shape, params) == {
        "body": {"body": {"b": (3, 2, 4), "w": (3, 2, 4, 4)}}
    }
    outer = [trees.unstack(inner["body"]) for inner in trees.unstack(params["body"])]
    outer[1][0] = {"b": jnp.ones(4), "w": jnp.zeros((4, 4))}
    params = {"body": trees.stack([{"body": trees.stack(inner)} for inner in outer])}
    y = jnp.ones(4)
    for link in [outer[1][1], *outer[2]]:
        y = y @ link["w"] + link["b"]
    wanted = jnp.broadcast_to(y, X.shape)
    np.testing.assert_allclose(net.apply(params, {}, X)[0], wanted, rtol=1e-5, atol=1e-6)


def test_repeat_traces_its_body_once_however_deep(key):
    traced = []

    def look(x):
        traced.append(1)
        return jnp.sin(x)

    net = repeat(serial(look, dense(4)), 50)
    params, state = net.init(key, X)
    traced.clear()
    net.apply(params, state, X)
    assert len(traced) == 1
    net.apply(params, state, X)
    assert len(traced) == 1, "a second eager call must find the compiled loop"


def test_repeat_may_be_built_from_traced_settings(key):
    def kept(rate):
        net = repeat(dropout(rate), 2)
        return (net.apply({}, {}, jnp.ones(2000), key=key, train=True)[0] > 0).mean()

    np.testing.assert_allclose(jax.vmap(kept)(jnp.array([0.0, 0.5])), [1, 0.25], atol=0.03)


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: repeat(dense(4), 0), ValueError, "repeat: n must be at least 1, got 0"),
        (lambda: repeat(dense(4), 2.0), TypeError, "repeat: n must be an int"),
        (lambda: repeat(dense(4), 2, unroll=0), ValueError, "unroll must be at least 1, got 0"),
        (lambda: remat(dense(4), policy="dots"), TypeError, "remat: policy must be one of jax.c"),
    ],
)
def test_mistakes_in_building_depth(make, error, match):
    with pytest.raises(error, match=match):
        make()


def test_repeat_says_where_a_stack_does_not_fit(key):
    with pytest.raises(ValueError, match=r"takes float32\[2,4\], gives float32\[2,3\]"):
        repeat(dense(3), 2).init(key, X)
    net = repeat(serial(dense(4), batch_norm()), 2)
    params, state = net.init(key, X)
    three = repeat(net.children["body"], 3)
    with pytest.raises(ValueError, match=r"repeat: params must hold 3 layers.*'body/batch_norm_1"):
        three.apply(params, state, X)
    with pytest.raises(ValueError, match=r"repeat: state must hold 3 layers.*stack"):
        three.apply(three.init(key, X).params, state, X)
    with pytest.raises(ValueError, match="x has 3 features, expected 4") as caught:
        serial(stack=net).apply({"stack": params}, {"stack": state}, X[:, :3])
    assert any("in layer 'stack/body/dense_0'" in note for note in caught.value.__notes__)


@pytest.mark.parametrize("train", [False, True])
def test_remat_changes_neither_outputs_nor_gradients(key, train):
    body = block()
    net = remat(body)
    params, state = net.init(key, X)

    def run(net, key):
        def loss(params, state):
            y, after = net.apply(params, state, X, key=key, train=train)
            return jnp.vdot(y, jnp.cos(X)), (y, after)

        return jax.jit(jax.grad(loss, has_aux=True))

    slopes, (y, after) = run(net, key)(params, state)
    plain = run(body, key_for(key, "body"))(params["body"], state["body"])
    chex.assert_trees_all_close((slopes["body"], (y, after["body"])), plain, rtol=1e-5, atol=1e-6)


ROWS = jax.ShapeDtypeStruct((256, 64), jnp.float32)
DEEP = serial(*[part for _ in range(8) for part in (dense(64), jnp.tanh)])
ONE = 4 * 256 * 64  # the bytes of one activation


def loss_of(net):
    params, state = jax.eval_shape(net.init, jax.random.key(0), ROWS)
    return (lambda params, x: net.apply(params, state, x)[0].sum()), params


def test_remat_keeps_less_between_the_passes():
    # What is kept is read off JAX's pullback: XLA's CPU compiler merges the two passes again
    def kept(wrap):
        loss, params = loss_of(serial(wrap(DEEP), wrap(DEEP)))
        pullback = jax.eval_shape(lambda *args: jax.vjp(loss, *args)[1], params, ROWS)
        return (trees.size_bytes(pullback) - trees.size_bytes(params)) / ONE

    dots = functools.partial(remat, policy=jax.checkpoint_policies.dots_saveable)
    assert kept(lambda net: net) > 16
    assert kept(remat) < 2.1  # the input of each
    assert kept(dots) > 16


def test_repeat_with_remat_compiles_to_a_program_that_needs_less_memory():
    def held(**how):
        loss, params = loss_of(repeat(DEEP, 8, **how))
        compiled = jax.jit(jax.grad(loss)).lower(params, ROWS).compile()
        return compiled.memory_analysis().temp_size_in_bytes / ONE

    assert held() > 8 * 8
    assert held(remat=True) < 8 + 2 * 8


def test_frozen_stops_the_gradient_of_params_and_not_of_x(key):
    plain = serial(dense(4), jnp.tanh, dense(2))
    net = frozen(plain)
    params, _ = net.init(key, X)

    def loss(net, params, x):
        return net.apply(params, {}, x)[0].sum()

    slopes, by_x = jax.grad(lambda p, x: loss(net, p, x), (0, 1))(params, X)
    assert not any(a.any() for a in jax.tree.leaves(slopes))
    wanted = jax.grad(lambda x: loss(plain, params["body"], x))(X)
    np.testing.assert_allclose(by_x, wanted, rtol=1e-6)
    assert np.abs(wanted).min() > 0


def test_frozen_state_still_moves(key):
    net = frozen(batch_norm())
    params, state = net.init(key, X)
    _, after = net.apply(params, state, X + 5, train=True)
    np.testing.assert_allclose(after["body"]["mean"], 0.1 * (X + 5).mean(0), rtol=1e-5)


def test_compose_shares_weights_and_adds_the_gradients_of_both_uses(key):
    net = compose(lambda f, x: f.eye(x[0]) * f.eye(x[1]), eye=dense(3))
    pair = (X, X**2)
    params, state = net.init(key, pair)
    assert jax.tree.map(jnp.shape, params) == {"eye": {"b": (3,), "w": (4, 3)}}

    def eye(p, x):
        return x @ p["w"] + p["b"]

    def untied(p, q):
        return (eye(p, pair[0]) * eye(q, pair[1])).sum()

    p = params["eye"]
    slopes = jax.grad(lambda p: net.apply(p, state, pair)[0].sum())(params)["eye"]
    first, second = jax.grad(untied, (0, 1))(p, p)
    chex.assert_trees_all_close(slopes, jax.tree.map(jnp.add, first, second), rtol=1e-5)


def test_compose_threads_state_through_every_call(key):
    net = compose(lambda f, x: f.count(x) + f.count(10 * x), count=counter(), unused=jnp.sin)
    with pytest.raises(ValueError, match=r"compose: fn never calls unused; call each as f.name"):
        net.init(key, X)
    net = compose(lambda f, x: f.count(x) + f.count(10 * x), count=counter())
    params, state = net.init(key, X)
    y, after = net.apply(params, state, X)
    np.testing.assert_allclose(y, 11 * X + 1, rtol=1e-6)
    assert after == {"count": {"n": 2.0}}
    assert state == {"count": {"n": 0.0}}, "the state given must stay as it was"


def test_compose_draws_anew_at_every_call(key):
    net = compose(lambda f, x: (f.drop(x), f.drop(x)), drop=dropout(0.5))
    (a, b), _ = net.apply({}, {}, jnp.ones(1000), key=key, train=True)
    assert 0.4 < (a == b).mean() < 0.6


def test_compose_initialises_each_layer_by_its_first_call(key):
    net = compose(lambda f, x: f.b(f.a(x)), b=dense(2), a=dense(3))
    params, _ = net.init(key, X)
    assert params["a"]["w"].shape == (4, 3)
    assert params["b"]["w"].shape == (3, 2)
    same = serial(a=dense(3), b=dense(2)).init(key, X).params
    chex.assert_trees_all_equal(params, same)  # keys come from names, not from the container


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_initialising_nested_compose_looks_through_each_level_once(key, depth):
    looked = []

    def inner(f, x):
        looked.append(1)
        return f.own(x)

    net = compose(inner, own=dense(3))
    for _ in range(depth - 1):
        net = compose(lambda f, x: f.own(x), own=net)
    net.init(key, X)
    assert len(looked) == depth  # each level asks once what its child gives; not 2 ** depth
    net.init(key_for(key, "another"), X)
    assert len(looked) == depth


def test_compose_calls_under_vmap(key):
    net = compose(lambda f, x: jax.vmap(f.a)(x), a=dense(3))
    params, _ = net.init(key, X)
    wanted = X @ params["a"]["w"] + params["a"]["b"]
    np.testing.assert_allclose(net.apply(params, {}, X)[0], wanted, rtol=1e-6)


@pytest.mark.parametrize(
    ("fn", "error", "match"),
    [
        (
            lambda f, x: f.b(x),
            AttributeError,
            "fn calls f.b, which was not given; the layers are a",
        ),
        (lambda f, x: f.a(x, x), TypeError, "f.a takes one input, got 2; put several into a tuple"),
        (lambda f, x: f.a(), TypeError, "f.a takes one input, got 0"),
    ],
)
def test_mistakes_inside_compose(key, fn, error, match):
    with pytest.raises(error, match=match):
        compose(fn, a=dense(2)).init(key, X)


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: compose(dense(2), a=dense(2)), TypeError, r"fn, the first arg.* got dense\(2\)"),
        (lambda: parallel(dense(2), a=dense(2)), TypeError, "combine, the first argument, must be"),
        (lambda: parallel(jnp.add), ValueError, "no branches given"),
        (
            lambda: serial(dense(2), dense_0=dense(2)),
            ValueError,
            "two children are called 'dense_0'",
        ),
        (lambda: serial(**{"a/b": dense(2)}), ValueError, "a word without slash, got 'a/b'"),
    ],
)
def test_mistakes_at_construction(make, error, match):
    with pytest.raises(error, match=match):
        make()


def test_repr_keeps_the_order_of_named_and_numbered_children():
    net = serial(a=dense(3), dense_1=dense(2), layers=dense(1))
    assert repr(net) == "serial(a=dense(3), dense_1=dense(2), layers=dense(1))"
    assert repr(serial(dense(3), relu_1=jax.nn.relu)) == "serial(dense(3), relu)"  # the same names
