"""Layers over spatial axes: PyTorch's numbers, closed forms, and errors that say what to do."""

import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn import functional, initializers, serial
from fnn.layers import (
    adaptive_avg_pool,
    adaptive_max_pool,
    avg_pool,
    conv,
    conv_transpose,
    dense,
    depthwise_conv,
    global_avg_pool,
    global_max_pool,
    max_pool,
    patches,
    pixel_shuffle,
    pixel_unshuffle,
    separable_conv,
    upsample,
)

STORED = np.load(pathlib.Path(__file__).parent / "data" / "conv_torch.npz")

# The layers that tests/data/torch_conv.py took PyTorch's for, by the same names.
TWINS = {
    "conv 1": conv(4, 3, padding="VALID"),
    "conv 1 strided": conv(4, 3, stride=2, padding=1),
    "conv 1 dilated": conv(4, 3, dilation=2),
    "conv 2": conv(4, 3),
    "conv 2 valid": conv(4, (2, 3), padding="VALID"),
    "conv 2 same": conv(4, (3, 4)),
    "conv 2 strided": conv(4, 3, stride=(2, 3), padding=(1, 2)),
    "conv 2 dilated": conv(4, 3, dilation=(2, 1), padding=1),
    "conv 2 grouped": conv(6, 3, groups=2, padding=1, stride=2),
    "conv 2 bare": conv(4, 1, bias=False),
    "conv 2 reflect": conv(4, 3, padding="REFLECT"),
    "conv 2 replicate": conv(4, 5, padding="REPLICATE"),
    "conv 2 circular": conv(4, 3, stride=2, padding="CIRCULAR"),
    "conv 3": conv(3, (2, 2, 3), padding=1),
    "conv 3 strided": conv(3, 3, stride=2, padding=1),
    "depthwise 1": depthwise_conv(3),
    "depthwise 2": depthwise_conv(3, multiplier=2),
    "depthwise 2 strided": depthwise_conv(3, stride=2, padding=1),
    "transpose 1": conv_transpose(4, 3, padding="VALID"),
    "transpose 1 strided": conv_transpose(4, 4, stride=2),
    "transpose 1 gaps": conv_transpose(2, 2, stride=3),
    "transpose 2": conv_transpose(4, 3),
    "transpose 2 strided": conv_transpose(4, 3, stride=2, padding=1, output_padding=1),
    "transpose 2 uneven": conv_transpose(
        4, (3, 2), stride=(3, 2), padding=(1, 0), output_padding=(2, 1)
    ),
    "transpose 2 dilated": conv_transpose(4, 3, stride=2, padding=2, dilation=2),
    "transpose 2 grouped": conv_transpose(6, 3, stride=2, padding=1, groups=2),
    "transpose 3": conv_transpose(3, 3, stride=2, padding=((1, 0), (1, 0), (1, 0))),
    "max 1": max_pool(3),
    "max 2": max_pool(2),
    "max 2 strided": max_pool(3, stride=2, padding=1),
    "max 2 uneven": max_pool((2, 3), stride=(1, 2), padding=(1, 0)),
    "max 3": max_pool(2),
    "avg 1": avg_pool(2),
    "avg 2": avg_pool(2),
    "avg 2 of zeros": avg_pool(3, stride=2, padding=1, count_padding=True),
    "avg 2 without zeros": avg_pool(3, stride=2, padding=1),
    "avg 3": avg_pool((2, 1, 2)),
    "adaptive avg 1": adaptive_avg_pool(3),
    "adaptive avg 2": adaptive_avg_pool((4, 7)),
    "adaptive max 2": adaptive_max_pool(3),
    "nearest 1": upsample(3),
    "nearest 2": upsample((2, 3)),
    "linear 1": upsample(3, method="linear"),
    "linear 2": upsample((2, 3), method="linear"),
    "linear 3": upsample(2, method="linear"),
    "shuffle": pixel_shuffle(2),
    "unshuffle": pixel_unshuffle(2),
}


def stored(case, dtype):
    names = {name.split("/")[1] for name in STORED.files if name.startswith(f"{case}/")}
    return {name: jnp.asarray(STORED[f"{case}/{name}"], dtype) for name in names}


