"""An experiment on a plateau: what counts as one, and for how long."""

from __future__ import annotations

import math
from typing import Any

import dill
import pytest

from cloudtune.engine.ledger import Ledger
from cloudtune.engine.plateau import PlateauStopper
from cloudtune.engine.status import StatusKeeper, TuningStatus
from cloudtune.engine.stopping import AnyOf, StoppingCriterion, limits_of, with_limits
from cloudtune.errors import OptionError
from cloudtune.journal import events as ev
from cloudtune.testing.fake_cloud import FakeCloud
from cloudtune.trial import Config
from tests.engine.scripted import Scripted
from tests.tuning import tuner_on


class Experiment:
    """Reports come one by one: each trial reports once, unless told otherwise."""

    def __init__(self) -> None:
        self.ledger = Ledger(Scripted())
        self.keeper = StatusKeeper(self.ledger)
        self.ledger.apply(ev.ExperimentStarted(0.0, "name", "0"))
        self.ledger.apply(ev.SessionStarted(0.0, "here", 1, 0.0))

    def report(self, trial_id: int, **metrics: Any) -> TuningStatus:
        while len(self.ledger.trials) <= trial_id:
            self.ledger.apply(ev.LaunchIntended(0.0, len(self.ledger.trials), 0, {}))
        key = str(len(self.ledger.rows))
        self.ledger.apply(ev.ReportObserved(5.0, trial_id, 0, key, metrics, 5.0, 5.0))
        self.ledger.apply(ev.DecisionMade(5.0, trial_id, 0, key, "CONTINUE"))
        return self.keeper.view(10.0)


def met_after(stopper: PlateauStopper, *losses: float) -> int | None:
    """After which report, one per trial, the criterion is met."""
    experiment = Experiment()
    for number, loss in enumerate(losses, 1):
        if stopper(experiment.report(number - 1, loss=loss)):
            return number
    return None


@pytest.mark.parametrize(
    ("options", "losses", "met"),
    [
        # of 1.0 and 1.2 the standard deviation is 0.1
        ({"std": 0.1}, (1.0, 1.2), 2),
        ({"std": 0.09}, (1.0, 1.2), None),
        ({"std": 0.1}, (1.0,), None),
        # worse trials change nothing, and are what patience counts
        ({"std": 0.1, "patience": 2}, (1.0, 1.2, 5.0), None),
        ({"std": 0.1, "patience": 2}, (1.0, 1.2, 5.0, 6.0), 4),
        # a better one begins the count anew: 0.5 and 1.0 are 0.25 apart from their mean
        ({"std": 0.1, "patience": 2}, (1.0, 1.2, 5.0, 0.5, 0.5, 9.0, 9.0), 7),
        ({"std": 0.1, "mode": "max"}, (1.0, 1.2), 2),
        ({"std": 0.1, "mode": "max"}, (1.0, 3.0, 1.2, 2.9), 4),
        ({"std": 0.1}, (math.nan, math.nan, 1.0, math.inf, 1.2), 5),
        ({"std": 0.0}, (1.0, 1.0), 2),
        ({"std": 1e308}, (1e308, -1e308, 0.0), 2),
    ],
)
def test_a_table_of_two_trials(options: dict[str, Any], losses: tuple[float, ...], met: int | None) -> None:
    assert met_after(PlateauStopper("loss", num_trials=2, **options), *losses) == met


def test_a_trial_counts_once_with_its_best() -> None:
    experiment, stopper = Experiment(), PlateauStopper("loss", std=0.1, num_trials=2)
    assert not stopper(experiment.report(0, loss=1.0))
    assert not stopper(experiment.report(0, loss=1.0))
    assert not stopper(experiment.report(1, loss=3.0))
    assert not stopper(experiment.report(1, other=1.0))
    assert stopper(experiment.report(1, loss=1.1))
    assert stopper(experiment.report(2, loss=-50.0)), "once met it stays so"


def test_it_does_not_depend_on_when_it_is_asked() -> None:
    losses = (1.0, 1.2, 5.0, 0.5)
    asked_once, experiment = PlateauStopper("loss", std=0.1, num_trials=2, patience=1), Experiment()
    for number, loss in enumerate(losses):
        status = experiment.report(number, loss=loss)
    assert asked_once(status)
    assert asked_once.reason(status) == PlateauStopper("loss", std=0.1, num_trials=2, patience=1).reason(status)


