"""The pictures of `landscape` and `interpolate`."""

import os
from typing import TYPE_CHECKING

import numpy as np

from fnn.draw.base import COLOURS, blank, finish, stored, styled

if TYPE_CHECKING:
    from fnn.diagnose.landscape import Landscape, Way


def landscape_picture(found: "Landscape", path: str | os.PathLike[str] | None) -> bytes:
    """Lines of equal loss at equal ratios, and the network as a ring."""
    losses = np.where(np.isfinite(found.losses), found.losses, np.nan)
    low, high = np.nanmin(losses), np.nanquantile(losses, 0.98)
    above = np.maximum(losses - low, 1e-12)
    levels = low + np.geomspace(max(np.nanquantile(above, 0.01), 1e-4 * (high - low)),
                                max(high - low, 1e-9), 14)  # fmt: skip
    with styled():
        figure, axes = blank(1, 1, (5.0, 4.2))
        panel = axes[0, 0]
        filled = panel.contourf(found.at, found.at, losses, levels, cmap="Blues", extend="both")
        panel.contour(found.at, found.at, losses, levels, colors="#555555", linewidths=0.4)
        panel.plot(0, 0, "o", markerfacecolor="none", markeredgecolor="#CC3311", markersize=8)
        bar = figure.colorbar(filled, ax=panel, format="%.3g")
        bar.set_label("loss")
        panel.set(xlabel="first direction, in filters' lengths", ylabel="second direction")
        panel.set_title(f"The loss around the network, {found.loss:.3g}", fontweight="bold")
        panel.grid(False)
        panel.locator_params(nbins=5)
        return stored(figure, path)


def way_picture(found: "Way", path: str | os.PathLike[str] | None) -> bytes:
    """The loss from one network to the other, the line between its ends, and the barrier."""
    line = (1 - found.at) * found.losses[0] + found.at * found.losses[-1]
    top = int(np.argmax(found.losses - line))
    with styled():
        figure, axes = blank(1, 1, (5.0, 3.2))
        panel = axes[0, 0]
        panel.plot(found.at, found.losses, color=COLOURS[1], label="loss")
        panel.plot(found.at, line, color=COLOURS[10], linewidth=0.8, linestyle=":")
        panel.plot([found.at[top]] * 2, [line[top], found.losses[top]], color=COLOURS[6],
                   label=f"barrier {found.barrier:.3g}")  # fmt: skip
        finish(panel, "From one training to another", "t", "loss", log_y=False)
        panel.legend()
        return stored(figure, path)
