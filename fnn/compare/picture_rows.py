"""The pictures with a row for each optimizer: scores, ranks, times and costs; fit for fifty."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fnn.compare.findings import final_scores, ranking, time_to
from fnn.compare.picture import BAD, INK, LINE, SOFT, colours, say_if_empty, shortened
from fnn.compare.words import in_bytes, percent_or_number
from fnn.draw import blank, finish, percent, plain, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fnn.compare.result import Comparison, Row

OURS, THEIRS = {"markerfacecolor": INK}, {"markerfacecolor": "none"}


def scores(found: "Comparison") -> "Figure":
    """Test scores at the end, seed by seed, with intervals; and how far behind the best each is.

    Filled marks are ours, open ones optax's. What lies far below the others is named at the edge.
    """
    names = list(dict.fromkeys(row.name for row in found.rows))
    accuracy, score = found.settings["score"] == "accuracy", found.settings["score"]
    seeds = {log.contestant.label: list(final_scores(log).values()) for log in found.logs}
    with styled():
        figure, (left, right) = rows_of(names)
        told: set[str] = set()  # whose peer need not be told of at the edge once more
        near = window([(row.score_low, row.score, row.score_high) for row in found.rows])
        gaps = window([(-row.behind_high, -row.behind, -row.behind_low) for row in found.rows])
        for row, y in placed(found.rows, names):
            each = seeds[f"{row.name} ({row.by})"]
            ends = row.score_low, row.score, row.score_high
            behind = -row.behind_high, -row.behind, -row.behind_low
            if inside(row.score, near):
                ticks = [value for value in each if inside(value, near)]
                left.plot(ticks, [y] * len(ticks), "|", color=SOFT, markersize=5, alpha=0.6)
                span(left, y, ends, row.by)
            elif row.name not in told:
                _at_edge(left, y, _in_words(row, each, accuracy), failed=row.score != row.score)
            if inside(-row.behind, gaps):
                span(right, y, behind, row.by)
            elif row.name not in told and math.isfinite(row.behind):
                _at_edge(right, y, f"◂ {-100 * row.behind if accuracy else -row.behind:.3g}")
            told.add(row.name)
        right.axvline(0, color=SOFT, linewidth=0.8, zorder=0)
        level = "95 % intervals"
        finish(left, f"a  Test {score} at the end, {level}", f"test {score}", "", log_y=False)
        unit = "percentage points" if accuracy else f"difference in {score}"
        finish(right, "b  Less the best, on the same seeds", unit, "", log_y=False)
        left.set_xlim(near)
        right.set_xlim(gaps)
        if accuracy:
            left.xaxis.set_major_formatter(percent())
            right.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g}")
        say_if_empty(left)
    return figure


def ranks(found: "Comparison") -> "Figure":
    """Mean ranks with the critical difference, and the groups that it does not tell apart.

    Demsar's diagram (2006, figure 1) turned on its side, so that the names of fifty stay readable:
    a vertical bar joins the optimizers of a group.
    """
    ranked = ranking(found.logs)
    with styled():
        if ranked is None:
            figure, axes = blank(1, 1, (8, 2))
            say_if_empty(axes[0, 0])
            return figure
        k, look = len(ranked.names), colours(found)
        figure, axes = blank(1, 1, (8, 1.3 + 0.2 * k))
        panel = axes[0, 0]
        reach = ranked.ranks[0] + ranked.distance
        panel.axvspan(ranked.ranks[0], min(reach, k), color=LINE, alpha=0.55, linewidth=0, zorder=0)
        for y, (name, rank) in enumerate(zip(ranked.names, ranked.ranks, strict=True)):
            panel.plot([1, rank], [y, y], color=LINE, linewidth=0.8, zorder=1)
            panel.plot(rank, y, "o", color=look[name], markersize=6, zorder=3)
            panel.annotate(f"{rank:.1f}", (rank, y), xytext=(6, 0), textcoords="offset points",
                           va="center", fontsize=7.5, color=SOFT)  # fmt: skip
        step = 0.022 * (k - 1)
        for place, (first, last) in enumerate(ranked.groups):
            x = k + 2 * step + place * step
            panel.plot([x, x], [first - 0.25, last + 0.25], color=INK, linewidth=2.2,
                       solid_capstyle="round", clip_on=False)  # fmt: skip
        _name_rows(panel, ranked.names)
        panel.set_xlim(0.8, k + step * (2 + len(ranked.groups)))
        every = next(step for step in (1, 2, 5, 10, 20, 50) if k <= 12 * step)
        panel.set_xticks([1, *range(every + (every <= 2), k + 1, every)])
        panel.spines["bottom"].set_bounds(1, k)
        if ranked.groups:
            panel.annotate("not told apart", (k + 2 * step, -0.5), fontsize=7.5, color=SOFT,
                           va="bottom", annotation_clip=False)  # fmt: skip
        panel.grid(visible=False, axis="y")
        title = (f"Mean rank over {ranked.seeds} seeds; critical difference"
                 f" {ranked.distance:.2f}")  # fmt: skip
        finish(panel, title, "mean rank, 1 is best", "", log_y=False)
    return figure


def cost(found: "Comparison") -> "Figure":
    """Microseconds a step with quartiles, and the bytes of the optimizer's state."""
    names = list(dict.fromkeys(row.name for row in found.rows))
    with styled():
        figure, (left, right) = rows_of(names)
        for row, y in placed(found.rows, names):
            style = _marks(row.by)
            if row.step_us > 0:
                left.plot([row.step_us_low, row.step_us_high], [y, y], color=SOFT, linewidth=1.2)
                left.plot(row.step_us, y, "o", **style)
            if row.state_bytes >= 0:
                right.plot(row.state_bytes, y, "o", **style)
        _log_x(left, [row.step_us for row in found.rows])
        _log_x(right, [row.state_bytes for row in found.rows])
        if right.get_xscale() == "linear":
            right.locator_params(axis="x", nbins=5)
        right.xaxis.set_major_formatter(_bytes())
        finish(left, "a  Time of a training step, quartiles", "µs a step", "", log_y=False)
        finish(right, "b  Memory of the optimizer's state", "", "", log_y=False)
        say_if_empty(left, right)
    return figure


