"""The command line explains itself, tells mistakes without a traceback, and does its job."""

import csv
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

import fnn
from fnn import cli

RACE = ["compare", "--data", "iris", "--optimizers", "sgd,adam", "--no-peers", "--width", "4"]


def run(*arguments, cwd=None):
    """The command in a process of its own: it configures JAX, which this one has in use."""
    return subprocess.run(
        [sys.executable, "-m", "fnn", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(pathlib.Path(fnn.__file__).parents[1])},
        timeout=120,
        check=False,
    )


def test_help_explains_the_columns_and_gives_examples(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["compare", "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "goes on where it stopped" in said
    for word in ("learning rate", "95 % t-interval", "examples:", "fnn compare --quick", "Ctrl-C"):
        assert word in said


def test_help_and_version_do_not_wait_for_jax():
    code = "import sys\nfrom fnn import cli\nheavy = {'optax', 'matplotlib', 'rich'}\n"
    code += "try: cli.main(['--version'])\nexcept SystemExit: pass\n"
    code += "print(heavy & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == [f"fnn {fnn.__version__}", "set()"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--optimizers", "adamm"], "fnn compare: optimizer: no 'adamm'; did you mean 'adam'?"),
        (["--data", "nist"], "unknown data set 'nist'; did you mean 'mnist'?"),
        (["--data", "iris", "--batch-size", "999"], "--batch-size 999 is more than the 84"),
        (["--data", "iris", "--net", "cnn"], "the cnn needs images of (height, width, channels)"),
    ],
)
def test_a_mistake_is_told_in_a_line_with_exit_code_2(arguments, message, tmp_path):
    done = run("compare", *arguments, "--out", str(tmp_path))
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout


@pytest.mark.parametrize("wrong", [["--seeds", "0"], ["--epochs", "-1"], ["--width", "x"], []])
def test_a_wrong_option_is_told_by_the_parser(wrong, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["compare", *wrong] if wrong else [])
    assert ended.value.code == 2
    assert "usage: fnn" in capsys.readouterr().err


def test_an_occupied_place_is_told_before_the_race(tmp_path):
    (tmp_path / "taken").write_text("mine")
    done = run(*RACE, "--out", str(tmp_path / "taken"))
    assert done.returncode == 2
    assert "a file stands in its place" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_command_prints_a_table_and_writes_its_files(tmp_path):
    done = run(*RACE, "--seeds", "2", "--epochs", "3", "--quiet", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "test accuracy" in done.stdout
    assert {"sgd", "adam"} <= {line.split(" ")[0] for line in done.stdout.split("\n")}
    out = tmp_path / "comparison"
    written = {p.name for p in out.iterdir()}
    assert written >= {"report.html", "curves.png", "scores.png", "results.json", "results.csv"}
    rows = list(csv.DictReader((out / "results.csv").read_text().splitlines()))
    assert [row["seeds"] for row in rows] == ["2", "2"]
    other = run(*RACE, "--seeds", "3", "--epochs", "3", "--quiet", cwd=tmp_path)
    assert other.returncode == 2
    assert "holds a comparison with other settings (seeds: 2 there, 3 now;" in other.stderr
    assert "start over with --fresh" in other.stderr
    assert "Traceback" not in other.stderr


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_ctrl_c_writes_what_there_is_and_ends_with_130(tmp_path):
    command = [sys.executable, "-m", "fnn", *RACE, "--epochs", "20000", "--out", str(tmp_path)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    )
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if "tune" in line:
                break
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        said, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, errors
    assert "interrupted, incomplete" in said
    assert '"complete": false' in (tmp_path / "results.json").read_text()
