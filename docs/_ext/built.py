"""The pages that the build makes: API, experiments, benchmarks, coverage."""

import ast
import importlib
import json
import re
import types
from pathlib import Path
from typing import Any

import coverage_table

HERE = Path(__file__).parents[1]

# The modules in the order of the page, with what each is for.
ROOMS = {
    "fnn": "the face",
    "fnn.layers": "layers",
    "fnn.models": "recipes of whole networks",
    "fnn.functional": "convolution, pooling and attention without a layer",
    "fnn.initializers": "initial weights",
    "fnn.activations": "activation functions",
    "fnn.losses": "losses",
    "fnn.metrics": "metrics",
    "fnn.optim": "optimizers and their wrappers",
    "fnn.optim.schedules": "schedules of hyperparameters",
    "fnn.optim.minimizers": "minimizers of whole functions",
    "fnn.optim.curvature": "Hessians and their spectra",
    "fnn.train": "steps and runs",
    "fnn.stop": "rules to stop",
    "fnn.data": "splits, folds, orders, batches",
    "fnn.datasets": "data sets",
    "fnn.checkpoint": "trees in files",
    "fnn.shard": "many devices and processes",
    "fnn.search": "sweeps and selection",
    "fnn.compare": "races of optimizers",
    "fnn.diagnose": "questions answered by tests",
    "fnn.explain": "propagation with every number named",
    "fnn.inspect": "what a network is made of and does",
    "fnn.draw": "pictures",
    "fnn.interop": "weights of other libraries",
    "fnn.tables": "files of rows",
    "fnn.estimators": "scikit-learn's interface",
    "fnn.surfaces": "functions to watch optimizers on",
    "fnn.random": "cheap random bits",
    "fnn.trees": "pytrees by path",
    "fnn.core": "the contract",
}


def public(room: str) -> dict[str, Any]:
    """The functions and classes that a module gives, by name, where they were made for it."""
    module = importlib.import_module(room)
    names = getattr(module, "__all__", None) or [n for n in vars(module) if n[0] != "_"]
    found = {name: getattr(module, name) for name in names}
    return {
        name: one
        for name, one in sorted(found.items())
        if isinstance(one, type | types.FunctionType) and one.__module__.startswith("fnn")
    }


def api_page(room: str, about: str, seen: set[int]) -> str:
    """The page of a module; what an earlier page has, it leaves out."""
    lines = [f"# {room}: {about}", "", "```{eval-rst}", f".. currentmodule:: {room}", ""]
    for name, one in public(room).items():
        if id(one) in seen:
            continue
        seen.add(id(one))
        lines.append(f".. auto{'class' if isinstance(one, type) else 'function'}:: {name}")
        if methods := _methods(one):
            lines.append(f"   :members: {', '.join(methods)}")
        lines.append("")
    return "\n".join([*lines, "```", ""])


def _methods(one: Any) -> list[str]:
    """The methods and properties that a class defines itself and tells of."""
    if not isinstance(one, type):
        return []
    kinds = types.FunctionType | property | classmethod | staticmethod
    return [
        name
        for name, value in vars(one).items()
        if name[0] != "_" and isinstance(value, kinds) and getattr(value, "__doc__", None)
    ]


def write(app: Any) -> None:
    folder, seen = HERE / "api", set()
    folder.mkdir(exist_ok=True)
    for room, about in ROOMS.items():
        _keep(folder / f"{room}.md", api_page(room, about, seen))
    experiments()
    _keep(HERE / "tutorial.ipynb", notebook((HERE / "tutorial.md").read_text("utf-8")))
    _keep(HERE / "benchmarks.md", results())
    _keep(HERE / "coverage.md", coverage_table.page())
    listed = "\n".join(ROOMS)
    _keep(folder / "index.md", f"# API\n\n```{{toctree}}\n{listed}\n```\n")


def experiments() -> None:
    """A page for each example: what it says of itself, and the program."""
    folder = HERE / "experiments"
    folder.mkdir(exist_ok=True)
    heads = []
    for path in sorted((HERE.parent / "examples").glob("*.py")):
        text = path.read_text("utf-8")
        tree = ast.parse(text)
        words = ast.get_docstring(tree) or ""
        code = (tree.body[0].end_lineno or 0) + 2  # where the program begins, below its docstring
        indented = re.compile(r"(?m)^(?=    )(?:    .*\n?)+")
        told = indented.sub(lambda m: f"```text\n{m[0].rstrip()}\n```\n", words)
        _keep(
            folder / f"{path.stem}.md",
            f"# {_headline(path.stem)}\n\n{told.strip()}\n\n"
            f"Run it: `python examples/{path.name}`\n\n"
            f"```{{literalinclude}} ../../examples/{path.name}\n"
            f":language: python\n:lines: {code}-\n```\n",
        )
        heads.append(path.stem)
    listed = "\n".join(heads)
    _keep(
        folder / "index.md",
        "# Experiments and examples\n\nEach is a program that proves its point: it ends in asserts"
        " of what it prints, and the tests run it.\n\n"
        f"```{{toctree}}\n:maxdepth: 1\n\n{listed}\n```\n",
    )


NAMES = ("MLP", "MNIST", "CNN", "LSTM", "GPT", "VAE", "GAN", "PyTorch", "optax", "scikit")


