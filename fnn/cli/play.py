"""`fnn play`: watch networks train on a page in the browser."""

import argparse
import threading
from typing import Any

from fnn.cli.common import Mistake, keep_programs

PORT = 8642
DESCRIPTION = """\
Watch networks train, on a page in the browser: choose data, inputs, hidden layers and up to four
optimizers, press Play, and see for each the boundary, the neurons and the loss move. All optimizers
start from the same weights and take the same batches.

The page is served to this machine alone, needs no network, and nothing is kept. Ctrl-C ends it."""


def add_command(commands: Any) -> None:
    """Add `play` and its arguments to the parser's commands."""
    play = commands.add_parser(
        "play",
        help="watch networks train, in the browser",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    play.set_defaults(run=run)
    add = play.add_argument
    add("--port", type=port, default=PORT, metavar="P", help="where to listen on 127.0.0.1; 0 is"
        f" any free port (default: {PORT})")  # fmt: skip
    add("--no-browser", action="store_true", help="only print the address")


def run(options: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    keep_programs()
    from fnn.play import open_server

    try:
        server = open_server(options.port)
    except OSError as error:
        raise Mistake(
            f"port {options.port} cannot be had: {error.strerror};"
            " choose another by --port, or any free one by --port 0"
        ) from error
    try:
        print(f"fnn play: {server.url}\nCtrl-C ends it.", flush=True)
        if not options.no_browser:
            threading.Thread(target=_open_browser, args=(server.url,), daemon=True).start()
        server.serve_forever()
    except KeyboardInterrupt:
        print("\nended")
    finally:
        server.server_close()
    return 0


def _open_browser(url: str) -> None:
    """In a thread of its own: some browsers come back only when they are closed."""
    import webbrowser

    if not webbrowser.open(url):
        print("no browser was found; open the address in one yourself", flush=True)


def port(text: str) -> int:
    """An argument that is a port."""
    value = int(text)
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"must be from 0 to 65535, got {text}")
    return value
