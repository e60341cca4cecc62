"""Groups of parameters with an optimizer each, and training that no single example can sway."""

import math
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import fnn
from fnn import optim
from fnn.optim import chain, freeze, masked, partition, privacy_spent, private
from fnn.optim.base import Optimizer, accepted
from fnn.train import make_step

PARAMS = {
    "body": {"b": jnp.array([0.5]), "w": jnp.array([[1.0, -2.0]])},
    "head": {"b": jnp.array([0.25]), "w": jnp.array([[3.0]])},
}
KEY = jax.random.key(0)


def loss(params):
    return sum(jnp.sum(jnp.cosh(leaf)) for leaf in jax.tree.leaves(params))


def walk(optimizer, params=PARAMS, steps=7):
    def step(carry, _):
        params, state = carry
        value, grads = jax.value_and_grad(loss)(params)
        extra = {"value": value, "grad": grads, "value_fn": loss}
        extra = accepted(optimizer.update, extra)
        updates, state = optimizer.update(grads, state, params, **extra)
        return (optim.apply_updates(params, updates), state), value

    return jax.jit(lambda p: jax.lax.scan(step, (p, optimizer.init(p)), None, length=steps)[0])(
        params
    )


def test_each_group_walks_as_its_optimizer_would_alone():
    # the loss is a sum over parameters, so that groups do not see each other
    params, _ = walk(partition({"body/*": optim.adam(0.1)}, default=optim.momentum(0.01)))
    body, _ = walk(optim.adam(0.1), PARAMS["body"])
    head, _ = walk(optim.momentum(0.01), PARAMS["head"])
    chex.assert_trees_all_close(params, {"body": body, "head": head}, rtol=1e-6)


LABELS = {"body": "slow", "head": {"b": "slow", "w": "fast"}}


@pytest.mark.parametrize("inside", [optim, optax], ids=["our links", "optax's links"])
def test_labels_part_the_tree_as_optaxs_partition_does(inside):
    rules = {
        "slow": inside.chain(inside.clip_by_global_norm(1.0), inside.adam(0.1)),
        "fast": inside.sgd(0.01),
    }
    theirs = optax.partition(
        {
            "slow": optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.1)),
            "fast": optax.sgd(0.01),
        },
        LABELS,
    )
    ours, _ = walk(partition(rules, labels=LABELS))
    by_function, _ = walk(partition(rules, labels=lambda params: LABELS))
    its, _ = walk(theirs)
    chex.assert_trees_all_close(ours, its, rtol=1e-4)
    chex.assert_trees_all_equal(ours, by_function)


def test_labels_may_tell_matrices_from_vectors():
    def kind(params):
        return jax.tree.map(lambda p: "matrix" if p.ndim > 1 else "vector", params)

    optimizer = partition({"matrix": optim.sgd(1.0)}, default=freeze(), labels=kind)
    params, state = walk(optimizer, steps=1)
    np.testing.assert_array_equal(params["body"]["b"], PARAMS["body"]["b"])
    assert not np.array_equal(params["head"]["w"], PARAMS["head"]["w"])
    assert sorted(state.groups) == ["default", "matrix"]


def test_a_group_keeps_state_for_its_own_leaves_alone():
    state = partition({"*/w": optim.adam(0.1)}, default=freeze()).init(PARAMS)
    assert len(jax.tree.leaves(state.groups["*/w"].mu)) == 2
    assert list(fnn.trees.paths(state.groups["*/w"].mu)) == ["body/w", "head/w"]


def test_hyperparameters_are_read_and_changed_inside_groups():
    optimizer = partition({"*/b": optim.sgd(0.5)}, default=chain(optim.clip(9.0), optim.sgd(0.1)))
    state = optimizer.init(PARAMS)
    found = {path: round(float(v), 3) for path, v in optim.hyperparameters(state).items()}
    assert found == {
        "groups/*/b/learning_rate": 0.5,
        "groups/default/0/max_value": 9.0,
        "groups/default/1/learning_rate": 0.1,
    }
    state = optim.with_hypers(state, learning_rate=0.0)
    updates, _ = optimizer.update(PARAMS, state, PARAMS)
    assert not any(u.any() for u in jax.tree.leaves(updates))


