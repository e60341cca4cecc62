"""One process of many: how it finds the others, and how it ends when one of them is gone."""

import contextlib
import os
import sys
import traceback
from typing import Any, NamedTuple

import jax

FAILED = 1  # the exit code of a process that an error of its own ended
LOST = 75  # that of one which another process left
HEARTBEAT = 10  # seconds without a sign of life, after which a process counts as dead
WAIT = 120  # seconds that the processes have to find each other
# What `fnn launch` tells the processes it starts.
COORDINATOR, COUNT, INDEX = "FNN_COORDINATOR", "FNN_PROCESSES", "FNN_PROCESS"
# How the variables begin that the clusters give which JAX finds by itself.
_CLUSTERS = ("SLURM_JOB_ID", "OMPI_", "PMI_", "TPU_WORKER", "MEGASCALE_")

# In the errors of exchanges whose other end is gone, in those of barriers that it does not reach.
_GONE = ("Gloo", "NCCL", "Connection closed", "Connection reset", "UNAVAILABLE", "unhealthy",
         "CoordinationService", "Barrier")  # fmt: skip


class Joined(NamedTuple):
    """Which process this is.

    Attributes:
      index: from 0; the first reports.
      count: of all processes.
    """

    index: int
    count: int


def join(*, heartbeat: int = HEARTBEAT) -> Joined:
    """Make this process one of those that share a run; call it before JAX is used.

    Under `fnn launch`, Slurm, Open MPI, Kubernetes and the other clusters that
    `jax.distributed.initialize` knows, it finds the others by its environment; anywhere else this
    process is alone, and nothing happens. Afterwards `jax.devices()` are those of all processes, so
    `jax.make_mesh((jax.device_count(),), ("data",))` spans them. An error that nobody catches ends
    the process at once, instead of leaving it and its peers to wait for each other: with exit code
    1, or 75 if it is that another process is gone. One that freezes is given up after `heartbeat`
    seconds.

    Args:
      heartbeat: seconds, >= 1.

    Raises:
      RuntimeError: if JAX has been used already, or the others do not come within two minutes.

    >>> join()
    Joined(index=0, count=1)
    """
    if jax.distributed.is_initialized():
        return Joined(jax.process_index(), jax.process_count())
    given = (os.environ.get(COORDINATOR), os.environ.get(COUNT), os.environ.get(INDEX))
    by_us = all(value is not None for value in given)
    if by_us:
        where, count, index = given[0], int(given[1] or 1), int(given[2] or 0)
    else:
        where = count = index = None
    if count == 1:
        return Joined(0, 1)
    _prepare()
    try:
        jax.distributed.initialize(
            where, count, index, heartbeat_timeout_seconds=heartbeat, initialization_timeout=WAIT
        )
    except (
        ValueError,
        RuntimeError,
    ) as error:  # no cluster that JAX knows, or it is in use already
        known = any(name.startswith(_CLUSTERS) for name in os.environ)
        if by_us or (known and isinstance(error, RuntimeError)):
            raise
        return Joined(0, 1)
    sys.excepthook = _leave
    return Joined(jax.process_index(), jax.process_count())


def _prepare() -> None:
    """Gloo between the CPUs of processes, and signals left to this program."""
    for name, value in (
        ("jax_cpu_collectives_implementation", "gloo"),
        ("jax_enable_preemption_service", False),  # it would swallow SIGTERM
    ):
        with contextlib.suppress(AttributeError, ValueError):
            jax.config.update(name, value)


def _leave(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """Say what happened and go: an ordinary exit would wait for peers that wait for this one."""
    who, lost = f"process {jax.process_index()} of {jax.process_count()}", is_loss(error)
    if lost:
        print(f"{who}: another process is gone ({_line(error)})", file=sys.stderr)
    else:
        traceback.print_exception(kind, error, trace)
        print(f"{who} ends by this error, and so will the others", file=sys.stderr)
    sys.stderr.flush()
    sys.stdout.flush()
    os._exit(LOST if lost else FAILED)


def is_loss(error: BaseException | None) -> bool:
    """Whether this, or what led to it, is what one hears whose peer has closed its end."""
    while error is not None:
        if any(word in str(error) for word in _GONE):
            return True
        error = error.__cause__ or error.__context__
    return False


def _line(error: BaseException) -> str:
    return str(error).splitlines()[0].split(" [external", 1)[0]
