"""The front door: counts each call, answers what is ours, and passes everything else on to moto."""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable, Iterable
from typing import Any

from cloudtune.sandbox.address import CONTROL_PATH
from cloudtune.sandbox.aws_error import AwsError, ConnectionLostError
from cloudtune.sandbox.call_record import CallRecord
from cloudtune.sandbox.calls import Call, identify
from cloudtune.sandbox.container.s3 import USER_AGENT
from cloudtune.sandbox.faults.calls import CallFault
from cloudtune.sandbox.faults.faults import Faults
from cloudtune.sandbox.faults.pages import smaller_listing
from cloudtune.sandbox.guards import CallLocks, changes_state
from cloudtune.sandbox.refusals import not_implemented, refusal
from cloudtune.sandbox.replies import Reply, json_reply
from cloudtune.sandbox.wsgi import Wsgi, drained

Responder = Callable[[Call], "Reply | None"]
"""Answers a call, raises AwsError, or returns None: not mine."""


class Gateway:
    """A WSGI application: ``responders`` by service first, then ``behind``.

    ``on_change`` hears of each call that has changed what is behind. ``control`` does what the sandbox's command asks.
    ``now`` in seconds since the epoch. ``faults``: what becomes of calls; of those that no container's machinery makes,
    whose clients can't be told from the service.

    Where a fault leaves a client without an answer, calling it raises ConnectionLostError.
    """

    def __init__(
        self,
        responders: dict[str, Responder],
        behind: Wsgi,
        on_change: Callable[[Call], None],
        control: Callable[[str], dict[str, Any]],
        now: Callable[[], float],
        faults: Faults,
    ) -> None:
        self._responders = responders
        self._behind = behind
        self._on_change = on_change
        self._control = control
        self._faults = faults
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
            return _send(json_reply(self._control(path.removeprefix(CONTROL_PATH))), start_response)
        self.record.note(call.name)
        if USER_AGENT in headers.get("user-agent", ""):
            return self._answer(call, environ, start_response)
        fault = self._faults.on_call(call.name)
        if fault is not None:
            return self._fail(call, fault, environ, start_response)
        environ["QUERY_STRING"] = smaller_listing(call, self._faults)
        return self._answer(call, environ, start_response)

    def _fail(self, call: Call, fault: CallFault, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        refused = fault.refusal(call.service)
        if refused is not None:
            return _send(refusal(call, refused), start_response, with_body=call.method != "HEAD")
        if fault.done:
            drained(self._answer(call, environ, lambda *_: None))
        raise ConnectionLostError(fault.timed_out)

    def _answer(self, call: Call, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        reply = self._reply(call)
        if reply is None:
            environ["wsgi.input"] = io.BytesIO(call.body)
            environ["CONTENT_LENGTH"] = str(len(call.body))
            try:
                return self._pass_on(call, environ, start_response)
            except NotImplementedError:
                reply = refusal(call, not_implemented(call))
        return _send(reply, start_response)

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
            answer = drained(self._behind(environ, note_status))
            if status.startswith("2"):
                self._on_change(call)
        return [answer]


def _send(reply: Reply, start_response: Any, with_body: bool = True) -> list[bytes]:
    body = reply.body if with_body else b""
    start_response(
        f"{reply.status} {'OK' if reply.status < 300 else 'Error'}",
        [
            ("Content-Type", reply.content_type),
            ("Content-Length", str(len(body))),
            ("x-amzn-RequestId", str(uuid.uuid4())),
        ],
    )
    return [body]


def _read_body(environ: dict[str, Any]) -> bytes:
    if "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower():
        return bytes(environ["wsgi.input"].read())
    length = int(environ.get("CONTENT_LENGTH") or 0)
    return bytes(environ["wsgi.input"].read(length)) if length else b""
