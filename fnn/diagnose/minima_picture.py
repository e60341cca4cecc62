"""The picture of `minima`."""

import os
from typing import TYPE_CHECKING

import numpy as np

from fnn.draw.base import COLOURS, blank, finish, stored, styled

if TYPE_CHECKING:
    from fnn.diagnose.minima import Minima

_COLOURS = {
    "minimum": COLOURS[5],
    "still moving": COLOURS[1],
    "plateau": COLOURS[3],
    "saddle": COLOURS[6],
    "diverged": COLOURS[10],
}


def minima_picture(found: "Minima", path: str | os.PathLike[str] | None) -> bytes:
    """Each start's end, in the order of its loss, and the levels that they make."""
    with styled():
        figure, panels = blank(1, 1, (7.5, 4.2))
        (panel,) = panels[0]
        begin, shown = 0, set()
        for level in found.levels:
            many = len(level.starts)
            losses = np.sort(found.losses[level.starts])
            at = 100 * (begin + np.arange(many) + 0.5) / len(found.losses)
            begin += many
            if not np.isfinite(losses).all():
                continue
            name = None if level.verdict in shown else level.verdict
            shown.add(level.verdict)
            colour = _COLOURS[level.verdict]
            panel.plot(at, losses, "o", color=colour, markersize=4, label=name)
            panel.annotate(
                f"{level.loss:.4g}: {level.share.value:.1%} of the starts",
                (0.02, level.loss), xycoords=("axes fraction", "data"), xytext=(0, 4),
                textcoords="offset points", fontsize=8, color=colour,
            )  # fmt: skip
            panel.axhline(level.loss, color=colour, linewidth=0.7, linestyle=":")
        title = f"Where {len(found.losses)} starts end after {found.steps} steps"
        finish(panel, title, "starts in the order of their loss, %", "loss at the end", log_y=False)
        panel.margins(y=0.12)
        panel.legend(loc="center left", bbox_to_anchor=(0.02, 0.6), fontsize=8)
        return stored(figure, path)