@functools.cache
def compiled(case):
    def both(params, x):
        y, _ = TWINS[case].apply(params, {}, x)
        weights = jnp.cos(jnp.arange(y.size, dtype=x.dtype)).reshape(y.shape)
        return (y * weights).sum(), y

    return jax.jit(jax.value_and_grad(both, argnums=(0, 1), has_aux=True))


def test_every_stored_case_has_its_twin():
    assert {name.split("/")[0] for name in STORED.files} == set(TWINS)


@pytest.mark.parametrize(("dtype", "within"), [("float64", 1e-10), ("float32", 1e-5)])
@pytest.mark.parametrize("case", TWINS)
def test_outputs_and_gradients_are_pytorchs(case, dtype, within, x64):
    numbers = stored(case, dtype)
    x = numbers["x"]
    made, _ = jax.eval_shape(TWINS[case].init, jax.random.key(0), x)
    params = {name: numbers[name] for name in ("w", "b") if name in numbers}
    assert jax.tree.map(jnp.shape, made) == jax.tree.map(jnp.shape, params)
    (_, y), (slopes, dx) = compiled(case)(params, x)
    assert y.dtype == dx.dtype == x.dtype
    for got, name in [(y, "y"), (dx, "dx"), *((slopes[p], f"d{p}") for p in params)]:
        scale = max(1.0, float(abs(numbers[name]).max()))  # sums over many places are large
        np.testing.assert_allclose(got, numbers[name], rtol=within, atol=within * scale)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_convolution_is_a_dense_layer_on_every_window(n, key):
    net = conv(2, 2, padding="VALID", bias=False)
    x = jax.random.normal(key, (1, *(3,) * n, 2))
    params, _ = net.init(key, x)
    y, _ = net.apply(params, {}, x)
    w = params["w"].reshape(-1, 2)
    for place in np.ndindex(*(2,) * n):
        window = x[(0, *(slice(p, p + 2) for p in place))]
        np.testing.assert_allclose(y[(0, *place)], window.reshape(-1) @ w, atol=1e-5)


def test_a_causal_convolution_sees_nothing_later(key):
    net = conv(3, 3, dilation=2, padding="CAUSAL")
    x = jax.random.normal(key, (1, 8, 2))
    params, _ = net.init(key, x)
    seen = jax.jacobian(lambda x: net.apply(params, {}, x)[0][0].sum(-1))(x)[:, 0].any(-1)
    early, late = np.tril(np.ones((8, 8), bool)), np.triu(np.ones((8, 8), bool), 1)
    assert not seen[late].any()
    steps = np.subtract.outer(np.arange(8), np.arange(8))
    np.testing.assert_array_equal(seen, early & np.isin(steps, [0, 2, 4]))


def test_padding_on_a_ring_commutes_with_turning_it(key):
    net = conv(3, (4, 3), padding="CIRCULAR")
    x = jax.random.normal(key, (1, 5, 6, 2))
    params, _ = net.init(key, x)
    turned, _ = net.apply(params, {}, jnp.roll(x, (2, 1), (1, 2)))
    y, _ = net.apply(params, {}, x)
    np.testing.assert_allclose(turned, jnp.roll(y, (2, 1), (1, 2)), atol=1e-5)


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation", "size"),
    [(3, 2, 1, 4), (4, 2, 1, 3), (5, 2, 1, 4), (2, 3, 1, 3), (3, 1, 2, 6), (5, 3, 1, 2)],
)
def test_the_transpose_of_a_convolution_is_its_adjoint(kernel, stride, dilation, size, key, x64):
    knobs = {"stride": stride, "dilation": dilation, "bias": False}
    down, up = conv(2, (kernel,), **knobs), conv_transpose(3, (kernel,), **knobs)
    x = jax.random.normal(key, (1, size * stride, 3))
    z = jax.random.normal(key, (1, size, 2))
    params, _ = down.init(key, x)
    y, _ = down.apply(params, {}, x)
    flipped_roles = {"w": params["w"].transpose(0, 2, 1)}
    back, _ = up.apply(flipped_roles, {}, z)
    assert back.shape == x.shape
    np.testing.assert_allclose(jnp.vdot(y, z), jnp.vdot(x, back), rtol=1e-10)


