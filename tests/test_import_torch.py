"""What PyTorch has trained computes the same here: whole models, from their `state_dict`."""

import functools
import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn import interop, layers, models, repeat, serial, trees
from fnn.core import Variables
from fnn.models import feed_forward, transformer_block

STORED = np.load(pathlib.Path(__file__).parent / "data" / "import_torch.npz")
GELU = functools.partial(jax.nn.gelu, approximate=False)


def stored(model):
    """The weights, the input and the output of a model."""
    start = f"{model}:w:"
    weights = {name.removeprefix(start): STORED[name] for name in STORED if name.startswith(start)}
    return weights, STORED[f"{model}:x"], STORED[f"{model}:y"]


def like(net, x):
    return jax.eval_shape(net.init, jax.random.key(0), x)


CNN = serial(
    layers.conv(4, 3, padding=1),
    layers.batch_norm(),
    layers.prelu(per_feature=False),
    layers.max_pool(2),
    layers.conv(6, (2, 3), groups=2, padding=1, stride=2, bias=False),
    layers.batch_norm(),
    jax.nn.relu,
    layers.conv_transpose(4, 2, stride=2, groups=2, padding="VALID"),
    layers.group_norm(2),
    layers.flatten(),
    layers.dense(5),
    jnp.tanh,
    head=layers.dense(2),
)
CNN_NAMES = {
    "conv_0": "conv1",
    "batch_norm_1": "bn1",
    "prelu_2": "act",
    "conv_4": "conv2",
    "batch_norm_5": "bn2",
    "conv_transpose_7": "up",
    "group_norm_8": "norm",
    "dense_10": "fc1",
    "dense_10/w": ("fc1.weight", interop.after_flatten(4, 10, 6)),
    "head": "fc2",
}


@pytest.mark.parametrize(("wide", "tolerance"), [(False, 1e-5), (True, 1e-10)])
def test_a_cnn_with_batch_norm_gives_pytorch_s_numbers(wide, tolerance):
    with jax.enable_x64(wide):
        weights, x, y = stored("cnn")
        x = jnp.moveaxis(jnp.asarray(x), 1, -1)
        variables = interop.from_torch(CNN, like(CNN, x), weights, CNN_NAMES)
        assert variables.state["batch_norm_1"]["mean"].any()
        np.testing.assert_allclose(CNN.apply(*variables, x)[0], y, rtol=tolerance, atol=tolerance)


ENCODER = {
    "attention": "self_attn",
    "norm_1": "norm1",
    "norm_2": "norm2",
    "mlp/up": "linear1",
    "mlp/down": "linear2",
}


def in_a_row():
    net = models.transformer(16, heads=4, blocks=2, hidden=24, activation=GELU)
    names = {
        f"block_{i}/{ours}": f"layers.{i}.{theirs}"
        for i in (0, 1)
        for ours, theirs in ENCODER.items()
    }
    return net, {**names, "norm": "norm"}


def in_a_loop(many=False):
    block = transformer_block(layers.attention(4), feed_forward(16, hidden=24, activation=GELU))
    net = serial(blocks=repeat(block, 2), norm=layers.layer_norm())
    names = {f"blocks/body/{ours}": f"layers.{{}}.{name}" for ours, name in ENCODER.items()}
    if many:
        names = {path: [name.format(i) for i in (0, 1)] for path, name in names.items()}
    return net, {**names, "norm": "norm"}


@pytest.mark.parametrize("make", [in_a_row, in_a_loop, functools.partial(in_a_loop, many=True)])
def test_a_transformer_encoder_gives_pytorch_s_numbers(make):
    weights, x, y = stored("encoder")
    x = jnp.asarray(x, jnp.float32)
    net, names = make()
    variables = interop.from_torch(net, like(net, x), weights, names)
    np.testing.assert_allclose(net.apply(*variables, x)[0], y, rtol=1e-5, atol=1e-5)


