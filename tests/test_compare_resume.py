"""A comparison goes on where it was stopped, keeps to its time, and outlives its contestants."""

import math
import os
import pathlib
import signal
import subprocess
import sys
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import fnn
from fnn.compare import Trial, compare
from fnn.compare.contestants import contestants
from fnn.compare.knobs import KNOBS, NONE, last_round
from fnn.compare.nets import make_net
from fnn.compare.plan import Costs, Plan, fitted, seconds_of
from fnn.compare.store import NAME, Refused, Store
from fnn.compare.task import make_task
from fnn.optim.names import NAMES

KEY = jax.random.key(0)
SMALL = {
    "net": fnn.models.mlp(2),
    "epochs": 2,
    "tune_epochs": 1,
    "seeds": 3,
    "rates": (0.01, 0.1),
    "refine": (),
    "trials": 1,
    "tune_seeds": 1,
    "batch_size": 32,
    "peers": False,
    "progress": False,
}


def blobs():
    """Two clouds, one class each."""
    rng = np.random.default_rng(0)
    y = np.arange(200) % 2
    return (rng.normal(size=(200, 3)) + 1.5 * y[:, None]).astype(np.float32), y


def numbers(found):
    """All that was found but the times."""
    return [
        (log.contestant.label, log.rate, dict(log.knobs), run._replace(knobs=dict(run.knobs)))
        for log in found.logs
        for run in log.tuning + log.races
    ]


def assert_same(one, other):
    for left, right in zip(numbers(one), numbers(other), strict=True):
        assert left[:3] == right[:3]
        for mine, its in zip(left[3], right[3], strict=True):
            np.testing.assert_array_equal(mine, its)


