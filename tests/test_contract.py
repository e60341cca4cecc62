"""The contract of fnn/core.py, held by every layer and every combinator: one row each.

To test a layer, add a row to LAYERS. Rows are small, and each check is one or two jitted functions.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn import (
    Policy,
    compose,
    frozen,
    initializers,
    layers,
    models,
    parallel,
    remat,
    repeat,
    residual,
    serial,
    shared,
    with_policy,
)
from fnn.layers import batch_norm, dense, dropout, layer_norm

F = jax.ShapeDtypeStruct((4, 3), jnp.float32)
IMAGE = jax.ShapeDtypeStruct((4, 2, 2, 3), jnp.float32)
SMALL = jax.ShapeDtypeStruct((2, 4, 5, 3), jnp.float32)
SEQUENCE = jax.ShapeDtypeStruct((2, 5, 3), jnp.float32)
VOLUME = jax.ShapeDtypeStruct((2, 2, 3, 2, 2), jnp.float32)
IDS = jax.ShapeDtypeStruct((4, 3), jnp.int32)
PAIR = (F, F)
MASKED = {"a": F, "b": F, "mask": jax.ShapeDtypeStruct((4,), jnp.bool_)}
NORMAL = {"mean": F, "log_variance": F}
CONTEXT = {"x": SEQUENCE, "context": jax.ShapeDtypeStruct((2, 4, 2), jnp.float32)}
GROUPED = {"kv_heads": 2, "head_dim": 4, "causal": True, "rotary": 100.0, "alibi": True}
SHIFT = {"grad": "softmax does not see the bias of the keys: it adds the same to a whole row"}
ANY = "one slope suits any number of features"
POWER = {"grad": "no gradient flows through the power iterations"}
SLOPE = {"negative_slope": 0.1}
HALF = {"excused": {"dtype": "the policy says what the dtypes are"}, "tolerance": 0.05}
NOTHING = jax.checkpoint_policies.nothing_saveable
NOISES = ("dropout", "rate=", "stochastic_depth", "noise", "gaussian_sample")


# The functions that rows are built around have names, so that `repr` reads like code.
def twins(f, x):
    return f.eye(x[0]) * f.eye(x[1])


def unet(f, x):
    low = f.down(x)
    return f.up(jnp.concatenate([low, f.middle(low)], -1)) + x


def twice_normal(f, x):
    return f.norm(jnp.sin(f.norm(x)) + x)


def cross(f, x):
    return {"a": f.right(x["b"]), "b": x["a"], "mask": x["mask"]}


def pick(x):
    return x["a"] * x["b"]


def mixed():
    return serial(layers.conv(4, 2), jax.nn.silu, batch_norm(), dropout(0.3), dense(5))


def block():
    return residual(serial(layer_norm(), dense(3), jnp.tanh))


def noisy():
    return serial(dense(3, bias=False), batch_norm(), dropout(0.3))


def by_lengths(x):
    return {"x": x, "mask": jnp.arange(5) < jnp.array([[3], [5]])}


def both_ways():
    return layers.bidirectional(layers.lstm_cell(2, bias=False), layers.rnn_cell(3))


def gru_of_the_paper():
    return layers.gru_cell(2, reset_after=False)


UNET = {
    "down": dense(2),
    "middle": compose(twice_normal, norm=serial(batch_norm(), dropout(0.3))),
    "up": dense(3),
}


@dataclass
class Row:
    """One layer and what to feed it; `excused` maps a check that cannot hold to the reason."""

    name: str
    make: Callable[[], Any]
    spec: Any = F
    wrong: Any = None  # what the layer must refuse; None: the last axis made larger by one
    excused: Mapping[str, str] = field(default_factory=dict)
    tolerance: float = 1e-5  # between two programs that compute the same

    def __repr__(self):
        return self.name


LAYERS = [
    Row("dense", lambda: dense(5)),
    Row("dense on images", lambda: dense(2, bias=False, w_init=initializers.he_uniform), IMAGE),
    Row("dense_general", lambda: layers.dense_general((2, 3))),
    Row("dense_general of axes", lambda: layers.dense_general(4, axes=2), SMALL),
    Row("bilinear", lambda: layers.bilinear(4), PAIR),
    Row("position_embed", lambda: layers.position_embed(5), SEQUENCE),
    Row("sinusoidal_position", lambda: layers.sinusoidal_position(), SEQUENCE),
    Row("bias", lambda: layers.bias(b_init=initializers.normal(0.1))),
    Row("embed", lambda: layers.embed(5, 2), IDS, wrong=F),
    Row("embed that attends", lambda: layers.embed(5, 3, attend=True)),
    Row("flatten", lambda: layers.flatten(), IMAGE),
    Row("reshape", lambda: layers.reshape(3, -1), IMAGE),
    Row("dropout", lambda: dropout(0.5)),
    Row("dropout by jax", lambda: dropout(0.3, bits=jax.random.bits)),
    Row("spatial_dropout", lambda: layers.spatial_dropout(0.4), SMALL),
    Row("alpha_dropout", lambda: layers.alpha_dropout(0.3)),
    Row("stochastic_depth", lambda: residual(serial(dense(3), layers.stochastic_depth(0.5)))),
    Row("gaussian_noise", lambda: layers.gaussian_noise(0.5)),
    Row("layer_norm", lambda: layer_norm()),
    Row("layer_norm bare", lambda: layer_norm(scale=False, offset=False)),
    Row("layer_norm of two axes", lambda: layer_norm(axes=2), SEQUENCE),
    Row("rms_norm", lambda: layers.rms_norm()),
    Row("group_norm", lambda: layers.group_norm(1), SEQUENCE),
    Row("group_norm of volumes", lambda: layers.group_norm(2, offset=False), VOLUME),
    Row("instance_norm", lambda: layers.instance_norm(), IMAGE),
    Row("local_response_norm", lambda: layers.local_response_norm(3, alpha=0.1), SMALL),
    Row("batch_norm", lambda: batch_norm()),
    Row("batch_norm on images", lambda: batch_norm(decay=0.5, unbiased=False), IMAGE),
    Row("batch_norm bare", lambda: batch_norm(scale=False, offset=False)),
    Row("weight_norm", lambda: layers.weight_norm(dense(5))),
    Row("weight_norm of a network", lambda: layers.weight_norm(mixed()), SMALL),
    Row("spectral_norm", lambda: layers.spectral_norm(dense(5)), excused=POWER),
    Row("spectral_norm of all", lambda: layers.spectral_norm(mixed()), SMALL, excused=POWER),
    Row("prelu", lambda: layers.prelu()),
    Row("prelu of one slope", lambda: layers.prelu(per_feature=False), excused={"wrong": ANY}),
    Row("conv of sequences", lambda: layers.conv(2, (3,), padding="CAUSAL", dilation=2), SEQUENCE),
    Row("conv", lambda: layers.conv(4, 3, stride=2), SMALL),
    Row("conv in groups", lambda: layers.conv(6, (2, 3), groups=3, padding="VALID"), SMALL),
    Row("conv of volumes", lambda: layers.conv(2, 2, padding=1, bias=False), VOLUME),
    Row("conv by mirrors", lambda: layers.conv(2, 3, padding="REFLECT"), SMALL),
    Row("depthwise_conv", lambda: layers.depthwise_conv(3, multiplier=2), SMALL),
    Row("separable_conv", lambda: layers.separable_conv(5, 3, stride=(2, 1)), SMALL),
    Row("conv_transpose", lambda: layers.conv_transpose(2, 3, stride=2), SMALL),
    Row("conv_transpose in groups", lambda: layers.conv_transpose(6, 2, groups=3), SEQUENCE),
    Row("max_pool", lambda: layers.max_pool(2), SMALL),
    Row("avg_pool", lambda: layers.avg_pool(3, stride=2, padding="SAME"), SMALL),
    Row("avg_pool of zeros", lambda: layers.avg_pool(2, padding=1, count_padding=True), SMALL),
    Row("global_avg_pool", lambda: layers.global_avg_pool(), SMALL),
    Row("global_max_pool", lambda: layers.global_max_pool(), SEQUENCE),
    Row("adaptive_avg_pool", lambda: layers.adaptive_avg_pool((3, 2)), SMALL),
    Row("adaptive_max_pool", lambda: layers.adaptive_max_pool(3), SMALL),
    Row("upsample", lambda: layers.upsample(2), SMALL),
    Row("upsample linearly", lambda: layers.upsample((2, 3), method="linear"), SMALL),
    Row("pixel_shuffle", lambda: layers.pixel_shuffle(3), SEQUENCE),
    Row("pixel_unshuffle", lambda: layers.pixel_unshuffle((2, 1)), SMALL),
    Row("patches", lambda: layers.patches(2), IMAGE),
    Row("gaussian_sample", lambda: layers.gaussian_sample(), NORMAL, wrong=F),
    Row("attention", lambda: layers.attention(2, head_dim=2, features=2), SEQUENCE, excused=SHIFT),
    Row("attention to a context", lambda: layers.attention(1, bias=False, rate=0.3), CONTEXT),
    Row("moe", lambda: layers.moe(5, experts=3)),
    Row("moe of one expert each", lambda: layers.moe(4, top=1, features=2), SEQUENCE),
    Row("attention in groups", lambda: layers.attention(4, **GROUPED), SEQUENCE),
    Row("recurrent", lambda: layers.recurrent(layers.rnn_cell(4), unroll=2), SEQUENCE),
    Row("recurrent lstm", lambda: layers.recurrent(layers.lstm_cell(2), reverse=True), SEQUENCE),
    Row("recurrent gru", lambda: layers.recurrent(layers.gru_cell(2), last=True), SEQUENCE),
    Row("recurrent gru, reset before", lambda: layers.recurrent(gru_of_the_paper()), SEQUENCE),
    Row("recurrent by lengths", lambda: serial(by_lengths, both_ways()), SEQUENCE),
    Row("serial", lambda: serial(dense(4), jax.nn.tanh, head=dense(2))),
    Row("serial of nothing", lambda: serial()),
    Row("serial of a partial", lambda: serial(functools.partial(jax.nn.leaky_relu, **SLOPE))),
    Row("serial over a dict", lambda: serial(pick, dense(2)), {"a": F, "b": F}),
    Row("serial of ids", lambda: serial(layers.embed(5, 2), layers.flatten()), IDS, wrong=F),
    Row("serial of all kinds", lambda: serial(dense(4, bias=False), batch_norm(), dropout(0.2))),
    Row("residual", lambda: residual(serial(dense(4), jax.nn.tanh, dense(3)))),
    Row("residual with a shortcut", lambda: residual(dense(5), shortcut=dense(5, bias=False))),
    Row("residual with state", lambda: residual(batch_norm(), shortcut=batch_norm(decay=0.8))),
    Row("parallel", lambda: parallel(jnp.add, a=dense(2), b=serial(jax.nn.silu, dense(2)))),
    Row("parallel of kinds", lambda: parallel(jnp.multiply, combine=batch_norm(), b=dropout(0.5))),
    Row("shared", lambda: shared(serial(dense(3), jax.nn.tanh), 3)),
    Row("shared with state", lambda: shared(serial(jax.nn.tanh, batch_norm(offset=False)), 2)),
    Row("repeat", lambda: repeat(block(), 3)),
    Row("repeat with state", lambda: repeat(noisy(), 2, unroll=2)),
    Row("repeat of repeat", lambda: serial(repeat(repeat(block(), 2), 2, remat=True), dense(1))),
    Row("repeat of what owns nothing", lambda: repeat(jnp.sin, 3)),
    Row("repeat over a dict", lambda: repeat(compose(cross, right=dense(3)), 2), MASKED),
    Row("remat", lambda: remat(noisy(), policy=NOTHING)),
    Row("remat within", lambda: serial(remat(block()), dense(1)), SEQUENCE),
    Row("with_policy", lambda: with_policy(noisy(), Policy()), IMAGE, **HALF),
    Row("with_policy in a repeat", lambda: repeat(with_policy(noisy(), Policy()), 2), **HALF),
    Row("frozen", lambda: frozen(serial(dense(3), batch_norm())), excused={"grad": "frozen"}),
    Row("frozen within", lambda: serial(frozen(dense(4)), dense(2)), excused={"grad": "frozen"}),
    Row("compose", lambda: compose(unet, down=dense(2), middle=dense(2), up=dense(3))),
    Row("compose of two inputs", lambda: compose(twins, eye=serial(dense(4), dropout(0.2))), PAIR),
    Row("compose calls twice", lambda: compose(twice_normal, norm=batch_norm())),
    Row("autoencoder", lambda: models.autoencoder(4, 2, shape=3, corrupt=dropout(0.3))),
    Row("vae", lambda: models.vae(2, shape=(2, 2, 3), hidden=4), IMAGE),
    Row("everything nested", lambda: serial(stem=residual(compose(unet, **UNET)), head=dense(1))),
]

NAMES = {name: getattr(jnp, name) for name in ("add", "multiply", "sin")}
NAMES |= {name: getattr(jax.nn, name) for name in ("tanh", "gelu", "silu", "relu", "leaky_relu")}
NAMES |= {f.__name__: f for f in (twins, unet, twice_normal, cross, pick, by_lengths)}
NAMES |= {"bits": jax.random.bits, "partial": functools.partial, NOTHING.__name__: NOTHING}
for rooms in (models, initializers, layers, fnn):
    NAMES |= {name: getattr(rooms, name) for name in dir(rooms) if not name.startswith("_")}


def example(spec, seed, lead=()):
    """Random arrays of these shapes, with more axes in front; small ids for integers."""
    rng = np.random.default_rng(seed)  # NumPy's: nothing is compiled for a new shape

    def draw(a):
        shape = (*lead, *a.shape)
        if a.dtype == jnp.bool_:
            return jnp.asarray(rng.random(shape) < 0.7)
        if jnp.issubdtype(a.dtype, jnp.integer):
            return jnp.asarray(rng.integers(0, 5, shape).astype(a.dtype))
        return jnp.asarray(rng.standard_normal(shape).astype(a.dtype))

    return jax.tree.map(draw, spec)


def project(y):
    """One number that every entry of y moves."""
    leaves = [a for a in jax.tree.leaves(y) if jnp.issubdtype(a.dtype, jnp.floating)]
    return sum(
        jnp.vdot(a, jnp.cos(jnp.arange(a.size, dtype=a.dtype)).reshape(a.shape)) for a in leaves
    )


def floating(tree):
    return any(jnp.issubdtype(a.dtype, jnp.floating) for a in jax.tree.leaves(tree))


# Tests compile more than they compute: LLVM may do without its slow passes.
quick = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


class Case:
    """A row with its network, one input and its variables, made once for all checks.

    What costs is compiling, so the checks share one program for inference and one for training.
    """

    def __init__(self, row):
        self.row, self.net = row, row.make()
        self.key, self.x = jax.random.key(1), example(row.spec, 2)
        self.params, self.state = self.net.init(self.key, self.x)
        self.infer = jax.jit(self.net.apply)

        def loss(params, state, x, key):
            y, after = self.net.apply(params, state, x, key=key, train=True)
            return project(y), (y, after)

        self.learn = quick(jax.grad(loss, has_aux=True))

    def eager(self, train, key=None):
        return self.net.apply(self.params, self.state, self.x, key=key, train=train)

    def apply(self, train, x=None, key=None):
        x = self.x if x is None else x
        if train:
            return self.learn(self.params, self.state, x, key)[1]
        return self.infer(self.params, self.state, x)


@pytest.fixture(params=range(len(LAYERS)), ids=[row.name for row in LAYERS])
def case(request):
    return _case(request.param)


@functools.cache
def _case(number):
    return Case(LAYERS[number])


def shapes(tree):
    return jax.tree.map(lambda a: (a.shape, a.dtype), tree)


def test_init_reads_only_shapes_and_dtypes(case):
    from_spec = case.net.init(case.key, case.row.spec)
    chex.assert_trees_all_equal(from_spec, fnn.Variables(case.params, case.state))
    again = case.net.init(case.key, jax.tree.map(jnp.zeros_like, case.x))
    chex.assert_trees_all_equal(from_spec, again)
    assert shapes(jax.eval_shape(case.net.init, case.key, case.x)) == shapes(from_spec)


def test_variables_are_nested_dicts_of_arrays_with_names(case):
    def check(tree):
        assert type(tree) is dict
        for name, entry in tree.items():
            assert isinstance(name, str)
            assert name
            if not isinstance(entry, jax.Array):
                assert entry != {}, f"{name} owns nothing and must leave no trace"
                check(entry)

    check(case.params)
    check(case.state)


@pytest.mark.parametrize("train", [False, True])
def test_state_can_be_carried_by_scan(case, train):
    def step(state, key):
        y, state = case.net.apply(case.params, state, case.x, key=key, train=train)
        return state, y

    keys = jax.eval_shape(lambda key: jax.random.split(key, 3), case.key)
    last, _ = jax.eval_shape(lambda state, keys: jax.lax.scan(step, state, keys), case.state, keys)
    assert shapes(last) == shapes(case.state)
    assert list(fnn.trees.paths(last)) == list(fnn.trees.paths(case.state))
    if not train:
        chex.assert_trees_all_equal(case.apply(False)[1], case.state)


@pytest.mark.parametrize("train", [False, True])
def test_compiled_equals_eager(case, train):
    # fused sums are rounded in another order: a few units in the last place of numbers near 1
    close(case, case.apply(train, key=case.key), case.eager(train, case.key))


def test_vmap_of_vmap_equals_two_loops(case):
    x, keys = example(case.row.spec, 3, (2, 2)), jax.random.split(case.key, (2, 2))

    def one(x, key):
        return case.net.apply(case.params, case.state, x, key=key, train=True)

    def loop(i):
        here = [jax.tree.map(lambda a, j=j: a[i, j], x) for j in range(2)]
        return stack([case.apply(True, here[j], keys[i, j]) for j in range(2)])

    # batched products are summed in another order
    close(case, quick(jax.vmap(jax.vmap(one)))(x, keys), stack([loop(0), loop(1)]))


def close(case, a, b):
    chex.assert_trees_all_close(a, b, rtol=case.row.tolerance, atol=case.row.tolerance)


def stack(trees):
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


def test_every_parameter_has_a_finite_gradient_and_matters(case):
    slopes, _ = case.learn(case.params, case.state, case.x, case.key)
    for path, slope in fnn.trees.paths(slopes).items():
        assert jnp.isfinite(slope).all(), path
        if "grad" not in case.row.excused:
            assert jnp.abs(slope).max() > 1e-5, f"{path} does not matter"


def test_inference_needs_no_key_and_is_deterministic(case):
    first, second = case.apply(False), case.apply(False)
    chex.assert_trees_all_equal(first, second)
    chex.assert_trees_all_equal(case.eager(False), case.eager(False, jax.random.key(7)))
    assert fnn.trees.all_finite(first)


def test_training_with_the_same_key_gives_the_same(case):
    chex.assert_trees_all_equal(case.apply(True, key=case.key), case.apply(True, key=case.key))


def test_training_reaches_every_child(case):
    y, after = case.apply(True, key=case.key)
    other, _ = case.apply(True, key=jax.random.key(8))
    for path, moved in fnn.trees.paths(after).items():
        assert not jnp.array_equal(moved, fnn.trees.paths(case.state)[path]), f"{path} stands still"
    if any(noise in repr(case.net) for noise in NOISES):
        assert not jax.tree.all(jax.tree.map(jnp.array_equal, y, other))
        assert not jax.tree.all(jax.tree.map(jnp.array_equal, y, case.apply(False)[0]))
    else:
        chex.assert_trees_all_equal(y, other)


def in_dtype(spec, dtype):
    """The spec with its floating leaves in another dtype."""

    def leaf(a):
        own = dtype if jnp.issubdtype(a.dtype, jnp.floating) else a.dtype
        return jax.ShapeDtypeStruct(a.shape, own)

    return jax.tree.map(leaf, spec)


def test_gradients_equal_finite_differences_in_float64(case, x64):
    if "dtype" in case.row.excused:
        pytest.skip(case.row.excused["dtype"])
    spec, key = in_dtype(case.row.spec, jnp.float64), jax.random.key(5)
    made = jax.eval_shape(case.net.init, key, spec)
    assert all(a.dtype == jnp.float64 for a in jax.tree.leaves(made))
    params, state = fnn.trees.cast((case.params, case.state), jnp.float64)
    x, h = example(spec, 5), 1e-5
    along = example(in_dtype(jax.eval_shape(lambda: (params, x)), jnp.float64), 6)
    if "grad" in case.row.excused:  # then only the input's gradient is asked for
        along = (jax.tree.map(jnp.zeros_like, params), along[1])

    def value(t):
        """One number of all outputs, at a way t along a straight line through params and x."""

        def move(a, d):
            return a + t * d if jnp.issubdtype(a.dtype, jnp.floating) else a

        p, q = jax.tree.map(move, (params, x), along)
        return project(
            [case.net.apply(p, state, q, key=key, train=train)[0] for train in (False, True)]
        )

    # one program; a loop, so that the network stands in it once
    run = quick(lambda ts: jax.lax.map(jax.value_and_grad(value), ts))
    values, slopes = run(jnp.array([-h, 0.0, h]))
    chex.assert_trees_all_close(slopes[1], (values[2] - values[0]) / (2 * h), rtol=1e-6, atol=1e-6)


def test_bfloat16_stays_and_variables_are_wider(case):
    if "dtype" in case.row.excused:
        pytest.skip(case.row.excused["dtype"])
    x = in_dtype(case.row.spec, jnp.bfloat16)
    params, state = jax.eval_shape(case.net.init, case.key, x)
    assert all(a.dtype == jnp.float32 for a in jax.tree.leaves((params, state)))

    def loss(params, state, x):
        y, after = case.net.apply(params, state, x, key=case.key, train=True)
        return sum(a.astype(jnp.float32).sum() for a in jax.tree.leaves(y)), (y, after)

    with jax.numpy_dtype_promotion("strict"):  # every change of dtype must be written down
        slopes, (y, after) = jax.eval_shape(jax.grad(loss, has_aux=True), params, state, x)
        quiet, _ = jax.eval_shape(case.net.apply, params, state, x)
    wanted = jnp.bfloat16 if floating(x) else jnp.float32  # ids carry no float dtype
    floats = [a for a in jax.tree.leaves((y, quiet)) if a.dtype != jnp.bool_]
    assert all(a.dtype == wanted for a in floats)
    assert shapes(after) == shapes(state)
    assert all(a.dtype == jnp.float32 for a in jax.tree.leaves(slopes))


def test_strict_promotion_in_float32(case):
    with jax.numpy_dtype_promotion("strict"):
        made = jax.eval_shape(case.net.init, case.key, case.x)
        for train in (False, True):
            jax.eval_shape(
                functools.partial(case.net.apply, key=case.key, train=train), *made, case.x
            )


def test_a_wrong_input_is_refused_with_the_layers_address(case):
    if not case.params or "wrong" in case.row.excused:
        pytest.skip("nothing here depends on the number of features")
    wrong = case.row.wrong or jax.tree.map(
        lambda a: jax.ShapeDtypeStruct((*a.shape[:-1], a.shape[-1] + 1), a.dtype), case.row.spec
    )
    params, state = {"stem": case.params}, {"stem": case.state} if case.state else {}
    with pytest.raises((ValueError, TypeError), match=r"x (has|must)") as caught:
        jax.eval_shape(serial(stem=case.net).apply, params, state, wrong)
    notes = [note for note in caught.value.__notes__ if "fnn" not in note and "layer" in note]
    assert any("in layer 'stem" in note for note in notes)


def test_repr_reads_like_the_code_that_builds_the_network(case):
    text = repr(case.net)
    assert text
    again = eval(text, dict(NAMES))
    assert repr(again) == text
    if isinstance(again, fnn.Layer):
        chex.assert_trees_all_equal(again.init(case.key, case.x), case.net.init(case.key, case.x))


def test_a_summary_sees_every_layer_inside(case):
    found = fnn.inspect.summary(case.net, case.x, variables=(case.params, case.state))
    assert all(row.calls for row in found.rows), "summaries and activations would miss a layer"
    assert found.parameters == fnn.trees.count(case.params)
    wanted = jax.eval_shape(lambda: case.net.apply(case.params, case.state, case.x)[0])
    assert shapes(found.rows[0].gives) == shapes(wanted)


def test_every_layer_and_combinator_has_a_row():
    def kinds(net):
        return {net.name}.union(*(kinds(child) for child in net.children.values()))

    there = set().union(*(kinds(row.make()) for row in LAYERS))
    made = {
        name
        for room in (layers, fnn)
        for name, entry in vars(room).items()
        if getattr(entry, "__annotations__", {}).get("return") is fnn.Layer
    }
    assert {"dense", "repeat"} <= made
    assert not made - there, "add a row to LAYERS"
