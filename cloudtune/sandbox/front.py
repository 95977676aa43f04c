"""A sandbox's port of 127.0.0.1."""

from __future__ import annotations

import select
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from werkzeug.serving import BaseWSGIServer, make_server

from cloudtune.sandbox.aws_error import ConnectionLostError
from cloudtune.sandbox.moto_world import RequestHandler

HOST = "127.0.0.1"
LONGEST_SILENCE = 300.0
"""Seconds for which a client without an answer is left waiting: no client of AWS waits for so long."""


class HttpFront:
    """Bound from construction on, serving from ``serve`` on, both until ``undo``. Raises OSError if the port is taken.

    ``port``: 0 for any free one.
    """

    def __init__(self, port: int, undo: ExitStack) -> None:
        self._http = _open_port(port)
        undo.callback(self._http.server_close)

    @property
    def endpoint_url(self) -> str:
        return f"http://{HOST}:{self._http.port}"

    def serve(self, application: Any, undo: ExitStack) -> None:
        self._http.app = application
        thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), name="sandbox", daemon=True)
        thread.start()
        undo.callback(thread.join)
        undo.callback(self._http.shutdown)


def _open_port(port: int) -> BaseWSGIServer:
    # bound here because werkzeug leaves the whole process when a port is taken
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError as error:
            raise OSError(f"port {port} of {HOST} can't be had: {error.strerror}") from error
        listener.listen(128)
        bound = listener.getsockname()[1]
        return make_server(HOST, bound, _refuse, threaded=True, request_handler=_QuietHandler, fd=listener.fileno())


def _refuse(environ: object, start_response: Callable[..., object]) -> list[bytes]:
    """What is answered until everything is wired."""
    start_response("503 Service Unavailable", [("Content-Length", "0")])
    return []


class _QuietHandler(RequestHandler):
    """Requests are counted, not printed."""

    def connection_dropped(self, error: BaseException, environ: Any = None) -> None:
        if not isinstance(error, ConnectionLostError):
            super().connection_dropped(error, environ)
            return
        if error.timed_out:
            # readable: it has hung up (or says more, which no client does that waits)
            select.select([self.connection], [], [], LONGEST_SILENCE)
        # closed this way, it is a reset and no orderly end
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        socket.close(self.connection.detach())
        self.close_connection = True

    def log(self, type: str, message: str, *args: object) -> None:
        if type == "error":
            super().log(type, message, *args)
