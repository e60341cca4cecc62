"""Pages say what docstrings and results say, and no concept is without its function and test."""

import importlib.util
import inspect
import json
import pathlib
import re

import pytest

from fnn.optim.names import NAMES

DOCS = pathlib.Path(__file__).parents[1] / "docs"


def module_of(name):
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TABLE = module_of("coverage_table")


@pytest.mark.parametrize("row", TABLE.rows(), ids=lambda row: f"{row.group}: {row.concept}")
def test_every_concept_has_its_function_its_test_and_its_page(row):
    assert all(row)
    assert not TABLE.missing(row)


def test_an_empty_row_would_be_seen():
    bad = TABLE.Row("a", "b", ("fnn.no.such",), "train::nothing", "concepts/neurons#nowhere")
    assert len(TABLE.missing(bad)) == 3
    assert len(TABLE.rows()) > 100


@pytest.fixture(scope="module")
def writer():
    return module_of("optimizers")


def test_the_tables_of_scale_are_those_of_the_results():
    page = (DOCS / "scale.md").read_text("utf-8")
    assert module_of("scale").filled(page) == page, "run python docs/scale.py"
    assert page.count("| GPT-3 13B |") == 9  # three numbers of devices, three layouts


def test_the_pages_in_the_tree_are_those_of_the_docstrings(writer):
    stored = {path.name: path.read_text("utf-8") for path in (DOCS / "optimizers").glob("*.md")}
    written = writer.pages()
    old = [name for name in written if stored.get(name) != written[name]]
    extra = sorted(stored.keys() - written.keys())
    assert not old + extra, f"run python docs/optimizers.py: {', '.join(old + extra)} are behind"


def test_every_page_has_its_picture_and_all_are_small():
    files = list((DOCS / "optimizers").iterdir())
    assert {f"{name}.png" for name in NAMES} <= {path.name for path in files}
    assert sum(path.stat().st_size for path in files) < 3e6


@pytest.mark.parametrize("name", NAMES)
def test_a_page_has_the_equation_the_knobs_and_the_source(writer, name):
    page = writer.page(name, NAMES[name], {})
    assert "```math" in page
    assert ".. math::" not in page
    doc = inspect.getdoc(NAMES[name]) or ""
    assert ("Source: " in doc) == ("Source: " in page)
    for knob in inspect.signature(NAMES[name]).parameters:
        assert re.search(rf"^- `[^`]*\b{knob}\b[^`]*`: ", page, re.M), f"{knob} is not explained"
    words = set(re.findall(r"\w+", doc)) - {"Args", "math", "Raises", "Where"}
    assert not words - set(re.findall(r"\w+", page + page.lower())), (
        "a word of the docstring was lost"
    )


def test_the_parts_of_a_docstring_are_told_apart(writer):
    doc = """Do it.

    .. math::
        a &= b \\\\
        c &= d

    It is done.

    Args:
      b1: of a
        kind.
      b2: of another.

    A last word.

    Source: someone, https://example.org/a.
    Same as: nothing

    >>> 1 + 1
    2
    """
    parts = writer.sections(inspect.cleandoc(doc))
    assert parts["summary"] == "Do it."
    assert parts["body"].startswith("```math\n\\begin{aligned}\na &= b")
    assert parts["body"].endswith("A last word.")
    assert writer.knobs(parts["Args"]) == "- `b1`: of a kind.\n- `b2`: of another."
    assert writer.links(parts["Source"]) == "someone, <https://example.org/a>."
    assert parts["Same as"] == "nothing"
    assert parts["example"] == ">>> 1 + 1\n2"


def test_the_tutorial_is_a_notebook_whose_cells_run_in_order(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    text = (DOCS / "tutorial.md").read_text("utf-8")
    book = json.loads(module_of("_ext/built").notebook(text))
    code = [cell["source"] for cell in book["cells"] if cell["cell_type"] == "code"]
    assert code == [block.strip() for block in re.findall(r"```python\n(.*?)```", text, re.S)]
    assert book["nbformat"] == 4
    assert len({cell["id"] for cell in book["cells"]}) == len(book["cells"])
