"""A sweep's lanes are the runs one would have made one by one, and the best of them is kept."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn import search

KEY = jax.random.key(1)


@pytest.fixture(scope="module")
def data():
    x, y = fnn.datasets.sine(jax.random.key(0), n=48)
    return np.asarray(x).reshape(48, -1), np.asarray(y).reshape(48, 1)


def build(rate, width=4, decay=0.0):
    net = fnn.models.mlp(width, 1)
    return search.Candidate(net, fnn.optim.adamw(rate, weight_decay=decay))


HOW = {"loss": fnn.losses.squared_error, "steps": 20, "batch_size": 8, "checks": 4}


@pytest.fixture(scope="module")
def swept(data):
    configs = search.grid({"rate": [0.001, 0.03, 1e30], "width": [3, 5], "seed": [0, 7]})
    return search.sweep(build, configs, *data, validation=data, key=KEY, **HOW)


def test_a_lane_is_the_run_that_train_run_makes(swept, data):
    for at in (2, 7):
        config = swept.configs[at]
        net = fnn.models.mlp(config["width"], 1)

        def val_loss(train_state, net=net):
            params, state = train_state.params, train_state.state
            return fnn.train.evaluate(net, params, state, *data, loss=HOW["loss"])["loss"]

        key = fnn.random.fold_in(KEY, config["seed"])
        optimizer = fnn.optim.adamw(config["rate"], weight_decay=0.0)
        _, trace = fnn.train.run(key, net, *data, optimizer=optimizer, measure=val_loss, **HOW)
        result = swept.results[at]
        np.testing.assert_array_equal(swept.steps, trace.step)
        np.testing.assert_allclose(result.loss, trace.loss, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(result.val_loss, trace.measures, rtol=1e-5, atol=1e-6)


def test_what_is_not_a_float_makes_a_group_and_nothing_else_does(swept):
    assert swept.groups == 2  # the widths; rates and seeds share a program


def test_a_diverging_lane_is_a_value_and_its_neighbours_do_not_notice(swept):
    diverged = [result.diverged for result in swept.results]
    assert diverged == [config["rate"] == 1e30 for config in swept.configs]
    assert np.isfinite(swept.losses[~np.array(diverged)]).all()


def test_the_best_is_the_lane_with_the_least_loss_at_its_best_check(swept, data):
    assert swept.best == int(np.argmin(swept.losses))
    result = swept.results[swept.best]
    assert result.best_loss == pytest.approx(np.nanmin(result.val_loss), rel=1e-6)
    found = fnn.train.evaluate(
        swept.net, swept.params, swept.state, *data, loss=fnn.losses.squared_error
    )
    assert float(found["loss"]) == pytest.approx(result.best_loss, rel=1e-5)
    assert swept.table(2).count("\n") == 1
    assert f"width={swept.configs[swept.best]['width']}" in swept.table(1)


def test_lanes_by_turns_and_lanes_at_once_are_the_same(swept, data):
    told = []
    again = search.sweep(
        build, swept.configs, *data, validation=data, key=KEY, at_once=2, on_results=told.append,
        **HOW,
    )  # fmt: skip
    np.testing.assert_allclose(again.losses, swept.losses, rtol=1e-6)
    assert [len(found) for found in told] == [2] * 6
    assert sorted(lane for found in told for lane in found) == list(range(12))


def test_what_is_done_is_not_done_again_and_the_weights_of_the_best_are_there(swept, data):
    told = []
    done = {at: swept.results[at] for at in range(12) if at != 3}
    assert swept.best in done
    again = search.sweep(
        build, swept.configs, *data, validation=data, key=KEY, done=done, on_results=told.append,
        **HOW,
    )  # fmt: skip
    assert [list(found) for found in told] == [[3]]
    assert again.best == swept.best
    for mine, its in zip(*map(jax.tree.leaves, (again.params, swept.params)), strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-6)


def test_folds_are_lanes_that_train_on_their_rows_alone(data):
    folds = search.k_fold(48, folds=3)
    configs = [{"rate": 0.03}] * 3
    found = search.sweep(
        build, configs, *data, rows=folds.rows, held_out=folds.held_out, key=KEY, **HOW
    )
    rows, held = folds.of(1)
    x, y = data
    alone = search.sweep(
        build, configs[:1], x[rows], y[rows], validation=(x[held], y[held]), key=KEY, **HOW
    )
    np.testing.assert_allclose(found.results[1].val_loss, alone.results[0].val_loss, rtol=1e-5)
    assert len({result.best_loss for result in found.results}) == 3


def test_batch_sizes_metrics_and_whole_batches(data):
    found = search.sweep(
        build, [{"rate": 0.01, "batch_size": None}, {"rate": 0.01, "batch_size": 8}], *data,
        validation=data, metrics={"mae": lambda p, y: jnp.abs(p - y).mean()}, key=KEY,
        loss=fnn.losses.squared_error, steps=4, checks=2,
    )  # fmt: skip
    assert found.groups == 2
    assert [result.metrics["mae"].shape for result in found.results] == [(2,), (2,)]
    assert (found.results[0].metrics["mae"] > 0).all()


def test_without_held_out_data_the_training_loss_judges(data):
    found = search.sweep(build, [{"rate": 0.01}], *data, key=KEY, **HOW)
    result = found.results[0]
    assert np.isnan(result.val_loss).all()
    assert result.best_loss == pytest.approx(result.loss.min())


def test_weights_that_are_not_finite_never_win(data):
    """The loss is of before the last update: one step of a huge rate leaves it finite."""

    def line(rate):
        return fnn.layers.dense(1), fnn.optim.sgd(rate)

    configs = [{"rate": 3e38}, {"rate": 0.001}]
    x, y = data
    how = {**HOW, "steps": 1, "checks": 1}
    found = search.sweep(line, configs, x, y + 100, key=KEY, **how)
    assert np.isfinite(found.results[0].loss).all()
    assert found.best == 1
    assert [result.diverged for result in found.results] == [True, False]


def test_a_build_that_asks_for_the_seed_gets_it(data):
    def seeded(rate, seed):
        return fnn.models.mlp(3, 1), fnn.optim.sgd(rate * seed)

    configs = [{"rate": 0.01, "seed": seed} for seed in (0, 3)]
    found = search.sweep(seeded, configs, *data, key=KEY, **HOW)
    still = found.results[0].loss
    assert found.groups == 1
    assert still.std() < found.results[1].loss.std()  # seed 0: the rate is 0


TWO = """
import jax
jax.config.update("jax_num_cpu_devices", 2)
import numpy as np
import fnn
from fnn import search
x, y = fnn.datasets.linear(jax.random.key(0), n=32)
how = dict(loss=fnn.losses.squared_error, steps=10, key=jax.random.key(1), checks=2)
def build(rate):
    return fnn.layers.dense(1), fnn.optim.sgd(rate)
