"""Hundreds of trials: calls, their rate and the tuner's work per event, counted. More: tests/performance/scale.py."""

from __future__ import annotations

import cProfile
import math
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType

import pytest

from cloudtune.baselines import ASHA, RandomSearch
from cloudtune.engine.stopping import StoppingCriterion
from cloudtune.sandbox import Delays
from cloudtune.space import uniform
from cloudtune.storage import LocalStorage
from cloudtune.trial import Config
from tests.metering import DOCUMENTED_RATES, Meter
from tests.virtual import Training, Virtual, virtual

WORKERS, TRIALS = 100, 300
SPACE = {"width": uniform(0.0, 1.0), "speed": uniform(30.0, 90.0), "epochs": 9}
ACCOUNT = {"quotas": {"ml.m5.large": 10_000}, "faults": "throttled"}
"""Room for all, and token buckets that refuse what is faster than documented."""


def learn(config: Config, epoch: int) -> dict[str, float]:
    return {"loss": config["width"] + 1.0 / epoch}


def seconds(config: Config, epoch: int) -> float:
    return float(config["speed"])


@dataclass(frozen=True)
class Experiment:
    """One that has ended."""

    world: Virtual
    meter: Meter
    work: list[float]
    """Function calls of the tuner's own per observation, in each quarter of the launches."""


class Work:
    """Counts function calls in the package's own code, the sandbox's excepted: time that no other process disturbs."""

    def __init__(self) -> None:
        self._profile = cProfile.Profile()

    def __enter__(self) -> Work:
        self._profile.enable()
        return self

    def __exit__(self, *_: object) -> None:
        self._profile.disable()

    def calls(self) -> int:
        """So far."""
        self._profile.disable()
        own = [entry.callcount for entry in self._profile.getstats() if _is_own(entry.code)]
        self._profile.enable()
        return sum(own)


def _is_own(code: CodeType | str) -> bool:
    if isinstance(code, str):
        return False  # built in
    return "/cloudtune/" in code.co_filename and "/cloudtune/sandbox/" not in code.co_filename


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Experiment]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("CLOUDTUNE_FOLDER", str(tmp_path_factory.mktemp("experiments")))
        meter = Meter()
        with (
            virtual(
                Training(learn, seconds, checkpoints=False),
                ASHA(SPACE, metric="loss", resource_attr="epoch", max_resource_attr="epochs", random_seed=1),
                StoppingCriterion(max_num_trials_started=TRIALS - 1),
                WORKERS,
                delays=Delays.realistic(),
                sandbox_options=ACCOUNT,
                storage=LocalStorage(),
                wait_trial_completion_when_stopping=True,
            ) as world,
            Work() as work,
        ):
            meter.attach(world, work.calls, every=8)
            world.tuner.run()
            yield Experiment(world, meter, meter.work_per_observation(parts=4))


def test_a_look_at_the_account_costs_a_page_per_hundred_trials_at_most(experiment: Experiment) -> None:
    for look in experiment.meter.looks:
        pages = math.ceil(look.running / 100)
        assert look.calls["ListTrainingJobs"] <= 1 + pages, look
        assert look.calls["Search"] <= 1 + 2 * pages, look
        # one for what was printed, and what ended shares its last readings
        assert look.calls["FilterLogEvents"] <= 2, look
    busiest = max(look.running for look in experiment.meter.looks)
    assert busiest > 0.9 * WORKERS, "otherwise this says nothing"


def test_a_trial_costs_less_than_six_calls(experiment: Experiment) -> None:
    assert len(experiment.world.tuner.ledger.trials) == TRIALS
    assert experiment.world.sandbox.call_counts().total() < 6 * TRIALS


@pytest.mark.parametrize("stretch", [1.0, 10.0, 60.0])
def test_no_documented_rate_is_ever_exceeded(experiment: Experiment, stretch: float) -> None:
    for operation, rate in DOCUMENTED_RATES.items():
        assert experiment.world.sandbox.peak_rate(operation, stretch) <= rate, operation
    assert experiment.world.sandbox.faults_injected().total() == 0, "nothing was throttled"
    assert experiment.world.sandbox.peak_rate("sagemaker.CreateTrainingJob", 60.0) > 0.8, "launches use it up"


def test_the_work_for_an_event_does_not_grow(experiment: Experiment) -> None:
    # the first quarter has the costs of the beginning, and few events; from the second to the last, trials double
    _, early, _, late = experiment.work
    assert late < 1.3 * early


def test_each_trial_had_one_job_and_all_have_ended(experiment: Experiment) -> None:
    counts = experiment.world.sandbox.call_counts()
    assert counts["sagemaker.CreateTrainingJob"] == TRIALS
    assert not experiment.world.tuner.ledger.open


def test_trials_that_were_never_launched_cost_no_call() -> None:
    with virtual(
        Training(checkpoints=False),
        RandomSearch({"x": uniform(0.0, 1.0), "epochs": 9}, metric="loss"),
        StoppingCriterion(max_num_trials_started=WORKERS - 1),
        WORKERS,
        delays=Delays.realistic(),
        sandbox_options=ACCOUNT,
    ) as (sandbox, tuner, clock):
        begin = clock.now()
        tuner.run()
        launched = sandbox.call_counts()["sagemaker.CreateTrainingJob"]
        assert 0 < launched < 0.2 * WORKERS, "the criterion was met before most had their turn"
        assert len(tuner.ledger.trials) == WORKERS and not tuner.ledger.open
        assert sandbox.call_counts().total() < WORKERS
        assert clock.now() - begin < 300.0
