"""Normalisation, of values and of weights: PyTorch's numbers, invariances, hard cases, mistakes."""

import functools
import os
import pathlib
import subprocess
import sys

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn import initializers, layers, serial, trees
from fnn.layers import (
    batch_norm,
    dense,
    group_norm,
    instance_norm,
    layer_norm,
    rms_norm,
    spectral_norm,
    weight_norm,
)

TORCH = dict(np.load(pathlib.Path(__file__).parent / "data" / "norms_torch.npz"))


def run(net, x, **apply):
    def both(x):
        params, state = net.init(jax.random.key(0), x)
        return net.apply(params, state, x, **apply)[0]

    return jax.jit(both)(x)


# --- PyTorch ---

CASES = {
    "batch_norm": lambda: batch_norm(),
    "batch_norm of images": lambda: batch_norm(decay=0.7, eps=1e-3),
    "batch_norm bare": lambda: batch_norm(scale=False, offset=False),
    "layer_norm": lambda: layer_norm(),
    "layer_norm of two axes": lambda: layer_norm(axes=2),
    "rms_norm": lambda: rms_norm(),
    "rms_norm of two axes": lambda: rms_norm(eps=1e-3, axes=2),
    "group_norm": lambda: group_norm(2),
    "group_norm without space": lambda: group_norm(2),
    "instance_norm of sequences": lambda: instance_norm(),
    "instance_norm bare": lambda: instance_norm(scale=False, offset=False),
    "local_response_norm": lambda: layers.local_response_norm(3, alpha=0.2, beta=0.7, k=1.5),
    "local_response_norm of four": lambda: layers.local_response_norm(4, alpha=0.15, k=1),
    "dense": lambda: dense(3),
    "bilinear": lambda: layers.bilinear(3),
    "embed": lambda: layers.embed(6, 3),
    "weight_norm": lambda: weight_norm(dense(3)),
    "weight_norm of conv": lambda: weight_norm(layers.conv(3, 2, padding="VALID")),
    "spectral_norm": lambda: spectral_norm(dense(3)),
    "spectral_norm of conv": lambda: spectral_norm(layers.conv(3, 2, padding="VALID"), steps=2),
}


def test_every_walk_of_pytorch_is_walked():
    assert {key.split("|")[0] for key in TORCH if "|" in key} == set(CASES)


@functools.cache
def theirs(case, dtype):
    """The arrays of a case by key, in this dtype."""

    def cast(a):
        return jnp.asarray(a, dtype if a.dtype == np.float64 else None)

    mine = {key.split("|")[1]: a for key, a in TORCH.items() if key.startswith(f"{case}|")}
    return {key: cast(a) for key, a in mine.items()}


def tree_of(torch, kind):
    """The nested dict of the arrays whose key starts with this word."""
    tree = {}
    for key, array in torch.items():
        word, *names = key.split("/")
        if word == kind:
            node = tree
            for name in names[:-1]:
                node = node.setdefault(name, {})
            node[names[-1]] = array
    return tree


def walk(net, torch):
    """What PyTorch did: three steps of gradient descent, then inference on the first batch."""
    floating = [f"x{i}" for i in range(2) if f"dx{i}" in torch]
    pair = "x1" in torch

    @jax.jit
    def step(carry, xs):
        params, state = carry
        inputs, dy = xs

        def loss(params, floats):
            x = {**inputs, **floats}
            y, after = net.apply(params, state, tuple(x.values()) if pair else x["x0"], train=True)
            return jnp.vdot(y, dy), (y, after)

        floats = {name: inputs[name] for name in floating}
        grads, (y, after) = jax.grad(loss, (0, 1), has_aux=True)(params, floats)
        found = {"y": y} | {f"d{name}": slope for name, slope in grads[1].items()}
        found |= {f"dparams/{path}": slope for path, slope in trees.paths(grads[0]).items()}
        found |= {f"after/{path}": a for path, a in trees.paths(after).items()}
        return (jax.tree.map(lambda p, slope: p - 0.1 * slope, params, grads[0]), after), found

    inputs = {name: torch[name] for name in ("x0", "x1") if name in torch}
    start = (tree_of(torch, "params"), tree_of(torch, "state"))
    (params, state), found = jax.lax.scan(step, start, (inputs, torch["dy"]))
    x = tuple(a[0] for a in inputs.values()) if pair else inputs["x0"][0]
    return {**found, "eval": net.apply(params, state, x)[0]}


def check_walk(case, dtype, tolerance):
    torch, net = theirs(case, dtype), CASES[case]()
    found = walk(net, torch)
    told = {k for k in torch if k.startswith(("y", "dx", "dparams", "after", "eval"))}
    assert told == set(found)
    for key, array in found.items():
        assert array.dtype == dtype
        np.testing.assert_allclose(array, torch[key], tolerance, tolerance, err_msg=key)


