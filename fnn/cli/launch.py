"""`fnn launch`: a script in several processes on this machine, as one run."""

import argparse
import sys
from typing import Any

from fnn.cli.common import Mistake, count

DESCRIPTION = """\
Run a Python script in several processes on this machine, as one training run. The script calls
fnn.shard.join() first and gives fnn.fit a mesh over jax.devices() and a checkpoint folder; the same
script runs under Slurm, MPI or Kubernetes without this command.

When a process dies, freezes or gets stuck, all are ended and started again, and the run goes on
from its last checkpoint. SIGTERM and Ctrl-C make it save and end."""

EPILOG = """\
example:
  fnn launch --processes 4 train.py --rate 0.1"""


def add_command(commands: Any) -> None:
    """Add `launch` and its arguments to the parser's commands."""
    launch = commands.add_parser(
        "launch",
        help="run a script in several processes that share one training run",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    launch.set_defaults(run=run)
    add = launch.add_argument
    add("--processes", type=count, required=True, metavar="N", help="how many processes")
    add_restarts(add)
    add("script", help="a Python file")
    add("arguments", nargs=argparse.REMAINDER, help="its arguments")


def add_restarts(add: Any) -> None:
    """The arguments that say what happens when a process fails."""
    add("--restarts", type=_from_zero, default=3, metavar="R", help="how often to start again"
        " (default: 3)")  # fmt: skip
    add("--at-least", type=count, metavar="M", help="go on with fewer processes, down to M, if"
        " starts keep failing (default: never fewer)")  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Launch, and give the exit code of what was launched."""
    from fnn.shard.launch import launch

    try:
        with open(options.script, "rb"):
            pass
    except OSError as error:
        raise Mistake(f"{options.script} cannot be read ({error.strerror})") from error
    ended = launch(
        [sys.executable, options.script, *options.arguments],
        processes=options.processes,
        restarts=options.restarts,
        at_least=options.at_least,
    )
    return ended.code


def _from_zero(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"must be at least 0, got {text}")
    return value
