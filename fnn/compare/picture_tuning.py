"""The pictures of tuning: sensitivity to the learning rate, and what the budget buys."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fnn.compare.findings import RatePoint, budgets, chosen_loss, one_a_name, sensitivity
from fnn.compare.picture import (
    BAD,
    INK,
    REST,
    SOFT,
    colours,
    first_loss,
    label_ends,
    line_style,
    say_if_empty,
    shortened,
)
from fnn.draw import blank, crowd_at_one, finish, plain, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fnn.compare.result import Comparison

COLUMNS = 6  # of small panels on a page


def rates(found: "Comparison") -> "Figure":
    """A small panel for each optimizer: validation loss over the learning rate, after tuning runs.

    A bar from least to largest where there were several runs; red from the top is the share of the
    runs that diverged, and the open mark the rate that was chosen.
    """
    order = list(colours(found))
    some = sorted(one_a_name(found.logs), key=lambda log: order.index(log.contestant.name))
    some = [log for log in some if log.tuning]
    columns = min(COLUMNS, max(1, len(some)))
    lines = -(-max(len(some), 1) // columns)
    curves = [sensitivity(log) for log in some]
    ends = [point.loss for curve in curves for point in curve if math.isfinite(point.loss)]
    with styled():
        size = (1.83 * columns if len(some) > 2 else 4.0 * columns, 0.7 + 1.4 * lines)
        figure, axes = blank(lines, columns, size, sharex=True, sharey=True)
        _place(figure, axes)
        for panel, log, curve in zip(axes.flat, some, curves, strict=False):
            _rate_panel(panel, curve, min(ends, default=math.nan))
            panel.plot(log.rate, chosen_loss(log), "o", markersize=6.5, markerfacecolor="none",
                       color=INK, markeredgewidth=1)  # fmt: skip
            panel.set_title(plain(shortened(log.contestant.name, 20)), fontsize=8.5)
        for panel in axes.flat[len(some) :]:
            panel.set_axis_off()
        first = axes[0, 0]
        if ends:
            tried = [point.rate for curve in curves for point in curve]
            _rate_axes(first, tried, ends, 1.5 * first_loss(found))
            for place, panel in enumerate(axes.flat[: len(some)]):
                panel.tick_params(labelbottom=place + columns >= len(some), labelsize=7.5)
        else:
            say_if_empty(first)
        steps = found.settings["tune_steps"]
        figure.supxlabel("learning rate", fontsize=9, y=0.08 / size[1], va="bottom")
        figure.supylabel(f"validation loss after {steps} steps", fontsize=9, x=0.08 / size[0],
                         ha="left")  # fmt: skip
    return figure


def _place(figure: "Figure", axes: np.ndarray) -> None:
    """Panels at even distances; with fifty of them matplotlib takes seconds to find these."""
    figure.set_layout_engine("none")
    lines, columns = axes.shape
    width, height = figure.get_size_inches()
    left, right, bottom, top, gap = 0.75, 0.1, 0.62, 0.25, 0.42  # inches
    wide, high = (width - left - right) / columns, (height - bottom - top + gap) / lines
    for (line, column), panel in np.ndenumerate(axes):
        x, y = left + column * wide, bottom + (lines - 1 - line) * high
        size = (wide - 0.15 * (column < columns - 1)) / width, (high - gap) / height
        panel.set_position((x / width, y / height, *size))


def _rate_panel(panel: "Axes", curve: Sequence[RatePoint], best: float) -> None:
    panel.axhline(best, color=SOFT, linewidth=0.6, linestyle=":", zorder=0)
    x = [point.rate for point in curve]
    panel.vlines(x, [point.low for point in curve], [point.high for point in curve], color=INK,
                 linewidth=0.9, alpha=0.6)  # fmt: skip
    panel.plot(x, [point.loss for point in curve], "o-", color=INK, markersize=2.4, linewidth=1.1)
    for point in curve:
        if point.diverged:
            share = point.diverged / point.runs
            panel.plot([point.rate] * 2, [1, 1 - 0.3 * share], color=BAD, linewidth=3,
                       transform=panel.get_xaxis_transform(), solid_capstyle="butt")  # fmt: skip


def _rate_axes(panel: "Axes", tried: Sequence[float], ends: Sequence[float], most: float) -> None:
    """Logarithmic axes for all panels; losses above `most` are cut."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    panel.set_xscale("log")
    panel.xaxis.set_major_locator(LogLocator(subs=(1,), numticks=5))
    panel.xaxis.set_minor_locator(NullLocator())
    low, high = min(tried), max(tried)
    panel.set_xlim(low / 1.6, high * 1.6)
    if min(ends) > 0:
        panel.set_yscale("log")
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
        panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        panel.yaxis.set_minor_locator(NullLocator())
        panel.set_ylim(min(ends) / 1.4, max(2 * min(ends), most if most > 0 else max(ends)))


def budget(found: "Comparison") -> "Figure":
    """The expected best validation score of k of the settings tried, over k."""
    look = colours(found)
    score = found.settings["score"]
    found_by = budgets(found.logs)
    with styled():
        figure, axes = blank(1, 1, (8, 4.4))
        panel = axes[0, 0]
        for log in sorted(
            one_a_name(found.logs), key=lambda log: look[log.contestant.name] != REST
        ):
            best = found_by.get(log.contestant.name)
            if best is not None:
                panel.plot(np.arange(1, len(best) + 1), best, **line_style(log.contestant, look))
        steps = found.settings["tune_steps"]
        title = f"Expected best validation {score} of k settings tried, {steps} steps each"
        finish(panel, title, "k, settings tried", "", log_y=False)
        if score == "accuracy":
            crowd_at_one(panel)
        panel.xaxis.get_major_locator().set_params(integer=True)
        label_ends(panel, look)
        say_if_empty(panel)
    return figure
