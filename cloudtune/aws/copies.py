"""Copies inside S3: nothing travels through this machine."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass

from cloudtune.aws.account import Aws
from cloudtune.aws.objects import FIRST_PAUSE, THREADS, StoredObject
from cloudtune.aws.s3_uri import S3Uri
from cloudtune.errors import CloudtuneError, NotFoundError, OptionError, TransientError

MAX_SINGLE = 5 << 30
"""Bytes that S3 copies with one CopyObject."""
MAX_PARTS = 10_000
ROUNDS = 3
"""Tries of one copy, each after a longer pause."""

_ORIGIN = "cloudtune-copy-of"
"""Metadata of a copy: the ETag of its original. The copy's own differs if either was written in parts."""


@dataclass(frozen=True)
class CopyLimits:
    """Objects of more than ``single`` bytes are copied in parts of ``part`` bytes, more where there would be too many.

    Parts are copied side by side: far sooner than S3 allows a single copy to grow, they are quicker.
    """

    single: int = 1 << 30
    part: int = 256 << 20

    def __post_init__(self) -> None:
        if not 0 < self.part <= self.single <= MAX_SINGLE:
            raise OptionError(
                f"a copy in parts of {self.part} bytes from {self.single} on is not possible",
                f"parts are smaller than what is copied as one, and that is at most {MAX_SINGLE}",
            )

    def ranges(self, size: int) -> list[tuple[int, int]]:
        """First and last byte of each part; none for what is copied as one."""
        if size <= self.single:
            return []
        part = max(self.part, math.ceil(size / MAX_PARTS))
        return [(first, min(first + part, size) - 1) for first in range(0, size, part)]


DEFAULT_LIMITS = CopyLimits()


@dataclass(frozen=True)
class Copy:
    """``original`` as it was listed, and where it shall be too."""

    original: StoredObject
    target: S3Uri


def copy_all(
    aws: Aws, copies: Sequence[Copy], there: Mapping[S3Uri, StoredObject], limits: CopyLimits = DEFAULT_LIMITS
) -> int:
    """Make the copies that are not yet among ``there``, several at a time; how many were made.

    One that fails for a moment is tried again without the others. Raises ``NotFoundError`` or ``AlreadyExistsError`` if
    an original has gone or changed since it was listed, ``TransientError`` if one still fails after three rounds:
    what was copied by then need not be copied again.
    """
    with _pool("copy") as pool, _pool("part") as parts:
        found = pool.map(lambda copy: _is_there(aws, copy, there.get(copy.target)), copies)
        todo = [copy for copy, is_there in zip(copies, found, strict=True) if not is_there]
        count, pause = len(todo), FIRST_PAUSE
        for number in range(1, ROUNDS + 1):
            errors = list(pool.map(lambda copy: _error_of(aws, parts, copy, limits), todo))
            failed = [(copy, error) for copy, error in zip(todo, errors, strict=True) if error is not None]
            if not failed:
                break
            # one that repeating does not mend comes first
            _, worst = min(failed, key=lambda pair: isinstance(pair[1], TransientError))
            if number == ROUNDS or not isinstance(worst, TransientError):
                raise worst
            aws.pause(pause)
            todo, pause = [copy for copy, _ in failed], 2 * pause
    return count


def _pool(name: str) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix=f"cloudtune-{name}")


def _error_of(aws: Aws, parts: ThreadPoolExecutor, copy: Copy, limits: CopyLimits) -> CloudtuneError | None:
    """Make the copy; what went wrong, if anything did."""
    ranges = limits.ranges(copy.original.size)
    try:
        if ranges:
            _copy_in_parts(aws, parts, copy, ranges)
        else:
            _copy_whole(aws, copy)
    except CloudtuneError as error:
        return error
    return None


def _is_there(aws: Aws, copy: Copy, found: StoredObject | None) -> bool:
    """Whether the target holds it already: from before a crash, that is."""
    if found is None or found.size != copy.original.size:
        return False
    if found.etag == copy.original.etag:
        return True
    try:
        head = aws.call("s3", "HeadObject", Bucket=copy.target.bucket, Key=copy.target.key)
    except NotFoundError:
        return False
    return bool(head.get("Metadata", {}).get(_ORIGIN) == _plain(copy.original.etag))


def _copy_whole(aws: Aws, copy: Copy) -> None:
    aws.call(
        "s3",
        "CopyObject",
        **_source(copy),
        Bucket=copy.target.bucket,
        Key=copy.target.key,
        MetadataDirective="REPLACE",
        TaggingDirective="REPLACE",  # with none: reading the original's would need another permission
        Metadata={_ORIGIN: _plain(copy.original.etag)},
    )


def _copy_in_parts(aws: Aws, pool: ThreadPoolExecutor, copy: Copy, ranges: Sequence[tuple[int, int]]) -> None:
    where = {"Bucket": copy.target.bucket, "Key": copy.target.key}
    metadata = {_ORIGIN: _plain(copy.original.etag)}
    upload = aws.call("s3", "CreateMultipartUpload", **where, Metadata=metadata)["UploadId"]

    def copy_part(number: int, first: int, last: int) -> dict[str, object]:
        answer = aws.call(
            "s3",
            "UploadPartCopy",
            **where,
            **_source(copy),
            UploadId=upload,
            PartNumber=number,
            CopySourceRange=f"bytes={first}-{last}",
        )
        return {"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]}

    futures = [pool.submit(copy_part, number, first, last) for number, (first, last) in enumerate(ranges, 1)]
    try:
        parts = [future.result() for future in futures]
        aws.call("s3", "CompleteMultipartUpload", **where, UploadId=upload, MultipartUpload={"Parts": parts})
    except BaseException:
        # parts of an upload that is neither completed nor aborted are paid for, and nobody sees them
        wait([future for future in futures if not future.cancel()])
        aws.call("s3", "AbortMultipartUpload", **where, UploadId=upload)
        raise


def _source(copy: Copy) -> dict[str, object]:
    original = copy.original
    return {
        "CopySource": {"Bucket": original.uri.bucket, "Key": original.uri.key},
        "CopySourceIfMatch": original.etag,
    }


def _plain(etag: str) -> str:
    return etag.strip('"')
