"""What is found wrong as soon as reports come in, before more money is spent."""

from __future__ import annotations

from collections import Counter

from cloudtune.engine.ledger import Ledger
from cloudtune.errors import ExperimentFailedError, MetricError, NotAsAskedError
from cloudtune.trial import Status

ENOUGH_REPORTS = 12
"""So many reports without the objective, in an experiment that needs it in each, are no accident."""


def missing_metric(ledger: Ledger) -> MetricError | None:
    """An error if no report carries what the scheduler needs, and none can be expected to.

    A scheduler that decides during training needs its metric in every report: a dozen without it settle the matter.
    Others may get it in the last report only: the first script that ends without it does.
    """
    reports = ledger.reports_without_objective
    if not reports or ledger.reports_with_objective:
        return None
    needs_each = ledger.scheduler.resource_attr is not None
    one_ended = ledger.failures > 0
    if not one_ended and not (needs_each and len(reports) >= ENOUGH_REPORTS):
        return None
    wanted = ledger.scheduler.needed_metrics()
    seen = Counter(name for report in reports for name in report)
    missing = [name for name in wanted if seen[name] < len(reports)]
    theirs = [repr(name) for name, _ in seen.most_common() if not name.startswith("st_")]
    names = ", ".join(theirs[:10]) or "nothing"
    return MetricError(
        f"0 of {len(reports)} reports carry {' and '.join(map(repr, missing))}; seen: {names}",
        "what the scheduler needs (its metrics, resource_attr, cost_attr) must be spelled as the script reports it",
    )


def not_as_asked(ledger: Ledger) -> NotAsAskedError | None:
    """An error if what runs isn't what was asked for: every further trial would be the same."""
    if not ledger.mismatch:
        return None
    return NotAsAskedError(
        ledger.mismatch,
        "something changes requests on their way: a proxy, a policy of the account, a wrapper of boto3",
    )


def too_many_failures(ledger: Ledger, max_failures: int) -> ExperimentFailedError | None:
    """An error once more than ``max_failures`` trials have failed, with the causes of the first few."""
    if ledger.failures <= max_failures:
        return None
    failed = [trial for trial in ledger.trials if trial.status is Status.failed]
    causes = "\n".join(f"  trial {trial.trial.trial_id}: {trial.reason}" for trial in failed[:5])
    return ExperimentFailedError(
        f"{ledger.failures} trials failed, more than max_failures={max_failures}:\n{causes}",
        "look at their logs; if failures are to be expected, raise max_failures",
    )