configs = [{"rate": float(r)} for r in np.logspace(-3, -1, 5)]
two = search.sweep(build, configs, x, y[:, None], **how)
one = search.sweep(build, configs, x, y[:, None], devices=jax.devices()[:1], **how)
assert len(jax.devices()) == 2
np.testing.assert_allclose(two.losses, one.losses, rtol=1e-6)
"""


def test_two_devices_find_what_one_finds():
    subprocess.run([sys.executable, "-c", TWO], check=True)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"configs": []}, ValueError, "sweep: needs at least one configuration"),
        ({"configs": [0.1]}, TypeError, "configuration 0 must be a dict, got float"),
        ({"configs": [{"rate": 0.1}, {}]}, ValueError, "configuration 1 has the names"),
        ({"steps": 2, "checks": 3}, ValueError, "checks must be from 1 to steps = 2, got 3"),
        ({"batch_size": 99}, ValueError, "batch_size must be from 1 to the 48 examples"),
        ({"rows": np.zeros((2, 3), int)}, ValueError, r"rows must be integers of shape \(lanes"),
        ({"rows": np.full((1, 3), 48)}, ValueError, "rows must be rows of the 48 there are"),
        ({"at_once": 0}, ValueError, "at_once"),
        ({"configs": [{"rate": 0.1, "seed": -1}]}, ValueError, "seed must be a whole number"),
        ({"configs": [{"rate": 0.1, "seed": 0.5}]}, ValueError, "seed must be .*, got 0.5"),
        ({"build": lambda rate: 3}, TypeError, "build must return search.Candidate"),
        (
            {"build": lambda rate: build(0.1 if rate > 0 else 0.2)},
            TypeError,
            r"build decides by a number that varies .*\(rate\); wrap its values by search.static",
        ),
    ],
)
def test_a_mistake_is_told(change, error, message, data):
    given = {"build": build, "configs": [{"rate": 0.1}], "key": KEY, **HOW, **change}
    with pytest.raises(error, match=message):
        search.sweep(given.pop("build"), given.pop("configs"), *data, **given)


def test_a_static_float_may_decide(data):
    def decided(rate, how):
        return build(rate if how > 0 else 10 * rate)

    configs = [{"rate": 0.01, "how": search.static(v)} for v in (1.0, -1.0)]
    assert search.sweep(decided, configs, *data, key=KEY, **HOW).groups == 2


def test_widths_share_a_program_behind_a_mask():
    """A float of a configuration may be a width: one group, and each lane is the plain network."""
    x, y = fnn.datasets.sine(jax.random.key(0), n=64)
    y, steps, key = y[:, None], 40, jax.random.key(1)

    def build(width):
        net = search.bounded_mlp(1, max_width=8, max_depth=1, activations=(jnp.tanh,), width=width)
        return net, fnn.optim.adam(0.01)

    configs = [{"width": 2.0}, {"width": 5.0}, {"width": 8.0}]
    found = search.sweep(
        build, configs, x, y, loss=fnn.losses.squared_error, steps=steps, key=key, checks=1
    )
    assert found.groups == 1
    for config, result in zip(configs, found.results, strict=True):
        net, optimizer = build(config["width"])
        start = fnn.train.init(net, optimizer, key, x)
        plain, params = search.freed(
            start.params, width=int(config["width"]), depth=1, activation=jnp.tanh
        )
        own = start._replace(params=params, opt_state=optimizer.init(params))
        done = fnn.fit(
            plain, x, y, loss=fnn.losses.squared_error, optimizer=optimizer, key=key,
            steps=steps, batch_size=32, start=own, check_every=steps, progress=False,
        )  # fmt: skip
        assert result.loss[-1] == pytest.approx(done.history["loss"][-1], rel=1e-4)