def gpt2(path):
    """GPT-2's name for each of our arrays; its weights are (inputs, outputs) as they are."""
    whole = {"table": "wte", "positions": "wpe", "body/norm": "ln_f"}
    if path in whole:
        return whole[path]
    if norm := re.fullmatch(r"body/block_(\d+)/norm_(\d)", path):
        return "h.{}.ln_{}".format(*norm.groups())
    found = re.fullmatch(r"body/block_(\d+)/(?:attention|mlp)/(\w+)/([wb])", path)
    if not found:
        return None
    block, part, array = found.groups()
    end = {"w": "weight", "b": "bias"}[array]
    if part in ("q", "k", "v"):
        return f"h.{block}.attn.c_attn.{end}", lambda a: np.split(a, 3, -1)["qkv".index(part)]
    inner = {"out": "attn.c_proj", "up": "mlp.c_fc", "down": "mlp.c_proj"}[part]
    return f"h.{block}.{inner}.{end}", lambda a: a


def test_gpt_2_gives_its_own_numbers_by_a_function_of_names():
    weights, ids, y = stored("gpt")
    net = models.gpt(11, length=8, features=16, heads=2, blocks=2)
    variables = interop.from_torch(net, like(net, jnp.asarray(ids)), weights, gpt2)
    np.testing.assert_allclose(net.apply(*variables, ids)[0], y, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("guess", [False, True])
@pytest.mark.parametrize(
    ("model", "net", "names"),
    [
        ("rnn", layers.recurrent(layers.rnn_cell(4)), {"": ""}),
        (
            "gru",
            serial(layers.recurrent(layers.gru_cell(4)), layers.recurrent(layers.gru_cell(4))),
            {"recurrent_0": "", "recurrent_1": "l1"},
        ),
        (
            "lstm",
            serial(
                layers.bidirectional(layers.lstm_cell(4)), layers.bidirectional(layers.lstm_cell(4))
            ),
            {"bidirectional_0": "l0", "bidirectional_1": "l1"},
        ),
    ],
)
def test_recurrent_layers_give_pytorch_s_numbers(model, net, names, guess):
    weights, x, y = stored(model)
    x = jnp.asarray(x, jnp.float32)
    if guess:
        names = interop.in_order(net, like(net, x), weights)
    variables = interop.from_torch(net, like(net, x), weights, names)
    np.testing.assert_allclose(net.apply(*variables, x)[0], y, rtol=1e-5, atol=1e-5)


def test_order_is_a_first_guess_that_is_right_for_a_cnn():
    weights, x, _ = stored("cnn")
    variables = like(CNN, jnp.moveaxis(jnp.asarray(x), 1, -1))
    names = {path: name for path, name in CNN_NAMES.items() if isinstance(name, str)}
    assert interop.in_order(CNN, variables, weights) == names


def test_order_finds_the_places_of_a_loop_and_attention_in_one_piece():
    net = serial(repeat(layers.attention(2), 2), layers.dense(3))
    variables = like(net, jax.ShapeDtypeStruct((1, 3, 4), jnp.float32))
    weights = {}
    for i in (0, 1):
        weights |= {f"a.{i}.in_proj_weight": np.ones((12, 4)), f"a.{i}.in_proj_bias": np.ones(12)}
        weights |= {f"a.{i}.out_proj.weight": np.ones((4, 4)), f"a.{i}.out_proj.bias": np.ones(4)}
    weights |= {"head.weight": np.full((3, 4), 2.0), "head.bias": np.ones(3)}
    names = interop.in_order(net, variables, weights)
    assert names == {"repeat_0/body": ["a.0", "a.1"], "dense_1": "head"}
    params, _ = interop.from_torch(net, variables, weights, names)
    assert params["repeat_0"]["body"]["q"]["w"].shape == (2, 4, 4)


def test_order_refuses_another_number_of_modules():
    net = serial(layers.dense(2), layers.dense(2))
    variables = like(net, jnp.ones((1, 2)))
    with pytest.raises(ValueError, match=r"(?s)dense_0: fc1\n  dense_1: -\n"):
        interop.in_order(net, variables, {"fc1.weight": np.ones((2, 2)), "fc1.bias": np.ones(2)})


def dense_pair():
    net = serial(layers.dense(3), head=layers.dense(2))
    weights = {
        "body.weight": np.ones((3, 4)),
        "body.bias": np.ones(3),
        "out.weight": np.ones((2, 3)),
        "out.bias": np.ones(2),
    }
    return net, net.init(jax.random.key(0), jnp.ones((1, 4))), weights


@pytest.mark.parametrize(
    ("names", "change", "told"),
    [
        ({"dense_0": "body"}, {}, "head/w of dense is (3, 2) finds none; names has no module"),
        ({"dense_0": "body", "head": "nose"}, {}, "looked for nose.weight"),
        ({"dense_0": "body", "head": "nose"}, {}, "out.weight (2, 3) is left over"),
        (
            {"dense_0": "body", "head": "out"},
            {"out.weight": np.ones((2, 4))},
            "head/w of dense is (3, 2), but out.weight, turned to fit, is (4, 2)",
        ),
        ({"dense_0": "body", "head": "out"}, {"more": np.ones(1)}, "more (1,) is left over"),
    ],
)
def test_what_does_not_fit_is_told_on_both_sides(names, change, told):
    net, variables, weights = dense_pair()
    with pytest.raises(ValueError, match=re.escape(told)):
        interop.from_torch(net, variables, {**weights, **change}, names)


def test_a_new_head_stays_where_only_the_body_is_wanted():
    net, variables, weights = dense_pair()
    found = interop.from_torch(
        net, variables, weights, {"dense_0": "body"}, keep=["head/*"], ignore=["out.*"]
    )
    np.testing.assert_array_equal(found.params["head"]["w"], variables.params["head"]["w"])
    np.testing.assert_array_equal(found.params["dense_0"]["w"], 1)
    shapes = Variables(*jax.eval_shape(lambda: tuple(variables)))
    with pytest.raises(ValueError, match="variables hold its shape only"):
        interop.from_torch(
            net, shapes, weights, {"dense_0": "body"}, keep=["head/*"], ignore=["out.*"]
        )


@pytest.mark.parametrize(
    ("layer", "x", "weights", "path", "expected"),
    [
        (
            layers.dense_general((2, 3)),
            (1, 4),
            {"weight": (6, 4), "bias": (6,)},
            "w",
            lambda w: w["weight"].T.reshape(4, 2, 3),
        ),
        (
            layers.depthwise_conv(3),
            (1, 5, 5, 2),
            {"weight": (2, 1, 3, 3), "bias": (2,)},
            "w",
            lambda w: w["weight"].transpose(2, 3, 1, 0),
        ),
        (
            layers.weight_norm(layers.dense(3, bias=False)),
            (1, 2),
            {
                "parametrizations.weight.original0": (3, 1),
                "parametrizations.weight.original1": (3, 2),
            },
            "body/w/v",
            lambda w: w["parametrizations.weight.original1"].T,
        ),
        (
            layers.weight_norm(layers.conv(3, (2,), bias=False)),
            (1, 5, 2),
            {"weight_g": (3, 1, 1), "weight_v": (3, 2, 2)},
            "body/w/g",
            lambda w: w["weight_g"].ravel(),
        ),
    ],
)
def test_each_kind_of_weight_is_turned(layer, x, weights, path, expected):
    rng = np.random.default_rng(0)
    weights = {name: rng.normal(size=shape).astype("float32") for name, shape in weights.items()}
    variables = like(layer, jax.ShapeDtypeStruct(x, jnp.float32))
    where = "body" if "body" in variables.params else ""
    params, _ = interop.from_torch(layer, variables, weights, {where: ""})
    np.testing.assert_array_equal(trees.paths(params)[path], expected(weights))


def test_a_safetensors_file_is_read_like_a_dict(tmp_path):
    numpy = pytest.importorskip("safetensors.numpy")
    net, variables, weights = dense_pair()
    path = tmp_path / "weights.safetensors"
    numpy.save_file(weights, path)
    names = {"dense_0": "body", "head": "out"}
    params, _ = interop.from_torch(net, variables, path, names)
    np.testing.assert_array_equal(params["dense_0"]["w"], 1)
    assert params["dense_0"]["w"].dtype == jnp.float32