def test_a_separable_convolution_is_one_with_a_kernel_of_products(key):
    net = separable_conv(4, 3, multiplier=2)
    x = jax.random.normal(key, (2, 5, 5, 3))
    params, _ = net.init(key, x)
    deep = params["depthwise"]["w"].reshape(3, 3, 3, 2)
    mix = params["pointwise"]["w"].reshape(3, 2, 4)
    full = {"w": jnp.einsum("hwim,imo->hwio", deep, mix), "b": params["pointwise"]["b"]}
    y, _ = net.apply(params, {}, x)
    np.testing.assert_allclose(y, conv(4, 3).apply(full, {}, x)[0], atol=1e-5)


def test_he_initialisation_keeps_the_mean_square_through_many_convolutions(key):
    body = [conv(32, 3, padding="CIRCULAR", w_init=initializers.he_normal), jax.nn.relu]
    net = serial(*body * 8)
    x = jax.random.normal(key, (4, 8, 8, 32))
    y, _ = jax.jit(net.apply)(*net.init(key, x), x)
    assert 0.3 < float(jnp.square(y).mean() / jnp.square(x).mean()) < 3


def test_a_largest_number_gets_the_whole_gradient(key):
    x = jax.random.permutation(key, 16.0 * jnp.arange(16.0)).reshape(1, 4, 4, 1)
    slopes = jax.jit(jax.grad(lambda x: max_pool(2).apply({}, {}, x)[0].sum()))(x)
    largest = x == upsample(2).apply({}, {}, max_pool(2).apply({}, {}, x)[0])[0]
    np.testing.assert_array_equal(slopes, largest)


def test_the_mean_of_a_constant_is_the_constant_unless_zeros_count():
    x = jnp.ones((1, 5, 5, 1))
    for padding in ("SAME", "VALID", 1, ((1, 0), (0, 1))):
        y, _ = avg_pool(3, stride=2, padding=padding).apply({}, {}, x)
        np.testing.assert_allclose(y, 1.0, rtol=1e-6)
    y, _ = avg_pool(3, stride=2, padding=1, count_padding=True).apply({}, {}, x)
    np.testing.assert_allclose(y[0, 0, 0, 0], 4 / 9, rtol=1e-6)


def test_pooling_into_one_bin_is_global(key):
    x = jax.random.normal(key, (2, 3, 5, 4))
    for one, whole in ((adaptive_avg_pool, global_avg_pool), (adaptive_max_pool, global_max_pool)):
        y, _ = one(1).apply({}, {}, x)
        np.testing.assert_allclose(y[:, 0, 0], whole().apply({}, {}, x)[0], rtol=1e-6)


@pytest.mark.parametrize("shape", [(2, 4, 3), (2, 4, 6, 3), (1, 2, 4, 6, 2)])
def test_shuffling_and_unshuffling_undo_each_other(shape, key):
    x = jax.random.normal(key, shape)
    there, _ = pixel_unshuffle(2).apply({}, {}, x)
    np.testing.assert_array_equal(pixel_shuffle(2).apply({}, {}, there)[0], x)


def test_a_dense_layer_on_patches_is_a_convolution_that_strides_over_them(key):
    x = jax.random.normal(key, (2, 6, 9, 2))
    net = serial(patches((2, 3)), dense(4))
    params, state = net.init(key, x)
    y, _ = net.apply(params, state, x)
    w = params["dense_1"]["w"].reshape(2, 3, 2, 4)
    wanted = functional.conv(x, w, stride=(2, 3), padding="VALID")
    np.testing.assert_allclose(y, wanted.reshape(2, 9, 4), atol=1e-5)


def test_linear_upsampling_continues_a_straight_line_inside():
    x = jnp.arange(5.0).reshape(1, 5, 1)
    y = upsample(4, method="linear").apply({}, {}, x)[0].ravel()
    inside = (jnp.arange(20) + 0.5) / 4 - 0.5
    np.testing.assert_allclose(y, jnp.clip(inside, 0, 4), atol=1e-6)


