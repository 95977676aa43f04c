"""Every scheduler under every fault, on the sandbox in virtual time: what must hold holds, and the end comes."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from cloudtune.baselines import RandomSearch
from cloudtune.engine.status import best_report
from cloudtune.engine.stopping import StoppingCriterion
from cloudtune.sandbox import Delays
from cloudtune.schedulers.base import TrialScheduler
from tests.faults.cases import CASES, Case
from tests.faults.invariants import broken, printed
from tests.tuning import SPACE, asha
from tests.virtual import Virtual, virtual

TRIALS, WORKERS, EPOCHS = 7, 3, 9
SCHEDULERS = ("random", "asha-stopping", "asha-promotion")
DELAYS = Delays(starting=40.0, stopping=10.0, log_ingestion=5.0)
WITHIN = 24 * 3600.0
"""Without faults it is over within the hour."""


def scheduler(name: str) -> TrialScheduler:
    if name == "random":
        return RandomSearch(SPACE, metric="loss", random_seed=7)
    return asha(name.removeprefix("asha-"))


def experiment(name: str, case: Case) -> Any:
    return virtual(
        jobs=case.jobs,
        scheduler=scheduler(name),
        stop_criterion=StoppingCriterion(max_num_trials_started=TRIALS),
        n_workers=WORKERS,
        delays=DELAYS,
        sandbox_options={"faults": case.plan},
        request=case.request,
        sleep_time=15.0,
        max_failures=1000,
        wait_trial_completion_when_stopping=True,
    )


def best(run: Virtual) -> tuple[int, float, int]:
    """Trial, loss and epoch of the best report."""
    found = best_report(run.tuner.ledger)
    assert found is not None
    trial, report = found
    return trial, report["loss"], report["epoch"]


@functools.cache
def undisturbed() -> Any:
    """What random search finds when nothing goes wrong."""
    with experiment("random", Case("nothing")) as run:
        run.tuner.run()
        assert broken(run, WITHIN) == []
        return best(run)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("name", SCHEDULERS)
def test_what_must_hold_holds(name: str, case: Case) -> None:
    with experiment(name, case) as run:
        run.tuner.run()
        assert broken(run, WITHIN) == []
        happened = run.sandbox.faults_injected()
        assert all(happened[kind] for kind in case.injected), happened
        if case.harmless and name == "random":
            assert best(run) == undisturbed()


def test_the_invariants_can_break() -> None:
    with experiment("random", Case("nothing")) as run:
        run.tuner.run()
        rows = run.tuner.ledger.rows
        lost, doubled = rows.pop(), rows[0]
        rows.append(doubled)
        said = "\n".join(broken(run, 10.0))
        assert "1 of" in said and str(lost.trial_id) in said
        assert "counted twice" in said
        assert "more than 10 s" in said
        assert printed(run.sandbox, "virtual").total() >= TRIALS * EPOCHS
