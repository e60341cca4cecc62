"""The progress bar: there for a person at a terminal, silent for everyone else."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Report = Callable[[int, str], None]


@contextmanager
def progress_bar(title: str, total: int, *, show: bool | None = None) -> Iterator[Report]:
    """A function `report(done, text)` that moves a bar on stderr.

    Args:
      title: what is going on.
      total: the number at which the bar is full.
      show: True shows it wherever stderr goes, False nowhere; None shows it if stderr is a terminal
        and `rich` is installed.

    Raises:
      ImportError: if `show` is True and `rich` is missing.

    >>> with progress_bar("training", 10, show=False) as report:
    ...     report(5, "loss 0.1")
    """
    asked_for = show is True
    if show is None:
        show = sys.stderr.isatty() and _has_rich()
    if not show:
        yield lambda done, text: None
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
    except ImportError as error:
        raise ImportError("the progress bar needs rich: pip install 'fnn[compare]'") from error
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[text]}"),
    )
    console = Console(stderr=True, force_terminal=asked_for or None)
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=total, text="")
        yield lambda done, text: bar.update(task, completed=done, text=text)


def _has_rich() -> bool:
    from importlib.util import find_spec

    return find_spec("rich") is not None
