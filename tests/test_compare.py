"""The comparison is fair: one budget, one start, the same batches; and it tells what it found."""

import csv
import json
import math
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.checkpoint import write_atomically
from fnn.compare import compare
from fnn.compare.arena import Run
from fnn.compare.contestants import DEFAULT, contestants
from fnn.compare.files import NAMES, PICTURES
from fnn.compare.plan import look_steps
from fnn.compare.result import path_distance
from fnn.compare.stages import best_setting
from fnn.compare.task import make_task

HOSTILE = "<script>alert('x')</script>$"
SMALL = {
    "epochs": 3,
    "tune_epochs": 1,
    "seeds": 3,
    "rates": (0.01, 0.1),
    "refine": (0.5,),
    "trials": 1,
    "tune_seeds": 1,
    "batch_size": 16,
    "progress": False,
}


def blobs():
    """Two clouds, one class each."""
    rng = np.random.default_rng(0)
    y = np.arange(200) % 2
    return (rng.normal(size=(200, 3)) + 1.5 * y[:, None]).astype(np.float32), y


def net():
    return fnn.models.mlp(4, 2)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """One comparison for many tests: adam of both, a copy of ours, and one that must diverge."""
    out = tmp_path_factory.mktemp("out") / "new" / "folder"
    mine = {HOSTILE: fnn.optim.adam, "explodes": lambda rate: fnn.optim.sgd(1e30 * rate)}
    result = compare(blobs(), net=net(), optimizers=["adam", mine], out=out, **SMALL)
    return result, out


def log_of(result, name, by):
    return next(log for log in result.logs if log.contestant[:2] == (name, by))


def row_of(result, name, by):
    return next(row for row in result.rows if (row.name, row.by) == (name, by))


def test_an_optimizer_raced_against_itself_ends_in_a_draw(found):
    ours, copy = log_of(found[0], "adam", "fnn"), log_of(found[0], HOSTILE, "yours")
    assert ours.rate == copy.rate
    for mine, other in zip(ours.tuning + ours.races, copy.tuning + copy.races, strict=True):
        for quantity, same in zip(mine, other, strict=True):
            np.testing.assert_array_equal(quantity, same)


def test_a_race_is_the_run_that_train_run_makes_of_the_same_key(found):
    log, task = log_of(found[0], "adam", "fnn"), make_task(blobs())
    race = log.races[1]
    key = jax.random.fold_in(jax.random.key(0), race.seed)
    steps = int(race.steps[-1])
    last, _ = fnn.train.run(
        key, net(), task.data.x_train, task.data.y_train, loss=task.loss, steps=steps,
        optimizer=fnn.optim.adam(race.rate, **race.knobs), batch_size=16,
    )  # fmt: skip
    data = task.data
    loss = fnn.train.evaluate(
        net(), last.params, last.state, data.x_val, data.y_val, loss=task.loss
    )
    np.testing.assert_allclose(race.val_loss[-1], loss["loss"], rtol=1e-5)


def test_seeds_differ_and_those_for_tuning_do_not_race(found):
    log = log_of(found[0], "adam", "fnn")
    assert {run.seed for run in log.tuning} == {0}
    assert [run.seed for run in log.races] == [1, 2, 3]
    assert len({run.loss[0] for run in log.races}) == 3


def test_everyone_has_the_same_budget(found):
    for log in found[0].logs:
        assert [run.rate for run in log.tuning[:2]] == [0.01, 0.1]
        assert len(log.tuning) == 4
        assert {tuple(run.steps) for run in log.races} == {tuple(log.races[0].steps)}


def test_ours_and_optaxs_walk_one_path():
    out = compare(blobs(), net=net(), optimizers=DEFAULT[:1] + DEFAULT[-1:], **SMALL)
    assert all(row.path_distance < 1e-5 for row in out.rows)
    assert [row.by for row in out.rows] == ["fnn", "optax"] * 2


def test_adams_path_departs_from_optaxs_by_rounding_alone(found):
    assert 0 <= row_of(found[0], "adam", "fnn").path_distance < 1e-3
    assert math.isnan(row_of(found[0], HOSTILE, "yours").path_distance)  # it has no peer


def test_in_float64_nothing_is_left_of_the_distance_between_nadams(x64):
    x, y = blobs()
    options = SMALL | {"epochs": 1, "seeds": 1, "rates": (0.1,), "refine": ()}
    found = compare((x.astype(np.float64), y), net=net(), optimizers=["nadam"], **options)
    assert found.rows[0].path_distance < 1e-12


