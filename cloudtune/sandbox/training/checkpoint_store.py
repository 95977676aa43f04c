"""Where synthetic jobs' checkpoints lie: the sandbox's S3, without a call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class CheckpointStore(Protocol):
    """Objects in S3."""

    def objects_below(self, bucket: str, prefix: str) -> Mapping[str, bytes]:
        """Content by key."""

    def put_object(self, bucket: str, key: str, content: bytes, at: float) -> None:
        """Written at ``at``, in seconds since the epoch."""

    def delete_object(self, bucket: str, key: str) -> None:
        """Nothing happens if there is none."""


class Checkpoints:
    """What a job of ``request`` keeps in S3."""

    def __init__(self, store: CheckpointStore, request: Mapping[str, Any]) -> None:
        uri = (request.get("CheckpointConfig") or {}).get("S3Uri", "")
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        self._store = store
        self._bucket = bucket
        self._prefix = prefix if not prefix or prefix.endswith("/") else prefix + "/"

    def read(self) -> dict[str, bytes]:
        """Content by name below the prefix."""
        if not self._bucket:
            return {}
        found = self._store.objects_below(self._bucket, self._prefix)
        return {key[len(self._prefix) :]: content for key, content in found.items()}

    def write(self, files: Mapping[str, bytes | None], at: float) -> None:
        """In the order given; None deletes, after all that is new has been written."""
        if not self._bucket:
            return
        for name, content in files.items():
            if content is not None:
                self._store.put_object(self._bucket, self._prefix + name, content, at)
        for name, content in files.items():
            if content is None:
                self._store.delete_object(self._bucket, self._prefix + name)
