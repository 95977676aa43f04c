"""The front door: counts each call, answers what is ours, and passes everything else on to moto."""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable, Iterable
from typing import Any

from cloudtune.sandbox.address import CONTROL_PATH
from cloudtune.sandbox.aws_error import AwsError
from cloudtune.sandbox.call_record import CallRecord
from cloudtune.sandbox.calls import Call, identify
from cloudtune.sandbox.guards import CallLocks, changes_state
from cloudtune.sandbox.refusals import not_implemented, refusal
from cloudtune.sandbox.replies import Reply, json_reply

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]
Responder = Callable[[Call], "Reply | None"]
"""Answers a call, raises AwsError, or returns None: not mine."""


class Gateway:
    """A WSGI application: ``responders`` by service first, then ``behind``.

    ``on_change`` hears of each call that has changed what is behind. ``control`` does what the sandbox's command asks.
    ``now`` in seconds since the epoch.
    """

    def __init__(
        self,
        responders: dict[str, Responder],
        behind: Wsgi,
        on_change: Callable[[Call], None],
        control: Callable[[str], dict[str, Any]],
        now: Callable[[], float],
    ) -> None:
        self._responders = responders
        self._behind = behind
        self._on_change = on_change
        self._control = control
        self._locks = CallLocks()
        self.record = CallRecord(now)
        """The calls so far."""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        body = _read_body(environ)
        headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name[:5] == "HTTP_"}
        headers["content-type"] = environ.get("CONTENT_TYPE") or ""
        path = environ.get("PATH_INFO", "/").encode("latin-1").decode(errors="replace")
        call = identify(environ["REQUEST_METHOD"], path, environ.get("QUERY_STRING", ""), headers, body)
        if path.startswith(CONTROL_PATH) and "x-cloudtune-control" in headers:
            reply: Reply | None = json_reply(self._control(path.removeprefix(CONTROL_PATH)))
        else:
            self.record.note(call.name)
            reply = self._reply(call)
        if reply is None:
            environ["wsgi.input"] = io.BytesIO(body)
            environ["CONTENT_LENGTH"] = str(len(body))
            try:
                return self._pass_on(call, environ, start_response)
            except NotImplementedError:
                reply = refusal(call, not_implemented(call))
        start_response(
            f"{reply.status} {'OK' if reply.status < 300 else 'Error'}",
            [
                ("Content-Type", reply.content_type),
                ("Content-Length", str(len(reply.body))),
                ("x-amzn-RequestId", str(uuid.uuid4())),
            ],
        )
        return [reply.body]

    def _reply(self, call: Call) -> Reply | None:
        responder = self._responders.get(call.service)
        if responder is None:
            return None
        try:
            return responder(call)
        except AwsError as fault:
            return refusal(call, fault)

    def _pass_on(self, call: Call, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if not changes_state(call):
            return self._behind(environ, start_response)
        status = ""

        def note_status(line: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            nonlocal status
            status = line
            return start_response(line, headers, exc_info)

        with self._locks.alone(call):
            answered = self._behind(environ, note_status)
            answer = b"".join(answered)
            if hasattr(answered, "close"):
                answered.close()
            if status.startswith("2"):
                self._on_change(call)
        return [answer]


def _read_body(environ: dict[str, Any]) -> bytes:
    if "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower():
        return bytes(environ["wsgi.input"].read())
    length = int(environ.get("CONTENT_LENGTH") or 0)
    return bytes(environ["wsgi.input"].read(length)) if length else b""
