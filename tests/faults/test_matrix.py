"""Every scheduler under every fault, on the sandbox in virtual time: what must hold holds, and the end comes."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cloudtune.aws import Aws
from cloudtune.baselines import RandomSearch
from cloudtune.callbacks import RetainCheckpointsCallback
from cloudtune.engine.status import best_report
from cloudtune.engine.stopping import StoppingCriterion
from cloudtune.remote.storage import S3Storage
from cloudtune.sandbox import Delays, Sandbox
from cloudtune.schedulers.base import TrialScheduler
from tests.faults.cases import CASES, Case
from tests.faults.invariants import broken, printed
from tests.faults.scripts import is_bad
from tests.tuning import SPACE, asha
from tests.virtual import Virtual, virtual

TRIALS, WORKERS, EPOCHS = 7, 3, 9
"""As many trials and one more are started."""
SCHEDULERS = ("random", "asha-stopping", "asha-promotion")
DELAYS = Delays(starting=40.0, stopping=10.0, log_ingestion=5.0)
WITHIN = 2 * 3600.0
"""Without faults it is over in half an hour, and no fault here lasts longer."""


def scheduler(name: str) -> TrialScheduler:
    if name == "random":
        return RandomSearch(SPACE, metric="loss", random_seed=7)
    return asha(name.removeprefix("asha-"))


@contextmanager
def experiment(name: str, case: Case) -> Iterator[Virtual]:
    with virtual(
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
        callbacks=[RetainCheckpointsCallback()] if case.in_s3 else [],
    ) as made:
        if case.in_s3:
            account = Aws(session=made.sandbox.session(), attempts=1, clock=made.clock)
            made.tuner.storage = S3Storage(f"s3://{made.sandbox.bucket}/kept", account)
        yield made


def best(run: Virtual) -> tuple[int, float, int]:
    """Trial, loss and epoch of the best report."""
    found = best_report(run.tuner.ledger)
    assert found is not None
    trial, report = found
    return trial, report["loss"], report["epoch"]


def with_checkpoints(sandbox: Sandbox) -> set[int]:
    """Trials whose checkpoints are in S3."""
    keys = [key.split("/") for key in sandbox._running().world.objects_below(sandbox.bucket, "")]
    return {int(key[key.index("trials") + 1]) for key in keys if "checkpoints" in key}


@functools.cache
def undisturbed() -> tuple[int, float, int]:
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
        found, expected = best(run), undisturbed()
        # no fault hits the best trial's reports before its first rungs: it is the best under every scheduler
        assert found[0] == expected[0]
        if name == "random":
            assert found == expected or not case.harmless
            bad = [trial.status for trial in run.tuner.ledger.trials if is_bad(trial.trial.trial_id)]
            assert case.bad is None or bad == [case.bad] * 3
        if case.in_s3:
            assert with_checkpoints(run.sandbox) == {expected[0]}


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