@pytest.mark.parametrize("case", CASES)
def test_every_step_is_pytorchs_in_float64(case, x64):
    check_walk(case, jnp.float64, 1e-10)


@pytest.mark.parametrize("case", CASES)
def test_every_step_is_pytorchs_in_float32(case):
    check_walk(case, jnp.float32, 1e-5)


# --- normalisation of values ---

OF_EXAMPLES = [layer_norm, rms_norm, functools.partial(group_norm, 2), instance_norm]
CENTRED = [layer_norm, functools.partial(group_norm, 2), instance_norm, batch_norm]


def named(functions):
    return pytest.mark.parametrize("make", functions, ids=lambda f: getattr(f, "func", f).__name__)


@named(OF_EXAMPLES)
def test_an_example_does_not_see_its_companions(make, key):
    x = jax.random.normal(key, (3, 5, 4))
    together, alone = run(make(), x, train=True), run(make(), x[1:2], train=True)
    np.testing.assert_allclose(together[1:2], alone, atol=1e-6)


@named(CENTRED)
def test_a_mean_that_dwarfs_the_spread_costs_no_digits(make, key):
    x = jax.random.randint(key, (4, 6, 4), -8, 9) / 8  # exact in float32 beside 2**13
    near, far = (run(make(), x + mean, train=True) for mean in (0.0, 2.0**13))
    np.testing.assert_allclose(far, near, rtol=5e-3, atol=5e-3)  # the mean itself is rounded


@named([*CENTRED, rms_norm])
def test_constant_input_gives_zeros_and_finite_slopes(make):
    x = jnp.zeros((2, 3, 4)) if make is rms_norm else jnp.full((2, 3, 4), 7.0)
    y, pull = jax.vjp(lambda x: run(make(), x, train=True), x)
    np.testing.assert_array_equal(y, 0)
    assert trees.all_finite(pull(jnp.arange(24.0).reshape(x.shape)))


@named([*OF_EXAMPLES, batch_norm])
def test_16_bits_are_normalised_in_32(make, key):
    x = (100 + jax.random.normal(key, (2, 8, 4))).astype(jnp.bfloat16)
    y, wanted = run(make(), x, train=True), run(make(), x.astype(jnp.float32), train=True)
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(y.astype(jnp.float32), wanted, rtol=2**-8, atol=1e-6)


def test_one_group_without_space_is_layer_norm_and_single_features_are_instance_norm(key):
    x = jax.random.normal(key, (3, 4))
    np.testing.assert_allclose(run(group_norm(1), x), run(layer_norm(), x), atol=1e-6)
    x = jax.random.normal(key, (3, 5, 2, 4))
    np.testing.assert_allclose(run(group_norm(4), x), run(instance_norm(), x), atol=1e-5)


