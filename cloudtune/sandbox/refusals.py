"""Errors in the words of the protocol that a call speaks."""

from __future__ import annotations

import uuid
from xml.sax.saxutils import escape

from cloudtune.sandbox.aws_error import AwsError
from cloudtune.sandbox.calls import Call
from cloudtune.sandbox.replies import Reply, json_reply


def refusal(call: Call, fault: AwsError) -> Reply:
    """The answer that makes a client of the call's service raise ``fault``."""
    error = f"<Code>{escape(fault.code)}</Code><Message>{escape(fault.message)}</Message>"
    if call.service == "s3":
        return Reply(f"<Error>{error}</Error>".encode(), "application/xml", fault.http_status)
    if call.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        body = f"<ErrorResponse><Error>{error}</Error><RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>"
        return Reply(body.encode(), "text/xml", fault.http_status)
    # where it has no header for it, the REST protocol looks for the code in "code", the other one in "__type"
    return json_reply({"__type": fault.code, "code": fault.code, "message": fault.message}, fault.http_status)


def not_implemented(call: Call) -> AwsError:
    """Nobody here can do ``call``. Not a 500, after which clients would try again and again."""
    # an operation that no model knows is named by its HTTP method
    name = call.name if call.operation != call.method else f"{call.service} operation {call.method} {call.path}"
    return AwsError(
        "NotImplemented",
        f"the sandbox has no {name}: it executes training jobs, and all else is as far as moto has it",
        501,
    )
