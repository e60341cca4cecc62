"""A search for the model that suits a table, and what it leaves: words, a page, a model."""

import json
import os
import pathlib
import time
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fnn.checkpoint.atomic import write_atomically
from fnn.draw.page import STYLE, pairs_list, text, words_table
from fnn.tables.encode import Encoder, fit_encoder
from fnn.tables.model import save_model
from fnn.tables.picture import scores_svg
from fnn.tables.read import Table, as_number, read_table

if TYPE_CHECKING:
    from fnn.search.selection import Selection


class Found(NamedTuple):
    """What `search_table` found.

    Attributes:
      selection: what `search.select` said; it has the model.
      encoder: how columns became numbers.
      target: the column that is predicted.
      notes: what was done to the table, in words.
      settings: how it was searched.
    """

    selection: "Selection"
    encoder: Encoder
    target: str
    notes: list[str]
    settings: dict[str, Any]


def table_of(data: str, target: str | None) -> tuple[Table, str]:
    """The table of a file or of one of fnn's data sets, and its target: by default the last column.

    Raises:
      ValueError: if there is no such column, or no such data set.
      FileNotFoundError: if there is no such file.
    """
    if pathlib.Path(data).suffix or os.path.isfile(data):
        if not os.path.isfile(data):
            raise FileNotFoundError(f"search: there is no file {data}")
        table = read_table(data)
    else:
        table = _known(data)
    target = list(table.columns)[-1] if target is None else target
    if target not in table.columns:
        raise ValueError(
            f"search: there is no column {target!r}; there are {', '.join(table.columns)}"
        )
    return table, target


def _known(name: str) -> Table:
    from fnn import datasets

    found = datasets.load(name)
    x = np.concatenate([np.asarray(found.x_train), np.asarray(found.x_test)])
    y = np.concatenate([np.asarray(found.y_train), np.asarray(found.y_test)])
    x = x.reshape(len(x), -1)
    if x.shape[1] > 200:
        raise ValueError(
            f"search: {name} has {x.shape[1]} numbers a row, too many for a table; images want a"
            " network of their own: see examples/06_cnn_on_mnist.py"
        )
    columns = {
        f"x{i}": np.array([repr(float(v)) for v in x[:, i]], object) for i in range(x.shape[1])
    }
    columns["y"] = np.array([repr(v.item()) for v in y.ravel()], object)
    return Table(columns)


def search_table(
    table: Table,
    target: str,
    *,
    task: str | None = None,
    drop: Sequence[str] = (),
    test: float = 0.2,
    quick: bool = False,
    minutes: float | None = None,
    seed: int = 0,
    folder: str | os.PathLike[str] | None = None,
) -> Found:
    """The model that suits a table, by `search.select`; its rules come from training rows alone.

    Args:
      table: of `read_table`.
      target: the column to predict; rows where it is missing are left out.
      task: "classification" or "regression"; None finds out.
      drop: columns that are not to be used.
      test: the part of the rows that is set aside and touched once, in (0, 0.5].
      quick: fewer networks, shorter runs.
      minutes: how long to try networks, as in `search.select`.
      seed: of the split, the folds and the weights.
      folder: where finished pieces are kept, as in `search.select`.

    Raises:
      ValueError: for unknown columns, too few rows, or a table that says nothing.
    """
    import jax

    from fnn.search import holdout, select
    from fnn.search.problem import task_of

    begun = time.perf_counter()
    unknown = [name for name in drop if name not in table.columns]
    if unknown:
        raise ValueError(
            f"search: cannot drop {', '.join(unknown)}; there are {', '.join(table.columns)}"
        )
    if not 0 < test <= 0.5:
        raise ValueError(f"search: test must be a part in (0, 0.5], got {test:g}")
    notes = []
    given = np.array([cell is not None for cell in table.columns[target]])
    if not given.all():
        notes.append(f"{int((~given).sum())} rows without {target} are left out")
        table = table.take(given)
    y = _target(table.columns[target], table.decimal, task)
    rest = table.without(target, *drop)
    if table.rows < 20 or not rest.columns:
        raise ValueError(
            f"search: {table.rows} rows and {len(rest.columns)} columns beside {target!r} are too"
            " few; give at least 20 rows and a column"
        )
    task = task or task_of(y)
    y = y.astype(float) if task == "regression" else y
    counts = np.unique(y, return_counts=True)[1]
    strata = y if task == "regression" or counts.min() >= round(1 / test) else None
    train, kept = holdout(len(y), fraction=test, stratify=strata, seed=seed)
    encoder = fit_encoder(rest.take(train), among=rest)
    notes += _told(encoder)
    x = encoder(rest)
    selection = select(
        x[train],
        y[train],
        task=task,
        test=(x[kept], y[kept]),
        quick=quick,
        minutes=minutes,
        key=jax.random.key(seed),
        folder=folder,
    )
    settings = {
        "rows": len(y),
        "rows set aside": len(kept),
        "numbers a row": x.shape[1],
        "task": task,
        "seed": seed,
        "quick": quick,
        "minutes": minutes,
        "seconds": round(time.perf_counter() - begun, 1),
    }
    return Found(selection, encoder, target, notes, settings)


