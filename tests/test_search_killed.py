"""`fnn search` survives SIGKILL: the same command goes on, to the same table."""

import json
import os
import pathlib
import subprocess
import sys
import time

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[1]


def searching(folder, out):
    command = [sys.executable, "-m", "fnn", "search", "xor.csv", "--quick", "--out", out]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "FNN_CACHE": str(folder / "cache")}
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip


def found(folder):
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_a_search_that_was_killed_loses_at_most_a_piece_and_ends_with_the_same_table(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 2))
    rows = "\n".join(f"{a:.4f},{b:.4f},{'odd' if a * b > 0 else 'even'}" for a, b in x)
    (tmp_path / "xor.csv").write_text(f"a,b,kind\n{rows}\n")

    whole = searching(tmp_path, "whole")
    said = whole.communicate(timeout=250)[0]
    assert whole.returncode == 0, said

    killed, progress = searching(tmp_path, "killed"), tmp_path / "killed/progress"
    while not list(progress.glob("*.safetensors")) and killed.poll() is None:
        time.sleep(0.01)
    killed.kill()
    killed.communicate()
    kept = {path.name: path.stat().st_mtime_ns for path in progress.glob("*.safetensors")}
    assert kept  # the first piece, at least, is there and is not made again
    assert not (tmp_path / "killed/results.json").exists()

    again = searching(tmp_path, "killed")
    said = again.communicate(timeout=250)[0]
    assert again.returncode == 0, said
    for name, made in kept.items():
        assert (progress / name).stat().st_mtime_ns == made
    one, other = found(tmp_path / "whole"), found(tmp_path / "killed")
    assert other["table"] == one["table"]
    assert other["verdict"] == one["verdict"]