def target(found: "Comparison") -> "Figure":
    """The steps and the seconds until the target was reached: each seed, quartiles and median.

    A bar with an arrow goes on beyond the race: so many seeds never reached the target.
    """
    names = list(dict.fromkeys(row.name for row in found.rows))
    end = float(found.settings["steps"])
    with styled():
        figure, (left, right) = rows_of(names)
        times = [row.seconds_to_target for row in found.rows if row.seconds_to_target is not None]
        longest = max(times, default=1.0)
        logs, told = {log.contestant.label: log for log in found.logs}, set[str]()
        for row, y in placed(found.rows, names):
            each = time_to(logs[f"{row.name} ({row.by})"], found.target).steps
            _reach(left, row, y, each, 1.0, end)
            _reach(right, row, y, each, row.step_us * 1e-6, longest)
            if row.seeds and row.name not in told:
                told.add(row.name)
                words = f"{row.reached} of {row.seeds}"
                left.annotate(words, (1.005, y), xycoords=("axes fraction", "data"), va="center",
                              fontsize=7, color=SOFT if row.reached else BAD)  # fmt: skip
        left.set_xlim(0, 1.06 * end)
        right.set_xlim(0, 1.06 * longest)
        finish(left, "a  Steps to the target, quartiles over the seeds", "steps", "", log_y=False)
        finish(right, "b  The same in seconds", "seconds, without compiling", "", log_y=False)
        say_if_empty(left)
    return figure


def _reach(
    panel: "Axes", row: "Row", y: float, each: Sequence[float], unit: float, end: float
) -> None:
    """A tick a seed, and lower quartile, median and upper quartile as far as they are finite."""
    ticks = [unit * step for step in each if unit * step <= 1.04 * end]
    panel.plot(ticks, [y] * len(ticks), "|", color=SOFT, markersize=5, alpha=0.6, zorder=1)
    low, high = row.steps_low * unit, min(row.steps_high * unit, 1.04 * end)
    if not low <= 1.04 * end:
        return
    panel.plot([low, high], [y, y], color=INK, linewidth=1.3, zorder=2)
    if high < row.steps_high * unit:
        panel.plot(1.04 * end, y, ">", color=INK, markersize=4, zorder=2)
    if row.steps_to_target is not None and row.steps_to_target * unit <= end:
        panel.plot(row.steps_to_target * unit, y, "o", zorder=3, **_marks(row.by))


