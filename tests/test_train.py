"""A training run is a pure function of its key, however it is cut, swept or stopped."""

import subprocess
import sys

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import fnn
from fnn.stop import Report, diverged, loss, metric, patience, seconds, steps, until, val_loss
from fnn.train import TrainState, evaluate, fit, make_step, outputs, over_lanes, run
from fnn.train.run import make_advance

square = fnn.losses.squared_error


@pytest.fixture(scope="module")
def line():
    """y = 2 x_0 - x_1 + 0.5 for 50 points, without noise."""
    x = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    return x, (x @ [2.0, -1.0] + 0.5).astype(np.float32)[:, None]


def neuron():
    return fnn.layers.dense(1)


def test_a_step_of_sgd_is_the_gradient_of_the_mean_times_the_rate(line, variant):
    x, y = line
    net, optimizer = neuron(), fnn.optim.sgd(0.1)
    start = fnn.train.init(net, optimizer, jax.random.key(0), x)
    after, info = variant(make_step(net, square, optimizer))(start, (x, y))
    error = x @ start.params["w"] + start.params["b"] - y
    slope = 2 * x.T @ error / len(x)
    np.testing.assert_allclose(after.params["w"], start.params["w"] - 0.1 * slope, rtol=1e-5)
    np.testing.assert_allclose(info.loss, np.mean(error**2), rtol=1e-5)
    grads = np.append(slope, 2 * np.mean(error))
    np.testing.assert_allclose(info.grad_norm, np.linalg.norm(grads), rtol=1e-5)
    np.testing.assert_allclose(info.update_norm, 0.1 * np.linalg.norm(grads), rtol=1e-5)
    assert int(after.step) == 1


def test_a_penalty_adds_its_own_gradient(line):
    x, y = line
    net, optimizer = neuron(), fnn.optim.sgd(1.0)
    start = fnn.train.init(net, optimizer, jax.random.key(0), x)
    plain, _ = make_step(net, square, optimizer)(start, (x, y))
    ridge = make_step(net, square, optimizer, penalty=lambda p: 0.5 * jnp.sum(p["w"] ** 2))
    decayed, _ = ridge(start, (x, y))
    np.testing.assert_allclose(
        plain.params["w"] - decayed.params["w"], start.params["w"], rtol=1e-4, atol=1e-6
    )


def test_equal_keys_give_bit_identical_runs_and_other_keys_do_not(line):
    def go(seed):
        return fit(neuron(), *line, loss=square, optimizer=fnn.optim.adam(0.05), epochs=3,
                   key=jax.random.key(seed), progress=False)  # fmt: skip

    first, again, other = go(0), go(0), go(1)
    chex.assert_trees_all_equal(first.last.params, again.last.params)
    assert not np.array_equal(first.last.params["w"], other.last.params["w"])


def test_a_run_in_chunks_is_the_run_in_one_piece(line):
    net, optimizer = neuron(), fnn.optim.momentum(0.01)
    advance = jax.jit(make_advance(make_step(net, square, optimizer), 50, 7))
    start = fnn.train.init(net, optimizer, jax.random.key(3), line[0])
    whole, _ = advance(start, line, 23)
    parts = start
    for count in (1, 5, 0, 17):
        parts, _ = advance(parts, line, count)
    chex.assert_trees_all_equal(
        jax.tree.map(jax.random.key_data, whole.key), jax.tree.map(jax.random.key_data, parts.key)
    )
    chex.assert_trees_all_equal(whole._replace(key=0), parts._replace(key=0))


def test_a_run_refuses_targets_of_another_length(line):
    x, y = line
    with pytest.raises(ValueError, match="run: the numbers of examples differ: x has 50, y has 49"):
        run(
            jax.random.key(0),
            neuron(),
            x,
            y[:49],
            loss=square,
            optimizer=fnn.optim.sgd(0.1),
            steps=3,
        )


