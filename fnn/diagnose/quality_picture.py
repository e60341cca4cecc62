"""The picture of `fit_quality`."""

import os
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from fnn.draw.base import COLOURS, blank, finish, plain, stored, styled

if TYPE_CHECKING:
    from fnn.diagnose.quality import Quality

TRAIN, HELD = COLOURS[1], COLOURS[6]


def quality_picture(found: "Quality", path: str | os.PathLike[str] | None) -> bytes:
    """Loss by training rows, loss by steps, and calibration or what was told against the truth."""
    curves = found.curves
    with styled():
        figure, panels = blank(1, 3, (11.5, 4.1))
        by_rows, by_steps, last = panels[0]
        _two(by_rows, curves.sizes, curves.train[..., -1], curves.held_out[..., -1])
        by_rows.set_xscale("log", base=2)
        by_rows.set_xticks(curves.sizes, [str(size) for size in curves.sizes])
        by_rows.minorticks_off()
        _limits(by_rows, curves.train[..., -1], curves.held_out[..., -1])
        by_rows.legend(loc="best", fontsize=8)
        finish(by_rows, "By training rows", "training rows", "loss / null model's", log_y=False)
        _two(by_steps, curves.steps, curves.train[-1].T, curves.held_out[-1].T)
        by_steps.axhline(found.line, color=COLOURS[4], linestyle="--", linewidth=1)
        by_steps.annotate("linear model", (1, found.line), xycoords=("axes fraction", "data"),
                          ha="right", va="bottom", fontsize=8, color=COLOURS[4])  # fmt: skip
        _limits(by_steps, curves.train[-1].T, curves.held_out[-1].T, found.line)
        finish(by_steps, "By steps, all rows", "step", "loss / null model's", log_y=False)
        (_calibration if found.task == "classification" else _truth)(last, found)
        text = textwrap.fill(found.why, 150)
        figure.suptitle(plain(text), x=0.01, ha="left", fontsize=9.5)
        return stored(figure, path)


def _two(panel: Any, at: np.ndarray, train: np.ndarray, held: np.ndarray) -> None:
    """Means over the splits, (places, splits), with single splits as thin lines."""
    for values, colour, marker, name in (
        (train, TRAIN, "o", "training"),
        (held, HELD, "s", "held out"),
    ):
        panel.plot(at, values, color=colour, linewidth=0.6, alpha=0.35)
        panel.plot(at, values.mean(1), marker + "-", color=colour, markersize=4, label=name)
    panel.axhline(1.0, color="black", linestyle=":", linewidth=1)
    panel.annotate(
        "null model", (0, 1), xycoords=("axes fraction", "data"), fontsize=8, va="bottom"
    )


def _limits(panel: Any, *values: Any) -> None:
    """From 0 to a little above what is drawn; a wild split does not hide the rest."""
    seen = np.concatenate([np.ravel(value) for value in values])
    seen = seen[np.isfinite(seen)]
    top = min(float(seen.max()), 3.0) if len(seen) else 1.0
    panel.set_ylim(0, 1.1 * max(top, 1.0))


def _calibration(panel: Any, found: "Quality") -> None:
    sure, right = found.told
    panel.plot([0, 1], [0, 1], ":", color="black", linewidth=1)
    if len(sure):
        order = np.argsort(sure, kind="stable")
        tenths = [part for part in np.array_split(order, min(10, len(sure) // 8)) if len(part)]
        share = np.array([right[part].mean() for part in tenths])
        size = np.array([len(part) for part in tenths])
        shrunk = (share * size + 2) / (size + 4)  # Agresti and Coull: no interval of width 0
        half = 1.96 * np.sqrt(shrunk * (1 - shrunk) / (size + 4))
        errors = [
            share - np.clip(shrunk - half, 0, share),
            np.clip(shrunk + half, share, 1) - share,
        ]
        panel.errorbar([sure[part].mean() for part in tenths], share, errors, fmt="s-", color=HELD,
                       markersize=4, linewidth=1.2, elinewidth=0.8)  # fmt: skip
    panel.axhline(found.null_score, color=COLOURS[3], linestyle="--", linewidth=1)
    panel.annotate("null model", (0.02, found.null_score), fontsize=8, color=COLOURS[3],
                   va="bottom", xycoords=("axes fraction", "data"))  # fmt: skip
    low = min(float(sure.min()) if len(sure) else 0.0, found.null_score) - 0.05
    panel.set_xlim(max(low, 0), 1.02)
    panel.set_ylim(0, 1.04)
    error, chance = found.calibration_error or (0.0, 0.0)
    finish(panel, f"Calibration: error {error:.3f} (chance {chance:.3f})", "how sure, held out",
           "share right", log_y=False)  # fmt: skip


def _truth(panel: Any, found: "Quality") -> None:
    told, truth = found.told
    ends = [truth.min(), truth.max()]
    panel.plot(ends, ends, ":", color="black", linewidth=1)
    panel.plot(told, truth, ".", color=HELD, markersize=4, alpha=0.6)
    finish(panel, f"Held out: R$^2$ {found.score.mean:.2f}".replace("R$^2$", "R^2"), "told", "true",
           log_y=False)  # fmt: skip
