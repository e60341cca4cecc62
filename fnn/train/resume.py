"""A fit that goes on where it was stopped: what it saves, when, and how it knows itself again."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from fnn import processes
from fnn.checkpoint import Checkpoints
from fnn.core import Layer
from fnn.optim import hyperparameters
from fnn.train.log import Log
from fnn.train.step import TrainState
from fnn.trees import fingerprint

SAVE_SECONDS = 30.0  # between saves while training goes on
KEEP = 2  # the newest, and the one before in case that one is damaged


def identity(
    net: Layer,
    start: TrainState,
    data: tuple[Any, Any, int],
    held_out: tuple[Any, Any] | None,
    batch_size: int | None,
    every: int,
    monitor: str,
    mode: str,
) -> dict[str, Any]:
    """What makes a run this run: if any of it differs, it cannot go on from there.

    The number of steps is not in it: a run may be made longer.
    """
    *arrays, n = data  # rows beyond n only make parts equal
    rows = jax.tree.map(lambda a: a[:n], processes.whole(tuple(arrays)))
    hypers = hyperparameters(start.opt_state).items()
    return {
        "network": " ".join(repr(net).split()),
        "key": np.asarray(jax.random.key_data(start.key)).tolist(),
        "hyperparameters": {path: np.asarray(value).tolist() for path, value in hypers},
        "data": fingerprint(rows),
        "validation data": fingerprint(processes.whole(held_out)),
        "batch_size": batch_size,
        "check_every": every,
        "monitor": f"{mode} {monitor}",
    }


class Keeper:
    """Saves a fit into its folder, and finds it there again."""

    def __init__(self, folder: str | os.PathLike[str], seconds: float | None = None):
        self.files = Checkpoints(folder, keep=KEEP, sharded=processes.several())
        self._saved, self._seconds = time.perf_counter(), seconds
        self._identity: dict[str, Any] = {}

    @classmethod
    def of(cls, folder: str | os.PathLike[str] | None, seconds: float | None) -> "Keeper | None":
        """A keeper if there is a folder to keep in."""
        return None if folder is None else cls(folder, seconds)

    def resume(self, log: Log, run: dict[str, Any]) -> str | None:
        """Bring the log to where the run in the folder stopped, if there is one.

        Returns:
          Why the run had ended, if it had for a reason that still holds; else None.

        Raises:
          ValueError: if the folder holds another run; the message says what differs.
        """
        self._identity = run
        note = self.files.latest_note()
        if note is None:
            return None
        there = note.get("run", {})
        apart = [name for name in run if there.get(name) != run[name]]
        if apart:
            lines = "\n".join(
                f"  {name}: {there.get(name)} there, {run[name]} here" for name in apart
            )
            raise ValueError(
                f"fit: the folder {self.files.folder} holds another run:\n{lines}\n"
                "give a folder of its own to each run, or delete it to start anew"
            )
        found = self.files.latest(log.tree())
        assert found is not None  # its header was there a moment ago
        log.recall(found.tree, found.note["log"])
        stopped = found.note["stopped"]
        goes_on = stopped is None or stopped.startswith(("interrupted", "all "))
        return None if goes_on else stopped

    def is_due(self) -> bool:
        """Whether the last save is long enough ago."""
        wanted = SAVE_SECONDS if self._seconds is None else self._seconds
        return time.perf_counter() - self._saved >= wanted

    def save(self, log: Log, stopped: str | None) -> None:
        """Save where the run stands, and why it ended if it has."""
        note = {"run": self._identity, "log": log.note(), "stopped": stopped}
        self.files.save(log.step, log.tree(), note=note)
        self._saved = time.perf_counter()


@contextlib.contextmanager
def keeping(keeper: Keeper | None, log: Log) -> Iterator[None]:
    """Have what was saved on the disk in the end; after an error, save what there is first."""
    try:
        yield
    except BaseException:
        if processes.several():  # the others know nothing of it, so there is nothing to wait for
            raise
        if keeper is not None:
            with contextlib.suppress(OSError):
                keeper.save(log, None)
            keeper.files.close()
        raise
    if keeper is not None:
        keeper.files.close()


@contextlib.contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """A function that says whether SIGINT or SIGTERM came; the second one interrupts at once.

    Only the main thread can be told of signals; elsewhere all stays as it is.
    """
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return

    def note(number: int, frame: Any) -> None:
        del frame
        came.append(number)
        if len(came) > 1:
            raise KeyboardInterrupt

    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in signals}
    try:
        for number in signals:
            signal.signal(number, note)
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