def test_it_says_why_and_travels() -> None:
    experiment, stopper = Experiment(), PlateauStopper("loss", std=0.1, num_trials=2)
    experiment.report(0, loss=1.0)
    status = experiment.report(1, loss=1.2)
    assert stopper.reason(status) == (
        "the 2 best trials have the same loss: its standard deviation of 0.1 was not above 0.1 for 1 reports"
    )
    copy = dill.loads(dill.dumps(stopper))
    assert copy == stopper
    assert not copy(Experiment().report(0, loss=1.0))
    assert not stopper(Experiment().report(0, loss=1.0)), "another experiment begins anew"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"std": -1}, "std=-1"),
        ({"std": math.nan}, "std=nan"),
        ({"num_trials": 1}, "num_trials=1"),
        ({"patience": -1}, "patience=-1"),
        ({"mode": "mix"}, "mode is 'mix'"),
        ({"metric": ""}, "metric is ''"),
        ({"top": 10}, "it is called num_trials"),
        ({"patiense": 1}, "did you mean 'patience'"),
    ],
)
def test_bad_arguments_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        PlateauStopper(**{"metric": "loss", **options})


def test_any_of_several() -> None:
    experiment = Experiment()
    criterion = AnyOf(StoppingCriterion(max_num_evaluations=2), PlateauStopper("loss", std=0.1, num_trials=2))
    assert criterion.reason(experiment.report(0, loss=1.0)) is None
    assert "the 2 best trials" in str(criterion.reason(experiment.report(1, loss=1.2)))
    assert "max_num_evaluations" in str(criterion.reason(experiment.report(2, loss=1.2)))
    assert AnyOf(lambda status: True)(experiment.report(3, loss=1.0))
    assert dill.loads(dill.dumps(criterion)) == criterion
    for wrong in ((), (StoppingCriterion,), (3,)):
        with pytest.raises(OptionError):
            AnyOf(*wrong)


def test_limits_are_found_and_changed_among_other_criteria() -> None:
    plateau, hour, cost = (
        PlateauStopper("loss"),
        StoppingCriterion(max_wallclock_time=3600),
        StoppingCriterion(max_wallclock_time=3600, max_cost=5),
    )
    assert limits_of(hour) is limits_of(AnyOf(plateau, hour)) is hour
    assert limits_of(plateau) == limits_of(None) == StoppingCriterion()
    assert with_limits(hour, {"max_cost": 5}) == cost
    assert with_limits(AnyOf(plateau, hour), {"max_cost": 5}) == AnyOf(cost, plateau)
    assert with_limits(plateau, {"max_cost": 5}) == AnyOf(StoppingCriterion(max_cost=5), plateau)
    assert with_limits(lambda status: True, {"max_cost": 5}) == StoppingCriterion(max_cost=5)


def test_of_several_limits_none_gets_lost() -> None:
    plateau, hour, dollars = (
        PlateauStopper("loss"),
        StoppingCriterion(max_wallclock_time=3600),
        StoppingCriterion(max_cost=9),
    )
    several = AnyOf(dollars, AnyOf(plateau, hour))
    assert limits_of(several) == StoppingCriterion(max_wallclock_time=3600, max_cost=9)
    assert limits_of(AnyOf(hour, StoppingCriterion(max_wallclock_time=60))).max_wallclock_time == 60
    assert with_limits(several, {"max_cost": 5}) == AnyOf(StoppingCriterion(max_cost=5), hour, plateau)
    later = with_limits(several, {"max_wallclock_time": 7200})
    assert limits_of(later) == StoppingCriterion(max_wallclock_time=7200, max_cost=9)


def test_a_tuner_ends_on_a_plateau() -> None:
    def curve(config: Config, epoch: int) -> dict[str, float]:
        return {"loss": 1.0 + config["x"] / 1000 + 1 / epoch}

    tuner = tuner_on(FakeCloud(curve, "epochs"), stop_criterion=PlateauStopper("loss", std=0.001, num_trials=3))
    tuner.run()
    finished = tuner.ledger.finished
    assert finished is not None
    assert "the 3 best trials have the same loss" in finished.why
    assert 3 <= len(tuner.ledger.trials) < 20