def test_run_and_fit_walk_the_same_path(line):
    arguments = {"loss": square, "optimizer": fnn.optim.adam(0.05), "steps": 40, "batch_size": 8}
    pure, trace = jax.jit(lambda k: run(k, neuron(), *line, checks=4, **arguments))(
        jax.random.key(5)
    )
    hosted = fit(neuron(), *line, key=jax.random.key(5), check_every=10, **arguments)
    chex.assert_trees_all_close(pure.params, hosted.last.params, rtol=1e-6)
    np.testing.assert_allclose(trace.loss, hosted.history["loss"], rtol=1e-5)
    np.testing.assert_array_equal(trace.step, [10, 20, 30, 40])
    np.testing.assert_array_equal(hosted.history["step"], [10, 20, 30, 40])


def test_a_sweep_of_learning_rates_by_vmap_is_the_runs_one_by_one(line):
    def final(rate):
        state, _ = run(jax.random.key(0), neuron(), *line, loss=square, steps=20, batch_size=10,
                       optimizer=fnn.optim.momentum(rate))  # fmt: skip
        return state.params["w"]

    rates = jnp.array([0.001, 0.01, 0.05])
    alone = jnp.stack([jax.jit(final)(rate) for rate in rates])
    np.testing.assert_allclose(jax.jit(jax.vmap(final))(rates), alone, rtol=1e-5)
    np.testing.assert_allclose(jax.jit(over_lanes(final))(rates), alone, rtol=1e-5)


def test_a_diverging_lane_leaves_its_neighbours_alone(line):
    def final(rate):
        state, _ = run(jax.random.key(0), neuron(), *line, loss=square, steps=200, batch_size=10,
                       optimizer=fnn.optim.sgd(rate))  # fmt: skip
        return state.params["w"][0, 0]

    lanes = jax.jit(jax.vmap(final))(jnp.array([0.05, 1e6]))
    np.testing.assert_allclose(lanes[0], 2.0, atol=1e-2)
    assert not np.isfinite(lanes[1])


def test_a_hundred_learning_rates_are_one_trace(line):
    net = neuron()
    traced = chex.assert_max_traces(make_step(net, square, fnn.optim.adam(1e-3)), n=1)
    step = jax.jit(traced)
    first = fnn.train.init(net, fnn.optim.adam(1e-3), jax.random.key(0), line[0])
    moved = []
    for rate in np.logspace(-4, -1, 100):
        opt_state = fnn.optim.adam(float(rate)).init(first.params)
        after, _ = step(first._replace(opt_state=opt_state), line)
        moved.append(float(jnp.abs(after.params["w"] - first.params["w"])[0, 0]))
    np.testing.assert_allclose(moved, np.logspace(-4, -1, 100), rtol=2e-2)


def test_optax_optimizers_train_as_ours_do(line):
    def go(optimizer):
        return fit(neuron(), *line, loss=square, optimizer=optimizer, key=jax.random.key(0),
                   epochs=5).last.params  # fmt: skip

    chex.assert_trees_all_close(go(fnn.optim.adam(0.01)), go(optax.adam(0.01)), rtol=1e-5)


def test_optimizers_that_look_at_the_loss_are_given_it(line):
    done = fit(neuron(), *line, loss=square, optimizer=optax.lbfgs(), key=jax.random.key(0),
               batch_size=None, steps=10)  # fmt: skip
    assert done.history["loss"][-1] < 1e-6


@pytest.mark.parametrize("devices", [0, 1])
def test_each_program_of_a_fit_is_compiled_once_and_none_when_it_is_fitted_again(caplog, devices):
    x, y = fnn.datasets.linear(jax.random.key(0), n=96)
    net, optimizer = fnn.models.mlp(7, 1), fnn.optim.adam(0.01)
    mesh = jax.make_mesh((devices,), ("data",)) if devices else None

    def programs():
        caplog.clear()
        jax.config.update("jax_log_compiles", True)  # for all threads; the context is for one
        try:
            fit(
                net, x, y[:, None], loss=fnn.losses.squared_error, optimizer=optimizer, mesh=mesh,
                key=jax.random.key(1), epochs=2, validation=(x, y[:, None]), progress=False,
            )  # fmt: skip
        finally:
            jax.config.update("jax_log_compiles", False)
        told = [record.getMessage() for record in caplog.records]
        told = [text for text in told if text.startswith("Finished XLA compilation")]
        return [sum(f"jit({name})" in text for text in told) for name in ("advance", "measure")]

    assert programs() == [1, 1]
    assert programs() == [0, 0]


