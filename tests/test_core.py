"""Layers are held to the contract, errors have an address, keys come from names."""

import functools
import gc
import weakref

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn import Layer, Variables, compose, serial
from fnn.core import as_jax, function_name, key_for, lift, spec
from fnn.layers import batch_norm, dense, dropout, embed

X = jnp.ones((2, 4))


def own(init=None, apply=None, **more):
    """A layer of a user's own making that doubles x, unless told otherwise."""

    def quiet(key, x, /):
        return Variables({}, {})

    def double(params, state, x, /, *, key=None, train=False):
        return 2 * x, state

    return Layer(init or quiet, apply or double, name="own", **more)


def notes(caught):
    return [note for note in getattr(caught.value, "__notes__", []) if note.startswith("in layer")]


# errors have an address


def deep():
    return serial(stem=serial(dense(3), jax.nn.relu, inner=serial(dense(2))), head=dense(1))


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit, jax.vmap], ids=["eager", "jit", "vmap"])
def test_wrong_features_name_path_expected_got_and_cure(key, wrap):
    net = deep()
    params, state = net.init(key, X)
    x = jnp.ones((3, 2, 5))
    with pytest.raises(ValueError, match=r"dense: x has 5 features, expected 4; give x") as caught:
        wrap(lambda x: net.apply(params, state, x))(x)
    (note,) = notes(caught)
    assert note.startswith("in layer 'stem/dense_0': dense(3), given x: float32[")


def test_the_path_is_as_deep_as_the_layer(key):
    net = deep()
    params, state = net.init(key, X)
    params["stem"]["inner"]["dense_0"]["w"] = jnp.ones((7, 2))
    with pytest.raises(ValueError, match="x has 3 features, expected 7") as caught:
        net.apply(params, state, X)
    assert notes(caught) == ["in layer 'stem/inner/dense_0': dense(2), given x: float32[2,3]"]


def test_errors_in_init_have_an_address_too(key):
    net = serial(stem=compose(lambda f, x: f.ids(x), ids=embed(5, 2)))
    with pytest.raises(TypeError, match=r"embed: x must hold integer ids in \[0, 5\)") as caught:
        net.init(key, X)
    assert notes(caught) == ["in layer 'stem/ids': embed(5, 2), given x: float32[2,4]"]


def test_the_note_survives_those_that_others_add():
    def fail(x):
        error = KeyError("mine")
        error.add_note("first")
        raise error

    def between(params, state, x, /, *, key=None, train=False):
        try:
            return serial(inner=fail).apply(params, state, x)
        except KeyError as error:
            error.add_note("second")
            raise

    with pytest.raises(KeyError, match="mine") as caught:
        serial(outer=own(apply=between)).apply({}, {}, X)
    assert caught.value.__notes__ == [
        "first",
        "in layer 'outer/inner': fail, given x: float32[2,4]",
        "second",
    ]


def test_long_layers_and_inputs_are_cut_in_notes(key):
    long = serial(*[dense(128) for _ in range(40)])
    with pytest.raises(TypeError, match="must be one array") as caught:
        serial(a=long).init(key, {f"entry_{i}": X for i in range(100)})
    assert len(notes(caught)[0]) < 400
    assert len(str(caught.value)) < 300


# what a layer must do


def test_init_must_return_a_pair(key):
    with pytest.raises(
        TypeError, match=r"own: init must return Variables\(params, state\), got di"
    ):
        own(init=lambda key, x: {}).init(key, X)


@pytest.mark.parametrize(
    "params",
    [[jnp.ones(2)], {"w": 1.0}, {"w": None}, {0: jnp.ones(2)}, {"a/b": jnp.ones(2)}, jnp.ones(2)],
    ids=["list", "number", "None", "int name", "slash", "array"],
)
def test_params_must_be_nested_dicts_of_arrays(key, params):
    with pytest.raises(TypeError, match=r"own: (init must return nested dicts|names in params)"):
        own(init=lambda key, x: (params, {})).init(key, X)


def test_apply_must_return_its_state():
    with pytest.raises(TypeError, match=r"own: apply must return \(y, state\), got Array"):
        own(apply=lambda p, s, x, **_: x).apply({}, {}, X)


@pytest.mark.parametrize(
    "after",
    [{}, {"n": jnp.ones(2)}, {"n": jnp.zeros((), int)}, {"n": jnp.ones(()), "m": jnp.ones(())}],
    ids=["lost", "shape", "dtype", "more"],
)
def test_state_must_keep_structure_shapes_and_dtypes(after):
    counter = own(apply=lambda p, s, x, **_: (x, after))
    with pytest.raises(ValueError, match=r"own: apply must return the state.*given .*returned"):
        counter.apply({}, {"n": jnp.ones(())}, X)


def test_a_wrapped_apply_is_held_again():
    layer = own()

    @functools.wraps(layer.apply)
    def broken(params, state, x, /, *, key=None, train=False):
        return x

    with pytest.raises(TypeError, match="apply must return"):
        own(apply=broken).apply({}, {}, X)