def test_learning_rates_of_groups_are_swept_by_vmap():
    def go(rate):
        return walk(partition({"head/*": optim.adam(rate)}, default=optim.sgd(0.1)))[0]

    rates = jnp.array([0.01, 0.1])
    lanes = jax.vmap(go)(rates)
    chex.assert_trees_all_close(jax.tree.map(lambda a: a[1], lanes), go(0.1), rtol=1e-5)


def test_groups_live_inside_optaxs_chain_and_keep_narrow_dtypes():
    params = jax.tree.map(lambda p: p.astype(jnp.bfloat16), PARAMS)
    groups: Any = partition({"*/b": optim.adam(0.1)}, default=optim.lion(0.1))
    optimizer = optax.chain(optax.clip(1.0), groups)
    moved, state = walk(optimizer, params)
    chex.assert_trees_all_equal_dtypes(moved, params)
    chex.assert_trees_all_equal_structs(state, optimizer.init(params))


def test_extra_arguments_reach_a_group_cut_to_it():
    seen = {}

    def update(grads, state, params=None, *, value, grad, value_fn):
        seen["grad"] = list(fnn.trees.paths(grad))
        # the loss beside the present point, with the other group's parameters where they are
        moved = jax.tree.map(lambda p: p + 1.0, params)
        return grads, {"here": value_fn(params) - value, "there": value_fn(moved)}

    spy = Optimizer(lambda p: {"here": jnp.zeros(()), "there": jnp.zeros(())}, update)
    _, state = walk(partition({"head/*": spy}, default=freeze()), steps=1)
    assert seen["grad"] == ["head/b", "head/w"]
    found = state.groups["head/*"]
    there = {"body": PARAMS["body"], "head": jax.tree.map(lambda p: p + 1.0, PARAMS["head"])}
    np.testing.assert_allclose(found["here"], 0.0, atol=1e-5)
    np.testing.assert_allclose(found["there"], loss(there), rtol=1e-6)


def test_an_average_in_one_group_is_evaluated_beside_the_other_groups_parameters():
    class Doubled(NamedTuple):
        nothing: Any

        def eval_params(self, params):
            return jax.tree.map(lambda p: 2 * p, params)

    averaging = Optimizer(lambda p: Doubled(()), lambda g, s, p=None: (g, s))
    state = partition({"head/*": averaging}, default=optim.sgd(0.1)).init(PARAMS)
    got = optim.eval_params(state, PARAMS)
    np.testing.assert_array_equal(got["head"]["w"], 2 * PARAMS["head"]["w"])
    np.testing.assert_array_equal(got["body"]["w"], PARAMS["body"]["w"])
    plain = partition({"head/*": optim.sgd(0.1)}, default=optim.sgd(0.1)).init(PARAMS)
    assert optim.eval_params((plain, Doubled(())), PARAMS)["head"]["w"] == 6.0  # only one averages


def test_freezing_holds_parameters_against_weight_decay(variant):
    optimizer = chain(optim.adamw(0.1, weight_decay=0.5), freeze("body/*"))
    update = variant(optimizer.update)
    updates, _ = update(PARAMS, optimizer.init(PARAMS), PARAMS)
    assert not any(u.any() for u in jax.tree.leaves(updates["body"]))
    assert all(u.all() for u in jax.tree.leaves(updates["head"]))
    theirs = optax.chain(
        optax.adamw(0.1, weight_decay=0.5), optax.freeze({"body": True, "head": False})
    )
    its, _ = theirs.update(PARAMS, theirs.init(PARAMS), PARAMS)
    chex.assert_trees_all_close(updates, its, rtol=1e-4)


def test_a_masked_link_passes_the_rest_on_as_optaxs_does():
    mask = {"body": False, "head": {"b": False, "w": True}}
    ours = chain(masked(optim.clip(0.1), "head/w"), optim.sgd(0.1))
    by_tree = chain(masked(optim.clip(0.1), mask), optim.sgd(0.1))
    full = fnn.trees.mask(PARAMS, "head/w")
    theirs = optax.chain(optax.masked(optax.clip(0.1), full), optax.sgd(0.1))
    chex.assert_trees_all_close(walk(ours)[0], walk(theirs)[0], rtol=1e-6)
    chex.assert_trees_all_equal(walk(ours)[0], walk(by_tree)[0])


