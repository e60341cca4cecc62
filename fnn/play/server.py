"""The page's server: the standard library's, on this machine alone, behind a token in the address.

    GET  /TOKEN/           the page, and beside it page.css, its scripts and its icon
    GET  /TOKEN/choices    what may be chosen, as JSON
    POST /TOKEN/start      a setting as JSON; opens a session and describes it
    POST /TOKEN/frame      {"session", "steps", "rates", "strength"}; the next frame as bytes

Other machines cannot reach it, as it listens on 127.0.0.1 alone. Other pages in the same browser
do not know the token, and under another name for this machine the Host header gives them away.
"""

import contextlib
import hmac
import itertools
import json
import pathlib
import secrets
import socket
import sys
import threading
import traceback
from collections import OrderedDict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from fnn.play.frames import Session, describe, frame, open_session
from fnn.play.setting import choices, read_setting

MOST_BYTES, MOST_SESSIONS = 65_536, 8
FILES = {
    "": ("page.html", "text/html; charset=utf-8"),
    "page.css": ("page.css", "text/css; charset=utf-8"),
    "page.js": ("page.js", "text/javascript; charset=utf-8"),
    "cards.js": ("cards.js", "text/javascript; charset=utf-8"),
    "choose.js": ("choose.js", "text/javascript; charset=utf-8"),
    "pictures.js": ("pictures.js", "text/javascript; charset=utf-8"),
    "icon.svg": ("icon.svg", "image/svg+xml"),
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class PlayServer(ThreadingHTTPServer):
    """The server and its sessions; `url` is what the browser is to open."""

    daemon_threads = False  # server_close waits for them: a program must not run into the exit

    def __init__(self, port: int):
        self.token = secrets.token_urlsafe(16)
        self._sessions: OrderedDict[int, Session] = OrderedDict()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._connections: set[Any] = set()
        super().__init__(("127.0.0.1", port), _Handler)  # last: where it fails it closes itself

    @property
    def url(self) -> str:
        """The address with the token."""
        return f"http://127.0.0.1:{self.server_port}/{self.token}/"

    def add(self, session: Session) -> int:
        """Keep a session and return its number; the one unused for longest makes room."""
        with self._lock:
            number = next(self._numbers)
            self._sessions[number] = session
            while len(self._sessions) > MOST_SESSIONS:
                self._sessions.popitem(last=False)
        return number

    def session(self, number: Any) -> Session:
        """The session of that number.

        Raises:
          LookupError: if there is none, or no longer.
        """
        with self._lock:
            if not isinstance(number, int) or number not in self._sessions:
                raise LookupError(f"play: there is no session {number!r} any more; press Reset")
            self._sessions.move_to_end(number)
            return self._sessions[number]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, for as long as the page keeps its connection."""
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget a connection at its end."""
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """Listen no more, answer what has been asked, and wait until that is done."""
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):  # it is at its end already
                    connection.shutdown(socket.SHUT_RD)
        super().server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say what went wrong, unless it is that a page was closed."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


def open_server(port: int = 0) -> PlayServer:
    """A server that listens on loopback; `serve_forever()` answers, `server_close()` ends it.

    Args:
      port: from 0 to 65535; 0 takes one that is free.

    Raises:
      OSError: if the port is taken or not allowed.

    >>> server = open_server()
    >>> server.url.startswith("http://127.0.0.1:")
    True
    >>> server.server_close()
    """
    return PlayServer(port)


class _Refusal(Exception):
    """A request that is not answered, with its status."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    server: PlayServer  # pyright: ignore[reportIncompatibleVariableOverride]
    protocol_version = "HTTP/1.1"  # connections are kept: a frame is one round trip
    server_version, sys_version = "fnn", ""
    disable_nagle_algorithm = True
    timeout = 600

    def do_GET(self) -> None:
        self._answered(self._get)

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self._answered(self._post)

    def _answered(self, answer: Any) -> None:
        try:
            status, (kind, body) = 200, answer(self._name())
        except _Refusal as refusal:
            status, kind, body = refusal.status, *_error(refusal)
            self.close_connection = True  # a body may be left unread
        except ValueError as error:
            status, kind, body = 400, *_error(error)
        except Exception:  # the page waits for an answer, whatever it is
            traceback.print_exc()
            status, kind, body = 500, *_error("a fault of fnn's own; the terminal shows where")
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in HEADERS.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _name(self) -> str:
        """What stands after the token in the address; for it alone there are answers."""
        port = self.server.server_port
        if self.headers.get("Host") not in (f"127.0.0.1:{port}", f"localhost:{port}"):
            raise _Refusal(403, f"play: the Host must be 127.0.0.1:{port}")
        _, token, *rest = [*self.path.split("?")[0].split("/", 2), ""]
        if not hmac.compare_digest(token.encode(), self.server.token.encode()):
            raise _Refusal(404, "play: open the address that fnn play printed, token and all")
        return rest[0]

    def _get(self, name: str) -> tuple[str, bytes]:
        if name == "choices":
            return _json(choices())
        if name not in FILES:
            raise _Refusal(404, f"play: there is no {name!r}")
        file, kind = FILES[name]
        return kind, (pathlib.Path(__file__).parent / file).read_bytes()

    def _post(self, name: str) -> tuple[str, bytes]:
        if name not in ("start", "frame"):
            raise _Refusal(404, f"play: there is no {name!r}")
        given = self._body()
        if name == "start":
            session = open_session(read_setting(given))
            return _json({"session": self.server.add(session), **describe(session)})
        if not isinstance(given, dict):
            raise ValueError(f"play: a frame is asked for by an object, got {type(given).__name__}")
        try:
            session = self.server.session(given.get("session"))
        except LookupError as error:
            raise _Refusal(404, str(error)) from error
        steps: Any = given.get("steps")  # checked there
        found = frame(
            session, steps=steps, rates=given.get("rates"), strength=given.get("strength")
        )
        return "application/octet-stream", found

    def _body(self) -> Any:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise _Refusal(411, "play: a request must say its length")
        if int(length) > MOST_BYTES:
            raise _Refusal(413, f"play: a request may have {MOST_BYTES} bytes, got {length}")
        try:
            return json.loads(self.rfile.read(int(length)))
        except ValueError as error:
            raise ValueError(f"play: the request is no JSON: {error}") from error

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: thirty lines a second help nobody."""


def _json(value: Any) -> tuple[str, bytes]:
    return "application/json", json.dumps(value, allow_nan=False).encode()


def _error(error: Exception | str) -> tuple[str, bytes]:
    return _json({"error": str(error).removeprefix("play: ")})
