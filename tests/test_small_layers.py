"""Embeddings, positions, products over several axes and kinds of noise: numbers and mistakes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn import compose, serial
from fnn.layers import dense, embed


def reads_and_writes(f, ids):
    return f.table(f.body(f.table(ids)))


# --- embed: the table called both ways ---


def test_a_table_that_attends_gives_the_products_with_every_row(key):
    net = embed(5, 3, attend=True)
    params, state = net.init(key, jnp.zeros((2, 3)))
    x = jax.random.normal(key, (2, 4, 3))
    np.testing.assert_allclose(net.apply(params, state, x)[0], x @ params["w"].T, atol=1e-6)


def test_in_compose_one_table_reads_and_writes(x64, key):
    table = embed(7, 3, attend=True)
    net = compose(reads_and_writes, table=table, body=serial(dense(3), jnp.tanh))
    ids = jnp.array([[0, 2, 6], [1, 1, 5]])
    params, state = net.init(key, ids)
    assert sorted(params) == ["body", "table"]
    assert params["table"]["w"].shape == (7, 3)

    def by_hand(reading, writing):
        h = jnp.tanh(reading[ids] @ params["body"]["dense_0"]["w"])
        return jax.nn.log_softmax(h @ writing.T)[..., 0].sum()

    def loss(w):
        y, _ = net.apply({**params, "table": {"w": w}}, state, ids)
        return jax.nn.log_softmax(y)[..., 0].sum()

    w = params["table"]["w"]
    reading, writing = jax.grad(by_hand, (0, 1))(w, w)  # both uses teach the one table
    np.testing.assert_allclose(jax.grad(loss)(w), reading + writing, atol=1e-12)


def test_a_table_that_does_not_attend_says_how_it_could():
    net = embed(5, 3)
    with pytest.raises(TypeError, match=r"integer ids in \[0, 5\).*attend=True"):
        net.init(jax.random.key(0), jnp.zeros((2, 3)))


def test_a_table_that_attends_names_both_sizes(key):
    net = embed(5, 3, attend=True)
    params, state = net.init(key, jnp.zeros(2, int))
    with pytest.raises(ValueError, match="x has 4 features, expected 3"):
        net.apply(params, state, jnp.zeros((2, 4)))
    with pytest.raises(TypeError, match="x must hold integer ids"):
        net.apply(params, state, jnp.zeros((2, 3), bool))


def test_a_table_attends_in_the_dtype_of_its_input(key):
    net = embed(5, 3, attend=True)
    params, state = net.init(key, jnp.zeros(2, int))
    assert net.apply(params, state, jnp.ones((2, 3), jnp.bfloat16))[0].dtype == jnp.bfloat16