def test_a_fit_moves_the_head_alone():
    x, y = fnn.datasets.moons(KEY, n=64)
    net = fnn.serial(body=fnn.layers.dense(8), act=jnp.tanh, head=fnn.layers.dense(2))
    optimizer = partition({"body/*": freeze()}, default=optim.adam(0.05))
    done = fnn.fit(
        net, x, y, loss=fnn.losses.cross_entropy, optimizer=optimizer, key=KEY, steps=120
    )
    start = fnn.train.init(net, optimizer, KEY, x)
    chex.assert_trees_all_close(done.params["body"], start.params["body"], rtol=1e-6)
    assert done.history["loss"][-1] < 0.8 * done.history["loss"][0]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: partition({"tail/*": optim.sgd(0.1)}, default=optim.sgd(0.1)),
            ValueError,
            "no path matches 'tail/\\*'; there are body/b, body/w, head/b, head/w",
        ),
        (
            lambda: partition({"*/w": optim.sgd(0.1)}),
            ValueError,
            "no rule matches body/b, head/b; give a default",
        ),
        (
            lambda: partition({"*/w": optim.sgd(0.1), "head/*": optim.sgd(0.1)}, default=freeze()),
            ValueError,
            "'head/w' is matched by '\\*/w' and 'head/\\*'",
        ),
        (
            lambda: partition({"slow": optim.sgd(0.1)}, labels=LABELS),
            ValueError,
            "'head/w' has the label 'fast', the rules are for slow; add a rule or a default",
        ),
        (
            lambda: partition({"a": optim.sgd(0.1)}, labels=LABELS, default=freeze()),
            ValueError,
            "no parameter has the label 'a'; the labels are fast, slow",
        ),
        (
            lambda: partition({"a": optim.sgd(0.1)}, labels={"tail": "a"}),
            ValueError,
            "labels must be a tree like the params",
        ),
        (
            lambda: masked(optim.clip(1.0), {"tail": True}),
            ValueError,
            "masked: mask must be a tree",
        ),
        (lambda: freeze({"body": 3, "head": True}), TypeError, "True and False, got 3"),
        (lambda: partition({"*": optim.sgd}), TypeError, "of '\\*' must have init and update"),
        (
            lambda: partition({"default": optim.sgd(0.1)}, default=freeze()),
            ValueError,
            "'default' is a rule and an argument",
        ),
    ],
)
def test_groups_that_do_not_fit_the_parameters_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make().init(PARAMS)


def test_gradients_of_other_parameters_are_refused():
    optimizer = partition({"head/*": optim.sgd(0.1)}, default=optim.sgd(0.1))
    state = optimizer.init(PARAMS)
    with pytest.raises(
        ValueError, match="grads has 2 leaves, the params that init was given had 4"
    ):
        optimizer.update(PARAMS["head"], state, PARAMS)
    with pytest.raises(ValueError, match="state must be a PartitionState, got tuple"):
        optimizer.update(PARAMS, (), PARAMS)


# --- differentially private training -------------------------------------------------------------

OF_EXAMPLES = {
    "b": jax.random.normal(jax.random.key(1), (6, 1)),
    "w": 3 * jax.random.normal(jax.random.key(2), (6, 4)),
}
MEAN_LIKE = jax.tree.map(lambda g: g[0], OF_EXAMPLES)


def test_without_noise_private_is_optaxs_aggregate_of_clipped_gradients(x64):
    ours = private(2.0, 0.0, key=KEY)
    theirs = optax.contrib.differentially_private_aggregate(2.0, 0.0, key=KEY)
    mine, _ = ours.update(OF_EXAMPLES, ours.init(MEAN_LIKE), MEAN_LIKE)
    its, _ = theirs.update(OF_EXAMPLES, theirs.init(MEAN_LIKE))
    chex.assert_trees_all_close(mine, its, rtol=1e-6)


def test_the_noise_has_the_deviation_sigma_c_over_b_and_is_new_at_each_step():
    link, zeros = private(0.5, 3.0, key=KEY), jnp.zeros((8, 40_000))
    first, state = link.update(zeros, link.init(zeros[0]), zeros[0])
    second, _ = link.update(zeros, state, zeros[0])
    np.testing.assert_allclose(first.std(), 3.0 * 0.5 / 8, rtol=0.02)
    np.testing.assert_allclose(first.mean(), 0.0, atol=0.005)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.02


