"""A journal in S3: one object per batch of events, named after the number of its first."""

from __future__ import annotations

import logging
import uuid
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from cloudtune.aws import Aws, S3Uri
from cloudtune.aws.translation import translated
from cloudtune.errors import AlreadyExistsError, CloudtuneError, JournalCorruptError, NotFoundError
from cloudtune.journal.events import Event, from_line, to_lines
from cloudtune.journal.segments import LEVELS, Part, Sealer, cover, parsed
from cloudtune.journal.store import conflict, last_writer

logger = logging.getLogger("cloudtune.tuner")

PARALLEL_READS = 16
READ_AHEAD = 32
"""Objects fetched ahead of the one being read."""

CONFLICTS = 5
"""Tries of a put that S3 refuses because of another request at the same moment, with no object there afterwards."""

SEALS_PER_APPEND = 2
"""Segments put after one batch at most: a long journal that has none gets them little by little."""

_WRITER = "writer"


class S3Journal:
    """Objects ``{uri}/{number of the first event, 12 digits}.jsonl``, each put only where no object is.

    Batches follow each other without gaps, so a writer that missed one finds its next number taken and is refused:
    two writers never both own a number. There is no lock, hence nothing that a dead writer leaves behind.
    Every 64 batches the writer puts a copy of them in one object (``cloudtune.journal.segments``).

    Raises what ``cloudtune.aws`` makes of S3's errors.
    """

    def __init__(self, uri: str, aws: Aws | None = None) -> None:
        self.uri = uri
        self._prefix = S3Uri.parse(uri).as_prefix
        self._aws = aws or Aws()
        self._writer = uuid.uuid4().hex
        self._sealer = Sealer()
        self._seq: int | None = None
        """The number of events, as far as this object has seen."""

    def read(self, from_seq: int = 0) -> Iterator[Event]:
        at, found = from_seq, False
        for part, body in self._bodies(self._parts(from_seq)):
            if part.first > at:
                raise _gap(self.uri, at, part.first)
            lines = body.splitlines()
            end = part.first + len(lines)
            if from_seq == 0:  # who is about to write reads all; who follows keeps nothing
                self._sealer.add(part.level, part.first, end, body)
            yield from map(from_line, lines[at - part.first :])
            at, found = max(at, end), True
        if found or from_seq == 0:
            self._seq = at

    def append(self, expected_seq: int, events: Sequence[Event]) -> None:
        if not events:
            return
        if self._seq is None:
            self._seq = self._length()
        if expected_seq != self._seq:
            raise conflict(f"{self._seq} events, not {expected_seq}")
        body = to_lines(events)
        if not self._owns(Part(0, expected_seq).name, body):
            who = last_writer(S3Journal(self.uri, self._aws).read(expected_seq))
            raise conflict(f"other events from number {expected_seq} on", who)
        self._seq += len(events)
        self._sealer.add(0, expected_seq, self._seq, body)
        self._seal()

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

    def _seal(self) -> None:
        """The batch is safe by now: what goes wrong here costs a later reader some requests."""
        for _ in range(min(SEALS_PER_APPEND, len(self._sealer.due))):
            part, body = self._sealer.due.popleft()
            try:
                self._create(part.name, body)
            except AlreadyExistsError:
                pass
            except CloudtuneError as error:
                logger.debug("no %s: %s", part.name, error)

    def _parts(self, from_seq: int) -> Iterator[Part]:
        """Parts that together have all events from ``from_seq`` on, and little else."""
        if from_seq == self._seq:  # known to be where a batch ends; what is new is rarely in a segment
            yield from self._listed(0, from_seq)
            return
        last: Part | None = None
        for part in cover(self._listed):
            if last is not None and part.first > from_seq:
                yield last
            last = part
        if last is not None:
            yield last

    def _bodies(self, parts: Iterable[Part]) -> Iterator[tuple[Part, bytes]]:
        """In order; some are on their way while one is being read, and never all are held."""
        with ThreadPoolExecutor(PARALLEL_READS, thread_name_prefix="journal") as pool:
            ahead: deque[tuple[Part, Future[bytes]]] = deque()
            try:
                for part in parts:
                    ahead.append((part, pool.submit(self._get, part.name)))
                    if len(ahead) >= READ_AHEAD:
                        oldest, body = ahead.popleft()
                        yield oldest, body.result()
                while ahead:
                    oldest, body = ahead.popleft()
                    yield oldest, body.result()
            finally:
                pool.shutdown(cancel_futures=True)

    def _length(self) -> int:
        newest = deque(cover(self._listed), maxlen=1)
        if not newest:
            return 0
        return newest[0].end or newest[0].first + len(self._get(newest[0].name).splitlines())

    # -- S3 ----------------------------------------------------------------------------------------------------------

    def _listed(self, level: int, start: int) -> Iterator[Part]:
        """Parts of one level that begin at number ``start`` or later, in order."""
        below = self._prefix.key + LEVELS[level]
        after = f"{below}{start - 1:012d}~" if start else below
        where = {"Bucket": self._prefix.bucket, "Prefix": below, "StartAfter": after, "Delimiter": "/"}
        for page in self._aws.pages("s3", "ListObjectsV2", **where):
            for entry in page.get("Contents", ()):
                yield parsed(entry["Key"].removeprefix(self._prefix.key))

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


def _gap(uri: str, seq: int, first: int) -> JournalCorruptError:
    return JournalCorruptError(
        f"{uri}: events {seq} to {first - 1} are missing",
        "objects were deleted; restore them (a versioned bucket keeps them)",
    )
