"""Policies around a scheduler: what each of the two hears, who decides, and what passes through."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from cloudtune.callbacks import HyperbandRemoveCheckpointsCallback
from cloudtune.engine.stopping import StoppingCriterion
from cloudtune.errors import MetricError, OptionError
from cloudtune.schedulers import (
    NOT_NOW,
    Action,
    Decision,
    FIFOScheduler,
    HyperbandScheduler,
    SchedulerDecision,
    TrialScheduler,
)
from cloudtune.schedulers.base import NotNow, Reason, Start, Suggestion
from cloudtune.schedulers.early_termination import EarlyTermination, unwrapped
from cloudtune.schedulers.median_stopping import MedianStoppingRule
from cloudtune.schedulers.objective import Objective
from cloudtune.schedulers.pbt import PopulationBasedTraining
from cloudtune.schedulers.termination_policies import BanditPolicy, Judge, MedianStoppingPolicy
from cloudtune.space import uniform
from cloudtune.testing.fake_backend import FakeBackend
from cloudtune.testing.fake_cloud import FakeCloud, FakeTiming
from cloudtune.testing.mini_tuner import MiniTuner
from cloudtune.trial import Config, Metrics, Mode, Status, Trial
from tests.schedulers.test_searcher_data import Listener
from tests.schedulers.told import Told
from tests.tuning import tuner_on

SPACE: dict[str, Any] = {"x": uniform(0, 1), "epochs": 9}


@dataclass(frozen=True)
class Above(Judge):
    """As a policy and as its judge: stops what is above a limit, and remembers what it heard."""

    limit: float
    heard: list[tuple[Any, ...]]

    def judge(self, objective: Objective) -> Judge:
        return self

    def report(self, trial_id: int, resource: float, value: float) -> Reason | None:
        self.heard.append((trial_id, resource, value))
        return Reason("above", {"value": value}, self.limit) if value > self.limit else None

    def ended(self, trial_id: int) -> None:
        self.heard.append(("ended", trial_id))


def above(limit: float) -> Above:
    return Above(limit, [])


class Inside(TrialScheduler):
    """Writes down what it hears, and decides as it was told."""

    def __init__(self, decision: Decision | str = SchedulerDecision.CONTINUE) -> None:
        super().__init__(SPACE)
        self.decision: Any = decision
        self.heard: list[tuple[Any, ...]] = []

    def suggest(self, trial_id: int) -> Suggestion | NotNow | None:
        return Start({"x": 0.5, "epochs": 9}, 3, {"fit": 1})

    def metric_names(self) -> Sequence[str]:
        return ["loss", "score"]

    def metric_mode(self) -> Sequence[Mode]:
        return ["min", "max"]

    @property
    def max_resource_attr(self) -> str:
        return "epochs"

    def on_trial_add(self, trial: Trial) -> None:
        self.heard.append(("add", trial.trial_id))

    def on_trial_resume(self, trial: Trial) -> None:
        self.heard.append(("resume", trial.trial_id))

    def on_trial_result(self, trial: Trial, result: Metrics) -> Decision:
        self.heard.append(("result", trial.trial_id, result["epoch"]))
        return self.decision  # type: ignore[no-any-return]

    def on_late_result(self, trial: Trial, result: Metrics) -> None:
        self.heard.append(("late", trial.trial_id, result["epoch"]))

    def on_trial_complete(self, trial: Trial, result: Metrics) -> None:
        self.heard.append(("complete", trial.trial_id))

    def on_trial_error(self, trial: Trial) -> None:
        self.heard.append(("error", trial.trial_id))

    def on_trial_remove(self, trial: Trial) -> None:
        self.heard.append(("remove", trial.trial_id))

    def trials_checkpoints_can_be_removed(self) -> Sequence[int]:
        return [7]

    def callback_for_checkpoint_removal(self, stop_criterion: object) -> Any:
        return ("callback", stop_criterion)

    def metadata(self) -> dict[str, Any]:
        return {**super().metadata(), "random_seed": 5}


# -- what passes through -----------------------------------------------------------------------------------------------


def test_everything_passes_through() -> None:
    inside = Inside()
    told = Told(EarlyTermination(inside, above(1.0), "epoch"))
    assert told.scheduler.suggest(4) == Start({"x": 0.5, "epochs": 9}, 3, {"fit": 1})
    told.start(3)
    assert told.report(0, 1, 0.5) == Action.CONTINUE
    told.ends(0, 1, 0.5)
    told.scheduler.on_trial_error(told.trials[1])
    told.scheduler.on_trial_remove(told.trials[2])
    told.late(2, 1, 0.5)
    told.scheduler.on_trial_resume(told.trials[2])
    assert inside.heard == [
        *(("add", n) for n in range(3)),
        ("result", 0, 1),
        ("complete", 0),
        ("error", 1),
        ("remove", 2),
        ("late", 2, 1),
        ("resume", 2),
    ]
    scheduler = told.scheduler
    assert scheduler.config_space == SPACE
    assert list(scheduler.metric_names()) == ["loss", "score"]
    assert scheduler.metric_mode() == ["min", "max"]
    assert (scheduler.resource_attr, scheduler.max_resource_attr) == ("epoch", "epochs")
    assert scheduler.trials_checkpoints_can_be_removed() == [7]
    assert scheduler.callback_for_checkpoint_removal(1) == ("callback", 1)
    assert scheduler.early_checkpoint_removal is None
    assert scheduler.max_resource_level is None
    said = scheduler.metadata()
    assert said["scheduler_name"] == "EarlyTermination"
    assert said["scheduler_inside"] == "Inside"
    assert said["random_seed"] == 5
    assert said["resource_attr"] == "epoch"
    assert said["policies"][0].startswith("Above(limit=1.0")


@pytest.mark.parametrize("decision", ["STOP", "PAUSE", SchedulerDecision.STOP, SchedulerDecision.PAUSE])
def test_the_scheduler_inside_decides_where_no_policy_does(decision: Decision | str) -> None:
    told = Told(EarlyTermination(Inside(decision), above(1.0), "epoch"))
    told.start()
    assert told.report(0, 1, 0.5) == decision


def test_not_now_and_exhausted_pass_through() -> None:
    for answer in (NOT_NOW, None):

        class Answers(Inside):
            def suggest(self, trial_id: int, answer: NotNow | None = answer) -> NotNow | None:
                return answer

        assert EarlyTermination(Answers(), above(1.0), "epoch").suggest(0) is answer


# -- who hears of what -------------------------------------------------------------------------------------------------


def test_a_stopped_trial_is_gone_for_the_scheduler_inside_and_its_last_report_is_data() -> None:
    inside = Inside()
    told = Told(EarlyTermination(inside, above(1.0), "epoch"))
    told.start()
    decision = told.report(0, 2, 1.5, its_job_ends=False)
    assert decision.action is Action.STOP
    assert decision.reason == Reason("above", {"epoch": 2, "value": 1.5}, 1.0)
    assert inside.heard == [("add", 0), ("late", 0, 2), ("remove", 0)]
    told.late(0, 3, 1.0)
    told.scheduler.on_trial_remove(told.trials[0])
    assert inside.heard[3:] == [("late", 0, 3)], "it was told once that the trial is gone"


def test_policies_hear_of_each_resource_once_and_of_the_end() -> None:
    policy = above(9.0)
    told = Told(EarlyTermination(Inside(), policy, "epoch"))
    told.start(4)
    for epoch in (1, 2, 1, 2, 3):  # it began once more from scratch
        told.report(0, epoch, 0.5)
    told.late(0, 5, 0.4)  # an earlier attempt's
    told.late(0, 4, 0.3)
    told.report(0, math.nan, 0.5)
    told.report(0, 6, None)
    assert policy.heard[:-1] == [(0, 1, 0.5), (0, 2, 0.5), (0, 3, 0.5), (0, 5, 0.4)]
    assert policy.heard[-1][:2] == (0, 6)
    assert math.isnan(policy.heard.pop()[2])
    policy.heard.clear()
    told.ends(0, 6, 0.1)
    told.scheduler.on_trial_error(told.trials[1])
    told.scheduler.on_trial_remove(told.trials[2])
    told.report(3, 1, 9.5)
    for trial_id in range(4):
        told.late(trial_id, 7, 99.0)
    assert policy.heard == [("ended", 0), ("ended", 1), ("ended", 2), (3, 1, 9.5), ("ended", 3)]


def test_a_paused_trial_has_not_ended() -> None:
    policy, inside = above(1.0), Inside("PAUSE")
    told = Told(EarlyTermination(inside, policy, "epoch"))
    told.start()
    told.report(0, 1, 0.5)
    told.late(0, 2, 0.6)
    assert policy.heard == [(0, 1, 0.5), (0, 2, 0.6)]
    told.scheduler.on_trial_resume(told.trials[0])
    told.report(0, 2, 0.6)
    told.report(0, 3, 0.7)
    assert policy.heard == [(0, 1, 0.5), (0, 2, 0.6), (0, 3, 0.7)]
    assert inside.heard.count(("remove", 0)) == 3, "each time its job has ended"


def test_what_follows_from_a_late_report_does_with_the_next() -> None:
    told = Told(EarlyTermination(Inside("PAUSE"), above(1.0), "epoch"))
    told.start()
    told.report(0, 1, 0.5)
    told.late(0, 2, 1.5)
    told.scheduler.on_trial_resume(told.trials[0])
    decision = told.report(0, 3, 0.5)
    assert decision.action is Action.STOP
    assert str(decision.reason) == "above: epoch 2, value 1.5 against 1"


def test_the_first_of_several_policies_decides_and_all_of_them_hear() -> None:
    strict, lax = above(1.0), above(2.0)
    told = Told(EarlyTermination(Inside(), [lax, strict], "epoch"))
    told.start(2)
    assert [told.report(trial, 1, value).reason for trial, value in enumerate((1.5, 2.5))] == [
        Reason("above", {"epoch": 1, "value": 1.5}, 1.0),
        Reason("above", {"epoch": 1, "value": 2.5}, 2.0),
    ]
    assert strict.heard == lax.heard


def test_another_metric_in_its_own_mode() -> None:
    scheduler = EarlyTermination(Inside(), BanditPolicy(slack_amount=0.1), "epoch", metric="score")
    told = Told(scheduler, "score")
    told.start(2)
    assert told.report(0, 1, 0.9) == Action.CONTINUE
    assert told.report(1, 1, 0.5) == Action.STOP
    assert scheduler.metadata()["policy_metric"] == "score"


def test_a_report_without_the_metric_is_an_error_that_names_it() -> None:
    told = Told(EarlyTermination(Inside(), above(1.0), "epoch"))
    told.start()
    with pytest.raises(MetricError, match="carries no 'loss'"):
        told.scheduler.on_trial_result(told.trials[0], {"los": 1.0, "epoch": 1})
    with pytest.raises(MetricError, match="carries no 'epoch'"):
        told.scheduler.on_trial_result(told.trials[0], {"loss": 1.0})


# -- around schedulers of ours -----------------------------------------------------------------------------------------


def test_a_searcher_learns_the_last_result_of_a_stopped_trial() -> None:
    listener = Listener()
    told = Told(EarlyTermination(FIFOScheduler(SPACE, "loss", searcher=listener), above(1.0), "epoch"))
    told.start()
    told.report(0, 1, 0.5)
    told.report(0, 2, 1.5)
    assert listener.new() == [
        ("add", 0),
        ("pending", 0, None),
        ("result", 0, 1),
        ("result", 0, 2),
        ("data", 0, 2),
        ("clean", 0),
    ]


def hyperband(kind: str, **options: Any) -> HyperbandScheduler:
    return HyperbandScheduler(SPACE, "loss", type=kind, max_resource_attr="epochs", random_seed=1, **options)


def test_what_a_stopped_trial_still_does_takes_no_place_at_rungs() -> None:
    inside = hyperband("stopping")
    told = Told(EarlyTermination(inside, above(1.0)))
    told.start(2)
    told.report(0, 1, 0.5)
    told.report(0, 2, 1.5, its_job_ends=False)
    told.late(0, 3, 0.1)
    assert [sorted(rung.keys) for rung in inside.rungs()] == [[0], []]


def test_a_trial_stopped_where_it_would_pause_is_never_resumed() -> None:
    inside = hyperband("promotion")
    told = Told(EarlyTermination(inside, above(1.0)))
    told.start(4)
    assert [told.report(trial, 1, value).action for trial, value in enumerate((1.5, 1.7, 1.8, 0.9))] == [
        Action.STOP,
        Action.STOP,
        Action.STOP,
        Action.PAUSE,
    ]
    # of four, the best is resumed; of those that were stopped none is, not even when it would be its turn
    assert told.resume() == 3
    assert told.resume() is None
    assert inside.rungs()[0].waiting() == []


def test_nobody_is_stopped_at_the_maximum() -> None:
    policy = above(1.0)
    told = Told(EarlyTermination(hyperband("stopping"), policy))
    told.start()
    assert told.report(0, 9, 5.0) == Action.CONTINUE, "its script ends by itself"
    told.ends(0, 9, 5.0)
    assert policy.heard[0] == (0, 9, 5.0), "but it counts"


def test_policies_around_policies() -> None:
    inside = Inside()
    rule = MedianStoppingRule(inside, "epoch", grace_time=0, grace_population=2)
    told = Told(EarlyTermination(rule, above(3.0)))
    told.start(3)
    assert told.report(0, 1, 1.0) == Action.CONTINUE
    assert told.report(1, 1, 2.0).reason == Reason(
        "worse than the median at its resource", {"epoch": 1, "average loss": 2.0, "trials": 2}, 1.5
    )
    outer = told.report(2, 1, 4.0).reason
    assert outer is not None
    assert outer.rule == "above"
    assert inside.heard.count(("remove", 1)) == inside.heard.count(("remove", 2)) == 1
    assert unwrapped(told.scheduler) is inside
    assert told.scheduler.metadata()["scheduler_inside"] == "MedianStoppingRule"


def test_a_population_fills_the_place_of_a_stopped_member() -> None:
    inside = PopulationBasedTraining(SPACE, "loss", "epoch", population_size=2, perturbation_interval=1, random_seed=1)
    told = Told(EarlyTermination(inside, above(1.0)))
    told.start(2)
    assert told.scheduler.suggest(2) is NOT_NOW
    assert told.report(0, 1, 2.0) == Action.STOP
    told.start()
    assert told.starts[-1].checkpoint_trial_id is None
    assert told.scheduler.suggest(3) is NOT_NOW


# -- in a tuner --------------------------------------------------------------------------------------------------------

SLOW = FakeTiming(seconds_per_unit=10, stop_delay=35, log_lag=25, start_delay=5)


def curve(config: Config, epoch: int) -> dict[str, float]:
    return {"loss": config["x"] + 1.0 / epoch}


@pytest.mark.parametrize("timing", [FakeTiming(), SLOW], ids=["prompt", "late and slow"])
@pytest.mark.parametrize("kind", ["fifo", "stopping", "promotion"])
def test_a_tuner_stops_trials_and_says_why(kind: str, timing: FakeTiming) -> None:
    inside = FIFOScheduler(SPACE, "loss", random_seed=1) if kind == "fifo" else hyperband(kind)
    scheduler = EarlyTermination(inside, BanditPolicy(slack_amount=0.3), "epoch")
    tuner = tuner_on(
        FakeCloud(curve, "epochs", timing=timing),
        scheduler,
        StoppingCriterion(max_num_trials_started=30),
        n_workers=4,
        wait_trial_completion_when_stopping=True,
    )
    tuner.run()
    ledger = tuner.ledger
    assert not ledger.open
    assert not ledger.divergent
    statuses = {state.status for state in ledger.trials}
    assert Status.stopped in statuses
    assert statuses <= {Status.completed, Status.stopped, Status.paused}


def test_checkpoints_of_a_scheduler_inside_are_let_go_of_early() -> None:
    inside = hyperband("promotion", early_checkpoint_removal_kwargs={"max_num_checkpoints": 3})
    scheduler = EarlyTermination(inside, above(1.9))
    cloud = FakeCloud(curve, "epochs")
    tuner = tuner_on(
        cloud,
        scheduler,
        StoppingCriterion(max_wallclock_time=120.0),
        backend=FakeBackend(cloud, delete_checkpoints=True),
    )
    tuner.run()
    assert any(isinstance(callback, HyperbandRemoveCheckpointsCallback) for callback in tuner.callbacks)
    assert sum(tuner.ledger.deletions_asked_for.values()) > 10
    assert tuner.ledger.resumed_without_checkpoint or tuner.ledger.counts[Status.paused] > 3


# -- what it is good for -----------------------------------------------------------------------------------------------


def learning(trial_id: int, config: Config, resource: int) -> float:
    """Curves that fall at the same pace towards levels of their own, and cross a little."""
    return float(config["x"] + (1 + math.sin(37 * config["x"]) / 4) * resource**-0.7)


def test_the_median_rule_saves_work_and_keeps_the_best() -> None:
    saved = []
    for seed in range(5):
        space = {"x": uniform(0, 1)}
        alone = MiniTuner(FIFOScheduler(space, "loss", random_seed=seed), learning, max_resource=30)
        alone.run(60)
        rule = MedianStoppingRule(FIFOScheduler(space, "loss", random_seed=seed), "epoch", grace_time=3)
        ruled = MiniTuner(rule, learning, max_resource=30)
        ruled.run(60)
        assert [trial.config for trial in ruled.trials] == [trial.config for trial in alone.trials]
        best = min(alone.best, key=lambda trial_id: alone.best[trial_id][-1])
        assert ruled.best[best] == alone.best[best], "the best trial has come to its end"
        saved.append(1 - ruled.units / alone.units)
    assert min(saved) > 0.25
    assert max(saved) < 0.75


# -- arguments ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"scheduler": "asha"}, "'asha' is no scheduler"),
        ({"scheduler": FIFOScheduler}, "is no scheduler"),
        ({"policies": []}, "policies is empty"),
        ({"policies": "bandit"}, "'bandit' is no policy"),
        ({"policies": BanditPolicy}, "is no policy"),
        ({"policies": [MedianStoppingPolicy(), None]}, "None is no policy"),
        ({"resource_attr": None}, "FIFOScheduler has no resource_attr"),
        ({"resource_attr": ""}, "resource_attr is ''"),
        ({"resource_attr": "loss"}, "'loss' is a metric"),
        ({"metric": "lossy"}, "did you mean 'loss'"),
        ({"resource": "epoch"}, "did you mean 'resource_attr'"),
    ],
)
def test_arguments_that_cannot_work(arguments: Mapping[str, Any], said: str) -> None:
    given = {"scheduler": FIFOScheduler(SPACE, "loss"), "policies": MedianStoppingPolicy(), "resource_attr": "epoch"}
    with pytest.raises(OptionError, match=said):
        EarlyTermination(**{**given, **arguments})


def test_the_resource_is_the_scheduler_s_own() -> None:
    with pytest.raises(OptionError, match="resource_attr='step', but the scheduler's is 'epoch'"):
        EarlyTermination(hyperband("stopping"), MedianStoppingPolicy(), "step")
    with pytest.raises(OptionError, match="resource_attr='step', but the scheduler's is 'epoch'"):
        MedianStoppingRule(hyperband("stopping"), "step")
    with pytest.raises(OptionError, match="rank_cutoff=2"):
        MedianStoppingRule(hyperband("stopping"), "epoch", rank_cutoff=2)
    with pytest.raises(OptionError, match="did you mean 'grace_population'"):
        MedianStoppingRule(hyperband("stopping"), "epoch", grace_populations=2)  # type: ignore[call-arg]


def test_one_policy_serves_several_schedulers() -> None:
    policy = BanditPolicy(slack_amount=0.1)
    for _ in range(2):
        told = Told(EarlyTermination(Inside(), policy, "epoch"))
        told.start(2)
        assert told.report(0, 1, 5.0) == Action.CONTINUE
        assert told.report(1, 1, 1.0) == Action.CONTINUE
        assert told.report(0, 2, 5.0) == Action.CONTINUE