@pytest.mark.parametrize("size", [1.0, 1e6])
def test_clipping_bounds_what_one_example_can_do(size):
    link = private(0.7, 1.0, key=KEY)
    changed = jax.tree.map(lambda g: g.at[3].set(size * jnp.ones_like(g[3])), OF_EXAMPLES)
    before, _ = link.update(OF_EXAMPLES, link.init(MEAN_LIKE), MEAN_LIKE)
    after, _ = link.update(changed, link.init(MEAN_LIKE), MEAN_LIKE)  # with the same noise
    moved = fnn.trees.norm(jax.tree.map(jnp.subtract, after, before))
    assert 0 < moved <= 2 * 0.7 / 6 * 1.00001  # another example in its place: twice the bound


def net_of(*, hidden=5):
    return fnn.serial(fnn.layers.dense(hidden), jnp.tanh, fnn.layers.dense(1))


@pytest.fixture(scope="module")
def data():
    x = jax.random.normal(jax.random.key(3), (10, 3))
    return x, jnp.sin(x.sum(1, keepdims=True))


def after_one_step(optimizer, data, net=None):
    net = net or net_of()
    start = fnn.train.init(net, optimizer, KEY, data[0])
    return jax.jit(make_step(net, fnn.losses.squared_error, optimizer))(start, data)


