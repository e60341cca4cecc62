"""The pictures of a comparison: what they share, and the curves of the races."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fnn.compare.findings import one_a_name
from fnn.draw import blank, crowd_at_one, finish, plain, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fnn.compare.result import Comparison

# Readable on white and on near black, and told apart by people who confuse red and green: after
# the schemes "bright" and "vibrant" of Paul Tol, https://personal.sron.nl/~pault/.
BRIGHT = (
    "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#ee7733", "#009988",
)  # fmt: skip
INK, SOFT, LINE, PAPER, BAD = "#1a1a1a", "#6b6b6b", "#e4e4e4", "#ffffff", "#c0392b"
REST = "#b4b4b4"  # those that are not among the first


def pictures(found: "Comparison") -> dict[str, "Figure"]:
    """Every picture of the report by name; one without anything to show says so."""
    from fnn.compare.picture_rows import cost, ranks, scores, target
    from fnn.compare.picture_tuning import budget, rates

    made = {"curves": picture, "scores": scores, "ranks": ranks, "target": target,
            "rates": rates, "budget": budget, "cost": cost}  # fmt: skip
    return {name: make(found) for name, make in made.items()}


def picture(found: "Comparison") -> "Figure":
    """Loss and score over the steps: the first few in colours with their names, the rest grey.

    Ours are lines, optax's thin dashes upon them. Means are over seeds; where a seed diverged, the
    mean ends.
    """
    look = colours(found)
    plan = found.settings
    with styled():
        figure, axes = blank(1, 2, (11, 4.6))
        loss, score = axes.flat
        for log in _grey_first(found, look):
            style = line_style(log.contestant, look)
            _draw_races(loss, log.races, "loss", style)
            _draw_races(score, log.races, "val_score", style)
        finish(loss, "a  Training loss", "steps", "mean loss since the last look", log_y=True)
        finish(score, f"b  Validation {plan['score']}", "steps", "", log_y=False)
        if plan["score"] == "accuracy":
            crowd_at_one(score)
        cap(loss, 2.0 * first_loss(found))
        if math.isfinite(found.target):
            score.axhline(found.target, color=SOFT, linewidth=0.8, linestyle=":")
            score.annotate("target", (0.99, found.target), xycoords=("axes fraction", "data"),
                           ha="right", va="top", fontsize=8, color=SOFT)  # fmt: skip
        rest, theirs = len(look) - len(BRIGHT), any(row.by == "optax" for row in found.rows)
        told = [f"grey: the {rest} others"] * (rest > 0) + ["dashes: optax's"] * theirs
        loss.annotate("; ".join(told), (0.99, 0.98), xycoords="axes fraction", ha="right",
                      va="top", fontsize=8, color=SOFT)  # fmt: skip
        label_ends(loss, look)
        label_ends(score, look)
        say_if_empty(loss, score)
    return figure


def colours(found: "Comparison") -> dict[str, str]:
    """A colour for each name: the first few of the table have their own, the rest are grey."""
    names = list(dict.fromkeys(row.name for row in found.rows))
    return {name: BRIGHT[i] if i < len(BRIGHT) else REST for i, name in enumerate(names)}


def line_style(contestant: Any, look: Mapping[str, str]) -> dict[str, Any]:
    """Ours a pale line, optax's thin dashes upon it: equal paths are dashes in a band."""
    colour, name = look[contestant.name], contestant.name
    if colour == REST:
        return {"color": REST, "linewidth": 0.7, "zorder": 1, "label": "_"}
    if contestant.by == "optax":
        return {"color": colour, "linewidth": 1.1, "linestyle": (0, (4, 2)), "zorder": 3,
                "label": "_"}  # fmt: skip
    return {"color": colour, "linewidth": 2.4, "alpha": 0.6, "zorder": 2, "label": name}


def _grey_first(found: "Comparison", look: Mapping[str, str]) -> list[Any]:
    """Those to draw, in the order of drawing; of the grey ones no peers, which lie upon ours."""
    standing = one_a_name(found.logs)
    some = [
        log
        for log in found.logs
        if look[log.contestant.name] != REST or any(log is one for one in standing)
    ]
    return sorted(some, key=lambda log: look[log.contestant.name] != REST)


def _draw_races(panel: "Axes", races: Sequence[Any], quantity: str, style: Mapping) -> None:
    if races:
        mean = np.mean([getattr(run, quantity) for run in races], axis=0)
        panel.plot(races[0].steps, mean, **style)


def label_ends(panel: "Axes", look: Mapping[str, str], *, size: float = 8.0) -> None:
    """Write the name of each coloured line at the right, beside its end, without overlaps."""
    ends = {}
    for line in panel.get_lines():
        x, y = (np.asarray(data, float) for data in line.get_data())
        good = np.isfinite(x) & np.isfinite(y)
        if str(line.get_label()) in look and good.any():
            inside = panel.transData.transform((x[good][-1], y[good][-1]))
            ends[str(line.get_label())] = tuple(panel.transAxes.inverted().transform(inside))
    figure = panel.get_figure(root=True)
    assert figure is not None
    gap = 1.2 * size / (0.76 * 72 * figure.get_size_inches()[1])
    names = sorted(ends, key=lambda name: ends[name][1])
    for name, height in zip(names, spread([ends[name][1] for name in names], gap), strict=True):
        panel.annotate(
            plain(shortened(name)), (min(ends[name][0], 1), min(1, max(0, ends[name][1]))),
            xytext=(1.04, height), xycoords="axes fraction", textcoords="axes fraction",
            va="center", fontsize=size, color=INK, annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": look[name], "linewidth": 1.4,
                        "relpos": (0, 0.5), "shrinkA": 2, "shrinkB": 0},
        )  # fmt: skip


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """The rising heights, moved as little as may be to lie `gap` apart between 0 and 1.

    Those too near to each other become a group around their mean; groups that touch are joined.

    >>> [round(height, 2) for height in spread([0.2, 0.5, 0.5, 1.0, 1.0], 0.1)]
    [0.2, 0.45, 0.55, 0.9, 1.0]
    """
    groups: list[list[float]] = []
    for height in heights:
        groups.append([height])
        while len(groups) > 1 and _bottom(groups[-1], gap) < _bottom(groups[-2], gap) + gap * len(
            groups[-2]
        ):
            last = groups.pop()
            groups[-1] += last
    return [_bottom(group, gap) + place * gap for group in groups for place in range(len(group))]


def _bottom(group: Sequence[float], gap: float) -> float:
    """Where the lowest of a group stands, if the group is centred on its mean and stays inside."""
    size = gap * (len(group) - 1)
    return max(0.0, min(sum(group) / len(group) - size / 2, 1.0 - size))


def cap(panel: "Axes", most: float) -> None:
    """Leave losses far worse than guessing outside; the lines run out of the panel."""
    low, high = panel.get_ylim()
    if math.isfinite(most) and high > most > low:
        panel.set_ylim(low, most)


def first_loss(found: "Comparison") -> float:
    """About the loss at the start, which few that learn exceed."""
    first = [run.loss[0] for log in found.logs for run in log.races if math.isfinite(run.loss[0])]
    return float(np.median(first)) if first else math.nan


def shortened(name: str, most: int = 24) -> str:
    """A name that fits beside a picture."""
    return name if len(name) <= most else name[: most - 1] + "…"


def say_if_empty(*panels: "Axes") -> None:
    """Write into panels that show nothing that there is nothing."""
    for panel in panels:
        if not (panel.lines or panel.collections or panel.patches):
            panel.annotate("nothing was run", (0.5, 0.5), xycoords="axes fraction", ha="center",
                           color=SOFT)  # fmt: skip
