"""What the processes of one fit agree on between chunks, so that all take the same next step."""

import contextlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from fnn import processes
from fnn.shard.watchdog import watchdog

SAVING = 600.0  # seconds that writing a checkpoint may take


class Between(NamedTuple):
    """What one process would do after a chunk, or what all will.

    Attributes:
      stop: why training ends; "" goes on.
      interrupted: whether a signal came.
      save: whether a checkpoint is due.
      chunk: steps of the next chunk.
    """

    stop: str
    interrupted: bool
    save: bool
    chunk: int


def agreed(own: Between) -> Between:
    """What all processes do next: the first decides by its clock, any of them may be interrupted.

    Clocks differ, and a process that ran another number of steps would wait for the rest for ever.

    >>> agreed(Between("", False, True, 7))
    Between(stop='', interrupted=False, save=True, chunk=7)
    """
    if not processes.several():
        return own
    numbers = processes.from_all([bool(own.stop), own.interrupted, own.save, own.chunk])
    stops, _, save, chunk = numbers[0]
    stop = processes.from_first(own.stop) if stops else ""
    return Between(stop, bool(numbers[:, 1].any()), bool(save), int(chunk))


@contextlib.contextmanager
def watched() -> Iterator[Callable[..., None]]:
    """A function to call after each chunk; if several processes share the run, under a watchdog."""
    if not processes.several():
        yield lambda allowed=0.0: None
        return
    with watchdog() as tick:
        yield tick