def test_training_stops_once_the_loss_is_below_the_threshold_and_says_so(line):
    done = fit(neuron(), *line, loss=square, optimizer=fnn.optim.adam(0.05), key=jax.random.key(0),
               epochs=500, stop=until(loss < 0.05))  # fmt: skip
    assert done.history["loss"][-1] < 0.05
    assert (done.history["loss"][:-1] >= 0.05).all()
    assert done.stopped == (
        f"loss {done.history['loss'][-1]:.4g} < 0.05 after {int(done.last.step)} steps"
    )


def test_the_budget_ends_a_run_that_meets_no_rule(line):
    done = fit(neuron(), *line, loss=square, optimizer=fnn.optim.sgd(1e-6), key=jax.random.key(0),
               steps=11, stop=until(loss < 0.05))  # fmt: skip
    assert done.stopped == "all 11 steps are done"
    assert int(done.last.step) == 11


def test_best_keeps_the_weights_of_the_best_check_not_of_the_last(line):
    x, y = line

    def rising(count):  # good at first, then far too large
        return jnp.where(count < 30, 0.1, 2.0)

    done = fit(neuron(), x, y, loss=square, optimizer=fnn.optim.sgd(rising), key=jax.random.key(0),
               steps=60, check_every=10, batch_size=None, validation=(x, y))  # fmt: skip
    best = int(np.argmin(done.history["val_loss"]))
    assert done.best_step == done.history["step"][best] == 30
    found = evaluate(neuron(), done.params, done.state, x, y, loss=square)
    np.testing.assert_allclose(found["loss"], done.history["val_loss"][best], rtol=1e-5)
    assert done.history["val_loss"][-1] > 1e3 * done.history["val_loss"][best]


def test_a_loss_that_is_not_finite_stops_the_run_at_its_step_and_spares_the_best(line):
    done = fit(neuron(), *line, loss=square, optimizer=fnn.optim.sgd(1e4), key=jax.random.key(0),
               steps=400, check_every=5)  # fmt: skip
    assert "the loss was not finite at step" in done.stopped
    assert np.isfinite(done.params["w"]).all()
    assert int(done.last.step) < 400


def test_patience_gives_up_after_that_many_checks_without_improvement():
    rule = patience(3)
    improving = {"val_loss": [3.0, 2.0, 2.5, 2.4, 1.9, 2.0, 2.0]}
    assert rule.check(Report(improving, 70, 1.0)) is None
    stuck = {"val_loss": [*improving["val_loss"], 2.0]}
    assert "not improved on 1.9 for 3 checks" in rule.check(Report(stuck, 80, 1.0))
    rising = patience(1, on=metric("val_accuracy"), mode="max")
    assert rising.check(Report({"val_accuracy": [0.5, 0.6]}, 20, 1.0)) is None
    assert rising.check(Report({"val_accuracy": [0.6, 0.5]}, 20, 1.0))


def test_rules_compose_by_or_and_and():
    report = Report({"loss": [0.01]}, 10, 5.0)
    met, unmet = until(loss < 0.05), steps(100)
    assert (met | unmet).check(report) == met.check(report)
    assert (unmet | met).check(report) == met.check(report)
    assert (met & unmet).check(report) is None
    assert "and" in (met & seconds(1)).check(report)
    assert (met & (val_loss > 1)).needs == {"loss", "val_loss"}
    assert diverged(factor=2).check(Report({"loss": [1.0, 3.9]}, 10, 1.0)) is None
    assert diverged(factor=2).check(Report({"loss": [1.0, 4.1]}, 10, 1.0))


def test_seconds_ends_a_run_between_checks(line):
    done = fit(neuron(), *line, loss=square, optimizer=fnn.optim.sgd(1e-3), key=jax.random.key(0),
               steps=10**8, check_every=10**8, stop=seconds(0.3))  # fmt: skip
    assert done.stopped == "the 0.3 s allowed are used up"


