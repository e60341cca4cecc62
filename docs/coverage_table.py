"""The table of coverage: each concept with its function, its test and its page.

No row may be empty: python docs/coverage_table.py prints what is missing, if anything is.
"""

import importlib
import re
import sys
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
TESTS = HERE.parent / "tests"


class Row(NamedTuple):
    """A concept: its group, names of functions, `file::test`, and `page#section`."""

    group: str
    concept: str
    functions: tuple[str, ...]
    test: str
    page: str


def rows() -> list[Row]:
    found, group = [], ""
    for line in (HERE / "coverage_rows.txt").read_text("utf-8").splitlines():
        if line.startswith("== "):
            group = line[3:]
        elif line and not line.startswith("#"):
            concept, functions, test, page = (part.strip() for part in line.split("|"))
            names = tuple(name.strip() for name in functions.split(","))
            found.append(Row(group, concept, names, test, page))
    return found


def missing(row: Row) -> list[str]:
    """What of a row does not exist."""
    lacks = [name for name in row.functions if not _exists(name)]
    file, _, test = row.test.partition("::")
    path = TESTS / f"test_{file}.py"
    if not path.exists() or not re.search(rf"def test_{test}\b", path.read_text("utf-8")):
        lacks.append(row.test)
    page, _, section = row.page.partition("#")
    path = HERE / f"{page}.md"
    text = path.read_text("utf-8") if path.exists() else ""
    heads = {_anchor(head) for head in re.findall(r"^#+ (.+)$", text, re.M)}
    if not text or (section and section not in heads):
        lacks.append(row.page)
    return lacks


def _exists(name: str) -> bool:
    """Whether what is called so can be reached as it is written."""
    first, *rest = name.split(".")
    one = importlib.import_module(first)
    for place, part in enumerate(rest):
        if not hasattr(one, part):
            try:
                importlib.import_module(".".join((first, *rest[: place + 1])))
            except ImportError:
                return False
        one = getattr(one, part)
    return callable(one)


def _anchor(head: str) -> str:
    """The address of a heading, as MyST makes it."""
    return re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-")


def page() -> str:
    """The table in Markdown."""
    text = [
        "# Coverage",
        "What a complete library covers, from the ML-Cheatsheet"
        " ([bfortuner/ml-glossary](https://github.com/bfortuner/ml-glossary), commit ad889a8) and"
        " from Ruder's overview of gradient descent"
        " ([1609.04747](https://arxiv.org/abs/1609.04747)); made of `docs/coverage_rows.txt`. A"
        " test holds that every function, test and page exists.",
    ]
    group, lines = None, []
    for row in rows():
        if row.group != group:
            text += ["\n".join(lines)] if lines else []
            group = row.group
            lines = [
                f"## {group}\n",
                "| concept | in fnn | test | page |",
                "| --- | --- | --- | --- |",
            ]
        names = ", ".join(f"`{name.removeprefix('fnn.')}`" for name in row.functions)
        file, _, test = row.test.partition("::")
        target, _, section = row.page.partition("#")
        link = (
            f"[{section or target.split('/')[-1]}]({target}.md{f'#{section}' if section else ''})"
        )
        said = test.replace("_", " ")
        lines.append(f"| {row.concept} | {names} | `test_{file}`: {said} | {link} |")
    return "\n\n".join([*text, "\n".join(lines)]) + "\n"


if __name__ == "__main__":
    lacks = [(row.concept, missing(row)) for row in rows() if missing(row)]
    for concept, what in lacks:
        print(f"{concept}: {', '.join(what)}")
    print(f"{len(rows())} rows, {len(lacks)} incomplete")
    sys.exit(bool(lacks))
