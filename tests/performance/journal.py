"""Seconds to read a journal of 100,000 events, to rebuild a tuner from it, and what appending costs.

    taskset -c 0 python tests/performance/journal.py [events]

Stores: a file; S3 as the sandbox serves it, from a process of its own; and S3 in memory that takes 30 ms over every
request, as the service does. "read": all events, parsed. "replay": read and applied to ASHA's ledger. "requests":
to read all. "puts", "bytes": per event, all levels of segments included; "last tenth": the same for the last tenth of
the events, which shows whether the cost grows.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from cloudtune.aws import Aws
from cloudtune.baselines import ASHA
from cloudtune.engine.ledger import Ledger
from cloudtune.journal import events as ev
from cloudtune.journal.file import FileJournal
from cloudtune.journal.s3 import S3Journal
from cloudtune.journal.store import JournalStore
from cloudtune.sandbox import detached
from cloudtune.sandbox.settings import Settings
from cloudtune.schedulers.base import Action
from cloudtune.space import loguniform, uniform
from cloudtune.trial import AttemptStatus

LATENCY = 0.03
BATCHES = (1, 10, 100, 1000)
EPOCHS = 27
SPACE = {"lr": loguniform(1e-5, 1), "dropout": uniform(0, 1), "epochs": EPOCHS}


def recorded(count: int) -> list[ev.Event]:
    """Trials of ASHA, one after the other, each with its launch, reports, decisions and end."""
    scheduler = ASHA(SPACE, "loss", "epoch", max_resource_attr="epochs", random_seed=1)
    ledger = Ledger(scheduler)
    events: list[ev.Event] = []

    def happen(event: ev.Event) -> None:
        ledger.apply(event)
        events.append(event)

    happen(ev.ExperimentStarted(0.0, "long", "1"))
    happen(ev.SessionStarted(0.0, "host", 1, 0.0))
    while len(events) < count:
        trial_id, at = len(ledger.trials), float(len(events))
        suggestion = scheduler.suggest(trial_id)
        happen(ev.LaunchIntended(at, trial_id, 0, dict(suggestion.config)))  # type: ignore[union-attr,arg-type]
        happen(ev.Launched(at, trial_id, 0, f"long-{trial_id}-0", 1.2))
        happen(ev.StatusObserved(at, trial_id, 0, AttemptStatus.RUNNING.value))
        for epoch in range(1, EPOCHS + 1):
            metrics = {"epoch": epoch, "loss": 1 / epoch + at % 7, "st_worker_time": at, "st_worker_iter": epoch}
            happen(ev.ReportObserved(at, trial_id, 0, str(epoch), metrics, at, at))
            for (_, key), (decision, _) in list(ledger.undecided.items()):
                reason = decision.reason
                said = (reason.rule, reason.numbers, reason.threshold) if reason else ("", {}, None)
                happen(ev.DecisionMade(at, trial_id, 0, key, decision.action.value, *said))
            if decision.action is not Action.CONTINUE:
                break
        happen(ev.StatusObserved(at, trial_id, 0, AttemptStatus.COMPLETED.value, "", 0.1))
    return events[:count]


@dataclass
class MemoryS3(Aws):
    """One bucket, as far as a journal needs it."""

    latency: float = 0.0
    objects: dict[str, tuple[bytes, dict[str, str]]] = field(default_factory=dict)
    sent: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def call(self, service: str, operation: str, /, **request: Any) -> dict[str, Any]:
        with self.lock:
            self.sent[operation] += 1
        time.sleep(self.latency)
        if operation == "PutObject":
            assert request["IfNoneMatch"] == "*" and request["Key"] not in self.objects
            self.sent["bytes"] += len(request["Body"])
            self.objects[request["Key"]] = (request["Body"], request["Metadata"])
            return {}
        if operation == "GetObject":
            body, metadata = self.objects[request["Key"]]
            return {"Body": io.BytesIO(body), "Metadata": metadata}
        after = request.get("ContinuationToken") or request["StartAfter"]
        prefix = request["Prefix"]
        below = sorted(key for key in self.objects if key.startswith(prefix) and key > after)
        keys = [key for key in below if "/" not in key[len(prefix) :]][:1000]
        more = {"NextContinuationToken": keys[-1]} if len(keys) == 1000 else {}
        return {"Contents": [{"Key": key} for key in keys], **more}


def write(
    journal: JournalStore, events: Sequence[ev.Event], size: int, note: Callable[[], None] = lambda: None
) -> None:
    for start in range(0, len(events), size):
        if start >= 0.9 * len(events):
            note()
            note = lambda: None  # noqa: E731
        journal.append(start, events[start : start + size])
    journal.close()


def measured(work: Callable[[], Any]) -> str:
    wall, own = time.perf_counter(), time.process_time()
    work()
    return f"{time.perf_counter() - wall:.2f} ({time.process_time() - own:.2f})"


def reading(open_: Callable[[], JournalStore]) -> list[str]:
    def replay() -> None:
        ledger = Ledger(ASHA(SPACE, "loss", "epoch", max_resource_attr="epochs", random_seed=1))
        for event in open_().read():
            ledger.apply(event)

    return [measured(lambda: sum(1 for _ in open_().read())), measured(replay)]


def row_of_memory(events: Sequence[ev.Event], size: int) -> list[str]:
    s3 = MemoryS3()
    before: Counter[str] = Counter()
    write(S3Journal("s3://bucket/long", s3), events, size, lambda: before.update(s3.sent))
    total, last = s3.sent.copy(), s3.sent - before
    costs = []
    for sent, count in ((total, len(events)), (last, len(events) / 10)):
        costs.append(f"{sent['PutObject'] / count:.3f}, {sent['bytes'] / count:.0f}")
    s3.sent.clear()
    s3.latency = LATENCY
    columns = reading(lambda: S3Journal("s3://bucket/long", s3))
    return [*columns, str((s3.sent["GetObject"] + s3.sent["ListObjectsV2"]) // 2), *costs]


def main() -> None:
    events = recorded(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
    table = Table(
        "store", "events per batch", "read s (CPU)", "replay s (CPU)", "requests", "puts, bytes", "last tenth"
    )
    with tempfile.TemporaryDirectory() as folder:
        journal = FileJournal(Path(folder) / "file")
        write(journal, events, 100)
        table.add_row("file", "any", *reading(lambda: journal))
        for size in BATCHES:
            table.add_row("S3, 30 ms", str(size), *row_of_memory(events, size))
        sandbox = detached.start_detached(Settings(directory=Path(folder) / "sandbox"))
        try:
            os.environ.update(sandbox.address.environment())
            for size in BATCHES[1:]:
                uri = f"s3://{sandbox.address.bucket}/{size}"
                write(S3Journal(uri), events, size)
                table.add_row("sandbox", str(size), *reading(lambda uri=uri: S3Journal(uri)))  # type: ignore[misc]
        finally:
            sandbox.stop()
    Console().print(f"{len(events):,} events")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