def test_ctrl_c_returns_what_there_is(line, monkeypatch):
    looked = []

    def interrupt(report):
        looked.append(report.step)
        if report.step >= 20:
            raise KeyboardInterrupt

    rule = fnn.stop.Rule(interrupt)
    done = fit(neuron(), *line, loss=square, optimizer=fnn.optim.sgd(0.01), key=jax.random.key(0),
               steps=1000, check_every=20, stop=rule)  # fmt: skip
    assert done.stopped.startswith("interrupted after")
    assert int(done.last.step) == looked[-1]
    assert len(done.history["loss"]) >= 1


def test_fit_goes_on_from_where_another_stopped(line):
    arguments = {"loss": square, "optimizer": fnn.optim.adam(0.01), "batch_size": 8}
    whole = fit(neuron(), *line, key=jax.random.key(0), steps=30, **arguments)
    half = fit(neuron(), *line, key=jax.random.key(0), steps=12, **arguments)
    rest = fit(neuron(), *line, key=jax.random.key(9), steps=18, start=half.last, **arguments)
    chex.assert_trees_all_equal(whole.last.params, rest.last.params)


def test_metrics_and_epochs_are_recorded_by_name(line):
    x, y = line
    done = fit(neuron(), x, y, loss=square, optimizer=fnn.optim.adam(0.05), key=jax.random.key(0),
               epochs=4, batch_size=10, validation=(x[:9], y[:9]),
               metrics={"worst": lambda p, y: jnp.max(jnp.abs(p - y))})  # fmt: skip
    np.testing.assert_allclose(done.history["epoch"], [1, 2, 3, 4])
    prediction = neuron().apply(done.last.params, {}, x[:9])[0]
    np.testing.assert_allclose(
        done.history["val_worst"][-1], np.abs(prediction - y[:9]).max(), rtol=1e-4
    )
    assert (np.diff(done.history["seconds"]) > 0).all()


def test_outputs_in_batches_are_the_outputs_at_once():
    net = fnn.serial(fnn.layers.dense(3), jnp.tanh)
    x = jax.random.normal(jax.random.key(0), (23, 4))
    params, state = net.init(jax.random.key(1), x)
    whole = fnn.predict(net, params, state, x)
    for size in (1, 5, 23, 100):
        np.testing.assert_allclose(
            outputs(net, params, state, x, batch_size=size), whole, rtol=1e-5, atol=1e-6
        )


def test_running_state_is_carried_and_used_at_evaluation(line):
    x, y = line
    net = fnn.serial(fnn.layers.batch_norm(), fnn.layers.dense(1))
    done = fit(net, x + 5, y, loss=square, optimizer=fnn.optim.adam(0.1), key=jax.random.key(0),
               epochs=100, validation=(x + 5, y))  # fmt: skip
    (name, stats), *_ = done.last.state.items()
    assert name == "batch_norm_0"
    np.testing.assert_allclose(stats["mean"], (x + 5).mean(0), atol=0.1)
    assert done.history["val_loss"][-1] < 0.05


def bad_fit(line, **changes):
    x, y = line
    arguments = {"loss": square, "optimizer": fnn.optim.sgd(0.1), "key": jax.random.key(0)}
    arguments |= {"net": neuron(), "x": x, "y": y, "epochs": 1} | changes
    net, x, y = (arguments.pop(name) for name in ("net", "x", "y"))
    return fit(net, x, y, **arguments)


def with_nan(line):
    x = line[0].copy()
    x[3, 1] = np.nan
    return x


