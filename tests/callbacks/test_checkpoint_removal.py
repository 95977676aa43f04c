"""Checkpoints of paused trials: which go, when, and what that costs."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest

from cloudtune.baselines import ASHA
from cloudtune.callbacks import (
    HyperbandRemoveCheckpointsBaselineCallback,
    HyperbandRemoveCheckpointsCallback,
    RemoveCheckpointsCallback,
    TunerCallback,
)
from cloudtune.engine.intents import DeleteCheckpoint
from cloudtune.engine.stopping import StoppingCriterion
from cloudtune.errors import AccessDeniedError, OptionError, UnreachableError
from cloudtune.journal import events as ev
from cloudtune.schedulers import HyperbandScheduler
from cloudtune.testing.fake_backend import FakeBackend
from cloudtune.testing.fake_cloud import FakeCloud, FakeTiming
from cloudtune.trial import Config, Status, Trial
from cloudtune.tuner import Tuner
from tests.engine.scripted import Scripted
from tests.test_crashes import Countdown, Killed, MortalCloud, MortalJournal
from tests.tuning import SPACE, KeptJournal, curve, tuner_on

LONG = StoppingCriterion(max_wallclock_time=120.0)


def promotion(removal: Mapping[str, Any] | None = None, **options: Any) -> ASHA:
    return ASHA(
        SPACE,
        metric="loss",
        resource_attr="epoch",
        max_resource_attr="epochs",
        type=options.pop("type", "promotion"),
        random_seed=options.pop("seed", 3),
        early_checkpoint_removal_kwargs=removal,
        **options,
    )


class Watch(TunerCallback):
    """Counts the checkpoints there are, each time after something was done."""

    def __init__(self, cloud: FakeCloud) -> None:
        self.cloud = cloud
        self.counts: list[int] = []

    def on_start_trial(self, trial: Trial) -> None:
        self.counts.append(len(self.cloud.checkpoints))

    on_resume_trial = on_start_trial

    def on_loop_start(self) -> None:
        self.cloud.settle()
        self.counts.append(len(self.cloud.checkpoints))


def tuned(
    scheduler: HyperbandScheduler, cloud: FakeCloud | None = None, criterion: StoppingCriterion = LONG, **options: Any
) -> tuple[Tuner, Watch]:
    cloud = cloud or FakeCloud(curve, "epochs")
    watch = Watch(cloud)
    backend = FakeBackend(cloud, delete_checkpoints=options.pop("delete_checkpoints", True))
    storage = options.pop("storage", None) or KeptJournal()
    callbacks = [watch, *options.pop("callbacks", ())]
    tuner = tuner_on(cloud, scheduler, criterion, backend=backend, storage=storage, callbacks=callbacks, **options)
    tuner.run()
    return tuner, watch


def speculative(tuner: Tuner) -> HyperbandRemoveCheckpointsCallback:
    callback = tuner.callbacks[-1]
    assert isinstance(callback, HyperbandRemoveCheckpointsCallback)
    return callback


# -- safe removal ------------------------------------------------------------------------------------------------------


def diverging(config: Config, epoch: int) -> dict[str, float]:
    return {"loss": math.nan if config["x"] > 0.7 else config["x"] + 1.0 / epoch}


def test_trials_that_no_rung_lets_pass_lose_their_checkpoints_and_no_others() -> None:
    storage = KeptJournal()
    tuner, _ = tuned(promotion(), FakeCloud(diverging, "epochs"), storage=storage)
    asked = [event for event in storage.kept.read() if isinstance(event, ev.CheckpointDeletionIntended)]
    early = {event.trial_id for event in asked if event.why == "it will not be resumed"}
    diverged = {state.trial.trial_id for state in tuner.ledger.trials if state.trial.config["x"] > 0.7}
    paused = {state.trial.trial_id for state in tuner.ledger.trials if state.status is Status.paused}
    assert early <= diverged & paused
    assert len((diverged & paused) - early) <= 2, "those that paused at the very end"
    assert len(early) > 20
    assert tuner.ledger.resumed_without_checkpoint == []


class Names(Scripted):
    """Names trial 0 from its pause on, as soon as that is decided."""

    def trials_checkpoints_can_be_removed(self) -> list[int]:
        named = [0] if ("result", 0) in self.told and not getattr(self, "named", False) else []
        self.named = bool(named) or getattr(self, "named", False)
        return named


def test_a_trial_that_is_named_once_is_deleted_once_its_job_has_ended() -> None:
    cloud = FakeCloud(
        lambda config, unit: {"loss": 1.0, "say": "PAUSE" if config["x"] == 0 and unit == 2 else "CONTINUE"},
        units=20,
        timing=FakeTiming(stop_delay=7.0),
    )
    storage = KeptJournal()
    backend = FakeBackend(cloud, delete_checkpoints=True)
    tuner = tuner_on(cloud, Names(size=2), StoppingCriterion(max_wallclock_time=100), backend=backend, storage=storage)
    tuner.run()
    events = list(storage.kept.read())
    ended = next(
        place
        for place, event in enumerate(events)
        if isinstance(event, ev.StatusObserved) and event.status == "Stopped"
    )
    asked = [place for place, event in enumerate(events) if isinstance(event, ev.CheckpointDeletionIntended)]
    assert asked
    assert ended < asked[0]
    assert cloud.calls["delete_checkpoint"] == 2


def test_without_delete_checkpoints_nothing_is_deleted(caplog: pytest.LogCaptureFixture) -> None:
    tuner, _ = tuned(promotion({"max_num_checkpoints": 3}), delete_checkpoints=False)
    assert not [each for each in tuner.callbacks if "Remove" in type(each).__name__]
    backend = tuner.trial_backend
    assert isinstance(backend, FakeBackend)
    assert len(backend.cloud.checkpoints) == len(tuner.ledger.trials)
    assert "all checkpoints are kept" in caplog.text


def test_a_callback_of_one_s_own_is_not_doubled() -> None:
    own = RemoveCheckpointsCallback()
    tuner, _ = tuned(promotion(), callbacks=[own])
    assert [each for each in tuner.callbacks if isinstance(each, RemoveCheckpointsCallback)] == [own]


# -- speculative removal -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("baseline", [None, "random", "by_level"])
@pytest.mark.parametrize(("n_workers", "most"), [(2, 3), (4, 9)])
def test_never_more_checkpoints_than_asked_for(n_workers: int, most: int, baseline: str | None) -> None:
    removal = {"max_num_checkpoints": most, **({"baseline": baseline} if baseline else {})}
    tuner, watch = tuned(promotion(removal), n_workers=n_workers)
    assert len(tuner.ledger.trials) > 5 * most
    assert max(watch.counts) == most
    callback = tuner.callbacks[-1]
    assert isinstance(callback, HyperbandRemoveCheckpointsCallback | HyperbandRemoveCheckpointsBaselineCallback)
    assert callback.num_checkpoints_removed > most


def test_what_it_removed_is_told() -> None:
    tuner, _ = tuned(promotion({"max_num_checkpoints": 3}))
    callback = speculative(tuner)
    resumed = callback.trials_resumed_without_checkpoint()
    assert resumed
    assert {level for _, level in resumed} <= {1, 3}
    assert callback.extra_results() == {
        "num_checkpoints_removed": callback.num_checkpoints_removed,
        "num_trials_resumed_without_checkpoint": len(resumed),
        "resource_trained_again": sum(level for _, level in resumed),
    }
    assert list(callback.extra_results()) == HyperbandRemoveCheckpointsCallback.extra_results_keys()


def test_nothing_goes_while_there_is_room() -> None:
    tuner, _ = tuned(promotion({"max_num_checkpoints": 10_000}))
    assert speculative(tuner).num_checkpoints_removed == 0


def test_what_is_repeated_changes_no_decision() -> None:
    """The same trials on one worker, in the same order, come to the same rungs with the same values."""

    def rungs(removal: Mapping[str, Any] | None) -> list[dict[int, float]]:
        scheduler = promotion(removal)
        tuned(scheduler, criterion=StoppingCriterion(max_num_trials_started=60, max_wallclock_time=1e6), n_workers=1)
        return [rung.keys for rung in scheduler.rungs()]

    assert rungs({"max_num_checkpoints": 2}) == rungs(None)


def test_it_costs_less_than_chance() -> None:
    """Work done again, over three seeds, if one paused trial in ten can keep its checkpoint."""

    def again(**removal: Any) -> int:
        total = 0
        for seed in range(3):
            scheduler = promotion({"max_num_checkpoints": 12, **removal}, seed=seed)
            tuner, _ = tuned(scheduler, criterion=StoppingCriterion(max_wallclock_time=100.0), n_workers=4)
            total += sum(level for _, level in tuner.ledger.resumed_without_checkpoint)
        return total

    ours, by_level, random = again(), again(baseline="by_level"), again(baseline="random")
    assert 3 * ours < by_level
    assert 3 * ours < random


def test_a_tuner_that_goes_on_after_a_crash_keeps_to_it() -> None:
    cloud, storage = FakeCloud(curve, "epochs"), KeptJournal()

    class Dies(TunerCallback):
        def on_loop_end(self) -> None:
            if len(first.ledger.trials) > 30:
                raise SystemExit

    options: dict[str, Any] = {"storage": storage, "backend": FakeBackend(cloud, delete_checkpoints=True)}
    first = tuner_on(cloud, promotion({"max_num_checkpoints": 4}), LONG, callbacks=[Dies()], **options)
    with pytest.raises(SystemExit):
        first.run()
    removed = speculative(first).num_checkpoints_removed
    assert removed
    tuner, watch = tuned(promotion({"max_num_checkpoints": 4}), cloud, storage=storage)
    assert max(watch.counts) <= 4
    assert speculative(tuner).num_checkpoints_removed > removed
    assert set(first.ledger.resumed_without_checkpoint) <= set(tuner.ledger.resumed_without_checkpoint)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("cost_promotion", {"cost_attr": "epoch"}),
        ("pasha", {"rung_system_kwargs": {"ranking_criterion": "soft_ranking", "epsilon": 0.0}}),
        ("rush_promotion", {"rung_system_kwargs": {"num_threshold_candidates": 1}, "points_to_evaluate": [{"x": 0.2}]}),
    ],
)
def test_every_type_that_pauses_keeps_to_the_limit(kind: str, options: Any) -> None:
    scheduler = HyperbandScheduler(
        SPACE,
        "loss",
        type=kind,
        max_resource_attr="epochs",
        random_seed=3,
        early_checkpoint_removal_kwargs={"max_num_checkpoints": 4},
        **options,
    )
    tuner, watch = tuned(scheduler)
    assert max(watch.counts) <= 4
    assert speculative(tuner).num_checkpoints_removed
    assert any(state.trial.config["epochs"] > 1 for state in tuner.ledger.trials)


def test_deletions_that_fail_for_a_while_are_made_up_for() -> None:
    cloud = FakeCloud(curve, "epochs")
    cloud.fail_next("delete_checkpoint", UnreachableError("S3 is away"), times=20)
    _, watch = tuned(promotion({"max_num_checkpoints": 4}), cloud)
    assert max(watch.counts) > 4
    assert max(watch.counts[len(watch.counts) // 2 :]) <= 4


def test_a_deletion_that_is_refused_is_not_asked_for_again() -> None:
    cloud = FakeCloud(curve, "epochs")
    cloud.fail_next("delete_checkpoint", AccessDeniedError("no"), times=10_000)
    tuner, _ = tuned(promotion({"max_num_checkpoints": 4}), cloud)
    # once when it was paused, and once more after each resume, and at the end
    assert cloud.calls["delete_checkpoint"] <= 2 * sum(len(state.attempts) for state in tuner.ledger.trials)


# -- refused -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("removal", "says", "hint"),
    [
        ([], "early_checkpoint_removal_kwargs is []", "max_num_checkpoints"),
        ({}, "no max_num_checkpoints", "how many"),
        ({"max_num_checkpoint": 5}, "'max_num_checkpoint'", "'max_num_checkpoints'"),
        ({"max_num_checkpoints": 5, "aprox_steps": 9}, "'aprox_steps'", "'approx_steps'"),
        ({"max_num_checkpoints": 0}, "max_num_checkpoints is 0", "at least 1"),
        ({"max_num_checkpoints": 5, "approx_steps": 2.5}, "approx_steps is 2.5", "at least 1"),
        ({"max_num_checkpoints": 5, "min_data_at_rung": -1}, "min_data_at_rung is -1", "at least 0"),
        ({"max_num_checkpoints": 5, "prior_beta_mean": 1.5}, "mean is 1.5", "0.33"),
        ({"max_num_checkpoints": 5, "prior_beta_size": 0}, "size is 0", "positive"),
        ({"max_num_checkpoints": 5, "max_wallclock_time": "1h"}, "'1h'", "StoppingCriterion"),
        ({"max_num_checkpoints": 5, "baseline": "by-level"}, "'by-level'", "'by_level'"),
    ],
)
def test_options_that_make_no_sense_are_refused_at_once(removal: Any, says: str, hint: str) -> None:
    with pytest.raises(OptionError) as caught:
        promotion(removal)
    assert says in caught.value.message
    assert hint in caught.value.hint


def test_a_criterion_without_an_end_is_refused_before_anything_runs() -> None:
    cloud = FakeCloud(curve, "epochs")
    with pytest.raises(OptionError, match=r"how long the experiment takes(.|\n)*max_wallclock_time"):
        tuned(promotion({"max_num_checkpoints": 9}), cloud, StoppingCriterion(max_num_trials_started=3))
    assert not cloud.calls
    given = promotion({"max_num_checkpoints": 9, "max_wallclock_time": 60.0})
    tuner, _ = tuned(given, criterion=StoppingCriterion(max_num_trials_started=3))
    assert speculative(tuner).max_wallclock_time == 60.0


def test_fewer_checkpoints_than_running_trials_are_refused() -> None:
    with pytest.raises(OptionError, match="max_num_checkpoints=4 leaves"):
        tuned(promotion({"max_num_checkpoints": 4}), n_workers=4)


def test_types_that_stop_have_nothing_to_remove() -> None:
    tuner, _ = tuned(promotion({"max_num_checkpoints": 3}, type="stopping"))
    assert isinstance(tuner.callbacks[-1], RemoveCheckpointsCallback)
    assert tuner.ledger.deletions_asked_for.keys() <= {"the experiment has ended"}


def test_what_a_scheduler_of_one_s_own_returns_is_checked() -> None:
    class Odd(Scripted):
        def callback_for_checkpoint_removal(self, stop_criterion: object) -> Any:
            return "remove"

    cloud = FakeCloud(curve, "epochs")
    tuner = tuner_on(cloud, Odd(), backend=FakeBackend(cloud, delete_checkpoints=True), storage=KeptJournal())
    with pytest.raises(OptionError, match="callback_for_checkpoint_removal of Odd returned 'remove'"):
        tuner.run()


# -- paused trials -----------------------------------------------------------------------------------------------------


def test_paused_trials_with_their_ranks() -> None:
    scheduler = promotion()
    tuned(scheduler, criterion=StoppingCriterion(max_num_trials_started=20, max_wallclock_time=1e6))
    paused = scheduler.paused_trials()
    assert {trial.level for trial in paused} == {1, 3}
    assert scheduler.paused_trials(3) == [trial for trial in paused if trial.level == 3]
    for rung in scheduler.rungs():
        here = sorted((trial for trial in paused if trial.level == rung.level), key=lambda trial: trial.rank)
        assert [trial.metric_val for trial in here] == sorted(trial.metric_val for trial in here)
        everyone = sorted(rung.keys.values())
        assert all(everyone[trial.rank] == trial.metric_val for trial in here)


def test_logs_say_nothing_in_a_healthy_run(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        tuned(promotion({"max_num_checkpoints": 4}))
    assert caplog.records == []


# -- killed ------------------------------------------------------------------------------------------------------------


def mortal(countdown: Countdown) -> tuple[MortalCloud, MortalJournal]:
    cloud = MortalCloud(curve, "epochs")
    cloud.countdown = countdown
    return cloud, MortalJournal(countdown)


def run_removing(cloud: MortalCloud, journal: MortalJournal) -> Tuner:
    tuner = tuner_on(
        cloud,
        promotion({"max_num_checkpoints": 3, "max_wallclock_time": 1000.0, "baseline": "random"}, seed=16),
        StoppingCriterion(max_num_trials_started=9),
        backend=FakeBackend(cloud, delete_checkpoints=True),
        storage=KeptJournal(journal),
    )
    tuner.run()
    return tuner


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_step_it_ends_with_no_checkpoint_left_and_no_trial_lost(after: bool) -> None:
    undisturbed = Countdown()
    whole = run_removing(*mortal(undisturbed))
    assert whole.ledger.resumed_without_checkpoint
    assert sum(whole.ledger.deletions_asked_for.values()) > 5
    for step in range(1 + 2 * after, undisturbed.taken, 4):
        countdown = Countdown()
        cloud, journal = mortal(countdown)
        countdown.arm(step, after)
        with suppress(Killed):
            run_removing(cloud, journal)
        countdown.arm(0, False)
        tuner = run_removing(cloud, journal)
        assert cloud.checkpoints == {}
        assert not [intent for intent in tuner.ledger.intents.values() if isinstance(intent, DeleteCheckpoint)]
        assert [state.status for state in tuner.ledger.trials].count(Status.failed) == 0
        assert not tuner.ledger.divergent
        for state in tuner.ledger.trials:
            if state.current.from_scratch and state.status is Status.completed:
                assert state.last_result is not None
                assert state.last_result["epoch"] == 9
