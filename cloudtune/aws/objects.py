"""Objects under prefixes of S3: what we need of a file system."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cloudtune.aws.account import Aws
from cloudtune.aws.s3_uri import S3Uri
from cloudtune.aws.translation import translated
from cloudtune.errors import AccessDeniedError, NotFoundError, UnreachableError

MAX_BATCH = 1000
"""Keys of one DeleteObjects."""

THREADS = 8
"""Calls at the same time, where there are many to make."""

FIRST_PAUSE = 1.0
"""Seconds before those that failed are tried again; doubled each time."""


@dataclass(frozen=True)
class StoredObject:
    """``size`` in bytes; ``etag`` changes with the content; ``modified``: seconds since the epoch."""

    uri: S3Uri
    size: int
    etag: str = ""
    modified: float = 0.0


def exists(aws: Aws, uri: S3Uri) -> bool:
    """Whether there is an object of exactly this key."""
    try:
        aws.call("s3", "HeadObject", Bucket=uri.bucket, Key=uri.key)
    except NotFoundError:
        return False
    return True


def bucket_exists(aws: Aws, bucket: str) -> bool:
    """Raises ``AccessDeniedError`` if it is somebody else's."""
    try:
        aws.call("s3", "HeadBucket", Bucket=bucket)
    except NotFoundError:
        return False
    return True


def put(aws: Aws, uri: S3Uri, content: bytes) -> None:
    """Write one object whole."""
    aws.call("s3", "PutObject", Bucket=uri.bucket, Key=uri.key, Body=content)


def get(aws: Aws, uri: S3Uri) -> bytes:
    """Read one object whole. Raises ``NotFoundError``."""
    response = aws.call("s3", "GetObject", Bucket=uri.bucket, Key=uri.key)
    with translated("GetObject", str(uri)):
        content: bytes = response["Body"].read()
    return content


def listed(aws: Aws, prefix: S3Uri) -> Iterator[StoredObject]:
    """Every object below ``prefix``, at any depth."""
    below = prefix.as_prefix
    for page in aws.pages("s3", "ListObjectsV2", Bucket=below.bucket, Prefix=below.key):
        yield from _stored(below.bucket, page)


def listed_flat(aws: Aws, prefix: S3Uri) -> list[StoredObject]:
    """Objects directly below ``prefix``, not those in folders: one call, for at most 1,000 names."""
    below = prefix.as_prefix
    page = aws.call("s3", "ListObjectsV2", Bucket=below.bucket, Prefix=below.key, Delimiter="/")
    return list(_stored(below.bucket, page))


def _stored(bucket: str, page: Mapping[str, Any]) -> Iterator[StoredObject]:
    for entry in page.get("Contents", []):
        modified = entry["LastModified"].timestamp()
        yield StoredObject(S3Uri(bucket, entry["Key"]), int(entry["Size"]), entry["ETag"], modified)


def delete(aws: Aws, objects: Sequence[S3Uri]) -> None:
    """Delete objects of one bucket in batches. Those that don't exist are no error.

    Raises ``AccessDeniedError`` if some may not be deleted, ``UnreachableError`` if some still can't be after three
    rounds; all others are gone by then.
    """
    left, pause = list(objects), FIRST_PAUSE
    for last in (False, False, True):
        refused = [error for batch in _batches(left) for error in _delete_batch(aws, batch)]
        if not refused:
            return
        _check(refused, len(left), left[0].bucket, last)
        aws.pause(pause)
        left, pause = [S3Uri(left[0].bucket, error["Key"]) for error in refused], 2 * pause


def _batches(uris: Sequence[S3Uri]) -> Iterator[Sequence[S3Uri]]:
    for start in range(0, len(uris), MAX_BATCH):
        yield uris[start : start + MAX_BATCH]


def _delete_batch(aws: Aws, batch: Sequence[S3Uri]) -> list[Mapping[str, str]]:
    """The errors of those that are not deleted. The call itself succeeds whatever became of its objects."""
    request = {"Objects": [{"Key": uri.key} for uri in batch], "Quiet": True}
    answer = aws.call("s3", "DeleteObjects", Bucket=batch[0].bucket, Delete=request)
    return [error for error in answer.get("Errors", []) if error.get("Code") != "NoSuchKey"]


def _check(refused: Sequence[Mapping[str, str]], count: int, bucket: str, last: bool) -> None:
    denied = [error for error in refused if error.get("Code") in ("AccessDenied", "AllAccessDisabled")]
    first = (denied or list(refused))[0]
    text = f"{len(refused)} of {count} objects not deleted, {first.get('Key')}: {first.get('Message')}"
    if denied:
        raise AccessDeniedError(text, f"allow s3:DeleteObject on {bucket}")
    if last:
        raise UnreachableError(text)


def delete_below(aws: Aws, prefix: S3Uri) -> None:
    """Delete everything below ``prefix``. No error if there is nothing."""
    delete(aws, [stored.uri for stored in listed(aws, prefix)])
