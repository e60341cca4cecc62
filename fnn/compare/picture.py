"""The picture of a comparison: four panels that fit a page."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fnn.compare.result import loss_by_rate
from fnn.draw import COLOURS, MARKERS, blank, crowd_at_one, finish, percent, plain, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fnn.compare.result import Comparison


def picture(found: "Comparison") -> "Figure":
    """The four panels of `fnn compare`: loss, score, sensitivity to the learning rate, the end.

    Ours are broad pale lines with filled marks, optax's thin dashes with open ones. Means are over
    seeds; where a seed diverged, the mean ends.
    """
    names = list(dict.fromkeys(log.contestant.name for log in found.logs))
    look = {
        name: {"color": COLOURS[place % len(COLOURS)], "marker": MARKERS[place % len(MARKERS)]}
        for place, name in enumerate(names)
    }
    plan = found.settings
    with styled():
        figure, axes = blank(2, 2, (11, 8.6))
        loss, score, rates, ends = axes.flat
        for log in sorted(found.logs, key=lambda log: log.contestant.by == "optax"):
            style = _line_style(log.contestant.by, look[log.contestant.name])
            _draw_races(loss, log.races, "loss", style)
            _draw_races(score, log.races, "val_score", style)
            _draw_tuning(rates, log, style)
        finish(loss, "a  Training loss", "steps", "mean loss since the last look", log_y=True)
        finish(score, f"b  Validation {plan['score']}", "steps", "", log_y=False)
        short = f"c  Sensitivity to the learning rate, after {plan['tune_steps']} steps"
        finish(rates, short, "learning rate", "validation loss", log_y=True)
        if plan["score"] == "accuracy":
            crowd_at_one(score)
        if math.isfinite(found.target):
            score.axhline(found.target, color="#888888", linewidth=0.8, linestyle=":")
            score.annotate("target", (1, found.target), xycoords=("axes fraction", "data"),
                           ha="right", va="bottom", fontsize=8, color="#666666")  # fmt: skip
        _cap(rates, 3.0 * _chance(found))
        _draw_ends(ends, found, look)
        _legend(figure, look, {log.contestant.by for log in found.logs})
        state = "" if found.complete else "  (interrupted)"
        figure.suptitle(
            f"{plain(plan['data'])}: {len(names)} optimizers, each at its tuned learning rate;"
            f" means over {plan['seeds']} seeds{state}",
            x=0.01, ha="left", fontsize=12,
        )  # fmt: skip
    return figure


def _draw_races(panel: "Axes", races: Sequence[Any], quantity: str, style: Mapping) -> None:
    if races:
        mean = np.mean([getattr(run, quantity) for run in races], axis=0)
        some = slice(len(mean) // 4, None, max(1, len(mean) // 4))
        panel.plot(races[0].steps, mean, markevery=some, **style)


def _draw_tuning(panel: "Axes", log: Any, style: Mapping) -> None:
    losses = loss_by_rate(log.tuning)
    if losses:
        panel.plot(list(losses), list(losses.values()), **style)
        panel.set_xscale("log")


def _draw_ends(panel: "Axes", found: "Comparison", look: Mapping) -> None:
    """Final scores with their intervals, one line a name, the best at the top."""
    order = list(dict.fromkeys(row.name for row in found.rows))
    both = len({row.by for row in found.rows}) > 1
    shown = [row for row in found.rows if math.isfinite(row.score)]
    for row in shown:
        place = order.index(row.name) + (0.0 if not both else 0.17 if row.by == "optax" else -0.17)
        style = _line_style(row.by, look[row.name]) | {"linestyle": "none", "markersize": 5.5}
        half = row.score_high - row.score
        bar = (
            {"xerr": half, "elinewidth": 1, "ecolor": look[row.name]["color"]}
            if math.isfinite(half)
            else {}
        )
        panel.errorbar(row.score, place, **bar, **style)
    for place, name in enumerate(order):
        diverged = [row for row in found.rows if row.name == name and row.diverged]
        if diverged:
            panel.annotate("diverged", (0.02, place), xycoords=("axes fraction", "data"),
                           va="center", fontsize=8, color="#aa0000")  # fmt: skip
    panel.set_yticks(range(len(order)), [plain(name) for name in order])
    for tick, name in zip(panel.get_yticklabels(), order, strict=True):
        tick.set_color(look[name]["color"])
        tick.set_fontweight("bold")
    panel.set_ylim(len(order) - 0.4, -0.6)
    score = found.settings["score"]
    finish(panel, f"d  Test {score} at the end, 95 % intervals", f"test {score}", "", log_y=False)
    if shown:
        middle = [row.score for row in shown]
        low, high = min(middle), max(middle)
        room = 0.35 * (high - low) + 0.005
        panel.set_xlim(low - room, high + room)
    if score == "accuracy":
        panel.xaxis.set_major_formatter(percent())


def _line_style(by: str, look: Mapping) -> dict[str, Any]:
    """Ours a broad pale line, optax's thin dashes: equal paths are dashes in a band."""
    from matplotlib.colors import to_rgba

    theirs = by == "optax"
    return {
        **look,
        "color": look["color"] if theirs else to_rgba(look["color"], 0.45),
        "linestyle": (0, (4, 2)) if theirs else "-",
        "linewidth": 1.1 if theirs else 2.8,
        "markersize": 7 if theirs else 4.5,
        "markerfacecolor": "none" if theirs else look["color"],
        "markeredgecolor": look["color"],
        "markeredgewidth": 0.9,
    }


def _cap(panel: "Axes", most: float) -> None:
    """Leave losses far worse than guessing outside; the lines run out of the panel."""
    low, high = panel.get_ylim()
    if math.isfinite(most) and high > most > low:
        panel.set_ylim(low, most)


def _chance(found: "Comparison") -> float:
    """About the loss of a network that has learned nothing."""
    first = [run.val_loss[-1] for log in found.logs for run in log.tuning if not run.diverged]
    return float(np.median(first)) if first else math.nan


def _legend(figure: "Figure", look: Mapping, makers: set[str]) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], label=plain(name), **_line_style("fnn", style))
               for name, style in look.items()]  # fmt: skip
    for by in sorted(makers):
        style = _line_style(by, {"color": "#666666", "marker": "o"})
        handles.append(Line2D([], [], label=plain(by), **style))
    columns = min(len(handles), 7)
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=9)
