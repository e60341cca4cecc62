"""Recipes are networks made of the library's own layers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn import models


def test_an_mlp_is_the_product_of_its_matrices(key):
    net = models.mlp(3, 4, 2, activation=jnp.tanh)
    x = jax.random.normal(key, (5, 2, 3))
    params, state = net.init(key, x)
    y = x.reshape(5, 6)
    for name in ("dense_1", "dense_3"):
        y = jnp.tanh(y @ params[name]["w"] + params[name]["b"])
    y = y @ params["dense_5"]["w"] + params["dense_5"]["b"]
    np.testing.assert_allclose(net.apply(params, state, x)[0], y, rtol=1e-5, atol=1e-6)


def test_an_mlp_of_one_layer_is_linear(key):
    net = models.mlp(2)
    x = jax.random.normal(key, (4, 3))
    params, state = net.init(key, x)
    double = net.apply(params, state, 2 * x)[0]
    np.testing.assert_allclose(double, 2 * net.apply(params, state, x)[0], rtol=1e-6)


def test_dropout_stands_after_each_hidden_activation_and_only_in_training(key):
    net = models.mlp(64, 64, 2, rate=0.5)
    assert [child.name for child in net.children.values()].count("dropout") == 2
    x = jnp.ones((3, 8))
    params, state = net.init(key, x)
    plain = models.mlp(64, 64, 2)
    calm = net.apply(params, state, x)[0]
    names = zip(sorted(plain.init(key, x).params), sorted(params), strict=True)
    np.testing.assert_array_equal(calm, plain.apply({a: params[b] for a, b in names}, state, x)[0])
    assert not np.allclose(calm, net.apply(params, state, x, key=key, train=True)[0])


def test_an_mlp_learns_xor():
    x = jnp.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    y = jnp.array([0, 1, 1, 0])
    net = models.mlp(16, 2, activation=jnp.tanh)
    last, _ = fnn.train.run(
        jax.random.key(0), net, x, y, steps=300, batch_size=None,
        loss=fnn.losses.cross_entropy, optimizer=fnn.optim.adam(0.05),
    )  # fmt: skip
    assert fnn.metrics.accuracy(fnn.predict(net, last.params, last.state, x), y) == 1


def test_an_mlp_without_layers_or_with_an_empty_one_is_told():
    with pytest.raises(ValueError, match=r"such as mlp\(128, 10\); got none"):
        models.mlp()
    with pytest.raises(ValueError, match="dense: features"):
        models.mlp(0, 2)
    with pytest.raises(ValueError, match="rate"):
        models.mlp(4, 2, rate=1.5)
