"""The host's memory of a fit: where it stands, what was recorded, and the best so far."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from fnn.train.run import Progress, no_progress
from fnn.train.step import TrainState


class Log:
    """What a fit knows beside its train state.

    Attributes:
      last, best: train states, and `step`, `best_step` when they were so.
      first: the step at which the run began.
      progress: of the steps since the last check; the next chunk goes on with it, so that the
        losses are added in one order however the run is cut into chunks.
      history: lists by name, as in `Fit`.
      skipped: bad steps since the last check; None where they end the run.
    """

    def __init__(
        self, start: TrainState, monitor: str, mode: str, steps_a_pass: float, skips: bool = False
    ):
        self.last = self.best = start
        self.step = self.best_step = self.first = int(start.step)
        self.progress = no_progress()
        self.history: dict[str, list[float]] = {}
        self._monitor, self._sign = monitor, 1 if mode == "min" else -1
        self._steps_a_pass = steps_a_pass
        self._best_value = math.inf
        self._losses = 0
        self.skipped = 0 if skips else None
        self._fault_step = self._in_a_row = self._good_check = 0

    @property
    def first_bad(self) -> int:
        """The first step whose loss was not finite; 0 if there was none."""
        return int(self.progress.first_bad)

    @property
    def had_faults(self) -> bool:
        """Whether there was a bad step."""
        return self._fault_step > 0

    def add(self, train_state: TrainState, progress: Progress, count: int) -> None:
        """Take in a chunk's end."""
        # waits for the chunk; an interruption here leaves the one before. Of NumPy as at the start:
        # on a mesh the program would be compiled anew for a progress that lies there
        progress = Progress(*map(np.asarray, progress))
        self.last, self.step, self.progress = train_state, int(train_state.step), progress
        self._losses += count

    def go_back(self, train_state: TrainState, progress: Progress, count: int) -> None:
        """Take back the latest `count` steps."""
        self.last, self.step, self.progress = train_state, int(train_state.step), progress
        self._losses -= count

    def go_on(self, train_state: TrainState) -> None:
        """Stand at a train state to which no step led."""
        self.last, self.step = train_state, int(train_state.step)

    def note_fault(self, step: int, *, in_a_row_until: str) -> int:
        """Count a bad step: how many there are now in a row, until a good "step" or "check"."""
        latest = step - 1 if in_a_row_until == "step" else self._good_check + 1
        again = self._fault_step >= max(1, latest)
        self._in_a_row = self._in_a_row + 1 if again else 1
        self._fault_step = step
        self.skipped = (self.skipped or 0) + 1
        return self._in_a_row

    def check(self, spent: float, measured: Mapping[str, float]) -> None:
        """Record what a check found, and keep the weights if they are the best so far."""
        row = {
            "step": self.step,
            "epoch": self.step / self._steps_a_pass,
            "seconds": spent,
            "loss": float(self.progress.loss_sum) / self._losses if self._losses else math.nan,
            **measured,
        }
        if self.skipped is not None:
            row["skipped"] = self.skipped
            self.skipped = 0
        for name, value in row.items():
            self.history.setdefault(name, []).append(value)
        self._good_check = self.step if self._losses else self._good_check
        self.progress, self._losses = no_progress(), 0
        if self._sign * row[self._monitor] < self._best_value:
            self._best_value = self._sign * row[self._monitor]
            self.best, self.best_step = self.last, self.step

    def text(self) -> str:
        """The latest values in a few words, for the progress bar."""
        hidden = ("step", "epoch", "seconds")
        shown = {name: values[-1] for name, values in self.history.items() if name not in hidden}
        return "  ".join(f"{name} {value:.4g}" for name, value in shown.items())

    def tree(self) -> dict[str, TrainState]:
        """What of it are arrays, for a checkpoint."""
        return {"last": self.last, "best": self.best}

    def note(self) -> dict[str, Any]:
        """The rest, for a checkpoint's note."""
        return {
            "first": self.first,
            "best_step": self.best_step,
            "best_value": self._best_value,
            "loss_sum": float(self.progress.loss_sum),
            "first_bad": self.first_bad,
            "losses": self._losses,
            "faults": [self.skipped, self._fault_step, self._in_a_row, self._good_check],
            "history": {name: [float(v) for v in row] for name, row in self.history.items()},
        }

    def recall(self, tree: Mapping[str, TrainState], note: Mapping[str, Any]) -> None:
        """Be what a checkpoint remembers."""
        self.last, self.best = tree["last"], tree["best"]
        self.step, self.first = int(self.last.step), note["first"]
        self.best_step, self._best_value = note["best_step"], note["best_value"]
        loss_sum = np.asarray(note["loss_sum"], np.float32)
        self.progress = Progress(loss_sum, np.asarray(note["first_bad"], np.int32))
        self._losses = note["losses"]
        skipped, *faults = note.get("faults", [0, 0, 0, 0])
        self._fault_step, self._in_a_row, self._good_check = faults
        self.skipped = None if self.skipped is None else skipped or 0
        self.history = {name: list(row) for name, row in note["history"].items()}
