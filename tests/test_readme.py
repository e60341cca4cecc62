"""README's programs run, its figures are those measured, and every example proves its point."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCS = ROOT / "docs"


def programs(path):
    return re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.S)


PROGRAMS = [
    program for path in (ROOT / "README.md", DOCS / "scale.md") for program in programs(path)
]
# pages whose blocks make one program, in their order
PAGES = [*sorted((DOCS / "concepts").glob("*.md")), DOCS / "tutorial.md"]
PAGES = {path.stem: "\n".join(programs(path)) for path in PAGES if programs(path)}
MIGRATION = [
    pytest.param(program, id=f"{path.stem}-{'fnn' if place else 'theirs'}")
    for path in sorted((DOCS / "migration").glob("*.md"))
    for place, program in enumerate(programs(path))
]
PEERS = ("torch", "keras", "flax", "haiku", "equinox", "optax", "sklearn")
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))

# The examples as users run them take minutes, so here the long ones are the same programs with
# fewer steps or a smaller net: what is replaced, by what. A claim is weakened only where fewer
# steps cannot reach it, and stays one that a net which learns nothing would miss.
SHORTER = {
    "06_cnn_on_mnist": {
        "epochs, batch_size = 15, 64": "epochs, batch_size = 3, 64",
        '["accuracy"] > 0.98': '["accuracy"] > 0.96',
    },
    "07_lstm_writes_text": {"WINDOW, STEPS = 64, 600": "WINDOW, STEPS = 64, 200"},
    "09_gpt_writes_text": {
        "LENGTH, STEPS = 64, 1200": "LENGTH, STEPS = 32, 200",
        '"blocks": 4': '"blocks": 2',
        "by_pairs - 0.6": "by_pairs - 0.15",
    },
    "10_vae_draws_digits": {"STEPS = 4000": "STEPS = 800"},
    "11_gan_learns_a_ring": {"LOOKS = 3000, 256, 4, 6": "LOOKS = 1500, 128, 2, 2"},
    "13_surgery": {"steps=400": "steps=100", "steps=200": "steps=100"},
    "15_workers": {
        "STEPS, BATCH, SEEDS = 2000": "STEPS, BATCH, SEEDS = 1000",
        "(0, 1, 3, 15)": "(0, 3, 15)",
        "(16, 64)": "(16,)",
    },
}


def run(*arguments, code=None, cwd=ROOT):
    return subprocess.run(
        [sys.executable, *arguments],
        input=code,
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=280,
        check=False,
    )


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda text: text.split("\n")[-2][:40])
def test_readmes_programs_run_as_they_stand(program, tmp_path):
    done = run("-W", "error", "-", code=program, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]


# Each sees names of its own alone; one process, since starting JAX 25 times takes longer than they.
ONE_BY_ONE = """
import sys
for number, program in enumerate(PROGRAMS, 1):
    print("recipe", number, file=sys.stderr)
    exec(compile(program, f"recipe {number}", "exec"), {"__name__": "__main__"})
"""


@pytest.mark.parametrize("part", range(3))
def test_every_recipe_runs_by_itself(part, tmp_path):
    some = programs(DOCS / "recipes.md")[part::3]
    done = run("-W", "error", "-", code=f"PROGRAMS = {some!r}{ONE_BY_ONE}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("page", PAGES)
def test_the_programs_of_a_page_run_one_after_the_other(page, tmp_path):
    done = run("-W", "error", "-", code=PAGES[page], cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("program", MIGRATION)
def test_both_sides_of_a_migration_page_learn_the_same(program, tmp_path):
    for name in PEERS:
        if re.search(rf"^(import|from) {name}\b", program, re.M):
            pytest.importorskip(name)
    done = run("-", code=f"{program}\nassert 0.85 < float(accuracy) < 0.93", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]


def test_there_are_pages_to_run():
    assert len(PAGES) >= 9
    assert len(MIGRATION) == 12
    assert len(programs(DOCS / "recipes.md")) == 26


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
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_each_example_proves_its_point(path):
    program = path.read_text(encoding="utf-8")
    assert "assert " in program
    for whole, part in SHORTER.get(path.stem, {}).items():
        assert whole in program, f"{path.name} has changed; mend SHORTER"
        program = program.replace(whole, part)
    done = run("-", code=program)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-2000:]


def test_only_examples_that_exist_are_shortened():
    assert SHORTER.keys() <= {path.stem for path in EXAMPLES}