MISTAKES = {
    "batch larger than the data": ({"batch_size": 51}, r"from 1 to the 50 examples .* got 51"),
    "no steps": ({"steps": 0}, "steps must be at least 1"),
    "unrecorded quantity": ({"stop": val_loss < 1}, "'val_loss' is to be watched, but only loss"),
    "unknown monitor": ({"monitor": "val_acuracy"}, "'val_acuracy' is to be watched"),
    "bad mode": ({"mode": "lowest"}, "mode must be 'min' or 'max', got 'lowest'"),
    "a bool for a rule": (
        {"stop": [0.3 < 0.5]},
        r"stop takes rules of fnn.stop, such as until\(loss < 0.05\), got True",
    ),
    "a quantity for a rule": ({"stop": loss}, "a quantity becomes a rule when it is compared"),
    "an optimizer not called": ({"optimizer": fnn.optim.adam}, r"call it first: adam\(...\)"),
    "a layer not called": ({"net": fnn.layers.dense}, r"call it first: dense\(...\)"),
    "a number for a loss": ({"loss": 0.5}, "loss must be a function .* got float"),
    "a list of metrics": ({"metrics": [square]}, "functions .* by name, got list"),
    "one array to validate": ({"validation": np.ones(3)}, r"validation must be a pair \(x, y\)"),
    "a seed for a key": ({"key": 0}, r"fit: key must be one PRNG key such as jax.random.key\(0\)"),
    "no key": ({"key": None}, r"fit: key must be one PRNG key .* got None"),
    "parameters for a start": ({"start": {"w": np.ones(2)}}, "start must be a TrainState"),
    "epochs in words": ({"epochs": "3"}, "epochs must be a number, got '3'"),
    "targets of another shape": (
        {"y": np.zeros(50, np.float32)},
        r"prediction \(32, 1\) and target \(32,\)",
    ),
    "targets of another length": ({"y": np.zeros((49, 1), np.float32)}, "50.*49"),
    "empty data": ({"x": np.zeros((0, 2)), "y": np.zeros((0, 1))}, "empty|no examples|0 examples"),
}


