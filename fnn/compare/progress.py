"""Progress on stderr: a bar at a terminal, plain lines anywhere else."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fnn.train.bar import progress_bar

Report = Callable[[float, float, str], None]
SECONDS = 3.0  # between two plain lines


@contextmanager
def shown(progress: bool | Report | None, total: float) -> Iterator[Callable[[float, str], None]]:
    """A function `report(done, text)` for a job of this size.

    Args:
      progress: True shows a bar at a terminal and a line every few seconds elsewhere; None shows
        the bar alone, False nothing; a function is called as `progress(done, total, text)`.
      total: the size of the job, in training steps.
    """
    if callable(progress):
        yield lambda done, text: progress(done, total, text)
    elif progress is not True or sys.stderr.isatty():
        show = None if progress is None or progress else False
        with progress_bar("compare", 100, show=show) as report:
            yield lambda done, text: report(int(100 * done / total), text)
    else:
        yield _lines(total)


def _lines(total: float) -> Callable[[float, str], None]:
    begun = last = time.monotonic()

    def report(done, text):
        nonlocal last
        now = time.monotonic()
        if now - last >= SECONDS:
            last = now
            print(
                f"{now - begun:4.0f} s {100 * done / total:3.0f} %  {text}",
                file=sys.stderr,
                flush=True,
            )

    return report