def rows_of(names: Sequence[str]) -> tuple["Figure", Any]:
    """Two panels side by side that share rows, one a name, the first at the top."""
    figure, axes = blank(1, 2, (11, 1.2 + 0.21 * max(len(names), 2)), sharey=True)
    for panel in axes.flat:
        _name_rows(panel, names)
        panel.grid(visible=False, axis="y")
        for y in range(len(names)):
            panel.axhline(y, color=LINE, linewidth=0.6, zorder=0)
    axes[0, 1].tick_params(labelleft=False)
    return figure, axes.flat


def _name_rows(panel: "Axes", names: Sequence[str]) -> None:
    panel.set_yticks(range(len(names)), [plain(shortened(name)) for name in names])
    panel.tick_params(axis="y", length=0)
    panel.set_ylim(len(names) - 0.4, -0.6)


def placed(rows: Sequence["Row"], names: Sequence[str]) -> list[tuple["Row", float]]:
    """Each row with its height: ours and optax's of one name stand a little apart."""
    both = {row.name for row in rows if row.by == "optax"} & {
        row.name for row in rows if row.by != "optax"
    }
    apart = {row: 0.16 if row.by == "optax" else -0.16 for row in rows if row.name in both}
    return [(row, names.index(row.name) + apart.get(row, 0.0)) for row in rows]


def span(panel: "Axes", y: float, ends: tuple[float, float, float], by: str) -> None:
    """A mean with its interval, as far as there is one."""
    low, mean, high = ends
    if math.isfinite(low + high):
        panel.plot([low, high], [y, y], color=INK, linewidth=1.3, zorder=2)
    panel.plot(mean, y, "o", zorder=3, **_marks(by))


def _in_words(row: "Row", each: Sequence[float], accuracy: bool) -> str:
    """The score of one that is not in the picture."""
    if math.isfinite(row.score):
        return f"◂ {percent_or_number(row.score, accuracy)}"
    others = [value for value in each if math.isfinite(value)]
    mean = percent_or_number(float(np.mean(others)), accuracy) if others else ""
    said = f"diverged, {row.diverged} of {row.seeds}" if row.seeds else row.failure or "not run"
    return f"{said}; others {mean}" if others else said


def _at_edge(panel: "Axes", y: float, words: str, *, failed: bool = False) -> None:
    panel.annotate(words, (0.01, y), xycoords=("axes fraction", "data"), va="center", fontsize=7,
                   color=BAD if failed else SOFT)  # fmt: skip


def window(spans: Sequence[tuple[float, float, float]]) -> tuple[float, float]:
    """The range of most means with their intervals: the best always, the far worse not.

    The fence is Tukey's, three quartile ranges below the lower quartile. Of an interval, no more is
    in it than all the means or a typical interval take, so that none flattens the rest.
    """
    good = np.array([span for span in spans if math.isfinite(span[1])])
    if not len(good):
        return 0.0, 1.0
    low, high = np.percentile(good[:, 1], [25, 75])
    kept = good[good[:, 1] >= low - 3 * (high - low)]
    ends = np.where(np.isfinite(kept), kept, kept[:, 1:2])
    usual = max(float(np.ptp(kept[:, 1])), float(np.median(ends[:, 2] - ends[:, 0])), 1e-4)
    least = max(ends[:, 0].min(), kept[:, 1].min() - usual)
    most = min(ends[:, 2].max(), kept[:, 1].max() + usual)
    room = 0.04 * (most - least) + 1e-5
    return float(least - room), float(most + room)


def inside(value: float, near: tuple[float, float]) -> bool:
    """Whether the value lies in the window; NaN does not."""
    return near[0] <= value <= near[1]


def _marks(by: str) -> dict[str, Any]:
    fill = THEIRS if by == "optax" else OURS
    return {"color": INK, "markersize": 4.5, "markeredgewidth": 0.9, **fill}


def _log_x(panel: "Axes", values: Sequence[float]) -> None:
    """Make x logarithmic where all can stand there and they span more than a factor of 3."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    good = [value for value in values if math.isfinite(value)]
    if good and min(good) > 0 and max(good) > 3 * min(good):
        panel.set_xscale("log")
        panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        panel.xaxis.set_minor_formatter(NullFormatter())


def _bytes() -> Any:
    from matplotlib.ticker import FuncFormatter

    return FuncFormatter(lambda value, _: in_bytes(value))
