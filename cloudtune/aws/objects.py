"""Objects under prefixes of S3: what we need of a file system."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from cloudtune.aws.account import Aws
from cloudtune.aws.s3_uri import S3Uri
from cloudtune.aws.translation import translated
from cloudtune.errors import NotFoundError, RefusedError, UnreachableError

MAX_BATCH = 1000
"""Keys of one DeleteObjects."""

THREADS = 8


@dataclass(frozen=True)
class StoredObject:
    """``size`` in bytes."""

    uri: S3Uri
    size: int


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
        for entry in page.get("Contents", []):
            yield StoredObject(S3Uri(below.bucket, entry["Key"]), int(entry["Size"]))


def delete(aws: Aws, objects: Sequence[S3Uri]) -> None:
    """Delete objects of one bucket in batches. Those that don't exist are no error."""
    for start in range(0, len(objects), MAX_BATCH):
        batch = objects[start : start + MAX_BATCH]
        request = {"Objects": [{"Key": uri.key} for uri in batch], "Quiet": True}
        failed = aws.call("s3", "DeleteObjects", Bucket=batch[0].bucket, Delete=request).get("Errors", [])
        if failed:
            first = failed[0]
            text = f"{len(failed)} of {len(batch)} objects not deleted, {first.get('Key')}: {first.get('Message')}"
            kind = RefusedError if first.get("Code") == "AccessDenied" else UnreachableError
            raise kind(text, f"allow s3:DeleteObject on {batch[0].bucket}" if kind is RefusedError else "")


def delete_below(aws: Aws, prefix: S3Uri) -> None:
    """Delete everything below ``prefix``. No error if there is nothing."""
    delete(aws, [stored.uri for stored in listed(aws, prefix)])


def mirror(aws: Aws, source: S3Uri, target: S3Uri) -> int:
    """Make what is below ``target`` equal to what is below ``source``; the number of objects copied.

    Copies inside S3, several at a time, in parts where an object exceeds the 5 GB of a single copy.
    """
    below, above = source.as_prefix, target.as_prefix
    pairs = [
        (stored.uri, S3Uri(above.bucket, above.key + stored.uri.key[len(below.key) :])) for stored in listed(aws, below)
    ]
    wanted = {copy for _, copy in pairs}
    delete(aws, [stored.uri for stored in listed(aws, above) if stored.uri not in wanted])
    client = aws.client("s3")

    def copy_one(pair: tuple[S3Uri, S3Uri]) -> None:
        original, copy = pair
        with translated("CopyObject", str(original)):
            client.copy({"Bucket": original.bucket, "Key": original.key}, copy.bucket, copy.key)

    with ThreadPoolExecutor(THREADS, thread_name_prefix="cloudtune-copy") as pool:
        list(pool.map(copy_one, pairs))
    return len(pairs)
