"""What is finished, on disk: a comparison that was killed goes on where it stopped.

The file is a line of settings and a line for each finished piece of work, found again by all that
it depends on. A line is added whole or, cut off by a crash, not counted.
"""

import json
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import IO, Any

NAME = "progress.jsonl"
FORMAT = 1


class Refused(Exception):
    """The folder is not this comparison's: it holds another one, or another process works there."""


class Store:
    """Finished pieces by key: `store.once(key, work)` does no work twice.

    Args:
      folder: where the file lies or shall lie; None keeps nothing, and every piece is worked.
      settings: what the pieces belong to, of JSON's types.
      fresh: throw away what is there.

    Attributes:
      found: how many pieces an earlier call had finished.

    Raises:
      Refused: if the file holds pieces of other settings, the message has the differences; or if
        another process is at work on it.

    >>> store = Store(None, {})
    >>> store.once("sum", lambda: 1 + 1), store.get("sum")
    (2, None)
    """

    def __init__(self, folder: Any, settings: Mapping[str, Any], *, fresh: bool = False):
        self.found, self._pieces, self._file = 0, {}, None
        if folder is None:
            return
        path = pathlib.Path(folder) / NAME
        self._file = _opened(path)
        try:
            self._read(path, json.loads(json.dumps(settings)), fresh)
        except BaseException:
            self.close()
            raise

    def _read(self, path: pathlib.Path, settings: Mapping[str, Any], fresh: bool) -> None:
        file = self._file
        assert file is not None
        lines = [] if fresh else _whole_lines(file.read())
        if lines:
            header = json.loads(lines[0])
            _check_same(header, settings, path)
            for line in lines[1:]:
                key, value = json.loads(line)
                self._pieces[key] = value
            self.found = len(self._pieces)
        file.seek(0)
        file.truncate(sum(map(len, lines)))
        file.seek(0, os.SEEK_END)
        if not lines:
            self._add({"format": FORMAT, "settings": settings})

    def get(self, key: str) -> Any:
        """What is stored under the key; None if nothing is."""
        return self._pieces.get(key)

    def put(self, key: str, value: Any) -> None:
        """Store a value of JSON's types, or numbers that are not finite; it is on disk then."""
        if self._file is not None:
            self._pieces[key] = value
            self._add([key, value])

    def once(self, key: str, work: Callable[[], Any]) -> Any:
        """What is stored under the key, or else what `work()` returns, stored."""
        if key in self._pieces:
            return self._pieces[key]
        value = work()
        self.put(key, value)
        return value

    def _add(self, what: Any) -> None:
        assert self._file is not None
        self._file.write(json.dumps(what).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _opened(path: pathlib.Path) -> IO[bytes]:
    """The file to read and to write, locked for as long as it is open."""
    file = open(path, "r+b" if path.exists() else "w+b")  # noqa: SIM115 - the store closes it
    try:
        import fcntl
    except ImportError:  # not a POSIX system: two calls at once are the caller's care
        return file
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise Refused(
            f"compare: another comparison is at work in {str(path.parent)!r}; wait for it or choose"
            " another folder"
        ) from error
    except OSError:  # a file system without locks: as above
        pass
    return file


def _whole_lines(content: bytes) -> list[bytes]:
    """The lines up to the first that is not whole: a crash may have cut off the last."""
    whole = []
    for line in content.splitlines(keepends=True):
        try:
            json.loads(line)
        except ValueError:
            break
        if not line.endswith(b"\n"):
            break
        whole.append(line)
    return whole


def _check_same(header: Any, settings: Mapping[str, Any], path: pathlib.Path) -> None:
    there = header.get("settings", {}) if isinstance(header, dict) else {}
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise Refused(f"compare: {str(path)!r} is not a file of progress; --fresh overwrites it")
    names = [name for name in {**there, **settings} if there.get(name) != settings.get(name)]
    if names:
        told = "; ".join(
            f"{name}: {_short(there.get(name))} there, {_short(settings.get(name))} now"
            for name in names
        )
        raise Refused(
            f"compare: {str(path)!r} holds a comparison with other settings ({told}); give the same"
            " ones to go on with it, another folder, or start over with --fresh (fresh=True)"
        )


def _short(value: Any) -> str:
    text = json.dumps(value) if not isinstance(value, str) else value
    return text if len(text) <= 60 else f"{text[:57]}..."
