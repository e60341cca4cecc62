"""Two processes train what one trains; one that dies or is told to end costs nothing.

One script trains; a rank of it ends itself by a signal at a given step, once. The processes are
true ones, on loopback, and share their compiled programs through a folder of their own.
"""

import json
import os
import pathlib
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import processes_net
import pytest
from processes_net import SETTINGS, X, Y

import fnn
from fnn import shard
from fnn.cli import main
from fnn.shard.launch import launch
from fnn.shard.rows import undivided

TESTS = pathlib.Path(__file__).parent

SCRIPT = """
import json, os, pathlib, signal, sys
folder, end = pathlib.Path(sys.argv[1]), sys.argv[2]
sys.path.insert(0, sys.argv[3])
import jax, jax.numpy as jnp, numpy as np
import fnn
from fnn import processes, shard

joined = shard.join()
import processes_net  # whose arrays are JAX's, which must not be used before
mesh, mark = jax.make_mesh((jax.device_count(),), ("data",)), folder / "ended"

def strike(report):  # one process, once
    if joined.index == 1 and end != "never" and report.step >= 24 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), getattr(signal, end))

x, y, settings = processes_net.X, processes_net.Y, processes_net.SETTINGS
own = shard.own_rows(len(y), mesh)
x, y = shard.joined(x[own], len(y), mesh), shard.joined(y[own], len(y), mesh)
done = fnn.fit(x=x, y=y, **settings, stop=fnn.stop.Rule(strike), checkpoint=folder / "kept",
               save_seconds=0.0, mesh=mesh, sharding=shard.fully_sharded())
text = fnn.trees.fingerprint(processes.whole(done.last.params))
swept = processes_net.swept() if end == "SIGKILL" else None
if joined.index == 0:
    (folder / "found.json").write_text(json.dumps({
        "rows": [own.start, own.stop],
        "loss": done.history["loss"].tolist(),
        "parameters": text,
        "stopped": done.stopped,
        "sweep": swept,
        "share": done.last.params["dense_0"]["w"].addressable_data(0).shape,
    }))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs the script in two processes, and says how that ended and what it found."""
    shared = tmp_path_factory.mktemp("processes")
    script = shared / "train.py"
    script.write_text(SCRIPT)
    programs = {
        "JAX_COMPILATION_CACHE_DIR": str(shared / "programs"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PLATFORMS": "cpu",
    }

    def start(name, end):
        folder, said = shared / name, []
        folder.mkdir(exist_ok=True)
        command = [sys.executable, str(script), str(folder), end, str(TESTS)]
        ended = launch(
            command, processes=2, environment={**os.environ, **programs}, tell=said.append
        )
        return ended, json.loads((folder / "found.json").read_text()), said, folder

    return start


@pytest.fixture(scope="module")
def killed(run):
    return run("killed", "SIGKILL")


def test_two_processes_give_the_losses_of_one(killed):
    alone = fnn.fit(x=X, y=Y, **SETTINGS)
    found = killed[1]
    np.testing.assert_allclose(found["loss"], alone.history["loss"], rtol=1e-5)
    assert found["rows"] == [0, 49]  # of 97: the other process has 48, and one that makes it even
    assert found["share"] == [6, 8]  # half of a (6, 16) matrix


def test_a_sweep_over_the_devices_of_two_processes_is_that_of_one(killed):
    losses, best, weights = processes_net.swept()
    found = killed[1]["sweep"]
    np.testing.assert_allclose(found[0], losses, rtol=1e-5)
    assert found[1] == best
    np.testing.assert_allclose(found[2], weights, rtol=1e-5)


def test_a_killed_process_is_told_and_all_start_again(killed):
    ended, found, said, _ = killed
    assert ended.code == 0
    assert ended.restarts == 1
    assert len(said) == 1
    assert "process 1 of 2 was ended by SIGKILL" in said[0]
    assert "restart 1 of 3" in said[0]
    assert found["stopped"] == "all 60 steps are done"


def test_a_run_told_to_end_saves_and_goes_on_to_the_same_parameters(run, killed):
    ended, found, said, _ = run("told", "SIGTERM")
    assert ended.code == 0
    assert said == []
    assert found["stopped"] == "interrupted after 24 steps"
    _, found, _, _ = run("told", "SIGTERM")
    assert found["stopped"] == "all 60 steps are done"
    assert found["parameters"] == killed[1]["parameters"]


def test_a_checkpoint_of_two_processes_goes_on_in_one(killed):
    kept = killed[3] / "kept"
    assert all(path.suffix in (".sharded", ".json") for path in kept.iterdir())
    longer = fnn.fit(x=X, y=Y, **{**SETTINGS, "steps": 66}, checkpoint=kept)
    alone = fnn.fit(x=X, y=Y, **{**SETTINGS, "steps": 66})
    assert len(longer.history["loss"]) == len(alone.history["loss"]) == 11
    np.testing.assert_allclose(longer.history["loss"], alone.history["loss"], rtol=1e-5)


def test_a_mistake_is_told_once_and_not_tried_again():
    said = []
    ended = launch([sys.executable, "-c", "raise SystemExit(2)"], processes=2, tell=said.append)
    assert (ended.code, ended.restarts, said) == (2, 0, [])


def test_starts_that_keep_failing_end_or_go_on_with_fewer():
    said = []
    fails = "import os, sys; sys.exit(int(os.environ['FNN_PROCESSES']) > 1)"
    command = [sys.executable, "-c", fails]
    ended = launch(command, processes=2, restarts=0, tell=said.append)
    assert (ended.code, ended.restarts) == (1, 0)
    assert "no restart is left of 0" in said[-1]
    ended = launch(command, processes=2, tell=said.append)
    assert (ended.code, ended.restarts) == (1, 1)
    assert "mend the error first" in said[-1]
    ended = launch(command, processes=2, restarts=3, at_least=1, tell=said.append)
    assert (ended.code, ended.count, ended.restarts) == (0, 1, 2)


def test_the_watchdog_bites_only_a_loop_that_stands_still():
    heard = []
    with shard.watchdog(0.2, end=heard.append) as tick:
        for _ in range(4):
            time.sleep(0.1)
            tick()
        assert heard == []
        tick(2.0)  # a save may take longer
        time.sleep(0.6)
        assert heard == []
        tick()
        time.sleep(2.5)  # ten times the longest usual round is about a second
    assert len(heard) == 1
    assert "no step for" in heard[0]
    with pytest.raises(ValueError, match="seconds must be > 0"), shard.watchdog(0):
        pass


def test_rows_that_are_not_this_process_own_are_told():
    mesh = jax.make_mesh((1,), ("data",))
    assert shard.own_rows(5, mesh) == slice(0, 5)
    with pytest.raises(ValueError, match="holds rows 0 to 5, got 4 rows"):
        shard.joined(np.ones((4, 2)), 5, mesh)
    with pytest.raises(ValueError, match="row 3 is NaN"):
        shard.joined(np.array([0.0, 1.0, 2.0, np.nan]), 4, mesh)
    divided = shard.joined(np.ones((4, 2)), 4, mesh)
    with pytest.raises(ValueError, match="got 4 divided rows and whole"):
        undivided(divided, np.ones(4))
    with pytest.raises(ValueError, match="divided data needs a mesh"):
        fnn.fit(fnn.layers.dense(1), divided, divided, loss=fnn.losses.squared_error,
                optimizer=fnn.optim.sgd(0.1), key=jax.random.key(0), batch_size=2)  # fmt: skip


def test_train_writes_weights_that_load(tmp_path, capsys):
    out = tmp_path / "iris"
    assert (
        main(["train", "--data", "iris", "--steps", "40", "--width", "8", "--out", str(out)]) == 0
    )
    assert "in one process" in capsys.readouterr().out
    result = json.loads((out / "result.json").read_text())
    saved = fnn.checkpoint.load(out / "params.safetensors")
    assert saved["params"]["dense_1"]["w"].shape == (4, 8)
    assert result["steps"] == 40
    assert result["loss"][0] < float(jnp.log(3)) * 1.5
    assert main(["train", "--data", "irises", "--out", str(out)]) == 2
    assert "iris" in capsys.readouterr().err
    assert main(["launch", "--processes", "2", str(tmp_path / "none.py")]) == 2