def test_groups_are_neighbouring_features(key):
    x = jax.random.normal(key, (2, 3, 6)) * 3 + 1
    y = run(group_norm(3), x).reshape(2, 3, 3, 2)
    np.testing.assert_allclose(y.mean((1, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(y.var((1, 3)), 1, rtol=1e-3)


@pytest.mark.parametrize("make", [layer_norm, rms_norm])
def test_several_axes_are_normalised_as_one(make, key):
    x = jax.random.normal(key, (2, 3, 4))
    wanted = run(make(), x.reshape(2, 12)).reshape(2, 3, 4)
    np.testing.assert_allclose(run(make(axes=2), x), wanted, atol=1e-6)


def test_rms_norm_sees_the_shift_but_not_the_scale_of_its_input(x64, key):
    x = jax.random.normal(key, (5, 8))
    net = rms_norm(eps=1e-30)
    np.testing.assert_allclose(run(net, 7 * x), run(net, x), rtol=1e-12)
    assert jnp.abs(run(net, x + 1) - run(net, x)).max() > 0.1
    np.testing.assert_allclose(jnp.mean(jnp.square(run(net, x)), -1), 1, rtol=1e-12)


def test_rms_norm_of_centred_input_is_layer_norm(key):
    x = jax.random.normal(key, (5, 8))
    x = x - x.mean(-1, keepdims=True)
    np.testing.assert_allclose(run(rms_norm(), x), run(layer_norm(eps=1e-6), x), atol=1e-6)


def test_local_response_of_one_feature_is_a_formula(key):
    x = jax.random.normal(key, (4, 3))
    y = run(layers.local_response_norm(1, alpha=0.3, beta=0.5, k=1.0), x)
    np.testing.assert_allclose(y, x / jnp.sqrt(1 + 0.3 * x**2), rtol=1e-6)


X = jnp.ones((2, 3, 4))


@pytest.mark.parametrize(
    ("make", "x", "match"),
    [
        (lambda: group_norm(3), X, "group_norm: x has 4 features, which 3 groups do not divide"),
        (lambda: group_norm(2), X[0, 0], "group_norm: x must have a batch axis"),
        (lambda: group_norm(4), X[0], "two values or more to normalise together.*4 groups of one"),
        (lambda: instance_norm(), X[0], "instance_norm: x must have two values or more"),
        (lambda: instance_norm(), X[:, :1], "instance_norm: x must have two values or more"),
        (lambda: layer_norm(axes=4), X, "layer_norm: x must have at least 4 axes"),
        (lambda: rms_norm(axes=2), X[0, 0], "rms_norm: x must have at least 2 axes"),
        (lambda: group_norm(0), X, "group_norm: groups must be at least 1, got 0"),
        (lambda: rms_norm(axes=0), X, "rms_norm: axes must be at least 1, got 0"),
        (lambda: rms_norm(eps=0.0), X, "rms_norm: eps must be > 0"),
        (lambda: instance_norm(eps=-1.0), X, "instance_norm: eps must be > 0"),
        (lambda: layers.local_response_norm(0), X, "size must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_normalised_is_refused(make, x, match):
    with pytest.raises(ValueError, match=match):
        make().init(jax.random.key(0), x)


def test_axes_of_another_size_are_refused_rather_than_broadcast():
    net = layer_norm(axes=2)
    params, state = net.init(jax.random.key(0), X)
    with pytest.raises(ValueError, match=r"x has the last axes \(1, 4\), expected \(3, 4\)"):
        net.apply(params, state, X[:, :1])


def test_integers_are_refused_by_name():
    for make in (layer_norm, rms_norm, functools.partial(group_norm, 2), instance_norm):
        with pytest.raises(TypeError, match=f"{make().name}: x must be floating point"):
            make().init(jax.random.key(0), X.astype(int))


DEVICES = """
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import AxisType, PartitionSpec as P
from fnn.layers import batch_norm

assert len(jax.devices()) == 2
mesh = jax.make_mesh((2,), ("batch",), axis_types=(AxisType.Auto,))
net, whole = batch_norm(axis_name="batch"), batch_norm()
x = jax.random.normal(jax.random.key(0), (8, 3)) * jnp.arange(1.0, 9)[:, None]
params, state = net.init(jax.random.key(0), x)
spread = jax.shard_map(
    lambda p, s, x: net.apply(p, s, x, train=True),
    mesh=mesh, in_specs=(P(), P(), P("batch")), out_specs=(P("batch"), P()),
)

def answers(apply):
    def loss(p, x):
        y, after = apply(p, state, x)
        return jnp.sin(y).sum(), (y, after)
    return jax.jit(jax.grad(loss, (0, 1), has_aux=True))(params, x)

together = answers(lambda p, s, x: whole.apply(p, s, x, train=True))
jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), answers(spread), together
)
"""


def test_batch_norm_spread_over_devices_is_batch_norm_of_the_whole_batch():
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    root = pathlib.Path(__file__).parents[1]
    subprocess.run([sys.executable, "-c", DEVICES], check=True, cwd=root, env=os.environ | flags)


# --- weights in another form ---


@pytest.mark.parametrize("make", [lambda: dense(4), lambda: layers.conv(4, 2)])
def test_weight_norm_changes_no_output_at_first(make, key):
    x = jax.random.normal(key, (2, 3, 3, 2))
    body, net = make(), weight_norm(make())
    params, state = net.init(key, x)
    plain = jax.tree.map(lambda a: a, params["body"]) | {"w": params["body"]["w"]["v"]}
    wanted = body.apply(plain, {}, x)[0]
    np.testing.assert_allclose(net.apply(params, state, x)[0], wanted, atol=1e-6)


def test_weight_norm_parts_length_from_direction(x64, key):
    x = jax.random.normal(key, (5, 3))
    net = weight_norm(dense(2, bias=False))
    params, state = net.init(key, x)

    def y(g, v):
        return net.apply({"body": {"w": {"g": g, "v": v}}}, state, x)[0]

    g, v = params["body"]["w"]["g"], params["body"]["w"]["v"]
    np.testing.assert_allclose(y(g, 7 * v), y(g, v), rtol=1e-12)
    np.testing.assert_allclose(y(7 * g, v), 7 * y(g, v), rtol=1e-12)
    slope = jax.grad(lambda v: jnp.sin(y(g, v)).sum())(v)
    np.testing.assert_allclose((slope * v).sum(0), 0, atol=1e-12)  # v can only grow
    np.testing.assert_allclose(jnp.linalg.norm(v, axis=0), g, rtol=1e-12)


def test_a_neuron_without_direction_gives_nan():
    net = weight_norm(dense(2, w_init=initializers.zeros))
    assert jnp.isnan(run(net, jnp.ones((1, 3)))).all()


@pytest.mark.parametrize("wrap", [weight_norm, spectral_norm])
def test_wrapping_says_which_weights_it_missed(wrap):
    x, key = jnp.ones((1, 3)), jax.random.key(0)
    with pytest.raises(ValueError, match=r"body must have a weight called 'w', got offset, scale;"):
        wrap(layer_norm()).init(key, x)
    with pytest.raises(ValueError, match=r"axis of inputs and one of outputs, but 'dense_0/b' is"):
        wrap(serial(dense(2)), names="b").init(key, x)
    with pytest.raises(ValueError, match="body must have a weight called 'w', got no params"):
        wrap(jnp.sin).init(key, x)


def test_weights_of_other_names_can_be_wrapped(key):
    net = weight_norm(serial(dense(3), scaled=layer_norm(axes=2)), names="[sw]*")
    params, _ = net.init(key, jnp.ones((1, 2, 4)))
    assert list(trees.paths(params)) == [
        "body/dense_0/b",
        "body/dense_0/w/g",
        "body/dense_0/w/v",
        "body/scaled/offset",
        "body/scaled/scale/g",
        "body/scaled/scale/v",
    ]


@pytest.mark.parametrize("make", [lambda: dense(6), lambda: layers.conv(4, 2)])
def test_after_enough_iterations_the_spectral_norm_is_one(make, x64, key):
    x = jax.random.normal(key, (2, 3, 3, 2))
    net = spectral_norm(make())
    params, state = net.init(key, x)
    state, _ = jax.lax.scan(
        lambda state, _: (net.apply(params, state, x, train=True)[1], None), state, length=2000
    )
    w = params["body"]["w"].reshape(-1, params["body"]["w"].shape[-1])
    u, v = state["singular"]["w"]["u"], state["singular"]["w"]["v"]
    np.testing.assert_allclose(v @ w @ u, jnp.linalg.norm(w, 2), rtol=1e-10)

    def divided(w):
        return w / jnp.linalg.norm(w.reshape(-1, w.shape[-1]), 2)

    def by_hand(w):
        return make().apply({**params["body"], "w": divided(w)}, {}, x)[0]

    def ours(w):
        return net.apply({"body": {**params["body"], "w": w}}, state, x)[0]

    w = params["body"]["w"]
    np.testing.assert_allclose(ours(w), by_hand(w), rtol=1e-10)
    slopes = (jax.jit(jax.grad(lambda w, f=f: jnp.sin(f(w)).sum()))(w) for f in (ours, by_hand))
    np.testing.assert_allclose(*slopes, atol=1e-8)


def test_singular_vectors_move_in_training_only_and_beside_the_bodys_state(key):
    net = spectral_norm(serial(dense(5), batch_norm(), dense(7)))
    x = jax.random.normal(key, (6, 4))
    params, state = net.init(key, x)
    assert list(trees.paths(state)) == [
        "body/batch_norm_1/mean",
        "body/batch_norm_1/var",
        "singular/dense_0/w/u",
        "singular/dense_0/w/v",
        "singular/dense_2/w/u",
        "singular/dense_2/w/v",
    ]
    assert net.apply(params, state, x)[1] == state
    _, after = jax.jit(functools.partial(net.apply, train=True))(params, state, x)
    for path, moved in trees.paths(after).items():
        assert not jnp.array_equal(moved, trees.paths(state)[path])
        if path.startswith("singular"):
            np.testing.assert_allclose(jnp.linalg.norm(moved), 1, rtol=1e-6)


def test_spectral_norm_needs_the_vectors_of_its_own_weights(key):
    net = spectral_norm(dense(2))
    params, _ = net.init(key, jnp.ones((1, 3)))
    with pytest.raises(ValueError, match="params hold the weights w and state singular vectors"):
        net.apply(params, {}, jnp.ones((1, 3)))
    with pytest.raises(ValueError, match="steps must be at least 1"):
        spectral_norm(dense(2), steps=0)


def test_weight_norm_is_refused_plain_weights(key):
    net = weight_norm(dense(2))
    plain, _ = dense(2).init(key, jnp.ones((1, 3)))
    with pytest.raises(ValueError, match="params must hold g and v for the weight 'w'"):
        net.apply({"body": plain}, {}, jnp.ones((1, 3)))


def test_wrappers_wrap_each_other_only_by_the_new_name(key):
    x = jnp.ones((1, 3))
    net = spectral_norm(weight_norm(dense(2)), names="v", steps=30)
    params, state = net.init(key, x)
    chex.assert_shape(state["singular"]["body"]["w"]["v"]["u"], (2,))
    assert trees.all_finite(net.apply(params, state, x, train=True)[0])
