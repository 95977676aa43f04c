"""What must hold at the end of every experiment, whatever went wrong: checked against the sandbox's own books."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

from cloudtune.engine.ledger import Ledger
from cloudtune.names import parse_job_name
from cloudtune.report import parse_report_line
from cloudtune.sandbox import Sandbox
from tests.virtual import Virtual

Print = tuple[int, int, float, int]
"""One report as it was printed: trial, attempt, the script's time, the script's count."""


def broken(run: Virtual, within_seconds: float) -> list[str]:
    """The invariants that ``run``, which has ended, breaks. ``within_seconds``: of virtual time, since its start."""
    ledger = run.tuner.ledger
    return [
        *_end(run, ledger, within_seconds),
        *_jobs(run.sandbox, ledger),
        *_reports(run.sandbox, ledger),
        *_heard(ledger),
    ]


def _end(run: Virtual, ledger: Ledger, within_seconds: float) -> Iterator[str]:
    if ledger.finished is None:
        yield "the experiment has not finished"
    if ledger.open or ledger.intents:
        yield f"left open: {sorted(map(str, ledger.open))}, {sorted(map(str, ledger.intents))}"
    spent = ledger.wallclock_time(run.clock.now())
    if spent > within_seconds:
        yield f"it took {spent:.0f} s, more than {within_seconds:.0f} s"


def _jobs(sandbox: Sandbox, ledger: Ledger) -> Iterator[str]:
    """One job per attempt that was launched, none without, none beside another of its trial, none that still runs."""
    names: set[str] = set()
    ends: dict[int, tuple[float, str]] = {}
    with sandbox._running().ledger.reading() as jobs:
        for job in sorted(jobs.values(), key=lambda job: job.created):
            names.add(job.name)
            if not job.ended:
                yield f"{job.name} still is {job.secondary}"
            trial_id = int(job.name.split("-")[-2])
            before, name = ends.get(trial_id, (0.0, ""))
            if job.created < before:
                yield f"{job.name} began while {name} was at work"
            ends[trial_id] = (job.transitions[-1].start if job.ended else math.inf, job.name)
    assert ledger.tuner_name is not None
    intended = {
        f"{ledger.tuner_name}-{attempt.id.trial_id:05d}-{attempt.id.number}"
        for trial in ledger.trials
        for attempt in trial.attempts
    }
    launched = {attempt.name for trial in ledger.trials for attempt in trial.attempts if attempt.name is not None}
    if unknown := names - intended:
        yield f"jobs that the journal doesn't know: {sorted(unknown)}"
    if lost := launched - names:
        yield f"launches without a job: {sorted(lost)}"
    if unrecorded := names - launched:
        yield f"jobs whose launch was never recorded: {sorted(unrecorded)}"


def printed(sandbox: Sandbox, tuner_name: str) -> Counter[Print]:
    """Every report that a script of the experiment has printed, once, however often the service delivers its line."""
    found: set[Print] = set()
    store = sandbox._running().logs
    with store.lock:
        for event in store.walk(None, (0, 0)):
            name = parse_job_name(tuner_name, event.stream.partition("/")[0])
            metrics = parse_report_line(event.message)
            if name is not None and metrics is not None:
                found.add((*name, float(metrics["st_worker_timestamp"]), int(metrics["st_worker_iter"])))
    return Counter(found)


def _reports(sandbox: Sandbox, ledger: Ledger) -> Iterator[str]:
    """Everything printed is in the table, once."""
    assert ledger.tuner_name is not None
    rows = Counter(
        (row.trial_id, row.attempt, float(row.metrics["st_worker_timestamp"]), int(row.metrics["st_worker_iter"]))
        for row in ledger.rows
    )
    truth = printed(sandbox, ledger.tuner_name)
    if lost := truth - rows:
        yield f"{lost.total()} of {truth.total()} reports lost, such as {sorted(lost)[:3]}"
    if invented := rows - truth:
        yield f"{invented.total()} reports counted twice or never printed, such as {sorted(invented)[:3]}"


def _heard(ledger: Ledger) -> Iterator[str]:
    """No resource of a trial counts twice."""
    if ledger.scheduler.resource_attr is None:
        return  # nobody knows which reports are of the same work
    for trial in ledger.trials:
        heard = [
            row.metrics["epoch"] for row in ledger.rows if row.trial_id == trial.trial.trial_id and not row.repeated
        ]
        if len(heard) > len(set(heard)):
            yield f"trial {trial.trial.trial_id} was heard at {heard}"
