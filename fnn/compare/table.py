"""The table of a comparison, once as words; a terminal, a text file and a page only set them."""

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from fnn.compare.statistics import FEW
from fnn.compare.words import count, in_bytes, percent_or_number, tried

if TYPE_CHECKING:
    from fnn.compare.result import Comparison, Row


class Table(NamedTuple):
    """A table in words: a heading and a line of cells for each contestant."""

    title: str
    heads: list[str]
    lines: list[list[str]]


def as_table(found: "Comparison") -> Table:
    """The words of the table."""
    score = found.settings["score"]
    accuracy = score == "accuracy"
    goal = "target" if math.isnan(found.target) else _score(found.target, accuracy)
    heads = [
        "optimizer",
        "by",
        "learning rate",
        "knobs",
        f"test {score}",
        "behind",
        "rank",
        f"steps to {goal}",
        "reached",
        "seconds",
        "µs a step",
        "compile s",
        "state",
        "path apart",
    ]
    state = "" if found.complete else " - interrupted, incomplete"
    title = f"{found.settings['data']}: {found.settings['net']}{state}"
    lines = [_line(row, accuracy) for row in found.rows]
    if not any(row.knobs for row in found.rows):  # a column of nothing
        place = heads.index("knobs")
        heads, *lines = ([*line[:place], *line[place + 1 :]] for line in (heads, *lines))
    return Table(title, heads, lines)


def _line(row: "Row", accuracy: bool) -> list[str]:
    steps = "-" if not row.seeds else row.steps_to_target
    return [
        row.name,
        row.by,
        _number(row.learning_rate, ".2g") + ("*" if row.at_edge else ""),
        row.knobs or "-",
        _interval(row, accuracy),
        _behind(row, accuracy),
        _number(row.rank, ".1f"),
        "not reached" if steps is None else str(steps),
        f"{row.reached} of {row.seeds}" if row.seeds else "-",
        "-" if row.seconds_to_target is None else f"{row.seconds_to_target:.2g}",
        _spread(row),
        _number(row.compile_seconds, ".1f"),
        _state(row),
        "0" if row.path_distance == 0 else _number(row.path_distance, ".0e"),
    ]


def _interval(row: "Row", accuracy: bool) -> str:
    if not row.seeds:
        return row.failure or "not run"
    if row.diverged:
        return f"diverged ({row.diverged} of {row.seeds})"
    if math.isnan(row.score_low):
        return percent_or_number(row.score, accuracy, 2)
    scale, places = (100, 2) if accuracy else (1, 4)
    low, high = (f"{scale * end:.{places}f}" for end in (row.score_low, row.score_high))
    return f"{percent_or_number(row.score, accuracy, 2)} ({low} to {high})"


def _behind(row: "Row", accuracy: bool) -> str:
    """How far behind the best, with the ends of the interval; nothing for the best itself."""
    ends = row.behind, row.behind_low, row.behind_high
    if math.isnan(row.behind) or ends == (0, 0, 0):
        return "-" if math.isnan(row.behind) else "0"
    scale, places = (100, 2) if accuracy else (1, 4)
    mean, low, high = (f"{round(scale * end, places) + 0.0:.{places}f}" for end in ends)
    return mean if math.isnan(row.behind_low) else f"{mean} ({low} to {high})"


def _state(row: "Row") -> str:
    if math.isnan(row.state_bytes):
        return "-"
    times = row.state_bytes / row.param_bytes  # NaN if the parameters' size is not known
    return in_bytes(row.state_bytes) + ("" if math.isnan(times) else f" ({times:.1f} x)")


def _score(value: float, accuracy: bool) -> str:
    return f"{100 * value:.1f} %" if accuracy else f"{value:.3f}"


def _spread(row: "Row") -> str:
    if math.isnan(row.step_us):
        return "-"
    return f"{row.step_us:.0f} ({row.step_us_low:.0f}-{row.step_us_high:.0f})"


def _number(value: float, form: str) -> str:
    return "-" if math.isnan(value) else f"{value:{form}}"