def test_a_step_that_clips_nothing_and_adds_nothing_is_a_step_of_sgd(data):
    plain, info = after_one_step(optim.sgd(0.1), data)
    dp, dp_info = after_one_step(chain(private(1e6, 0.0, key=KEY), optim.sgd(0.1)), data)
    chex.assert_trees_all_close(dp.params, plain.params, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(dp_info.loss, info.loss, rtol=1e-6)


@pytest.mark.parametrize("chunk", [3, 5, 99])
def test_chunks_of_examples_change_memory_and_not_the_step(data, chunk):
    whole, _ = after_one_step(chain(private(0.3, 1.0, key=KEY), optim.sgd(0.1)), data)
    parts, _ = after_one_step(chain(private(0.3, 1.0, key=KEY, chunk=chunk), optim.sgd(0.1)), data)
    chex.assert_trees_all_close(parts.params, whole.params, rtol=1e-5, atol=1e-6)


def test_a_private_step_moves_by_the_clipped_gradients_of_its_examples(data):
    net, (x, y) = net_of(), data
    optimizer = chain(private(0.3, 0.0, key=KEY), optim.sgd(1.0))
    start = fnn.train.init(net, optimizer, KEY, x)

    @jax.jit
    @jax.grad
    def of_one(params, x, y):
        return jnp.sum((net.apply(params, {}, x[None])[0] - y[None]) ** 2)

    total = np.zeros(0)
    for i in range(10):
        grads = of_one(start.params, x[i], y[i])
        flat = np.concatenate([np.ravel(g) for g in jax.tree.leaves(grads)])
        flat = flat / max(1, np.linalg.norm(flat) / 0.3)
        total = total + flat if total.size else flat
    after, _ = make_step(net, fnn.losses.squared_error, optimizer)(start, data)
    moved = jax.tree.map(jnp.subtract, start.params, after.params)
    moved = np.concatenate([np.ravel(g) for g in jax.tree.leaves(moved)])
    np.testing.assert_allclose(moved, total / 10, rtol=1e-4, atol=1e-6)


def test_fit_trains_privately_and_repeats_itself():
    x, y = fnn.datasets.moons(KEY, n=400, noise=0.1)
    net = fnn.serial(fnn.layers.dense(16), jnp.tanh, fnn.layers.dropout(0.1), fnn.layers.dense(2))
    optimizer = chain(private(1.0, 1.0, key=jax.random.key(7)), optim.momentum(0.2))

    def go():
        return fnn.fit(net, x, y, loss=fnn.losses.cross_entropy, optimizer=optimizer, key=KEY,
                       steps=300, batch_size=50)  # fmt: skip

    done = go()
    accuracy = fnn.metrics.accuracy(fnn.predict(net, done.last.params, {}, x), y)
    assert accuracy > 0.82
    chex.assert_trees_all_equal(go().last.params, done.last.params)


def test_a_group_may_be_private_by_itself(data):
    rules = {"dense_0/*": chain(private(0.2, 0.0, key=KEY), optim.sgd(1.0))}
    optimizer = partition(rules, default=optim.sgd(1.0))
    start = fnn.train.init(net_of(), optimizer, KEY, data[0])
    after, _ = after_one_step(optimizer, data)
    plain, _ = after_one_step(optim.sgd(1.0), data)
    moved = jax.tree.map(jnp.subtract, after.params, start.params)
    assert fnn.trees.norm(moved["dense_0"]) <= 0.2 * 1.00001
    chex.assert_trees_all_close(after.params["dense_2"], plain.params["dense_2"], rtol=1e-5)


def test_a_network_in_which_examples_mix_is_refused(data):
    net = fnn.serial(fnn.layers.dense(4), fnn.layers.batch_norm(), fnn.layers.dense(1))
    with pytest.raises(ValueError, match="keeps state, batch_norm_1/mean, batch_norm_1/var, in"):
        after_one_step(chain(private(1.0, 1.0, key=KEY), optim.sgd(0.1)), data, net)


def test_private_must_come_first_in_the_chain(data):
    with pytest.raises(ValueError, match="put private first in the chain"):
        after_one_step(chain(optim.clip(1.0), private(1.0, 1.0, key=KEY)), data)


def test_a_mean_gradient_is_no_examples_gradient(data):
    link = private(1.0, 1.0, key=KEY)
    with pytest.raises(ValueError, match="a first axis that counts the examples"):
        link.update(MEAN_LIKE, link.init(MEAN_LIKE), MEAN_LIKE)
    with pytest.raises(ValueError, match="a first axis that counts the examples"):
        link.update({"b": OF_EXAMPLES["b"]}, link.init(MEAN_LIKE), MEAN_LIKE)  # w has none
    with pytest.raises(ValueError, match="private: noise_multiplier must be a finite number >= 0"):
        private(1.0, -1.0, key=KEY)
    with pytest.raises(ValueError, match="private: chunk must be at least 1, got 0"):
        private(1.0, 1.0, key=KEY, chunk=0)


@pytest.mark.parametrize(
    ("sigma", "epochs", "published"), [(1.12, 60, 2.92), (0.6, 30, 9.74), (1.2, 10, 1.20)]
)
def test_the_accountant_gives_the_published_figures_for_mnist(sigma, epochs, published):
    # tutorials/README.md of TensorFlow Privacy: batches of 256 of 60,000, delta = 1e-5, converted
    # as in Mironov 2017, proposition 3, which gives more than the bound of privacy_spent
    from fnn.optim.private import _renyi

    steps = epochs * 60000 // 256
    loose = min(
        steps * _renyi(order, 256 / 60000, sigma) + math.log(1e5) / (order - 1)
        for order in range(2, 65)
    )
    assert abs(loose - published) < 0.005 * published  # theirs had broken orders too
    assert privacy_spent(sigma, rate=256 / 60000, steps=steps) < loose


def test_the_accountant_is_the_integral_that_it_stands_for():
    # alpha = 3, q = 0.2, sigma = 1.5: E_{N(0, s)} of the likelihood ratio to the power alpha
    from fnn.optim.private import _renyi

    z = np.linspace(-30, 60, 200_001)
    normal = np.exp(-(z**2) / (2 * 1.5**2)) / (1.5 * np.sqrt(2 * np.pi))
    ratio = 0.8 + 0.2 * np.exp((2 * z - 1) / (2 * 1.5**2))
    integral = np.sum(normal * ratio**3) * (z[1] - z[0])
    np.testing.assert_allclose(_renyi(3, 0.2, 1.5), np.log(integral) / 2, rtol=1e-9)


def test_privacy_is_never_less_spent_by_more_steps_less_noise_or_bigger_batches():
    spent = privacy_spent(1.0, rate=0.01, steps=100)
    assert spent < privacy_spent(1.0, rate=0.01, steps=200)
    assert spent < privacy_spent(0.9, rate=0.01, steps=100)
    assert spent < privacy_spent(1.0, rate=0.02, steps=100)
    near, whole = (privacy_spent(2.0, rate=rate, steps=3) for rate in (1 - 1e-12, 1.0))
    np.testing.assert_allclose(near, whole, rtol=1e-6)
    with pytest.raises(ValueError, match="rate must be in"):
        privacy_spent(1.0, rate=2.0, steps=1)