@pytest.mark.parametrize("entrant", contestants(), ids=lambda entrant: entrant.label)
def test_every_contestant_takes_a_traced_learning_rate(entrant):
    params = {"w": jnp.array([1.0, -2.0])}

    def step(rate):
        optimizer = entrant.make(rate)
        updates, _ = optimizer.update({"w": jnp.ones(2)}, optimizer.init(params), params)
        return updates["w"]

    small, large = jax.vmap(step)(jnp.array([1e-3, 1e-1]))
    np.testing.assert_allclose(100 * small, large, rtol=1e-4)


def test_a_run_that_diverges_is_shown_as_the_worst(found):
    row = row_of(found[0], "explodes", "yours")
    assert row == found[0].rows[-1]
    assert row.diverged == row.seeds == 3
    assert math.isnan(row.score)
    assert row.steps_to_target is None
    assert "diverged (3 of 3)" in str(found[0])
    assert "diverged (3 of 3)" in (found[1] / "report.html").read_text()


def test_a_row_tells_what_its_runs_have(found):
    result, _ = found
    log, row = log_of(result, "adam", "fnn"), row_of(result, "adam", "fnn")
    finals = [run.test_score[-1] for run in log.races]
    np.testing.assert_allclose(row.score, np.mean(finals))
    arrived = [next(s for s, score in zip(run.steps, run.val_score, strict=True)
                    if score >= result.target) for run in log.races]  # fmt: skip
    assert (row.steps_to_target, row.reached) == (np.median(arrived), 3)
    np.testing.assert_allclose(row.seconds_to_target, row.steps_to_target * row.step_us / 1e6)
    assert row.step_us_low <= row.step_us <= row.step_us_high
    assert row.compile_seconds > 0


def tuned(rate, *, val_loss, seed=0):
    one = np.array([1.0])
    return Run(rate, seed, one, one, np.array([val_loss]), one, one)


def test_the_best_rate_has_the_lowest_mean_loss_and_never_a_diverged_run():
    runs = [
        tuned(0.1, val_loss=1.0), tuned(0.1, val_loss=2.0, seed=1),
        tuned(1.0, val_loss=0.1), tuned(1.0, val_loss=math.inf, seed=1),
        tuned(0.01, val_loss=1.6), tuned(0.01, val_loss=1.6, seed=1),
    ]  # fmt: skip
    assert best_setting(runs) == (0.1, {})
    assert best_setting([tuned(1.0, val_loss=math.nan), tuned(0.1, val_loss=math.nan)])[0] == 0.1


def test_path_distance_is_relative_to_the_way_from_the_start():
    start, step = [np.zeros(3), np.ones(1)], [np.array([3.0, 0.0, 4.0]), np.ones(1)]
    aside = [np.array([3.0, 0.5, 4.0]), np.ones(1)]
    assert path_distance([start, step], [start, step]) == 0
    np.testing.assert_allclose(path_distance([start, step], [start, aside]), 0.1)
    assert path_distance([start, start], [start, step]) == math.inf
    assert math.isnan(path_distance([start, step], [start, [np.full(3, np.nan), np.ones(1)]]))


def test_looks_come_closer_together_early_and_end_at_the_end():
    ends = look_steps(600)
    assert ends[-1] == 600
    assert len(ends) == 20
    assert (np.diff(ends, n=2) >= -1).all()  # rounding may take one back
    assert look_steps(3) == [1, 2, 3]


