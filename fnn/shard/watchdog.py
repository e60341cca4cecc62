"""A rank that is alive but gets nowhere is noticed by nothing else: it, or a peer, ends here."""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator

STALLED = 76  # the exit code
SECONDS = 20.0  # without progress that are too many
START = 600.0  # before the first step, which nothing is known about
TIMES = 10.0  # as long as the longest stretch so far is allowed


@contextlib.contextmanager
def watchdog(
    seconds: float = SECONDS, *, end: Callable[[str], None] | None = None
) -> Iterator[Callable[..., None]]:
    """Leave the process if its loop stops going round: for a run that several processes share.

    A process that hangs, or whose peer does, waits for ever in the next exchange of numbers; its
    thread here still runs. It says what happened and leaves with exit code 76, at once, so that the
    launcher can start all of them again.

    Args:
      seconds: how long the loop may take for one round, > 0. If it has taken longer before, ten
        times that long; ten minutes before the first round ends.
      end: instead of leaving: told why.

    Yields:
      A function to call once a round; `tick(600.0)` allows 600 seconds until the next call.

    >>> with watchdog(5.0) as tick:
    ...     for step in range(3):
    ...         tick()
    """
    if not seconds > 0:
        raise ValueError(f"watchdog: seconds must be > 0, got {seconds}; such as 20")
    state = {"latest": time.monotonic(), "limit": max(START, seconds), "longest": 0.0}
    done, usual = threading.Event(), [False]  # usual: whether the round that ends counts

    def tick(allowed: float = 0.0) -> None:
        now = time.monotonic()
        if usual[0]:
            state["longest"] = max(state["longest"], now - state["latest"])
        usual[0] = not allowed
        state["latest"] = now
        state["limit"] = max(seconds, TIMES * state["longest"], allowed)

    def watch() -> None:
        while not done.wait(min(1.0, seconds / 4)):
            waited = time.monotonic() - state["latest"]
            if waited > state["limit"]:
                (end or _leave)(
                    f"watchdog: no step for {waited:.0f} s, at most {state['limit']:.0f} expected;"
                    " this process or one that it waits for is stuck"
                )
                return

    thread = threading.Thread(target=watch, name="fnn watchdog", daemon=True)
    thread.start()
    try:
        yield tick
    finally:
        done.set()
        thread.join()


def _leave(why: str) -> None:
    print(why, file=sys.stderr, flush=True)
    os._exit(STALLED)
