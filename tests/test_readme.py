"""README's programs run, its figures are those measured, and every example proves its point."""

import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", README, re.S)
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def run(*arguments, code=None):
    return subprocess.run(
        [sys.executable, *arguments],
        input=code,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=800,
        check=False,
    )


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda text: text.split("\n")[-2][:40])
def test_readmes_programs_run_as_they_stand(program):
    done = run("-W", "error", "-", code=program)
    assert done.returncode == 0, done.stderr[-2000:]


def test_readme_shows_the_message_that_users_get():
    wrong = """
import jax, fnn
net = fnn.serial(body=fnn.serial(fnn.layers.dense(128)))
params, state = net.init(jax.random.key(0), jax.numpy.ones((32, 5)))
net.apply(params, state, jax.numpy.ones((32, 4)))
"""
    (shown,) = re.findall(r"```text\n(.*?)```", README, re.S)
    said = run("-", code=wrong).stderr
    for line in shown.strip().split("\n"):
        assert line in said


def test_readmes_figures_are_those_of_the_results():
    done = run("benchmarks/tables.py", "--check")
    assert done.returncode == 0, done.stderr


def test_there_are_examples_to_run():
    assert len(PROGRAMS) >= 3
    assert [path.name[:2] for path in EXAMPLES][:6] == ["00", "01", "02", "03", "04", "05"]


@pytest.mark.slow
@pytest.mark.timeout(900)  # a GPT writes text in one of them
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_each_example_proves_its_point(path):
    assert "assert " in path.read_text(encoding="utf-8")
    done = run(str(path))
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-2000:]