def test_tables_are_standardised_by_training_examples_alone():
    x, y = blobs()
    data = make_task((100 * x + 7, y)).data
    np.testing.assert_allclose(data.x_train.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(data.x_train.std(axis=0), 1, rtol=1e-5)
    assert abs(float(data.x_test.mean())) > 1e-3
    everything = np.concatenate([data.x_train, data.x_val, data.x_test])
    assert len(np.unique(everything, axis=0)) == 200  # nobody stands in two parts


def test_numbers_are_learned_by_squared_error_and_scored_by_r2():
    x = np.random.default_rng(1).normal(size=(120, 2)).astype(np.float32)
    found = compare(
        (x, 1000 * x[:, 0] + 5), net=fnn.models.mlp(1), optimizers="sgd", peers=False, **SMALL
    )
    assert found.settings["score"] == "R2"
    assert found.rows[0].score > 0.9


def test_files_are_written_and_say_what_the_result_says(found):
    result, out = found
    assert sorted(path.name for path in out.iterdir()) == sorted([*NAMES, "progress.jsonl"])
    read = json.loads((out / "results.json").read_text())
    assert read["complete"] is True
    assert read["machine"]["jax"] == jax.__version__
    assert read["machine"]["fnn"] == fnn.__version__
    assert [row["name"] for row in read["rows"]] == [row.name for row in result.rows]
    np.testing.assert_allclose(read["rows"][0]["score"], result.rows[0].score, rtol=1e-6)
    exploded = next(log for log in read["contestants"] if log["name"] == "explodes")
    assert exploded["races"][0]["val_score"][-1] is None
    assert exploded["races"][0]["diverged"] is True
    lines = list(csv.DictReader((out / "results.csv").read_text().splitlines()))
    assert [line["name"] for line in lines] == [row.name for row in result.rows]
    assert lines[-1]["score"] == ""
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_the_page_needs_nothing_from_elsewhere_and_escapes_every_name(found):
    page = (found[1] / "report.html").read_text()
    assert "http" not in page
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert page.count("<svg") == len(PICTURES)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "results.csv"
    write_atomically(path, b"old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["results.csv"]


@pytest.mark.parametrize("stage", ["compiled", "race"])
def test_ctrl_c_keeps_what_is_finished(tmp_path, stage):
    seen = []

    def progress(done, total, text):
        seen.append(done / total)
        if text.startswith(stage) and "adam" in text:
            raise KeyboardInterrupt

    options = SMALL | {"progress": progress}
    found = compare(
        blobs(), net=net(), optimizers=["sgd", "adam"], peers=False, out=tmp_path, **options
    )
    assert not found.complete
    assert seen == sorted(seen)
    assert "interrupted" in str(found)
    assert json.loads((tmp_path / "results.json").read_text())["complete"] is False
    finished = [row.name for row in found.rows if row.seeds]
    assert "sgd" in finished if stage == "race" else not finished
    assert "Interrupted" in (tmp_path / "report.html").read_text()


def test_a_place_that_cannot_be_written_is_told_before_the_race(tmp_path):
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(OSError, match="a file stands in its place; choose another folder"):
        compare(blobs(), net=net(), out=tmp_path / "taken", **SMALL)
    assert (tmp_path / "taken").read_text() == "mine"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"optimizers": ["adamm"]}, "no 'adamm'; did you mean 'adam'"),
        ({"optimizers": []}, "optimizers is empty"),
        ({"optimizers": ["sgd", "sgd"]}, r"sgd \(fnn\).* twice"),
        ({"batch_size": 1000}, "batch_size must be from 1 to the"),
        ({"seeds": 0}, "seeds and tune_seeds must be at least 1"),
        ({"rates": (0.1, -1)}, "rates must be positive"),
        ({"epochs": 0}, "epochs must be > 0"),
        ({"net": fnn.models.mlp(4, 3)}, r"needs 2 outputs .*\.dense\(2\)"),
        ({"data": "nist"}, "unknown data set 'nist'; did you mean 'mnist'"),
    ],
)
def test_mistakes_are_told_before_anything_runs(wrong, message):
    options = SMALL | {"data": blobs(), "net": net(), "peers": False} | wrong
    with pytest.raises(ValueError, match=message):
        compare(**options)


def test_an_entrant_that_makes_nothing_is_told_how_to():
    with pytest.raises(TypeError, match=r"'mine' must be a function .* lambda learning_rate"):
        contestants([{"mine": 3}])
    with pytest.raises(TypeError, match="takes names and mappings"):
        contestants([fnn.optim.adam(1e-3)])


def test_without_optax_the_peers_are_refused_and_the_rest_runs(monkeypatch):
    monkeypatch.setitem(sys.modules, "optax", None)
    with pytest.raises(ImportError, match=r"pip install 'fnn\[compare\]', or race without them"):
        contestants(["sgd"])
    assert len(contestants(["sgd"], peers=False)) == 1


COUNT_DEVICES = """
import sys, jax
jax.config.update("jax_num_cpu_devices", int(sys.argv[1]))
import numpy as np, fnn
from fnn.compare import compare
x = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
found = compare((x, (x[:, 0] > 0).astype(int)), net=fnn.models.mlp(4, 2), optimizers=["adam"],
                peers=False, seeds=3, epochs=2, rates=[0.01, 0.1], refine=[], progress=False)
assert found.machine["devices"] == int(sys.argv[1])
print([found.logs[0].rate, *[v for run in found.logs[0].races for v in run.val_loss.tolist()]])
"""


def test_two_devices_find_what_one_finds():
    one, two = (
        subprocess.run(
            [sys.executable, "-c", COUNT_DEVICES, str(count)],
            capture_output=True, text=True, check=True,
        ).stdout
        for count in (1, 2)
    )  # fmt: skip
    np.testing.assert_allclose(json.loads(one), json.loads(two), rtol=1e-5)