def notes(found: "Comparison") -> list[str]:
    """What each column means and how it was measured, in sentences."""
    plan, machine = found.settings, found.machine
    lanes = machine["devices"]
    on = f"{machine['cores']} cores" if machine["platform"] == "cpu" else machine["device"]
    sizes = plan["examples"]
    last = plan.get("trials", 0)
    knobs = f", then {count(last, 'setting')} of knobs" if last else ""
    kind = "Student's t" if plan["seeds"] < FEW else "bootstrap-t"
    return [
        f"Budget, the same for all: {tried(plan)} settings, {plan['tune_seeds']} run(s) of"
        f" {plan['tune_steps']} steps each (learning rates"
        f" {', '.join(f'{rate:g}' for rate in plan['rates'])}, then"
        f" {', '.join(f'{factor:.2f}' for factor in plan['refine']) or 'no more'} times the best"
        f"{knobs});"
        f" {plan['seeds']} seeds of {plan['steps']} steps of {plan['batch_size']} examples."
        " Every contestant starts from the same weights and sees the same batches.",
        f"Data: {sizes['train']} examples to train, {sizes['val']} to choose the learning rate (by"
        f" validation loss) and to tell the target, {sizes['test']} to test, which choose nothing.",
        "learning rate: * marks the smallest or largest one tried; a better may lie beyond.",
        f"test {plan['score']}: mean over the seeds at the end, with its 95 % interval ({kind}).",
        "behind: the best mean's score less this one's, seed by seed, with the 95 % interval of the"
        " mean; one that holds 0 tells no difference. rank: mean over the seeds, 1 is best.",
        "steps, reached, seconds: at the first look at which the validation score is at the target,"
        f" {_score(found.target, plan['score'] == 'accuracy')}; the median over the seeds, of which"
        " so many reached it; seconds are those steps at the median time of one, compiling apart.",
        f"µs a step: median and quartiles over all calls, contestants by turns, {lanes} run(s) at"
        f" once on {lanes} device(s) ({on}); looks at the networks are not in it.",
        f"compile s: tracing and compiling, {max(2, lanes)} at a time, so they slow each other.",
        "state: bytes that the optimizer keeps beside the parameters, and how many times theirs.",
        f"path apart: largest |ours - optax's| / |way from the start| in {plan['walk_steps']} steps"
        f" at {plan['walk_rate']:g} of the tuned rate. float32 rounding parts any two programs in"
        " time, the sooner where a weight's gradient is rounding noise that the rule scales up, so"
        " equal rules may end at slightly different scores; in float64 they agree to 1e-10"
        " (tests/test_parity.py).",
    ]


def as_text(found: "Comparison") -> str:
    """The table and its notes as plain text."""
    table = as_table(found)
    cells = [table.heads, *table.lines]
    widths = [max(len(line[place]) for line in cells) for place in range(len(table.heads))]

    def row(line):
        fields = (
            cell.ljust(width) if place < 2 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        return "  ".join(fields).rstrip()

    rule = "-" * len(row(["-" * width for width in widths]))
    lines = [table.title, "", row(table.heads), rule, *map(row, table.lines)]
    return "\n".join([*lines, "", *notes(found)])


def show(found: "Comparison", file: Any = None) -> None:
    """Print the table: set by `rich` at a terminal wide enough, plain anywhere else."""
    import sys

    file = file or sys.stdout
    try:
        from rich import box
        from rich.console import Console
        from rich.table import Table as Grid
    except ImportError:
        print(found, file=file)
        return
    console = Console(file=file, highlight=False, markup=False)
    words = as_table(found)
    if not console.is_terminal or console.width < max(map(len, str(found).split("\n")[2:4])) + 12:
        print(found, file=file)
        return
    grid = Grid(title=words.title, box=box.SIMPLE, title_justify="left")
    for place, head in enumerate(words.heads):
        grid.add_column(head, justify="left" if place < 2 else "right", no_wrap=True)
    for line in words.lines:
        grid.add_row(*line, style="dim" if line[1] == "optax" else None)
    console.print(grid)
    for note in notes(found):
        console.print(note)
