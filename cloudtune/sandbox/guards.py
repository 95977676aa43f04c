"""Which calls change what moto holds, and who must wait for whom: moto itself checks first and writes then.

A conditional put (``If-None-Match: *``) must have one winner, and what is written to disk must be what came last.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from cloudtune.sandbox.calls import Call

_READS = ("Get", "List", "Describe", "Head", "Filter", "Search", "Simulate", "Batch", "Start", "Select", "Receive")
# replaying these would only repeat traffic: credentials that have expired, messages long read
_UNKEPT_SERVICES = ("sts", "sqs", "unknown")
_STRIPES = 64


def changes_state(call: Call) -> bool:
    """Whether ``call`` leaves something behind that is worth keeping."""
    if call.service == "s3":
        return call.method in ("PUT", "POST", "DELETE") and not call.operation.startswith("Select")
    return call.service not in _UNKEPT_SERVICES and not call.operation.startswith(_READS)


class CallLocks:
    """One lock per object (striped), one per other service."""

    def __init__(self) -> None:
        self._stripes = [threading.Lock() for _ in range(_STRIPES)]
        self._others = threading.Lock()

    @contextmanager
    def alone(self, call: Call) -> Iterator[None]:
        """For the block, nobody else changes what ``call`` changes."""
        with ExitStack() as held:
            for lock in self._locks(call):
                held.enter_context(lock)
            yield

    def _locks(self, call: Call) -> list[threading.Lock]:
        if call.service != "s3":
            return [self._others]
        if call.operation in ("UploadPart", "UploadPartCopy"):
            return []
        bucket, _, key = call.path.lstrip("/").partition("/")
        # a call on a bucket may concern every object in it
        return [self._stripes[hash((bucket, key)) % _STRIPES]] if key else self._stripes