IMAGES = jnp.ones((2, 28, 28, 1))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: conv(0, 3), "features must be at least 1"),
        (lambda: conv(3, 3.0), "kernel must be an int"),  # pyright: ignore
        (lambda: conv(3, (3, 0)), "each number of kernel must be at least 1"),
        (lambda: conv(3, (3, 3), stride=(1, 1, 1)), "for 2 spatial axes, stride=.* for 3"),
        (lambda: conv(3, (3,), dilation=(1, 1)), "kernel=.* for 1 spatial axes, dilation=.* for 2"),
        (lambda: conv(3, (1, 1, 1, 1)), "1, 2 or 3 spatial axes"),
        (lambda: conv(3, 3, padding="same"), "'SAME', 'VALID', 'CAUSAL'"),
        (lambda: conv(3, 3, padding=-1), "padding must be at least 0"),
        (lambda: conv(3, 3, padding=((1, 2, 3), 1)), "each pair"),  # pyright: ignore
        (lambda: conv(3, 3, groups=2), "features must be divisible by groups, got 3"),
        (lambda: depthwise_conv(3, multiplier=0), "multiplier must be at least 1"),
        (lambda: conv_transpose(3, 3, padding="CAUSAL"), "'SAME', 'VALID', an int"),
        (lambda: conv_transpose(3, 3, output_padding=-1), "output_padding must be at least 0"),
        (lambda: max_pool(2, padding=2), "at most half the window"),
        (lambda: max_pool(2, stride=0), "stride must be at least 1"),
        (lambda: upsample(2, method="bilinear"), "'nearest', 'linear', 'cubic'"),  # pyright: ignore
    ],
)
def test_wrong_settings_are_refused_at_construction(make, words):
    with pytest.raises((ValueError, TypeError), match=words):
        make()


@pytest.mark.parametrize(
    ("net", "x", "words"),
    [
        (conv(8, (3, 3)), IMAGES[..., 0], r"without a feature axis use x\[..., None\]"),
        (conv(8, (3, 3)), IMAGES[0, :, :, 0], "x must have shape .batch, height, width, features"),
        (conv(8, 3), jnp.ones((2, 5)), r"x\[..., None\]"),
        (conv(8, 3, padding="VALID"), jnp.ones((2, 1, 28, 28)), r"jnp.moveaxis\(x, 1, -1\)"),
        (conv(8, 3, groups=2), IMAGES, "must be divisible by groups, got 1"),
        (conv(8, 3, padding="CAUSAL"), IMAGES, "one spatial axis, time"),
        (conv(8, 3, stride=(2,)), IMAGES, r"x must have shape \(batch, time, features\)"),
        (conv(8, 9, dilation=4, padding=1), IMAGES, "spans .33, 33."),
        (conv(8, 5, padding="REFLECT"), jnp.ones((1, 2, 1)), "larger than its padding"),
        (conv(8, 3), jnp.ones((2, 8, 8, 3), jnp.int32), "floating point"),
        (conv_transpose(2, 1, padding=2), jnp.ones((1, 2, 1)), "leaves something"),
        (max_pool(3), jnp.ones((1, 2, 2, 1)), "at least as large as the window"),
        (max_pool((2, 2)), jnp.ones((1, 4, 4)), r"x\[..., None\]"),
        (pixel_shuffle(2), IMAGES, "multiple of 4 features"),
        (patches(5), IMAGES, r"divisible by \(5, 5\)"),
    ],
)
def test_wrong_inputs_are_refused_in_init_already(net, x, words, key):
    with pytest.raises((ValueError, TypeError), match=words):
        net.init(key, x)


def test_features_first_are_recognised_in_apply(key):
    net = conv(8, 3)
    params, _ = net.init(key, jnp.ones((2, 28, 28, 3)))
    with pytest.raises(ValueError, match=r"features first: use jnp.moveaxis\(x, 1, -1\)"):
        net.apply(params, {}, jnp.ones((2, 3, 28, 28)))
    with pytest.raises(ValueError, match=r"x must have shape .batch, height, width, features"):
        net.apply(params, {}, jnp.ones((28, 28, 3)))