def _headline(stem: str) -> str:
    """A file's name as a heading.

    >>> _headline("06_cnn_on_mnist")
    'CNN on MNIST'
    """
    known = {name.lower(): name for name in NAMES}
    first, *rest = stem.split("_")[1:]
    head = " ".join(known.get(word, word) for word in (first.capitalize(), *rest))
    return head if first not in known else f"{known[first]}{head[len(first) :]}"


def notebook(text: str) -> str:
    """A page as a Jupyter notebook: its Python blocks are cells to run, all else words between."""
    cells = []
    for place, piece in enumerate(re.split(r"```python\n(.*?)```\n", text, flags=re.S)):
        kind = "code" if place % 2 else "markdown"
        if not piece.strip():
            continue
        cell: dict[str, Any] = {
            "cell_type": kind,
            "id": f"cell-{place}",
            "metadata": {},
            "source": piece.strip(),
        }
        cells.append(cell | ({"execution_count": None, "outputs": []} if place % 2 else {}))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    whole = {
        "cells": cells,
        "metadata": {"kernelspec": kernel},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(whole, indent=1) + "\n"


def results() -> str:
    """README's section on speed, what else was measured, and the notes on why."""
    readme = (HERE.parent / "README.md").read_text("utf-8")
    told = readme.split("## How fast")[1].split("## What it is not")[0]
    told = told.strip().replace("(benchmarks/NOTES.md)", "(#notes-on-speed)")
    notes = (HERE.parent / "benchmarks" / "NOTES.md").read_text("utf-8")
    notes = re.sub("^#", "##", notes, flags=re.MULTILINE)  # below the page's own heading
    return "\n\n".join(["# Benchmarks", told, "## All results", _WHERE, _listed(), notes])


_WHERE = (
    "In `benchmarks/results` stand the numbers of every measurement with the machine, the versions"
    " and the command that made them: `python benchmarks/NAME.py` measures anew."
)


def _listed() -> str:
    lines = ["| result | command | measured |", "| --- | --- | --- |"]
    for path in sorted((HERE.parent / "benchmarks" / "results").glob("*.json")):
        script = HERE.parent / "benchmarks" / f"{path.stem}.py"
        if not script.exists():
            continue
        words = ast.get_docstring(ast.parse(script.read_text("utf-8"))) or ""
        about = words.split("\n")[0].rstrip(".").replace("|", "\\|")
        lines.append(f"| `{path.name}` | `python benchmarks/{script.name}` | {about} |")
    return "\n".join(lines) + "\n"


def _keep(path: Path, text: str) -> None:
    """Write what changed, so that an unchanged page is not read anew."""
    if not path.exists() or path.read_text("utf-8") != text:
        path.write_text(text, "utf-8")


HEADS = ("Where implementations disagree", "Source", "Same as")
PROSE = re.compile(r":math:`[^`]+`|``[^`]+``|`([^`]+)`")


def plain_words(app: Any, what: str, name: str, one: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are plain words for a terminal: code stands between single backticks, and stars
    and bars mean themselves. Only math is reStructuredText."""
    prose = _prose_lines(lines)
    for i in prose:
        if found := re.match(rf"({'|'.join(HEADS)}): ", lines[i]):
            lines[i] = f"**{found[1]}:** {lines[i][found.end() :]}"
            for j in range(i + 1, len(lines)):  # what goes on is indented; here it is a paragraph
                if not lines[j].startswith(" "):
                    break
                lines[j] = lines[j].lstrip()
    start = 0
    while start < len(lines):  # stretches of prose whole, since code may run over a line's end
        end = start
        while end in prose:
            end += 1
        if end > start:
            lines[start:end] = _prose("\n".join(lines[start:end])).split("\n")
        start = end + 1


def _prose_lines(lines: list[str]) -> set[int]:
    """The numbers of the lines that are neither math nor a session nor blank."""
    found, inside, depth = set(), "", 0
    for i, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if inside == "math" and line.strip() and indent <= depth:
            inside = ""
        if inside == "doctest" and not line.strip():
            inside = ""
        if line.strip().startswith(".. math::"):
            inside, depth = "math", indent
        elif line.strip().startswith(">>>"):
            inside = "doctest"
        elif line.strip() and not inside:
            found.add(i)
    return found


def _prose(line: str) -> str:
    pieces, last = [], 0
    for found in PROSE.finditer(line):
        pieces += [_escaped(line[last : found.start()])]
        pieces += [f"``{found[1]}``" if found[1] else found[0]]
        last = found.end()
        if found[1] and re.match(r"\w", line[last:]):
            pieces += ["\\ "]  # a letter may not touch the end of code
    return "".join(pieces) + _escaped(line[last:])


def _escaped(words: str) -> str:
    return re.sub(r"(?<!\*)(\*(?!\*)|\|)|(?<=\w)(_)(?!\w)", r"\\\1\2", words)


def list_optimizers(app: Any, page: str, source: list[str]) -> None:
    """The index of the optimizers is read on its own, too: here its pages are hung below it."""
    if page == "optimizers/index":
        source[0] += "\n```{toctree}\n:hidden:\n:glob:\n\n*\n```\n"


def setup(app: Any) -> dict[str, bool]:
    app.connect("builder-inited", write)
    app.connect("source-read", list_optimizers)
    app.connect("autodoc-process-docstring", plain_words, priority=400)  # before napoleon, at 500
    return {"parallel_read_safe": True, "parallel_write_safe": True}
