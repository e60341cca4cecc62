"""Pictures of diagnoses."""

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from fnn.draw.base import COLOURS, blank, finish, plain, stored, styled

if TYPE_CHECKING:
    from fnn.diagnose.linear import Linearity

MOST = 6  # inputs that are drawn


def partial_residuals(found: "Linearity", path: str | os.PathLike[str] | None) -> bytes:
    """Each input against the residuals with its own part put back, and the means of its tenths.

    Of numbers, the line is what the linear model says; of classes, residuals are how much more
    often the last class is there than the model says, and the line is zero.
    """
    names = sorted(found.partial, key=lambda name: found.inputs[name])[:MOST]
    across = min(3, len(names))
    down = -(-len(names) // across)
    with styled():
        figure, panels = blank(down, across, (1.0 + 3.0 * across, 0.6 + 2.6 * down))
        panels = np.ravel(panels)
        for name, panel in zip(names, panels, strict=False):
            _panel(panel, name, *found.partial[name], found)
        for panel in panels[len(names) :]:
            panel.set_axis_off()
        said = "linear" if found.linear else "not linear"
        figure.suptitle(plain(f"Partial residuals: {said}"), x=0.01, ha="left", fontsize=11)
        return stored(figure, path)


def _panel(
    panel: Any, name: str, x: np.ndarray, left: np.ndarray, slope: float, found: Any
) -> None:
    panel.plot(x, left, ".", color=COLOURS[0], markersize=3, alpha=0.6, zorder=1)
    order = np.argsort(x, kind="stable")
    tenths = [part for part in np.array_split(order, min(10, max(len(x) // 8, 1))) if len(part)]
    middles = [x[part].mean() for part in tenths]
    means = [left[part].mean() for part in tenths]
    errors = [1.96 * left[part].std() / len(part) ** 0.5 for part in tenths]
    panel.errorbar(
        middles, means, errors, fmt="o-", color=COLOURS[6], markersize=4, linewidth=1.2, zorder=3
    )
    ends = np.array([x.min(), x.max()])
    scale = x.std() or 1.0
    panel.plot(ends, slope * (ends - x.mean()) / scale + (left.mean() if slope else 0), "-",
               color="black", linewidth=1, zorder=2)  # fmt: skip
    what = "what the others leave" if found.task == "regression" else "more often than said"
    finish(panel, f"{name}: p = {found.inputs[name]:.2g}", name, what, log_y=False)
    if found.task == "classification":  # single residuals are near 0 or 1 and hide the means
        high = max(np.abs(np.array(means)) + np.array(errors)) * 1.3
        panel.set_ylim(-high, high)
