"""The files of a comparison, each written whole or not at all."""

import csv
import io
import json
import math
import pathlib
import tempfile
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fnn.checkpoint import write_atomically

if TYPE_CHECKING:
    from fnn.compare.result import Comparison, Log

PICTURES = ("curves", "scores", "ranks", "target", "rates", "budget", "cost")
NAMES = (
    *(f"{name}.png" for name in PICTURES),
    "results.json",
    "results.csv",
    "report.html",
)


def check_out(out: Any) -> pathlib.Path:
    """`check_folder`, and whether pictures can be drawn.

    Raises:
      OSError: as `check_folder`.
      ImportError: if matplotlib is missing.
    """
    folder = check_folder("compare", out, NAMES)
    from fnn.draw import need_matplotlib

    need_matplotlib("compare: curves.png")
    return folder


def check_folder(where: str, out: Any, names: Iterable[str]) -> pathlib.Path:
    """Make the folder and try to write into it, before any work is done.

    Args:
      where: who asks, for the errors.
      out: the folder.
      names: of the files that are to come.

    Raises:
      OSError: if there is a file in its place, or it cannot be written into; says what to do.
    """
    folder = pathlib.Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        taken = [name for name in names if (folder / name).is_dir()]
    except OSError as error:
        why = "a file stands in its place" if folder.is_file() else error.strerror or str(error)
        raise OSError(
            f"{where}: cannot write into {str(folder)!r}: {why}; choose another folder"
        ) from error
    if taken:
        raise OSError(f"{where}: {str(folder / taken[0])!r} is a folder; choose another place")
    return folder


def write(found: "Comparison", out: Any) -> list[str]:
    """Write the pictures, results.json, results.csv and report.html; return their paths."""
    from fnn.compare.picture import pictures
    from fnn.compare.report import as_html
    from fnn.draw import png

    folder = check_out(out)
    figures = pictures(found)
    images = {f"{name}.png": png(figure) for name, figure in figures.items()}
    for figure in figures.values():
        figure.set_layout_engine("none")  # it is laid out; once more takes as long for the page
    contents = {
        **images,
        "results.json": as_json(found).encode(),
        "results.csv": as_csv(found).encode(),
        "report.html": as_html(found, figures).encode(),
    }
    for name, content in contents.items():
        write_atomically(folder / name, content)
    return [str(folder / name) for name in contents]


def as_json(found: "Comparison") -> str:
    """Everything: settings, machine, rows and every run. What is not a finite number is null."""
    everything = {
        "complete": found.complete,
        "settings": found.settings,
        "machine": found.machine,
        "seconds": found.seconds,
        "target": found.target,
        "rows": [row._asdict() for row in found.rows],
        "contestants": [_log(log) for log in found.logs],
    }
    return json.dumps(_plain(everything), indent=1, allow_nan=False) + "\n"


def _log(log: "Log") -> dict[str, Any]:
    def runs(some):
        return [{**run._asdict(), "diverged": run.diverged} for run in some]

    return {
        "name": log.contestant.name,
        "by": log.contestant.by,
        "compile_seconds": log.compile_seconds,
        "learning_rate": log.rate,
        "tuning": runs(log.tuning),
        "races": runs(log.races),
        "step_us": log.step_us,
        "path_distance": log.path_distance,
        "knobs": dict(log.knobs),
        "state_bytes": log.state_bytes,
        "param_bytes": log.param_bytes,
        "failures": log.failures,
    }


def _plain(value: Any) -> Any:
    """Only what JSON has."""
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        # 8 digits: more than float32 has
        return float(f"{value:.8g}") if math.isfinite(value) else None
    return value


def as_csv(found: "Comparison") -> str:
    """A line for each contestant, with the fields of `Row`; empty where there is no number."""
    from fnn.compare.result import Row

    text = io.StringIO()
    writer = csv.DictWriter(text, Row._fields, lineterminator="\n")
    writer.writeheader()
    for row in found.rows:
        writer.writerow({name: _plain(value) for name, value in row._asdict().items()})
    return text.getvalue()
