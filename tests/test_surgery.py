"""Nets are values and params are dicts: parts are taken, changed and joined by name alone."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn import frozen, layers, losses, optim, residual, serial, train, trees

X = jnp.asarray(np.random.default_rng(0).normal(size=(8, 5)), jnp.float32)
BODY = serial(layers.dense(6), layers.batch_norm(), jnp.tanh)
OLD = serial(body=BODY, head=layers.dense(3))


@pytest.fixture(scope="module")
def trained():
    return OLD.init(jax.random.key(0), X)


def test_a_part_is_a_net_with_its_share_of_the_variables(trained):
    params, state = trained
    part = OLD.children["body"]
    h, _ = part.apply(params["body"], state["body"], X)
    y, _ = OLD.children["head"].apply(params["head"], {}, h)
    chex.assert_trees_all_close(y, OLD.apply(params, state, X)[0])


def step(net, params, state, optimizer):
    first = train.init(net, optimizer, jax.random.key(1), X)
    first = first._replace(params=params, state=state, opt_state=optimizer.init(params))
    return train.make_step(net, losses.squared_error, optimizer)(first, (X, jnp.ones((8, 2))))[0]


def test_a_frozen_body_stays_while_its_new_head_learns(trained):
    net = serial(body=frozen(BODY), head=layers.dense(2))
    fresh = net.init(jax.random.key(2), X)
    params = trees.replace(fresh.params, {"body/body": trained.params["body"]})
    after = step(net, params, fresh.state, optim.adam(0.1))
    chex.assert_trees_all_equal(after.params["body"], params["body"])
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), after.params["head"], params["head"])
    assert all(jax.tree.leaves(moved))


def test_a_mask_by_path_freezes_as_well(trained):
    net = serial(body=BODY, head=layers.dense(2))
    fresh = net.init(jax.random.key(2), X)
    params = trees.merge(fresh.params, trained.params, "body/*")
    learns = trees.mask(params, "head/*")

    def keep(updates, state, params=None):
        return jax.tree.map(lambda u, on: u if on else 0 * u, updates, learns), state

    masked = optim.chain(optim.adam(0.1), optim.Optimizer(lambda params: (), keep))
    after = step(net, params, fresh.state, masked)
    chex.assert_trees_all_equal(after.params["body"], trained.params["body"])
    assert (after.params["head"]["w"] != params["head"]["w"]).all()


@pytest.mark.parametrize(
    "more",
    [
        {"one": layers.dense(4), "new": layers.layer_norm(), "two": layers.dense(4)},
        {"new": layers.dense(5), "one": layers.dense(4), "two": layers.dense(4)},
        {"one": layers.dense(4), "new": residual(layers.dense(4)), "two": layers.dense(4)},
    ],
)
def test_a_layer_put_in_between_reseeds_no_other(more):
    key = jax.random.key(0)
    before = serial(one=layers.dense(4), two=layers.dense(4)).init(key, X).params
    after = serial(**more).init(key, X).params
    chex.assert_trees_all_equal({name: after[name] for name in before}, before)


def test_a_layer_put_in_between_takes_no_trained_weight_away(trained):
    net = serial(body=serial(*BODY.children.values(), more=layers.dense(6)), head=layers.dense(3))
    fresh = net.init(jax.random.key(5), X)
    merged = trees.merge(fresh.params, trained.params)
    assert set(trees.differences(merged, trained.params)) == {"body/more/b", "body/more/w"}
    chex.assert_trees_all_equal(trees.merge(trained.params, merged), trained.params)
