"""S3 objects as files: whatever a request touched is written as moto holds it afterwards."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

from cloudtune.sandbox.calls import Call
from cloudtune.sandbox.moto_world import MotoWorld, StoredObject
from cloudtune.sandbox.state.files import write_whole

# parts of objects that don't exist yet
_UNFINISHED = ("CreateMultipartUpload", "UploadPart", "UploadPartCopy", "AbortMultipartUpload")


class ObjectFiles:
    """``{directory}/{bucket}/{hash of the key}``: a line of JSON about the object, then its bytes."""

    def __init__(self, directory: Path, world: MotoWorld) -> None:
        self._directory = directory
        self._world = world

    def save(self, call: Call) -> bool:
        """Write what ``call`` has changed; whether it was about objects at all."""
        if call.service != "s3":
            return False
        bucket, _, key = call.path.lstrip("/").partition("/")
        if call.operation == "DeleteBucket":
            shutil.rmtree(self._directory / bucket, ignore_errors=True)
            return False
        if call.operation == "DeleteObjects":
            for deleted in _deleted_keys(call.body):
                self._save_key(bucket, deleted)
            return True
        if not key:
            return False
        if call.operation not in _UNFINISHED:
            self._save_key(bucket, key)
        return True

    def _save_key(self, bucket: str, key: str) -> None:
        path = self._path(bucket, key)
        stored = self._world.read_object(bucket, key)
        if stored is None:
            path.unlink(missing_ok=True)
        else:
            write_whole(path, json.dumps(stored.about()).encode() + b"\n" + stored.content)

    def load(self) -> None:
        """Put all of them back."""
        for path in self._directory.glob("*/*"):
            if path.name.startswith("."):
                path.unlink()
                continue
            about, _, content = path.read_bytes().partition(b"\n")
            self._world.restore_object(StoredObject(content=content, **json.loads(about)))

    def _path(self, bucket: str, key: str) -> Path:
        return self._directory / bucket / hashlib.sha256(key.encode()).hexdigest()


def _deleted_keys(body: bytes) -> list[str]:
    root = ElementTree.fromstring(body)
    return [element.text or "" for element in root.iter() if element.tag.rpartition("}")[2] == "Key"]
