"""One process of many: how it finds the others, and how it ends when one of them is gone."""

import contextlib
import os
import sys
import traceback
from typing import NamedTuple

import jax

BROKEN = 75  # the exit code of a process that an error ended: the launcher may start all again
HEARTBEAT = 10  # seconds without a sign of life, after which a process counts as dead
WAIT = 120  # seconds that the processes have to find each other
# What `fnn launch` tells the processes it starts.
COORDINATOR, COUNT, INDEX = "FNN_COORDINATOR", "FNN_PROCESSES", "FNN_PROCESS"
# How the variables begin that the clusters give which JAX finds by itself.
_CLUSTERS = ("SLURM_JOB_ID", "OMPI_", "PMI_", "TPU_", "MEGASCALE_")


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
    the process at once, with exit code 75, instead of leaving it and its peers to wait for each
    other; a process that dies or freezes is given up after `heartbeat` seconds.

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
    except (ValueError, RuntimeError) as error:  # no cluster that JAX knows, or it is in use already
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


def _leave(kind: type[BaseException], error: BaseException, trace) -> None:
    """Say what happened and go: an ordinary exit would wait for peers that wait for this one."""
    traceback.print_exception(kind, error, trace)
    print(
        f"process {jax.process_index()} of {jax.process_count()} ends by this error, and so do the"
        " others; start all of them again to go on from the last checkpoint",
        file=sys.stderr,
        flush=True,
    )
    sys.stdout.flush()
    os._exit(BROKEN)