@pytest.fixture(scope="module")
def whole():
    """The comparison that was never stopped."""
    return compare(blobs(), optimizers=["sgd", "adam"], **SMALL)


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
import test_compare_resume as here
def progress(done, total, text):
    if text.startswith(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
here.compare(here.blobs(), optimizers=["sgd", "adam"], out=sys.argv[2],
             **here.SMALL | {"progress": progress})
"""


@pytest.mark.skipif(os.name != "posix", reason="sends SIGKILL")
def test_after_a_kill_it_goes_on_and_finds_the_same_numbers(tmp_path, whole):
    here = pathlib.Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(here), str(tmp_path), "race sgd (fnn), 2 of 3"],
        env={**os.environ, "PYTHONPATH": str(here.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    finished = (tmp_path / NAME).read_bytes()
    assert not (tmp_path / "results.json").exists()
    found = compare(blobs(), optimizers=["sgd", "adam"], out=tmp_path, **SMALL)
    assert found.complete
    assert found.settings["resumed"] == finished.count(b"\n") - 1 >= 4
    assert (tmp_path / NAME).read_bytes().startswith(finished)
    assert_same(found, whole)


def test_after_ctrl_c_it_goes_on_as_often_as_it_is_stopped(tmp_path, whole, unwritten):
    for moment in ("compiled", "tune adam"):

        def progress(done, total, text, moment=moment):
            if text.startswith(moment):
                raise KeyboardInterrupt

        options = SMALL | {"progress": progress}
        assert not compare(blobs(), optimizers=["sgd", "adam"], out=tmp_path, **options).complete
    found = compare(blobs(), optimizers=["sgd", "adam"], out=tmp_path, **SMALL)
    again = compare(blobs(), optimizers=["sgd", "adam"], out=tmp_path, **SMALL)
    assert found.complete
    for one in (found, again):
        assert_same(one, whole)
    assert [log.step_us for log in again.logs] == [log.step_us for log in found.logs]


@pytest.fixture
def unwritten(monkeypatch):
    """No report: pictures take longer than these races."""
    monkeypatch.setattr("fnn.compare.files.write", lambda found, out: [])


def test_other_settings_are_refused_by_name_and_fresh_starts_over(tmp_path, unwritten):
    options = {**SMALL, "seeds": 1, "optimizers": "sgd", "out": tmp_path}
    compare(blobs(), **options)
    x, y = blobs()
    with pytest.raises(Refused, match=r"batch_size: 32 there, 16 now; .*start: .*--fresh"):
        compare((x + np.arange(3), 1 - y), **options | {"batch_size": 16})
    found = compare(blobs(), **options | {"batch_size": 16, "fresh": True})
    assert found.settings["resumed"] == 0
    assert found.settings["batch_size"] == 16


def test_an_optimizer_that_was_rewritten_runs_again_and_only_that_one(tmp_path, unwritten):
    options = {**SMALL, "seeds": 1, "out": tmp_path}
    first = compare(blobs(), optimizers=["sgd", {"mine": fnn.optim.sgd}], **options)
    now = {"mine": lambda rate: fnn.optim.sgd(2 * rate)}
    then = compare(blobs(), optimizers=["sgd", now], **options)
    assert then.logs[0].compile_seconds == first.logs[0].compile_seconds
    assert then.logs[1].tuning[0].val_loss[-1] != first.logs[1].tuning[0].val_loss[-1]


def test_a_line_that_a_crash_cut_off_is_not_counted(tmp_path):
    store = Store(tmp_path, {"a": 1})
    store.put("one", {"x": [1.0, math.inf]})
    store.put("two", math.pi)
    store.close()
    path = tmp_path / NAME
    path.write_bytes(path.read_bytes()[:-4])
    store = Store(tmp_path, {"a": 1})
    assert store.found == 1
    assert store.get("one") == {"x": [1.0, math.inf]}
    store.put("two", 2)
    store.close()
    store = Store(tmp_path, {"a": 1})
    assert store.get("two") == 2
    with pytest.raises(Refused, match="another comparison is at work"):
        Store(tmp_path, {"a": 1})
    store.close()
    with pytest.raises(Refused, match="a: 1 there, 2 now; b: null there, 3 now"):
        Store(tmp_path, {"a": 2, "b": 3})


def test_whatever_float_is_stored_comes_back_to_the_last_bit(tmp_path):
    values = np.random.default_rng(0).normal(size=100) * 10.0 ** np.arange(-50, 50)
    store = Store(tmp_path, {})
    store.put("values", values.tolist())
    store.close()
    store = Store(tmp_path, {})
    np.testing.assert_array_equal(store.get("values"), values)
    store.close()


def fails(stage):
    """An optimizer with an error of its own in this stage."""

    def make(rate):
        inner = fnn.optim.sgd(rate)

        def update(grads, state, params=None):
            if stage == "compile":
                raise RuntimeError("no rule for\nthis")
            return jax.tree.map(lambda g: jax.pure_callback(broken, g, g), grads), state

        def broken(g):
            raise RuntimeError("no rule for this")

        return fnn.optim.Optimizer(inner.init, update)

    return make


def test_an_optimizer_that_fails_is_shown_with_the_reason_and_the_others_go_on():
    mine = {"untraceable": fails("compile"), "crashing": fails("run")}
    found = compare(blobs(), optimizers=[mine, "sgd"], **SMALL)
    assert found.complete
    untraceable, crashing, sgd = found.logs
    assert untraceable.failures == [("compile", "RuntimeError: no rule for this")]
    ((stage, reason),) = crashing.failures
    assert stage == "tuning"
    assert "no rule for this" in reason
    assert len(sgd.races) == 3
    assert not sgd.failures
    assert {row.name for row in found.rows} == {"untraceable", "crashing", "sgd"}
    assert found.rows[0].name == "sgd"


def kept(rate):
    """Descent that has zeros looked at in place of its parameters."""
    inner = fnn.optim.sgd(rate)

    class Kept(NamedTuple):
        inner: Any

        def eval_params(self, params):
            return jax.tree.map(jnp.zeros_like, params)

    def update(grads, state, params=None):
        updates, state = inner.update(grads, state.inner, params)
        return updates, Kept(state)

    return fnn.optim.Optimizer(lambda params: Kept(inner.init(params)), update)


def polyak(rate):
    """Polyak's step to the value 0; not a number if the value is not that of `value_fn`."""

    def update(grads, state, params=None, *, value, value_fn):
        square = sum(jnp.vdot(g, g) for g in jax.tree.leaves(grads))
        same = jnp.where(jnp.abs(value - value_fn(params)) < 1e-5, 1.0, jnp.nan)
        return jax.tree.map(lambda g: -rate * same * value / square * g, grads), state

    return fnn.optim.Optimizer(lambda params: (), update)


def test_averages_are_what_is_looked_at_and_those_who_ask_are_given_the_loss():
    found = compare(blobs(), optimizers={"kept": kept, "polyak": polyak}, **SMALL)
    for run in found.logs[0].races:
        np.testing.assert_allclose(run.val_loss, math.log(2), rtol=1e-6)
        assert run.loss[-1] != run.loss[0]
    assert not any(run.diverged for run in found.logs[1].races)


def test_all_try_equally_many_settings_and_the_best_one_races():
    options = SMALL | {"rates": (0.01, 0.1), "refine": (0.5,), "trials": 3, "seeds": 1}
    heavy = {"heavy": fnn.optim.momentum}
    found = compare(blobs(), optimizers=["sgd", "momentum", heavy], **options)
    assert {len(log.tuning) for log in found.logs} == {6}
    sgd, momentum, same = found.logs
    assert len({run.rate for run in sgd.tuning}) == 6
    assert [run.knobs["decay"] for run in momentum.tuning] == [0.9] * 3 + [0.99, 0.95, 0.8]
    for log in found.logs:
        best = min(log.tuning, key=lambda run: run.val_loss[-1])
        assert (log.rate, log.knobs) == (best.rate, best.knobs)
        assert (log.races[0].rate, log.races[0].knobs) == (best.rate, best.knobs)
    assert_same_runs(momentum, same)


def assert_same_runs(one, other):
    for left, right in zip(one.tuning + one.races, other.tuning + other.races, strict=True):
        for mine, its in zip(left, right, strict=True):
            np.testing.assert_array_equal(mine, its)


def test_memory_is_that_of_the_state_beside_the_parameters(whole):
    sgd, adam = whole.logs
    assert sgd.param_bytes == adam.param_bytes == 4 * (3 * 2 + 2)
    assert adam.state_bytes - sgd.state_bytes == 2 * adam.param_bytes + 4 * 4  # b1, b2, eps, root


def test_a_short_time_cuts_the_plan_for_all_alike_and_says_so(tmp_path, unwritten):
    options = {**SMALL, "epochs": 300, "minutes": 0.01, "out": tmp_path}
    found = compare(blobs(), optimizers=["sgd", "adam"], **options)
    assert found.settings["steps"] < 300 * 140 / 32
    assert str(found.settings["steps"]) in " ".join(found.settings["cut"])
    assert {int(run.steps[-1]) for log in found.logs for run in log.races} == {
        found.settings["steps"]
    }
    again = compare(blobs(), optimizers=["sgd", "adam"], **options)
    assert again.settings["steps"] == found.settings["steps"]
    assert_same(again, found)


def test_a_plan_that_fits_is_left_alone_and_one_that_does_not_is_cut_to_fit():
    plan = Plan(8, 1000, 300, 5, 2, (0.1, 1.0), (0.5,), 4)
    costs = Costs((0.01, 0.02, 0.03), 0.05, 0.01)
    whole = seconds_of(plan, costs, 2)
    assert fitted(plan, costs, 2, whole) == (plan, [])
    for seconds in (0.8 * whole, 0.5 * whole, 0.2 * whole):
        cut, words = fitted(plan, costs, 2, seconds)
        assert 0.9 * seconds < seconds_of(cut, costs, 2) <= seconds
        assert (cut.seeds, cut.rates, cut.trials, cut.tune_seeds) == (5, plan.rates, 4, 1)
        assert words
    cut, words = fitted(plan, costs, 2, 1.0)
    assert cut.steps == 100
    assert "still this takes about" in words[-1]


@pytest.mark.parametrize("name", sorted(KNOBS.keys() & NAMES.keys()))
def test_declared_knobs_are_the_optimizers_and_mean_the_same_to_its_peer(name):
    ours, *peers = contestants([name])
    assert len(ours.trials) <= 4
    assert all(set(trial.knobs) <= set(ours.defaults) for trial in ours.trials)
    params = {"w": jnp.array([[1.0, -2.0, 0.5], [3.0, 0.1, -1.0]])}
    noise = jax.random.normal(KEY, (12, 2, 3))

    def way(make, knobs):
        """The sum of all updates."""
        optimizer = make(jnp.float32(0.1), **knobs)

        def step(carry, noise):
            state, at, total = carry
            grads = {"w": at["w"] + noise}
            extra = {"value": 1.0, "grad": grads, "value_fn": lambda p: jnp.sum(p["w"] ** 4)}
            extra = fnn.optim.base.accepted(optimizer.update, extra)
            updates, state = optimizer.update(grads, state, at, **extra)
            return (state, fnn.optim.apply_updates(at, updates), total + updates["w"]), None

        start = optimizer.init(params), params, jnp.zeros((2, 3))
        return lax.scan(step, start, noise)[0][2]

    mine, *theirs = (
        jax.jit(lambda knobs, make=entrant.make: way(make, knobs)) for entrant in (ours, *peers)
    )
    plain = mine(ours.defaults)
    np.testing.assert_allclose(mine({}), plain, rtol=1e-4)
    for trial in ours.trials:
        knobs = {**ours.defaults, **trial.knobs}
        end = mine(knobs)
        assert (end != plain).any(), trial
        for its in theirs:
            np.testing.assert_allclose(its(knobs), end, rtol=1e-4)


def test_a_knob_that_an_optimizer_does_not_have_is_told():
    with pytest.raises(ValueError, match=r"sgd has no knob 'decay' .* nothing but a learning rate"):
        contestants("sgd", peers=False, knobs={"sgd": [Trial({"decay": 0.5})]})
    assert contestants("adam", peers=False, knobs={})[0].defaults == NONE
    assert [trial.knobs for trial in last_round([], 2)] == [NONE, NONE]


def images(shape):
    rng = np.random.default_rng(0)
    return rng.normal(size=(100, *shape)).astype(np.float32), np.arange(100) % 2


def test_a_net_by_name_fits_the_data_or_says_why_not():
    table, pictures = make_task("iris"), make_task(images((12, 12, 1)))
    for name, task in (("mlp", table), ("linear", table), ("mlp", pictures), ("cnn", pictures)):
        net = make_net(name, task)
        x = task.data.x_val
        out = jax.eval_shape(lambda x, net=net: net.apply(*net.init(KEY, x), x)[0], x)
        assert out.shape == (len(task.data.y_val), task.outputs)
    with pytest.raises(ValueError, match=r"needs images .* got examples of shape \(4,\) in iris"):
        make_net("cnn", table)
    with pytest.raises(ValueError, match="got images of 3 x 12"):
        make_net("cnn", make_task(images((3, 12, 1))))
    with pytest.raises(ValueError, match="no net 'rnn'; there are mlp, cnn, linear"):
        make_net("rnn", table)
    with pytest.raises(ValueError, match="no width"):
        make_net("linear", table, width=3)
    with pytest.raises(ValueError, match="needs images"):
        compare("iris", net="cnn")


def test_all_are_fnns_own_each_once_and_without_peers():
    names = [entrant.name for entrant in contestants("all", peers=False)]
    assert len(names) == len(set(names))
    assert set(NAMES) - set(names) == {"gradient_descent"}
