"""A journal in S3: one object per batch of events, named after the number of its first."""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from cloudtune.aws import Aws, S3Uri
from cloudtune.aws.translation import translated
from cloudtune.errors import AlreadyExistsError, JournalCorruptError, NotFoundError
from cloudtune.journal.events import Event, from_line, to_line
from cloudtune.journal.store import conflict

PARALLEL_READS = 16
READ_AHEAD = 64
"""Objects fetched ahead of the one being read."""

CONFLICTS = 5
"""Tries of a put that S3 refuses because of another request at the same moment, with no object there afterwards."""

_SUFFIX = ".jsonl"
_WRITER = "writer"


class S3Journal:
    """Objects ``{uri}/{number of the first event, 12 digits}.jsonl``, each put only where no object is.

    Batches follow each other without gaps, so a writer that missed one finds its next number taken and is refused:
    two writers never both own a number. There is no lock, hence nothing that a dead writer leaves behind.

    Raises what ``cloudtune.aws`` makes of S3's errors.
    """

    def __init__(self, uri: str, aws: Aws | None = None) -> None:
        self.uri = uri
        self._prefix = S3Uri.parse(uri).as_prefix
        self._aws = aws or Aws()
        self._writer = uuid.uuid4().hex
        self._seq: int | None = None
        """The number of events, as far as this object has seen."""

    def read(self, from_seq: int = 0) -> Iterator[Event]:
        end: int | None = None
        for first, body in self._bodies(self._batches(from_seq)):
            expected = from_seq if end is None else end
            if first > expected:
                raise _gap(self.uri, expected, first)
            lines = body.splitlines()
            yield from map(from_line, lines[max(0, from_seq - first) :])
            end = first + len(lines)
        if end is not None or from_seq == 0:
            self._seq = end or 0

    def append(self, expected_seq: int, events: Sequence[Event]) -> None:
        if not events:
            return
        if self._seq is None:
            self._seq = self._length()
        if expected_seq != self._seq:
            raise conflict(f"{self._seq} events, not {expected_seq}")
        body = "".join(to_line(event) + "\n" for event in events).encode()
        if not self._owns(_name(expected_seq), body):
            raise conflict(f"other events from number {expected_seq} on")
        self._seq += len(events)

    def close(self) -> None:
        pass

    def _owns(self, name: str, body: bytes) -> bool:
        """Put the object, unless there is one; whether it is now there and ours."""
        for _ in range(CONFLICTS):
            try:
                self._create(name, body)
            except AlreadyExistsError:
                with suppress(NotFoundError):
                    # a put whose answer was lost is repeated by the client, and then finds its own object
                    return self._get_with_writer(name) == (body, self._writer)
            else:
                return True
        return False

    def _batches(self, from_seq: int) -> Iterator[int]:
        """Numbers of the first events of all batches that have events from ``from_seq`` on."""
        if from_seq == self._seq:  # known to be where a batch ends
            yield from map(_first, self._names(_name(from_seq - 1) if from_seq else ""))
            return
        last: int | None = None
        for first in map(_first, self._names()):
            if last is not None and first > from_seq:
                yield last
            last = first
        if last is not None:
            yield last

    def _bodies(self, batches: Iterable[int]) -> Iterator[tuple[int, bytes]]:
        """In order; some are on their way while one is being read, and never all are held."""
        with ThreadPoolExecutor(PARALLEL_READS, thread_name_prefix="journal") as pool:
            ahead: deque[tuple[int, Future[bytes]]] = deque()
            try:
                for first in batches:
                    ahead.append((first, pool.submit(self._get, _name(first))))
                    if len(ahead) >= READ_AHEAD:
                        oldest, body = ahead.popleft()
                        yield oldest, body.result()
                while ahead:
                    oldest, body = ahead.popleft()
                    yield oldest, body.result()
            finally:
                pool.shutdown(cancel_futures=True)

    def _length(self) -> int:
        newest = deque(self._names(), maxlen=1)
        return _first(newest[0]) + len(self._get(newest[0]).splitlines()) if newest else 0

    # -- S3 ----------------------------------------------------------------------------------------------------------

    def _names(self, after: str = "") -> Iterator[str]:
        """Objects below the prefix, in alphabetical order, from the first after ``after`` on."""
        where = {"Bucket": self._prefix.bucket, "Prefix": self._prefix.key, "StartAfter": self._prefix.key + after}
        for page in self._aws.pages("s3", "ListObjectsV2", **where):
            for entry in page.get("Contents", ()):
                yield entry["Key"].removeprefix(self._prefix.key)

    def _get(self, name: str) -> bytes:
        return self._get_with_writer(name)[0]

    def _get_with_writer(self, name: str) -> tuple[bytes, str]:
        answer = self._aws.call("s3", "GetObject", Bucket=self._prefix.bucket, Key=self._prefix.key + name)
        with translated("GetObject", str(self._prefix / name)):
            return answer["Body"].read(), answer["Metadata"].get(_WRITER, "")

    def _create(self, name: str, body: bytes) -> None:
        """Raises ``AlreadyExistsError`` if there is such an object."""
        self._aws.call(
            "s3",
            "PutObject",
            Bucket=self._prefix.bucket,
            Key=self._prefix.key + name,
            Body=body,
            IfNoneMatch="*",
            Metadata={_WRITER: self._writer},
        )


def _name(first: int) -> str:
    return f"{first:012d}{_SUFFIX}"


def _first(name: str) -> int:
    digits = name.removesuffix(_SUFFIX)
    if not digits.isdigit() or digits == name:
        raise JournalCorruptError(f"{name!r} is no part of a journal", "move foreign objects out of its prefix")
    return int(digits)


def _gap(uri: str, seq: int, first: int) -> JournalCorruptError:
    return JournalCorruptError(
        f"{uri}: events {seq} to {first - 1} are missing",
        "objects were deleted; restore them (a versioned bucket keeps them)",
    )
