"""A long journal in S3 is read in few requests, and written at a cost that doesn't grow, whatever dies in between."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from cloudtune.aws import Aws
from cloudtune.errors import AccessDeniedError, JournalConflictError, JournalCorruptError
from cloudtune.journal import segments
from cloudtune.journal.events import to_line
from cloudtune.journal.s3 import S3Journal
from cloudtune.sandbox import Sandbox
from cloudtune.testing.journal_contract import JournalStoreContract, marks

FEW = 4
"""Batches of a segment, and segments of a volume, in these tests."""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture(autouse=True)
def environment(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "FAN_IN", FEW)
    for name, value in sandbox.environment().items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def aws(sandbox: Sandbox) -> Aws:
    """One for all: what they share is no more than connections."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in sandbox.environment().items():
            patch.setenv(name, value)
        shared = Aws()
        shared.client("s3")
    return shared


@pytest.fixture
def uri(sandbox: Sandbox, tmp_path: Path) -> str:
    return f"s3://{sandbox.bucket}{tmp_path}/journal"


class TestAJournalWithSegments(JournalStoreContract):
    """As any other, though every second batch makes a segment."""

    @pytest.fixture(autouse=True)
    def two(self, sandbox: Sandbox, aws: Aws, environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
        self._bucket, self._aws = sandbox.bucket, aws
        monkeypatch.setattr(segments, "FAN_IN", 2)

    def open(self, place: Path) -> S3Journal:
        return S3Journal(f"s3://{self._bucket}{place}/journal", self._aws)


def write(journal: S3Journal, batches: int, size: int = 3, start: int = 0) -> int:
    """Number of events afterwards."""
    for first in range(start, start + batches * size, size):
        journal.append(first, marks(first, first + size))
    return start + batches * size


def objects(sandbox: Sandbox, uri: str) -> dict[str, int]:
    """Sizes by name below the journal's prefix."""
    prefix = uri.removeprefix(f"s3://{sandbox.bucket}/") + "/"
    pages = sandbox.client("s3").get_paginator("list_objects_v2").paginate(Bucket=sandbox.bucket, Prefix=prefix)
    return {each["Key"].removeprefix(prefix): each["Size"] for page in pages for each in page.get("Contents", ())}


def delete(sandbox: Sandbox, uri: str, names: Sequence[str]) -> None:
    prefix = uri.removeprefix(f"s3://{sandbox.bucket}/") + "/"
    for name in names:
        sandbox.client("s3").delete_object(Bucket=sandbox.bucket, Key=prefix + name)


def put(sandbox: Sandbox, uri: str, name: str, body: bytes = b"") -> None:
    prefix = uri.removeprefix(f"s3://{sandbox.bucket}/") + "/"
    sandbox.client("s3").put_object(Bucket=sandbox.bucket, Key=prefix + name, Body=body)


def test_batches_make_segments_and_segments_make_volumes(sandbox: Sandbox, uri: str, aws: Aws) -> None:
    write(S3Journal(uri, aws), FEW * FEW + FEW + 1)
    sealed = [name for name in objects(sandbox, uri) if "/" in name]
    assert sealed == [
        "segments/000000000000-000000000012.jsonl",
        "segments/000000000012-000000000024.jsonl",
        "segments/000000000024-000000000036.jsonl",
        "segments/000000000036-000000000048.jsonl",
        "segments/000000000048-000000000060.jsonl",
        "volumes/000000000000-000000000048.jsonl",
    ]


def test_a_long_journal_is_read_in_few_requests(sandbox: Sandbox, uri: str, aws: Aws) -> None:
    volumes, rest = 5, 3
    batches = volumes * FEW * FEW + 2 * FEW + rest
    end = write(S3Journal(uri, aws), batches)
    sandbox.reset_call_counts()
    assert list(S3Journal(uri, aws).read()) == marks(0, end)
    assert sandbox.call_counts() == {"s3.GetObject": volumes + 2 + rest, "s3.ListObjectsV2": 3}


def test_a_writer_that_has_not_read_looks_at_the_end_only(sandbox: Sandbox, uri: str, aws: Aws) -> None:
    end = write(S3Journal(uri, aws), 3 * FEW * FEW + 2)
    sandbox.reset_call_counts()
    S3Journal(uri, aws).append(end, marks(end, end + 1))
    assert sandbox.call_counts() == {"s3.GetObject": 1, "s3.ListObjectsV2": 3, "s3.PutObject": 1}


def test_appending_costs_as_much_at_the_end_as_at_the_beginning(sandbox: Sandbox, uri: str, aws: Aws) -> None:
    journal = S3Journal(uri, aws)
    batches, size = 2 * FEW * FEW, 3
    end = write(journal, FEW * FEW, 7)
    line = len(to_line(marks(100, 101)[0])) + 1
    for _ in range(3):
        before = sum(objects(sandbox, uri).values())
        sandbox.reset_call_counts()
        end = write(journal, batches, size, start=end)
        assert sandbox.call_counts() == {"s3.PutObject": batches + batches / FEW + batches / FEW / FEW}
        # once in a batch, once in a segment, once in a volume
        assert sum(objects(sandbox, uri).values()) - before == 3 * batches * size * line


def test_large_batches_are_not_copied(sandbox: Sandbox, uri: str, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "ENOUGH_BYTES", 50)
    end = write(S3Journal(uri, aws), 5)
    assert not [name for name in objects(sandbox, uri) if "/" in name]
    assert list(S3Journal(uri, aws).read()) == marks(0, end)


@pytest.mark.parametrize("seed", range(6))
def test_whatever_segments_are_missing_nothing_else_is(sandbox: Sandbox, uri: str, aws: Aws, seed: int) -> None:
    chance = random.Random(seed)
    end = write(S3Journal(uri, aws), 2 * FEW * FEW + FEW + 2, size=2)
    sealed = [name for name in objects(sandbox, uri) if "/" in name]
    delete(sandbox, uri, chance.sample(sealed, chance.randint(1, len(sealed))))
    assert list(S3Journal(uri, aws).read()) == marks(0, end)
    start = chance.randrange(end)
    assert list(S3Journal(uri, aws).read(start)) == marks(start, end)
    S3Journal(uri, aws).append(end, marks(end, end + 1))


def test_segments_stand_in_for_batches_that_somebody_has_deleted(sandbox: Sandbox, uri: str, aws: Aws) -> None:
    end = write(S3Journal(uri, aws), FEW * FEW + FEW + 1)
    batches = [name for name in objects(sandbox, uri) if "/" not in name]
    delete(sandbox, uri, batches[: FEW * FEW + FEW])
    assert list(S3Journal(uri, aws).read()) == marks(0, end)
    delete(sandbox, uri, ["segments/000000000048-000000000060.jsonl"])
    with pytest.raises(JournalCorruptError, match="events 48 to 59 are missing"):
        list(S3Journal(uri, aws).read())


def test_segments_that_overlap_are_read_once(sandbox: Sandbox, uri: str, aws: Aws) -> None:
    end = write(S3Journal(uri, aws), 3 * FEW, size=1)
    body = b'{"event":"SpaceExhausted","at":%d}\n'
    put(sandbox, uri, "segments/000000000002-000000000006.jsonl", b"".join(body % number for number in range(2, 6)))
    assert list(S3Journal(uri, aws).read()) == marks(0, end)
    assert [list(S3Journal(uri, aws).read(start)) for start in range(end)] == [
        marks(start, end) for start in range(end)
    ]


class Killed(BaseException):
    """The process is gone."""


class Mortal(Aws):
    """Dies at the n-th put: before it has effect, or after."""

    def __init__(self, aws: Aws, puts: int, after: bool) -> None:
        super().__init__()
        self.aws, self.puts, self.after = aws, puts, after

    def call(self, service: str, operation: str, /, **request: Any) -> dict[str, Any]:
        if operation != "PutObject":
            return self.aws.call(service, operation, **request)
        self.puts -= 1
        if self.puts == 0 and not self.after:
            raise Killed
        answer = self.aws.call(service, operation, **request)
        if self.puts == 0:
            raise Killed
        return answer


@pytest.mark.parametrize("after", [False, True])
def test_writers_killed_at_any_put_one_after_the_other(sandbox: Sandbox, uri: str, aws: Aws, after: bool) -> None:
    """Every session dies one put later than the one before: also in the middle of sealing."""
    seen = 0
    for puts in range(1, 14):
        journal = S3Journal(uri, Mortal(aws, puts, after))
        events = list(journal.read())
        assert seen <= len(events) and events == marks(0, len(events))
        seen = len(events)
        with pytest.raises(Killed):
            while True:
                journal.append(seen, marks(seen, seen + 1))
                seen += 1
    end = len(list(S3Journal(uri, aws).read()))
    assert end - seen == after or end == seen
    batches = [name for name in objects(sandbox, uri) if "/" not in name]
    assert batches == [f"{number:012d}.jsonl" for number in range(end)]
    assert any(name.startswith("volumes/") for name in objects(sandbox, uri))


def test_short_sessions_seal_what_earlier_ones_left(sandbox: Sandbox, uri: str, aws: Aws) -> None:
    for session in range(FEW * FEW):
        journal = S3Journal(uri, aws)
        assert len(list(journal.read())) == session
        journal.append(session, marks(session, session + 1))
    assert "volumes/000000000000-000000000016.jsonl" in objects(sandbox, uri)


def test_a_writer_that_missed_something_is_refused_although_it_is_sealed(uri: str, aws: Aws) -> None:
    late, first = S3Journal(uri, aws), S3Journal(uri, aws)
    assert list(late.read()) == []
    write(first, FEW * FEW)
    with pytest.raises(JournalConflictError):
        late.append(0, marks(0, 1))


class NoSegments(Aws):
    """A policy that somebody wrote for batches only."""

    def call(self, service: str, operation: str, /, **request: Any) -> dict[str, Any]:
        if operation == "PutObject" and "/segments/" in request["Key"]:
            raise AccessDeniedError("not below segments/")
        return super().call(service, operation, **request)


def test_a_journal_whose_segments_can_not_be_put_goes_on_without(sandbox: Sandbox, uri: str, aws: Aws) -> None:
    end = write(S3Journal(uri, NoSegments()), FEW * FEW + 1)
    assert list(S3Journal(uri, aws).read()) == marks(0, end)


def test_a_journal_from_before_segments_gets_them_little_by_little(sandbox: Sandbox, uri: str, aws: Aws) -> None:
    end = write(S3Journal(uri, aws), 2 * FEW * FEW)
    delete(sandbox, uri, [name for name in objects(sandbox, uri) if "/" in name])
    journal = S3Journal(uri, aws)
    assert len(list(journal.read())) == end
    sandbox.reset_call_counts()
    journal.append(end, marks(end, end + 1))
    assert sandbox.call_counts()["s3.PutObject"] <= 3
    write(journal, FEW * FEW, size=1, start=end + 1)
    sandbox.reset_call_counts()
    assert len(list(S3Journal(uri, aws).read())) == end + 1 + FEW * FEW
    assert sandbox.call_counts()["s3.GetObject"] <= 2 * FEW
