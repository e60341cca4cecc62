"""`main`: the command line's parser, and what becomes of mistakes and Ctrl-C."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from fnn.cli import bench, compare, launch, play, predict, search, train
from fnn.cli.common import Mistake


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 2 for a mistake, 130 after Ctrl-C.

    >>> main(["--version"])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    SystemExit: 0
    """
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except Mistake as mistake:
        print(f"fnn {options.command}: {mistake}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fnn", description="Neural networks as pure functions on JAX."
    )
    parser.add_argument("--version", action=_Version)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for command in (compare, search, predict, train, launch, play, bench):
        command.add_command(commands)
    return parser


class _Version(argparse.Action):
    """Print the version, looked up only when asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str):
        super().__init__(option_strings, dest, nargs=0, help="print the version and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print(f"fnn {version('fnn')}")
        except PackageNotFoundError:
            from fnn import __version__

            print(f"fnn {__version__}")
        parser.exit()