# what its caller must do


@pytest.mark.parametrize("train", [1, None, np.True_, "yes"])
def test_train_must_be_a_bool(train):
    with pytest.raises(TypeError, match="own: train must be a Python bool, got"):
        own().apply({}, {}, X, train=train)


def test_train_cannot_be_traced():
    with pytest.raises(TypeError, match="under jit pass it by closure or as a static argument"):
        jax.jit(lambda t: own().apply({}, {}, X, train=t))(True)


def test_a_misspelt_argument_is_an_error():
    with pytest.raises(TypeError, match="rng"):
        dense(3).apply({}, {}, X, rng=jax.random.key(0))  # pyright: ignore


@pytest.mark.parametrize("bad", [0, 0.0, "key", X, np.zeros(2)])
def test_a_key_is_a_key(bad):
    with pytest.raises(TypeError, match=r"key must be one PRNG key such as jax.random.key\(0\)"):
        dense(3).init(bad, X)
    with pytest.raises(TypeError, match=r"key must be one PRNG key"):
        dropout(0.5).apply({}, {}, X, key=bad, train=True)


def test_many_keys_want_vmap(key):
    with pytest.raises(TypeError, match=r"use jax\.vmap"):
        dense(3).init(jax.random.split(key, 3), X)
    many = jax.vmap(lambda k: dense(3).init(k, X))(jax.random.split(key, 3))
    assert many.params["w"].shape == (3, 4, 3)


def test_init_without_a_key_says_how_to_make_one():
    with pytest.raises(TypeError, match=r"dense.init: key must be .*random.key\(0\), got None"):
        dense(3).init(None, X)  # pyright: ignore


def test_old_style_keys_work_as_the_new_ones_do():
    old = dense(3).init(jax.random.PRNGKey(3), X)
    chex.assert_trees_all_equal(old, dense(3).init(jax.random.key(3), X))


def test_a_missing_key_says_what_to_call():
    net = serial(stem=dropout(0.5))
    with pytest.raises(ValueError, match=r"needs a key, got key=None; call apply\(") as caught:
        net.apply({}, {}, X, train=True)
    assert notes(caught) == ["in layer 'stem': dropout(0.5), given x: float32[2,4]"]


def stateful(key):
    net = serial(stem=serial(dense(3), batch_norm()), head=dense(2))
    return net, *net.init(key, X)


def test_a_stateful_net_without_its_state_is_told_what_to_pass(key):
    net, params, _ = stateful(key)
    with pytest.raises(ValueError, match=r"state must hold 'mean', got \{\}; pass the") as caught:
        net.apply(params, {}, X)
    assert notes(caught)[0].startswith("in layer 'stem/batch_norm_1'")


def test_params_and_state_in_the_wrong_order(key):
    net, params, state = stateful(key)
    with pytest.raises(ValueError, match="params must hold 'w'") as caught:
        net.apply(state, params, X)
    assert notes(caught)[0].startswith("in layer 'stem/dense_0'")


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (lambda p, s: (p, X), r"takes three things, got two; a network without state has state \{"),
        (lambda p, s: (Variables(p, s), s, X), r"params must be a dict .* got Variables; write"),
        (lambda p, s: (p, None, X), r"state must be a dict .* got NoneType"),
        (lambda p, s: (p, X, s), r"state must be a dict .* got float32\[2,4\]"),
        (lambda p, s: ({"other": p}, s, X), "params holds 'other', but the layers here are stem"),
        (lambda p, s: (p, {**s, "old": s}, X), "state holds 'old', but the layers here are stem"),
        (lambda p, s: ({**p, "head": {"w": None}}, s, X), "'w' in params must be an array, got No"),
    ],
)
def test_wrong_variables_are_named(key, arguments, match):
    net, params, state = stateful(key)
    with pytest.raises((TypeError, ValueError), match=match):
        net.apply(*arguments(params, state))


@pytest.mark.parametrize(
    ("x", "match"),
    [
        ([[1.0, 2.0], [3.0, 4.0]], r"x must hold arrays, got a list of numbers; use jnp.asarray"),
        ((2, 4), r"jax.ShapeDtypeStruct\(shape, jnp.float32\) for a shape"),
        ((X, X), r"x must be one array, got \(float32.*take one of its entries"),
        ({"x": X}, r"x must be one array, got {'x': float32\[2,4\]}; take one of its entries"),
        ("text", r"(must be an array|must be one array).*str"),
        (3.0, "x must have a feature axis, got a scalar"),
        (jnp.ones((2, 4), int), "x must be floating point, got int32.*astype"),
        (np.ones((2, 4), np.uint8), "x must be floating point, got uint8.*astype"),
    ],
    ids=["list", "shape", "tuple", "dict", "text", "scalar", "ints", "bytes"],
)
def test_inputs_that_are_no_floating_array(key, x, match):
    net = dense(3)
    with pytest.raises((TypeError, ValueError), match=match):
        net.init(key, x)
    with pytest.raises((TypeError, ValueError), match=match):
        net.apply(*net.init(key, X), x)


