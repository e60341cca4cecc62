"""Start the processes of one run on this machine, watch them, and start them again when one fails.

The launcher itself does not use JAX. A process that dies takes the others with it: they cannot go
on, and what they hold is in the last checkpoint.
"""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO, NamedTuple

from fnn.checks import check_count
from fnn.shard.join import COORDINATOR, COUNT, INDEX, LOST
from fnn.shard.watchdog import STALLED

MISTAKE = 2  # the exit code for what the user can put right; nothing is gained by starting again
POLL = 0.05  # seconds
SOON = 60.0  # seconds
GRACE = 60.0  # that processes have to save and end after a signal
_OTHERS = (LOST, STALLED)  # the exit codes of processes that end because of another one
_EFFECTS = (*_OTHERS, -signal.SIGABRT)
# Lines of the engine that say nothing to the user; what they mean the launcher says in a line.
_HIDDEN = re.compile(
    r"\[Gloo\] Rank|\*\*\* Check failure|    @ |[EFWI]\d{4} .*(coordination_service|client\.h)"
    r"|RPC: /xla|Additional GRPC|:UNKNOWN:Error received from peer"
    r"|The following tasks are unhealthy|The tasks have crashed"
)


class Ended(NamedTuple):
    """How a launch ended.

    Attributes:
      code: the exit code: 0, or that of the process that failed last.
      restarts: how often all processes were started again.
      count: of the processes in the end.
      faults: what happened, in words, in order.
    """

    code: int
    restarts: int
    count: int
    faults: tuple[str, ...]


def launch(
    command: Sequence[str],
    *,
    processes: int,
    restarts: int = 3,
    at_least: int | None = None,
    environment: Mapping[str, str] | None = None,
    tell: Callable[[str], None] | None = None,
) -> Ended:
    """Run a command in several processes on this machine, as one run.

    Each is told by its environment what `fnn.shard.join` needs. If one ends with an error, by a
    signal, or is found stuck, the others are ended and all start again: a program whose
    `fnn.fit` has a `checkpoint` goes on from there, to the same parameters bit for bit.

    Args:
      command: program and arguments, such as `[sys.executable, "train.py"]`.
      processes: how many, >= 1.
      restarts: how often to start again at most; 0 never does. After an error of the program's own,
        such as one in its source, that is once.
      at_least: if two starts in a row fail within their first minute, go on with half as many
        processes, but no fewer than this; by default never fewer.
      environment: of the processes, this one's by default.
      tell: told what happens; it is printed to stderr by default.

    Returns:
      An `Ended`. SIGTERM and Ctrl-C are passed on, and the processes have a minute to save.

    >>> launch([sys.executable, "-c", "import os; assert os.environ['FNN_PROCESSES'] == '2'"],
    ...        processes=2)
    Ended(code=0, restarts=0, count=2, faults=())
    """
    check_count("launch", "processes", processes)
    check_count("launch", "restarts", restarts, low=0)
    tell = tell or _print
    count, least, faults = processes, at_least or processes, []
    quick = own = 0  # starts in a row that failed soon, and by an error of the program's own
    with _signals() as came:
        while True:
            begun = time.monotonic()
            code, fault = _run(list(command), count, dict(environment or os.environ), came)
            if fault is None or code in (0, MISTAKE) or came:
                return Ended(code, len(faults), count, tuple(faults))
            faults.append(fault)
            quick = quick + 1 if time.monotonic() - begun < SOON else 0
            own = own + 1 if code not in _OTHERS and code < 128 else 0
            if quick >= 2 and count // 2 >= least:
                count, quick, own = count // 2, 0, 0
            left = len(faults) <= restarts
            if not left or own >= 2:
                why = f"no restart is left of {restarts}" if not left else "mend the error first"
                tell(f"{fault}; {why}")
                return Ended(code, len(faults) - 1, count, tuple(faults))
            number = f"{count} process" + ("es" if count > 1 else "")
            tell(f"{fault}; starting {number} again, restart {len(faults)} of {restarts}")


def _run(
    command: list[str], count: int, environment: dict[str, str], came: list[int]
) -> tuple[int, str | None]:
    """Run all processes once: the exit code, and what went wrong."""
    port = _free_port()
    children, readers, begun = [], [], time.monotonic()
    try:
        for index in range(count):
            own = {COORDINATOR: f"127.0.0.1:{port}", COUNT: str(count), INDEX: str(index)}
            child = subprocess.Popen(
                command,
                env={**environment, **own},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C reaches them through here alone, and once
            )
            children.append(child)
            for pipe, out in ((child.stdout, sys.stdout), (child.stderr, sys.stderr)):
                mark = "" if index == 0 else f"[{index}] "
                readers.append(threading.Thread(target=_pass_on, args=(pipe, out, mark)))
                readers[-1].start()
        code, fault = _watch(children, came)
    finally:
        for child in children:
            if child.poll() is None:
                child.kill()
            child.wait()
        for reader in readers:
            reader.join()
    return code, fault and f"{fault}, {time.monotonic() - begun:.1f} s after the start"


def _watch(children: list[subprocess.Popen[bytes]], came: list[int]) -> tuple[int, str | None]:
    """Wait until all have ended well, or one has not."""
    passed_on, deadline = 0, float("inf")
    while True:
        codes = [child.poll() for child in children]
        if any(codes):
            time.sleep(4 * POLL)  # for the cause, if this is an effect
            return _worst([child.poll() for child in children])
        if None not in codes:
            return 0, None
        if len(came) > passed_on:
            passed_on, deadline = len(came), min(deadline, time.monotonic() + GRACE)
            for child in children:
                with contextlib.suppress(ProcessLookupError):
                    child.send_signal(came[-1])
        if time.monotonic() > deadline:
            return 128 + came[-1], "the processes did not end within a minute"
        time.sleep(POLL)


def _worst(codes: list[int | None]) -> tuple[int, str]:
    """The exit code of the process that ended first, as far as codes tell, and what happened.

    A signal is a cause; an error may be one; those that lost or missed another are not.
    """
    bad = [(index, code) for index, code in enumerate(codes) if code]
    index, code = min(bad, key=lambda one: (one[1] in _EFFECTS, one[1] > 0, one[0]))
    return (128 - code if code < 0 else code), _why(index, len(codes), code)


def _why(index: int, count: int, code: int) -> str:
    who = f"process {index} of {count}"
    if code == -signal.SIGABRT:
        return f"{who} gave up another that gave no sign of life"
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"{who} was ended by {signal.Signals(-code).name}"
        return f"{who} was ended by signal {-code}"
    if code == STALLED:
        return f"{who} found the run stuck"
    if code == LOST:
        return f"{who} lost another"
    return f"{who} ended with exit code {code}"


def _pass_on(pipe: IO[bytes], out: IO[str], mark: str) -> None:
    """Hand on a process' lines as they come; those of others than the first are marked."""
    with pipe:
        for line in pipe:
            text = line.decode(errors="replace")
            if not _HIDDEN.match(text):
                out.write(mark + text)
                out.flush()


@contextlib.contextmanager
def _signals():
    """The signals that came, which the processes are to be told of."""
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield came
        return
    handlers = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        handlers[number] = signal.signal(number, lambda n, frame: came.append(n))
    try:
        yield came
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def _print(text: str) -> None:
    print(f"fnn launch: {text}", file=sys.stderr, flush=True)
