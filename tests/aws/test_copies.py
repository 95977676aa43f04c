"""Copies inside S3, and deletions, against a sandbox and its faults."""

from __future__ import annotations

import itertools
import threading
from itertools import pairwise
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from cloudtune.aws import Aws, S3Uri, objects
from cloudtune.aws.copies import MAX_PARTS, MAX_SINGLE, Copy, CopyLimits, copy_all
from cloudtune.aws.objects import StoredObject
from cloudtune.errors import AccessDeniedError, NotFoundError, OptionError, TransientError, UnreachableError
from cloudtune.sandbox import Sandbox
from tests.aws.s3_faults import RawBody, fails_first, tampered, unretried

MB = 1 << 20
SMALL_PARTS = CopyLimits(single=8 * MB, part=5 * MB)


def content_below(aws: Aws, prefix: S3Uri) -> dict[str, bytes]:
    below = len(prefix.as_prefix.key)
    return {stored.uri.key[below:]: objects.get(aws, stored.uri) for stored in objects.listed(aws, prefix)}


def copied(aws: Aws, source: S3Uri, target: S3Uri, limits: CopyLimits = SMALL_PARTS) -> int:
    there = {stored.uri: stored for stored in objects.listed(aws, target)}
    below = len(source.as_prefix.key)
    copies = [Copy(stored, target / stored.uri.key[below:]) for stored in objects.listed(aws, source)]
    return copy_all(aws, copies, there, limits)


def filled(aws: Aws, prefix: S3Uri, number: int = 12) -> S3Uri:
    for each in range(number):
        objects.put(aws, prefix / f"deep/{each} ä+%.bin", f"content {each}".encode())
    return prefix


def test_what_is_copied_is_equal_and_never_passes_through_here(account: Sandbox) -> None:
    aws = unretried()
    source, target = filled(aws, S3Uri(account.bucket, "c1/from")), S3Uri(account.bucket, "c1/to")
    before = aws.call_counts()
    assert copied(aws, source, target) == 12
    assert aws.call_counts()["CopyObject"] == 12
    assert aws.call_counts().get("GetObject", 0) == before.get("GetObject", 0)
    assert content_below(aws, target) == content_below(aws, source)


def test_what_is_there_is_not_copied_again(account: Sandbox) -> None:
    aws = unretried()
    source, target = filled(aws, S3Uri(account.bucket, "c2/from")), S3Uri(account.bucket, "c2/to")
    copied(aws, source, target)
    objects.put(aws, source / "deep/3 ä+%.bin", b"CONTENT 3")  # of the same size
    objects.delete(aws, [target / "deep/5 ä+%.bin"])
    assert copied(aws, source, target) == 2
    assert content_below(aws, target) == content_below(aws, source)
    assert copied(aws, source, target) == 0


def test_large_objects_are_copied_in_parts_and_once(account: Sandbox) -> None:
    aws = unretried()
    source, target = S3Uri(account.bucket, "c3/from"), S3Uri(account.bucket, "c3/to")
    content = bytes(range(256)) * (11 * 4096 + 3)
    objects.put(aws, source / "model.bin", content)
    assert copied(aws, source, target) == 1
    assert objects.get(aws, target / "model.bin") == content
    counts = aws.call_counts()
    assert (counts["UploadPartCopy"], counts["CompleteMultipartUpload"]) == (3, 1)
    assert "CopyObject" not in counts
    (original,), (copy,) = objects.listed(aws, source), objects.listed(aws, target)
    assert original.etag != copy.etag, "so the ETag alone doesn't tell that it is there"
    assert copied(aws, source, target) == 0


@pytest.mark.parametrize(("operation", "sizes"), [("CopyObject", [1] * 4), ("UploadPartCopy", [12 * MB])])
def test_objects_and_parts_are_copied_side_by_side(account: Sandbox, operation: str, sizes: list[int]) -> None:
    aws = unretried()
    source, target = S3Uri(account.bucket, f"side/{operation}"), S3Uri(account.bucket, f"by/{operation}")
    for number, size in enumerate(sizes):
        objects.put(aws, source / f"{number}.bin", b"x" * size)
    together, turns = threading.Barrier(2, timeout=10), itertools.count()

    def meet(**_: Any) -> None:
        if next(turns) < 2:
            together.wait()  # who is alone waits in vain, and fails

    aws.client("s3").meta.events.register(f"before-send.s3.{operation}", meet)
    assert copied(aws, source, target) == len(sizes)


def test_an_upload_in_parts_that_fails_is_aborted(account: Sandbox) -> None:
    aws = unretried()
    source, target = S3Uri(account.bucket, "c4/from"), S3Uri(account.bucket, "c4/to")
    objects.put(aws, source / "model.bin", b"x" * (12 * MB))
    tampered(aws, "UploadPartCopy", fails_first(1, 403, "AccessDenied"))
    with pytest.raises(AccessDeniedError):
        copied(aws, source, target)
    uploads = account.client("s3").list_multipart_uploads(Bucket=account.bucket).get("Uploads", [])
    assert [upload["Key"] for upload in uploads if upload["Key"].startswith("c4/")] == []
    assert content_below(aws, target) == {}


@pytest.mark.parametrize(
    ("size", "parts"),
    [
        (0, 0),
        (1 << 30, 0),
        ((1 << 30) + 1, 5),
        (5 << 30, 20),
        ((5 << 30) + 1, 21),
        (5 << 40, MAX_PARTS),
    ],
)
def test_sizes_and_their_parts(size: int, parts: int) -> None:
    ranges = CopyLimits().ranges(size)
    assert len(ranges) == parts
    if ranges:
        assert ranges[0][0] == 0
        assert ranges[-1][1] == size - 1
        assert all(after[0] == before[1] + 1 for before, after in pairwise(ranges))
        assert max(last - first + 1 for first, last in ranges) <= MAX_SINGLE