# what may be given


def test_numpy_float64_arrays_and_variables_work_in_32_bits(key):
    net, params, state = stateful(key)
    x = np.linspace(0, 1, 8).reshape(2, 4)
    numpy = jax.tree.map(lambda a: np.asarray(a, np.float64), (params, state))
    y, after = net.apply(*numpy, x, train=True)
    wanted, wanted_after = net.apply(params, state, jnp.asarray(x), train=True)
    assert y.dtype == jnp.float32
    chex.assert_trees_all_close((y, after), (wanted, wanted_after), rtol=1e-6)
    chex.assert_trees_all_equal(net.init(key, x).params, params)


def test_python_numbers_and_pytrees_are_inputs_of_functions():
    for number in (3, True, 2.0):
        y, _ = serial(lambda n: n + 1).apply({}, {}, number)
        assert y == number + 1
    assert serial(lambda d: d["a"] * d["b"]).apply({}, {}, {"a": 2, "b": 3.0, "c": None})[0] == 6


def test_spec_speaks_jax_dtypes(key):
    assert spec(np.zeros(3)) == jax.ShapeDtypeStruct((3,), jnp.float32)
    assert spec({"n": 1, "k": key})["k"].dtype == key.dtype
    assert spec(spec(X)) == spec(X)
    assert as_jax(np.zeros(2)).dtype == jnp.float32
    assert as_jax(X) is X


def test_a_layer_is_a_leaf_hashable_and_a_legal_static_argument(key):
    net = dense(3)
    assert jax.tree.leaves({"net": net}) == [net]
    assert len({net, dense(3), net}) == 2
    run = jax.jit(lambda net, p, x: net.apply(p, {}, x)[0], static_argnums=0)
    params, _ = net.init(key, X)
    np.testing.assert_allclose(run(net, params, X), net.apply(params, {}, X)[0], rtol=1e-6)


def test_predict_is_the_output_at_inference(key):
    net, params, state = stateful(key)
    wanted = net.apply(params, state, X)[0]
    np.testing.assert_array_equal(fnn.predict(net, params, state, X), wanted)


# functions as layers


def test_functions_and_partials_are_layers():
    leaky = functools.partial(jax.nn.leaky_relu, negative_slope=0.5)
    y, state = serial(leaky, lambda x: x + 1).apply({}, {}, jnp.array([-2.0, 2.0]))
    np.testing.assert_array_equal(y, [0.0, 3.0])
    assert state == {}
    assert repr(serial(leaky)) == "serial(partial(leaky_relu, negative_slope=0.5))"
    assert function_name(leaky) == "leaky_relu"
    assert repr(serial(lambda x: x)) == "serial(<lambda>)"


@pytest.mark.parametrize(
    ("part", "match"),
    [
        (dense, r"dense makes layers, so call it first: dense\(...\)"),
        (functools.partial(dense, 3), r"dense makes layers, so call it first"),
        ([dense(3)], r"must be a layer or a function of x, got \[dense\(3\)\].*put a star before"),
        (None, "must be a layer or a function of x, got None of type NoneType"),
        (3, "must be a layer or a function of x, got 3 of type int"),
    ],
)
def test_what_is_no_layer(part, match):
    with pytest.raises(TypeError, match=match):
        serial(part)


def test_a_function_that_makes_layers_is_found_out():
    with pytest.raises(TypeError, match=r"<lambda> returned the layer dense\(3\), not an array"):
        serial(lambda x: dense(3)).apply({}, {}, X)


def test_a_lifted_layer_is_itself():
    net = dense(3)
    assert lift(net, "here") is net


# keys by name


def test_inserting_a_layer_by_keyword_reseeds_no_sibling(key):
    short = serial(body=dense(4), head=dense(4)).init(key, X).params
    long = serial(new=dense(4), body=dense(4), head=dense(4)).init(key, X).params
    chex.assert_trees_all_equal({k: long[k] for k in short}, short)
    assert not np.array_equal(long["new"]["w"], long["body"]["w"])


def test_names_give_each_layer_a_key_of_its_own(key):
    keys = [key_for(key, name) for name in ("a", "b", "dense_0", "dense_1", "w")]
    assert len({tuple(jax.random.key_data(k).tolist()) for k in keys}) == 5
    assert key_for(None, "a") is None


def test_dropouts_side_by_side_draw_different_masks(key):
    net = fnn.parallel(lambda a, b: (a == 0) == (b == 0), a=dropout(0.5), b=dropout(0.5))
    agree, _ = net.apply({}, {}, jnp.ones(1000), key=key, train=True)
    assert 0.4 < agree.mean() < 0.6


def test_predicting_by_many_networks_does_not_keep_them_all():
    def predicted():
        net = own()
        fnn.predict(net, {}, {}, X)
        return weakref.ref(net)

    first = predicted()
    rest = [predicted() for _ in range(40)]
    gc.collect()
    assert first() is None
    assert rest[-1]() is not None  # the latest are kept, or each call would compile