def _told(encoder: Encoder) -> list[str]:
    """What became of each column that is not plain numbers, in words."""
    notes = []
    for name, rule in encoder.rules.items():
        if rule.kind == "left out":
            notes.append(f"{name} is not used: it {rule.why}")
            continue
        gaps = ", gaps marked"
        if rule.kind == "category":
            words = f"{len(rule.values)} categories"
        else:
            gaps += f" and filled by {rule.fill:.4g}"
            slips = ", ".join(map(repr, rule.values[:5]))
            words = f"{rule.kind}, of which {slips} are none" if slips else rule.kind
        if rule.kind != "number" or rule.gaps:
            notes.append(f"{name}: {words}{gaps if rule.gaps else ''}")
    return notes


def _target(column: np.ndarray, decimal: str, task: str | None) -> np.ndarray:
    """Numbers if all are, whole ones as integers; else the words."""
    numbers = [as_number(cell, decimal) for cell in column]
    if any(number is None for number in numbers):
        if task == "regression":
            word = next(c for c, n in zip(column, numbers, strict=True) if n is None)
            raise ValueError(f"search: a target to regress must be numbers, got {word!r}")
        return np.array([str(cell) for cell in column])
    values = np.array(numbers, float)
    whole = (values == np.round(values)).all() and not any("." in cell for cell in column)
    return values.astype(int) if whole and np.abs(values).max() < 2**31 else values


def found_text(found: Found, most: int = 8) -> str:
    """The verdict, what was done to the table, and the best models."""
    heads, lines = _rows(found, most)
    widths = [max(len(row[i]) for row in [heads, *lines]) for i in range(len(heads))]
    table = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [heads, *lines]
    ]
    notes = [f"- {note}" for note in found.notes]
    return "\n".join([*notes, *([""] if notes else []), *table, "", found.selection.verdict])


def _rows(found: Found, most: int) -> tuple[list[str], list[list[str]]]:
    table = found.selection.table
    kinds = {row["model"]: row for row in reversed(table)}  # the best of each kind
    rows = table[:most]
    rows = rows + [row for row in kinds.values() if all(row is not other for other in rows)]
    rows.sort(key=lambda row: row["loss"])
    heads = list(dict.fromkeys(name for row in rows for name in row))
    return heads, [[_cell(row.get(head)) for head in heads] for row in rows]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)


def write(found: Found, out: str | os.PathLike[str]) -> list[str]:
    """Write report.html, results.json and model/; their names."""
    folder = pathlib.Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    save_model(folder / "model", found.selection, found.encoder, found.target)
    selection = found.selection
    results = {
        "kind": selection.kind,
        "verdict": selection.verdict,
        "score": selection.score._asdict(),
        "test": None if selection.test is None else selection.test._asdict(),
        "table": selection.table,
        "notes": found.notes,
        "settings": found.settings,
    }
    write_atomically(folder / "results.json", json.dumps(results, indent=1, default=_plain) + "\n")
    write_atomically(folder / "report.html", page(found))
    return ["report.html", "results.json", "model/"]


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else str(value)


def page(found: Found) -> str:
    """The report as one HTML file that needs no other."""
    heads, lines = _rows(found, 15)
    title = f"Which model predicts {found.target}?"
    selection = found.selection
    measure = "R²" if selection.classes is None else "accuracy"
    picture = scores_svg(selection.choice.scores, selection.kind, measure, selection.test)
    used = [
        [name, rule.kind, ", ".join(rule.values[:8]) or rule.why]
        for name, rule in found.encoder.rules.items()
    ]
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title><style>{STYLE}</style></head><body>
<h1>{escape(title)}</h1>
<p class="found">{escape(found.selection.verdict)}</p>
<figure>{picture}</figure>
<h2>Models</h2>
{text("The best of what was tried, and the best of each kind, by the loss on rows held out.")}
{words_table(heads, lines)}
<h2>Columns</h2>
{text("How each column became numbers; the rules come from the training rows alone.")}
{words_table(["column", "kind", "categories, or why it is left out"], used)}
<h2>Setting</h2>
{pairs_list(found.settings)}
</body></html>
"""
