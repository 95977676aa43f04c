"""The contract of journal stores on S3, and what rival writers, lost answers and missing objects do to it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudtune.aws import Aws
from cloudtune.errors import JournalConflictError, JournalCorruptError
from cloudtune.journal.events import SessionStarted
from cloudtune.journal.s3 import READ_AHEAD, S3Journal
from cloudtune.journal.store import JournalStore
from cloudtune.sandbox import Sandbox
from cloudtune.testing.journal_contract import JournalStoreContract, marks


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture(autouse=True)
def environment(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in sandbox.environment().items():
        monkeypatch.setenv(name, value)


def uri_of(place: Path, bucket: str) -> str:
    return f"s3://{bucket}{place}/journal"


class TestS3Journal(JournalStoreContract):
    @pytest.fixture(autouse=True)
    def bucket(self, sandbox: Sandbox) -> None:
        self._bucket = sandbox.bucket

    def open(self, place: Path) -> JournalStore:
        return S3Journal(uri_of(place, self._bucket))


@pytest.fixture
def uri(sandbox: Sandbox, tmp_path: Path) -> str:
    return uri_of(tmp_path, sandbox.bucket)


def names(sandbox: Sandbox, uri: str) -> list[str]:
    prefix = uri.removeprefix(f"s3://{sandbox.bucket}/") + "/"
    listing = sandbox.client("s3").list_objects_v2(Bucket=sandbox.bucket, Prefix=prefix)
    return [entry["Key"].removeprefix(prefix) for entry in listing.get("Contents", [])]


def test_a_batch_is_an_object_named_after_its_first_event(sandbox: Sandbox, uri: str) -> None:
    journal = S3Journal(uri)
    journal.append(0, marks(0, 3))
    journal.append(3, marks(3, 4))
    assert names(sandbox, uri) == ["000000000000.jsonl", "000000000003.jsonl"]


def test_two_rivals_never_both_own_a_number(uri: str) -> None:
    rounds = 12
    barrier = threading.Barrier(2)
    won: dict[str, list[int]] = {"one": [], "two": []}

    def write(name: str) -> None:
        for seq in range(rounds):
            journal = S3Journal(uri, aws)
            assert len(list(journal.read())) == seq
            barrier.wait()
            try:
                journal.append(seq, marks(seq, seq + 1))
                won[name].append(seq)
            except JournalConflictError:
                pass
            barrier.wait()

    aws = Aws()
    threads = [threading.Thread(target=write, args=[name]) for name in won]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won["one"] + won["two"]) == list(range(rounds))


class LosesAnswers(Aws):
    """The first put arrives, its answer doesn't; the client repeats it, as botocore does."""

    def call(self, service: str, operation: str, /, **request: Any) -> dict[str, Any]:
        if operation == "PutObject":
            super().call(service, operation, **request)
        return super().call(service, operation, **request)


def test_a_put_that_is_repeated_because_its_answer_was_lost_counts_once(uri: str) -> None:
    journal = S3Journal(uri, LosesAnswers())
    journal.append(0, marks(0, 2))
    journal.append(2, marks(2, 3))
    assert list(S3Journal(uri).read()) == marks(0, 3)


def test_equal_events_of_another_writer_are_not_taken_for_our_own(uri: str) -> None:
    ours, theirs = S3Journal(uri), S3Journal(uri)
    list(ours.read())
    theirs.append(0, marks(0, 1))
    with pytest.raises(JournalConflictError, match="other events from number 0 on"):
        ours.append(0, marks(0, 1))


def test_whoever_comes_too_late_is_told_who_came_first(uri: str) -> None:
    ours, theirs = S3Journal(uri), S3Journal(uri)
    ours.append(0, marks(0, 1))
    theirs.append(1, [SessionStarted(1.0, "far", 77, 0.0), *marks(2, 3)])
    theirs.append(3, marks(3, 4))
    with pytest.raises(JournalConflictError, match="other events from number 1 on, by process 77 on far"):
        ours.append(1, marks(1, 2))


def test_a_missing_object_is_an_error_that_names_the_gap(sandbox: Sandbox, uri: str) -> None:
    journal = S3Journal(uri)
    for seq in (0, 2, 4):
        journal.append(seq, marks(seq, seq + 2))
    prefix = uri.removeprefix(f"s3://{sandbox.bucket}/")
    sandbox.client("s3").delete_object(Bucket=sandbox.bucket, Key=f"{prefix}/000000000002.jsonl")
    with pytest.raises(JournalCorruptError, match="events 2 to 3 are missing"):
        list(S3Journal(uri).read())


def test_foreign_objects_are_an_error_that_names_them(sandbox: Sandbox, uri: str) -> None:
    prefix = uri.removeprefix(f"s3://{sandbox.bucket}/")
    sandbox.client("s3").put_object(Bucket=sandbox.bucket, Key=f"{prefix}/notes.txt", Body=b"")
    with pytest.raises(JournalCorruptError, match=r"notes\.txt"):
        list(S3Journal(uri).read())


def test_reading_costs_one_get_per_batch_and_following_only_what_is_new(sandbox: Sandbox, uri: str) -> None:
    batches, size = READ_AHEAD + 20, 50
    writer = S3Journal(uri)
    for batch in range(batches):
        writer.append(batch * size, marks(batch * size, (batch + 1) * size))
    sandbox.reset_call_counts()
    reader = S3Journal(uri)
    assert list(reader.read()) == marks(0, batches * size)
    assert sandbox.call_counts() == {"s3.GetObject": batches, "s3.ListObjectsV2": 3}
    writer.append(batches * size, marks(0, 1))
    sandbox.reset_call_counts()
    assert len(list(reader.read(batches * size))) == 1
    assert list(reader.read(batches * size + 1)) == []
    assert sandbox.call_counts() == {"s3.GetObject": 1, "s3.ListObjectsV2": 2}


def test_who_reads_only_the_beginning_fetches_only_a_little(sandbox: Sandbox, uri: str) -> None:
    batches = 3 * READ_AHEAD
    writer = S3Journal(uri)
    for batch in range(batches):
        writer.append(batch, marks(batch, batch + 1))
    sandbox.reset_call_counts()
    events = S3Journal(uri).read()
    assert next(events) == marks(0, 1)[0]
    del events
    assert sandbox.call_counts()["s3.GetObject"] <= READ_AHEAD
