"""A folder of checkpoints: the newest, the best, and no more of them than wanted."""

import concurrent.futures
import contextlib
import math
import os
import pathlib
import re
import shutil
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np

from fnn import processes
from fnn.checkpoint import sharded as parts
from fnn.checkpoint.files import describe, load, save
from fnn.checkpoint.header import Description
from fnn.checkpoint.leaves import CheckpointError, is_key

T = TypeVar("T")
_FILE = re.compile(r"step_(\d{10})\.(safetensors|sharded)")


class Found(NamedTuple):
    """A checkpoint that was read.

    Attributes:
      step: at which step it was saved.
      tree: what was saved.
      note: what was to be remembered with it.
    """

    step: int
    tree: Any
    note: dict[str, Any]


class Checkpoints:
    """Checkpoints of one run in one folder.

    Saving is done by a thread: training goes on while the disk works. At most one file is being
    written; the next `save` waits for it and raises what went wrong. Leave it by `with`, or call
    `close`, so that the last one is on the disk.

    Args:
      folder: made if it is not there.
      keep: how many of the newest to keep, >= 1.
      best: "min" or "max" also keeps the one with the least or the largest `value`; None does not.
      background: False writes before `save` returns.
      sharded: each process writes its own parts, by Orbax (`fnn.checkpoint.sharded`), and all
        processes call every method alike. Both kinds are read either way.

    Raises:
      ValueError: for a `keep` or `best` that is none.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as name, Checkpoints(name, keep=2, best="min") as kept:
    ...     for step, loss in ((10, 0.5), (20, 0.1), (30, 0.3), (40, 0.2)):
    ...         kept.save(step, {"w": np.full(2, loss)}, value=loss)
    ...     kept.wait()
    ...     print(kept.steps(), kept.latest().step, kept.best().step)
    [20, 30, 40] 40 20
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        keep: int = 3,
        best: str | None = None,
        background: bool = True,
        sharded: bool = False,
    ):
        if keep < 1 or best not in (None, "min", "max"):
            raise ValueError(
                "Checkpoints: keep must be >= 1 and best 'min', 'max' or None,"
                f" got {keep} and {best!r}"
            )
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.keep, self._best_is = keep, best
        self._background = background
        self._parts = parts.Writer() if sharded else None
        in_thread = background and not sharded
        self._pool = concurrent.futures.ThreadPoolExecutor(1) if in_thread else None
        self._writing: concurrent.futures.Future[None] | None = None
        self._begun = time.time()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def save(
        self,
        step: int,
        tree: Any,
        *,
        value: float | None = None,
        note: Mapping[str, Any] | None = None,
    ) -> None:
        """Save a tree as that of a step, and let go of what need not be kept.

        Args:
          step: its number, >= 0.
          tree: as `checkpoint.save` takes it; it is copied, so it may be donated at once.
          value: what the best is judged by.
          note: what else to remember.

        Raises:
          OSError: if the file before this one, or this one without a thread, could not be written.
        """
        self.wait()
        full = {**(note or {}), "step": int(step), "value": None if value is None else float(value)}
        if self._parts is not None:
            self._save_parts(self._parts, int(step), tree, full)
        elif self._pool is None:
            self._write(int(step), tree, full)
        else:
            copy = jax.tree.map(_copied, tree)
            self._writing = self._pool.submit(self._write, int(step), copy, full)

    def wait(self) -> None:
        """Wait until the file that is being written is on the disk; raise what went wrong."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()
        if self._parts is not None:
            self._parts.wait()

    def close(self) -> None:
        """Wait for the last file and let the thread go."""
        try:
            self.wait()
        finally:
            if self._pool is not None:
                self._pool.shutdown()
                self._pool = None
            if self._parts is not None:
                self._parts.close()
                self._parts = None
                self._tidy()

    def steps(self) -> list[int]:
        """The steps of which there are checkpoints, in rising order."""
        found = (_FILE.fullmatch(path.name) for path in self.folder.iterdir())
        return sorted(int(match[1]) for match in found if match)

    def path(self, step: int) -> pathlib.Path:
        """Where the checkpoint of a step lies."""
        file = self.folder / f"step_{step:010d}.safetensors"
        of_parts = file.with_suffix(".sharded")
        return of_parts if of_parts.exists() else file

    def latest(self, like: Any = None) -> Found | None:
        """The newest checkpoint that can be read, or None; damaged ones are warned of.

        Raises:
          CheckpointError: if there are checkpoints and none can be read.
        """
        return self._first(reversed(self.steps()), lambda step: self._found(step, like))

    def latest_note(self) -> dict[str, Any] | None:
        """The note of the newest checkpoint whose header can be read, or None; arrays stay there.

        Raises:
          CheckpointError: if there are checkpoints and no header can be read.
        """
        return self._first(reversed(self.steps()), lambda step: self._describe(step).note)

    def best(self, like: Any = None) -> Found | None:
        """The checkpoint with the best value, or None if none has a value."""
        if self._best_is is None:
            raise ValueError("Checkpoints: best() needs to know which is better; give best='min'")
        return self._first(self._by_value(self.steps()), lambda step: self._found(step, like))

    def _found(self, step: int, like: Any) -> Found:
        path, note = self.path(step), self._describe(step).note
        if path.suffix == ".sharded":
            if like is None:
                raise ValueError(f"Checkpoints: {path} lies in parts; give like, with where to")
            return Found(step, parts.load(path, like), note)
        return Found(step, load(path, like), note)

    def _describe(self, step: int) -> Description:
        path = self.path(step)
        return parts.describe(path) if path.suffix == ".sharded" else describe(path)

    def _first(self, steps: Iterable[int], read: Callable[[int], T]) -> T | None:
        """What is read of the first of these that can be read."""
        failed = None
        for step in steps:
            try:
                return read(step)
            except CheckpointError as error:
                if "does not fit" in str(error):
                    raise  # an older one would not fit either
                failed = error
                warnings.warn(f"{error} (going back to the one before)", stacklevel=3)
        if failed is not None:
            raise failed
        return None

    def _write(self, step: int, tree: Any, note: Mapping[str, Any]) -> None:
        save(self.path(step), tree, note=note)
        self._tidy(step)

    def _save_parts(self, writer: parts.Writer, step: int, tree: Any, note: Any) -> None:
        """Begin to write every process' part; the one before is on the disk, so tidy up now."""
        self._tidy()
        path = self.folder / f"step_{step:010d}.sharded"
        if self._agreed(path.exists()):  # of a run that was taken back
            if processes.is_first():
                shutil.rmtree(path)
            processes.from_all([0])
        writer.save(path, tree, note=note)
        if not self._background:
            writer.wait()
            self._tidy()

    def _agreed(self, here: bool) -> bool:
        """The first process' answer, for all."""
        return bool(processes.from_all([here])[0, 0])

    def _tidy(self, *more: int) -> None:
        """Let go of what need not be kept; one process does it for all."""
        if not processes.is_first():
            return
        there = self.steps()
        kept = {*there[-self.keep :], *self._by_value(there)[:1], *more}
        for old in there:
            if old not in kept:
                _remove(self.path(old))
        self._sweep_up()

    def _sweep_up(self) -> None:
        """Remove what writers that were killed have left half-written, before this one began."""
        for part in (*self.folder.glob(".step_*.part"), *self.folder.glob("step_*-tmp*")):
            with contextlib.suppress(OSError):  # another writer, which is done with it
                if part.stat().st_mtime < self._begun:
                    _remove(part)

    def _by_value(self, steps: list[int]) -> list[int]:
        """The steps whose checkpoints have a value, the best first; without the unreadable."""
        if self._best_is is None:
            return []
        values = {}
        for step in steps:
            try:
                value = self._describe(step).note.get("value")
            except (CheckpointError, OSError):
                continue
            if isinstance(value, int | float) and math.isfinite(value):
                values[step] = value if self._best_is == "min" else -value
        return sorted(values, key=lambda step: (values[step], step))


def _remove(path: pathlib.Path) -> None:
    """Delete a file or a folder; the folder first loses the name by which it would be read."""
    if not path.is_dir():
        path.unlink(missing_ok=True)
        return
    gone = path.with_name(f"{path.name}-tmp-old")
    os.replace(path, gone)
    shutil.rmtree(gone)


def _copied(leaf: Any) -> Any:
    """A leaf that no donation can take away: arrays on the host, keys as new arrays."""
    if is_key(leaf):
        data = np.array(jax.random.key_data(leaf))
        return jax.random.wrap_key_data(
            jax.numpy.asarray(data), impl=str(jax.random.key_impl(leaf))
        )
    return np.array(leaf) if isinstance(leaf, jax.Array) else leaf
