"""Files that are there whole or not at all, whatever happens while they are written."""

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Callable
from typing import Any


def write_atomically(
    path: str | os.PathLike[str], write: Callable[[pathlib.Path], Any] | bytes | str
) -> None:
    """Write a file such that a crash leaves the old one or the new one, never a part.

    The new file is written beside the old one under another name, forced to the disk, and then
    takes the old one's place in one step, which is forced to the disk too.

    Args:
      path: where; its folder must exist.
      write: the content, or a function that is given the path of an empty file to fill.

    Raises:
      OSError: if it could not be written, as on a full disk; the old file, if there was one, is
        untouched, and the message says so.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "result.txt")
    ...     write_atomically(path, "one")
    ...     write_atomically(path, "two")
    ...     print(path.read_text(), len(os.listdir(folder)))
    two 1
    """
    path = pathlib.Path(path)
    new = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
        new = pathlib.Path(name)
        if isinstance(write, bytes | str):
            new.write_bytes(write if isinstance(write, bytes) else write.encode())
        else:
            write(new)
        new.chmod(0o666 & ~_mask())  # mkstemp's own is for its owner alone
        _force(new)
        new.replace(path)
        _force(path.parent)
    except BaseException as error:
        if new is not None:
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)
        if isinstance(error, OSError):
            kept = "what was there before is untouched" if path.exists() else "nothing was left"
            raise OSError(error.errno, f"{error.strerror or error}; {kept}", str(path)) from error
        raise


def _force(path: pathlib.Path) -> None:
    """Have the disk take over what is written at this path, a file or a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        if not path.is_dir():  # not every system has it for folders
            raise
    finally:
        os.close(handle)


def _mask() -> int:
    """The process's mask of permissions; it can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
