"""Convolutional networks: their sizes, their shortcuts, and that each learns to read digits."""

import functools
import math

import chex
import jax
import jax.numpy as jnp
import pytest

import fnn
from fnn.models import convnet, lenet, resnet
from fnn.models.resnet import narrower

IMAGE = jax.ShapeDtypeStruct((2, 28, 28, 1), jnp.float32)


@functools.cache
def digits(name, n):
    """The first n training digits, all test digits (500 at most) and their labels."""
    data = fnn.datasets.load(name)
    x, x_test = (a.reshape(len(a), *IMAGES[name]) for a in (data.x_train, data.x_test))
    return x[:n], data.y_train[:n], x_test[:500], data.y_test[:500]


IMAGES = {"mnist": (28, 28, 1), "digits": (8, 8, 1)}


@pytest.mark.parametrize(
    ("net", "name", "n", "rate", "epochs", "least"),
    [
        (lenet(), "mnist", 2000, 4e-3, 4, 0.88),
        (convnet(8, 16, classes=10, dense=32, rate=0.1), "mnist", 2000, 4e-3, 4, 0.88),
        (convnet((8, 8), 16, classes=10, dense=(), batch_norm=True), "digits", 1400, 1e-2, 5, 0.92),
        (resnet(8, width=8), "digits", 1400, 1e-2, 5, 0.92),
    ],
    ids=["lenet", "convnet", "convnet with batch norm", "resnet"],
)
def test_it_learns_to_read_digits(net, name, n, rate, epochs, least, key):
    x, y, x_test, y_test = digits(name, n)
    steps = math.ceil(epochs * n / 32)
    done = fnn.fit(
        net,
        x,
        y,
        loss=fnn.losses.cross_entropy,
        optimizer=fnn.optim.adam(fnn.optim.schedules.one_cycle(rate, steps=steps)),
        key=key,
        epochs=epochs,
        validation=(x_test, y_test),
        metrics={"accuracy": fnn.metrics.accuracy},
    )
    assert done.history["val_accuracy"][-1] > least


def test_the_networks_have_the_sizes_that_are_told_of_them(key):
    # a neuron has a weight for each number that it sees, and a bias
    told = {
        lenet(): 156 + 2416 + 48120 + 10164 + 850,
        convnet((32, 64), classes=10): 320 + 18496 + (14 * 14 * 64 + 1) * 128 + 1290,
        convnet(4, classes=3, dense=(), kernel=5): 104 + (14 * 14 * 4 + 1) * 3,
    }
    for net, size in told.items():
        assert fnn.trees.count(jax.eval_shape(net.init, key, IMAGE).params) == size


@pytest.mark.parametrize("depth", [8, 20])
def test_a_resnet_has_as_many_layers_with_weights_as_its_name_says(depth, key):
    for net, more in ((resnet(depth), 0), (resnet(depth, shortcut="B"), 2)):
        params, _ = jax.eval_shape(net.init, key, IMAGE)
        weights = [path for path in fnn.trees.paths(params) if path.endswith("/w")]
        assert len(weights) == depth + more


def test_a_resnet_whose_bodies_give_nothing_carries_its_stem_through(key):
    net = resnet(8, width=4)
    x = jax.random.normal(key, (2, 8, 8, 3))
    params, state = jax.jit(net.init)(key, x)
    silent = fnn.trees.map_with_path(
        lambda path, a: 0 * a if "body" in path and path.endswith("scale") else a, params
    )
    y, _ = jax.jit(net.apply)(silent, state, x)
    stem, _ = net.children["stem"].apply(silent["stem"], state["stem"], x)
    carried = narrower(narrower(stem, features=8), features=16)
    head, _ = net.children["head"].apply(silent["head"], {}, carried)
    chex.assert_trees_all_close(y, head, atol=1e-5)


def test_a_shift_by_whole_strides_moves_the_features_and_nothing_else(key):
    # far from the edge a convolutional network does not know where it is
    net = fnn.serial(*list(resnet(8, width=4).children.values())[:-1])
    x = jnp.zeros((1, 48, 48, 1)).at[:, 20:28, 20:28].set(jax.random.normal(key, (8, 8, 1)))
    params, state = jax.jit(net.init)(key, x)
    y, _ = jax.jit(net.apply)(params, state, x)
    moved, _ = jax.jit(net.apply)(params, state, jnp.roll(x, (4, -4), (1, 2)))
    here, there = y[:, 4:8, 4:8], jnp.roll(moved, (-1, 1), (1, 2))[:, 4:8, 4:8]
    assert jnp.abs(here).max() > 0.01
    chex.assert_trees_all_close(here, there, atol=1e-5)


def test_convnets_take_sequences_and_volumes_where_the_kernel_is_one_number(key):
    for space in ((8,), (8, 8), (4, 4, 4)):
        x = jnp.ones((2, *space, 3))
        net = convnet(4, classes=5, kernel=3, dense=6)
        assert net.apply(*net.init(key, x), x)[0].shape == (2, 5)


def test_a_convnet_refuses_images_without_a_feature_axis(key):
    for net in (lenet(), convnet(4, classes=10), resnet(8)):
        with pytest.raises(ValueError, match=r"x\[..., None\]"):
            net.init(key, jnp.ones((2, 28, 28)))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: convnet(classes=10), "give the width of each stage"),
        (lambda: convnet(8, (8, 0), classes=10), "each width of stages must be at least 1"),
        (lambda: convnet(8, classes=10, dense=0), "each width of dense must be at least 1"),
        (lambda: resnet(18), "try 14 or 20"),
        (lambda: resnet(2), "depth must be at least 8"),
        (lambda: resnet(8, shortcut="C"), "'A' or 'B'"),  # pyright: ignore
    ],
)
def test_wrong_settings_are_refused_at_construction(make, words):
    with pytest.raises(ValueError, match=words):
        make()