def test_objects_beyond_the_limit_of_one_copy_are_asked_for_in_parts(account: Sandbox) -> None:
    """With a listing that claims 6 GiB: none of its size is asked to be copied as one."""
    aws = unretried()
    asked: list[str] = []

    def note(request: Any) -> AWSResponse:
        asked.append(request.headers["x-amz-copy-source-range"].decode())
        body = b"<CopyPartResult><ETag>&quot;0123&quot;</ETag></CopyPartResult>"
        return AWSResponse(request.url, 200, {"content-type": "application/xml"}, RawBody(body))

    tampered(aws, "UploadPartCopy", note)
    claimed = StoredObject(S3Uri(account.bucket, "c5/from/huge"), 6 << 30, '"abcd"')
    with pytest.raises(Exception, match="CompleteMultipartUpload"):  # whose parts nobody has
        copy_all(aws, [Copy(claimed, S3Uri(account.bucket, "c5/to/huge"))], {})
    assert len(asked) == 24
    assert "bytes=6174015488-6442450943" in asked
    assert "CopyObject" not in aws.call_counts()


@pytest.mark.parametrize(("single", "part"), [(MAX_SINGLE + 1, MB), (MB, 2 * MB), (MB, 0)])
def test_limits_that_s3_does_not_have_are_refused(single: int, part: int) -> None:
    with pytest.raises(OptionError, match=str(MAX_SINGLE)):
        CopyLimits(single, part)


# -- faults ------------------------------------------------------------------------------------------------------------


def test_an_object_that_fails_for_a_moment_is_copied_again_and_no_other(account: Sandbox) -> None:
    aws = unretried()
    source, target = filled(aws, S3Uri(account.bucket, "c6/from")), S3Uri(account.bucket, "c6/to")
    requests = tampered(aws, "CopyObject", fails_first(3))
    assert copied(aws, source, target) == 12
    assert requests["CopyObject"] == 12 + 3
    assert content_below(aws, target) == content_below(aws, source)


def test_objects_that_go_on_failing_are_left_for_later_with_all_others_copied(account: Sandbox) -> None:
    aws = unretried()
    source, target = filled(aws, S3Uri(account.bucket, "c7/from")), S3Uri(account.bucket, "c7/to")

    def one(request: Any) -> AWSResponse | None:
        return fails_first(1)(request) if "deep/7" in request.url else None

    requests = tampered(aws, "CopyObject", one)
    with pytest.raises(TransientError, match="deep/7"):
        copied(aws, source, target)
    assert requests["CopyObject"] == 12 + 2
    assert len(content_below(aws, target)) == 11
    assert copied(unretried(), source, target) == 1


def test_an_original_that_has_gone_is_told_at_once(account: Sandbox) -> None:
    aws = unretried()
    source = filled(aws, S3Uri(account.bucket, "c8/from"), 2)
    listed = list(objects.listed(aws, source))
    objects.delete(aws, [listed[0].uri])
    copies = [Copy(stored, S3Uri(account.bucket, f"c8/to/{number}")) for number, stored in enumerate(listed)]
    requests = tampered(aws, "CopyObject", lambda request: None)
    with pytest.raises(NotFoundError):
        copy_all(aws, copies, {})
    assert requests["CopyObject"] == 2


def errors_for(*codes: str) -> Any:
    """Answers of DeleteObjects that name errors for the first keys, one answer after the other."""
    left = list(codes)

    def handler(request: Any) -> AWSResponse | None:
        if not left:
            return None
        key = request.body.decode().split("<Key>")[1].split("</Key>")[0]
        error = f"<Error><Key>{key}</Key><Code>{left.pop(0)}</Code><Message>not now</Message></Error>"
        body = f"<DeleteResult>{error}</DeleteResult>".encode()
        return AWSResponse(request.url, 200, {"content-type": "application/xml"}, RawBody(body))

    return handler


def test_keys_that_were_not_deleted_are_deleted_again(account: Sandbox) -> None:
    aws = unretried()
    prefix = filled(aws, S3Uri(account.bucket, "d1"), 3)
    sizes: list[int] = []
    handler = errors_for("InternalError", "SlowDown")

    def note(request: Any) -> AWSResponse | None:
        sizes.append(request.body.decode().count("<Key>"))
        answer: AWSResponse | None = handler(request)
        return answer

    tampered(aws, "DeleteObjects", note)
    objects.delete_below(aws, prefix)
    assert sizes == [3, 1, 1], "those alone"


def test_keys_that_may_not_be_deleted_are_told_at_once(account: Sandbox) -> None:
    aws = unretried()
    prefix = filled(aws, S3Uri(account.bucket, "d2"), 3)
    requests = tampered(aws, "DeleteObjects", errors_for("AccessDenied"))
    with pytest.raises(AccessDeniedError, match=r"1 of 3 objects not deleted(.|\n)*allow s3:DeleteObject"):
        objects.delete_below(aws, prefix)
    assert requests["DeleteObjects"] == 1


def test_keys_that_go_on_failing_are_an_error_that_passes(account: Sandbox) -> None:
    aws = unretried()
    prefix = filled(aws, S3Uri(account.bucket, "d3"), 2)
    requests = tampered(aws, "DeleteObjects", errors_for(*["InternalError"] * 9))
    with pytest.raises(UnreachableError, match="1 of 1 objects not deleted"):
        objects.delete_below(aws, prefix)
    assert requests["DeleteObjects"] == 3
