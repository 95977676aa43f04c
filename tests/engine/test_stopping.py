"""Each limit of the criterion, alone and together."""

from __future__ import annotations

import math
from typing import Any

import dill
import pytest

from cloudtune.engine.ledger import Ledger
from cloudtune.engine.status import TuningStatus
from cloudtune.engine.stopping import StoppingCriterion
from cloudtune.errors import OptionError
from cloudtune.journal import events as ev
from tests.engine.scripted import Scripted


def status(now: float = 100.0) -> TuningStatus:
    """Four trials after 100 s: one completed, one stopped, one failed, one running; three reports; 0.3 $."""
    ledger = Ledger(Scripted())
    events: tuple[ev.Event, ...] = (
        ev.ExperimentStarted(0.0, "name", "0"),
        ev.SessionStarted(0.0, "here", 1, 0.0),
        *(ev.LaunchIntended(0.0, trial, 0, {}) for trial in range(4)),
        *(ev.Launched(0.0, trial, 0, f"job-{trial}") for trial in range(4)),
        *(ev.ReportObserved(5.0, trial, 0, "a", {"loss": loss}, 5.0, 5.0) for trial, loss in enumerate((3.0, 2.0))),
        ev.ReportObserved(5.0, 3, 0, "a", {"loss": math.nan}, 5.0, 5.0),
        *(ev.DecisionMade(5.0, trial, 0, "a", "CONTINUE") for trial in (0, 1, 3)),
        ev.StatusObserved(6.0, 0, 0, "Completed", "", 0.1),
        ev.StatusObserved(6.0, 1, 0, "Stopped", "", 0.1),
        ev.StatusObserved(6.0, 2, 0, "Failed", "broken", 0.1),
    )
    for event in events:
        ledger.apply(event)
    return TuningStatus(ledger, now)


@pytest.mark.parametrize(
    ("limits", "met"),
    [
        ({}, False),
        ({"max_wallclock_time": 100}, True),
        ({"max_wallclock_time": 100.5}, False),
        ({"max_num_evaluations": 2}, True),
        ({"max_num_evaluations": 3}, False),
        ({"max_num_trials_started": 3}, True),
        ({"max_num_trials_started": 4}, False),
        ({"max_num_trials_completed": 0}, True),
        ({"max_num_trials_completed": 1}, False),
        ({"max_num_trials_finished": 2}, True),
        ({"max_num_trials_finished": 3}, False),
        ({"max_cost": 0.25}, True),
        ({"max_cost": 0.35}, False),
        ({"min_metric_value": {"loss": 2.5}}, True),
        ({"min_metric_value": {"loss": 2.0}}, False),
        ({"max_metric_value": {"loss": 2.5}}, True),
        ({"max_metric_value": {"loss": 3.0}}, False),
        ({"max_metric_value": {"other": 0.0}}, False),
        ({"max_num_evaluations": 100, "max_cost": 0.25}, True),
    ],
)
def test_limit(limits: dict[str, Any], met: bool) -> None:
    criterion = StoppingCriterion(**limits)
    assert criterion(status()) is met
    assert (criterion.reason(status()) is not None) is met


def test_the_reason_names_the_limit_and_the_value() -> None:
    assert StoppingCriterion(max_num_trials_started=3).reason(status()) == "4 is more than max_num_trials_started=3"


@pytest.mark.parametrize(
    "limits",
    [{"max_cost": -1}, {"max_wallclock_time": math.nan}, {"max_num_evaluations": "7"}, {"min_metric_value": 0.5}],
)
def test_limits_that_make_no_sense_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=next(iter(limits))):
        StoppingCriterion(**limits)


def test_travels() -> None:
    criterion = StoppingCriterion(max_cost=1.0, min_metric_value={"loss": 0.1})
    assert dill.loads(dill.dumps(criterion)) == criterion