@pytest.mark.parametrize(("changes", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_told_with_what_came_and_what_to_do(changes, message, line):
    with pytest.raises((ValueError, TypeError), match=message):
        bad_fit(line, **changes)


def test_nan_in_the_data_is_told_with_its_place(line):
    with pytest.raises(ValueError, match=r"NaN") as caught:
        bad_fit(line, x=with_nan(line))
    assert "3" in str(caught.value)


def test_labels_that_are_no_class_stop_the_run_with_advice_about_data(line):
    labels = np.full(50, 7)
    net = fnn.layers.dense(3)
    done = bad_fit(line, net=net, y=labels, loss=fnn.losses.cross_entropy)
    assert "not finite at step 1" in done.stopped
    assert "labels must be from 0" in done.stopped


def test_a_metric_must_give_one_number(line):
    with pytest.raises(ValueError, match=r"metric 'each' must give one number"):
        bad_fit(line, metrics={"each": lambda p, y: p - y})


def test_features_the_network_was_not_made_for_are_told_with_the_layers_path(line):
    net = fnn.serial(body=fnn.serial(neuron(), jnp.tanh))
    done = bad_fit(line, net=net)
    with pytest.raises(ValueError, match="x has 4 features, expected 2; give x of shape") as caught:
        fnn.predict(net, done.params, done.state, jnp.ones((1, 4)))
    assert "in layer 'body/dense_0'" in caught.value.__notes__[0]


def test_the_train_state_is_all_arrays(line):
    done = bad_fit(line)
    assert isinstance(done.last, TrainState)
    assert all(hasattr(leaf, "dtype") for leaf in jax.tree.leaves(done.last))


def test_fitting_again_with_another_key_compiles_nothing_anew(line):
    traced = []

    def counted(prediction, target):
        traced.append(prediction.shape)
        return square(prediction, target)

    net, optimizer = neuron(), fnn.optim.sgd(0.01)
    for seed in range(3):
        fit(net, *line, loss=counted, optimizer=optimizer, key=jax.random.key(seed), epochs=1)
        if not seed:
            first = len(traced)
    assert len(traced) == first > 0


ON_TWO_DEVICES = """
import jax
jax.config.update("jax_num_cpu_devices", 2)
import jax.numpy as jnp, numpy as np, fnn
assert len(jax.devices()) == 2

x, y = fnn.datasets.linear(jax.random.key(0), n=60)
def final(rate, data):
    state, _ = fnn.train.run(jax.random.key(1), fnn.layers.dense(1), *data, steps=20,
                             loss=fnn.losses.squared_error, optimizer=fnn.optim.adam(rate))
    return state.params["w"]

rates = jnp.logspace(-3, -1, 5)  # five lanes do not fit evenly on two devices
data = (x, y[:, None])
lanes = jax.jit(lambda r, d: fnn.train.over_lanes(final)(r, shared=d))(rates, data)
alone = jnp.stack([jax.jit(final)(rate, data) for rate in rates])
np.testing.assert_allclose(lanes, alone, rtol=1e-6)
assert len(lanes.sharding.device_set) == 2
print("equal")
"""


def test_one_lane_is_a_lane_and_none_is_an_error():
    double = fnn.train.over_lanes(lambda x: 2 * x)
    assert double(jnp.ones((1, 3))).tolist() == [[2.0, 2.0, 2.0]]
    for wrong in (jnp.ones((0, 3)), {"a": jnp.ones(2), "b": jnp.ones(3)}, jnp.ones(())):
        with pytest.raises(ValueError, match="over_lanes: arguments must share a first axis"):
            double(wrong)


def test_lanes_on_two_devices_are_the_runs_one_by_one():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ON_TWO_DEVICES],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "equal", done.stderr[-2000:]


def test_the_progress_bar_is_quiet_away_from_a_terminal_and_there_when_asked_for(line, capsys):
    arguments = {"loss": square, "optimizer": fnn.optim.sgd(0.01), "key": jax.random.key(0)}
    fit(neuron(), *line, epochs=3, **arguments)
    assert capsys.readouterr() == ("", "")
    fit(neuron(), *line, epochs=3, progress=True, **arguments)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "training" in shown.err


def test_the_progress_bar_shows_itself_in_a_terminal_unless_told_not_to(line, capsys, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    arguments = {"loss": square, "optimizer": fnn.optim.sgd(0.01), "key": jax.random.key(0)}
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    fit(neuron(), *line, epochs=3, progress=False, **arguments)
    assert capsys.readouterr() == ("", "")
    fit(neuron(), *line, epochs=3, **arguments)
    assert "training" in capsys.readouterr().err


def test_the_progress_bar_without_rich_is_left_out_or_asked_for(monkeypatch):
    from fnn.train.bar import progress_bar

    for name in [name for name in sys.modules if name.split(".")[0] == "rich"] + ["rich"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(sys.modules["fnn.train.bar"], "_has_rich", lambda: False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with progress_bar("training", 3) as report:
        report(1, "nothing is shown")
    with (
        pytest.raises(ImportError, match=r"needs rich: pip install 'fnn\[compare\]'"),
        progress_bar("training", 3, show=True),
    ):
        pass


def test_data_frames_and_lists_train_as_arrays_do(line):
    pandas = pytest.importorskip("pandas")
    x, y = line
    frames = pandas.DataFrame(x, columns=["a", "b"]), pandas.DataFrame(y)
    trained = [
        bad_fit(line, x=x_any, y=y_any).last.params
        for x_any, y_any in ((x, y), frames, (x.tolist(), y.tolist()))
    ]
    chex.assert_trees_all_equal(*trained)


@pytest.mark.parametrize(
    "optimizer",
    [
        fnn.optim.adamw(0.01, weight_decay=0.1),
        fnn.optim.lion(0.01, weight_decay=0.1),
        fnn.optim.chain(
            fnn.optim.add_noise(eta=1.0, gamma=0.0, key=jax.random.key(5)), fnn.optim.sgd(0.1)
        ),
    ],
    ids=["adamw", "lion", "noise"],
)
def test_nothing_moves_what_is_frozen(optimizer):
    x, y = fnn.datasets.moons(jax.random.key(0), n=40)
    net = fnn.serial(body=fnn.serial(fnn.frozen(fnn.layers.dense(4))), head=fnn.layers.dense(2))

    def price(params):
        return sum(jnp.sum(a**2) for a in jax.tree.leaves(params))

    step = fnn.train.make_step(net, fnn.losses.cross_entropy, optimizer, penalty=price)
    start = fnn.train.init(net, optimizer, jax.random.key(1), x)
    after, _ = jax.jit(step)(start, (x, y))
    for moved, own in ((False, "body"), (True, "head")):
        pairs = zip(*map(jax.tree.leaves, (start.params[own], after.params[own])), strict=True)
        assert all(bool((a != b).any()) == moved for a, b in pairs), own
