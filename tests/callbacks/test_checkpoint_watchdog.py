"""A running trial whose checkpoints don't arrive is noticed, at a bounded cost."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cloudtune.backends.base import Experiment, TellsCheckpoints
from cloudtune.backends.local import LocalBackend
from cloudtune.callbacks import CheckpointWatchdogCallback, TunerCallback
from cloudtune.checkpointing import save_checkpoint
from cloudtune.clock import SystemClock
from cloudtune.engine.stopping import StoppingCriterion
from cloudtune.errors import OptionError, UnreachableError
from cloudtune.journal import events as ev
from cloudtune.testing.fake_cloud import FakeCloud, FakeFaults, FakeTiming
from cloudtune.trial import Attempt
from cloudtune.tuner import Tuner
from tests.engine.scripted import Scripted
from tests.tuning import KeptJournal, tuner_on

UNITS = 100
MINUTE = 60.0


class StatusWatch(TunerCallback):
    """Remembers what the status says aloud about trials."""

    def __init__(self) -> None:
        self.warnings: set[tuple[int, str]] = set()
        self.tuner: Tuner | None = None

    def on_tuning_start(self, tuner: Tuner) -> None:
        self.tuner = tuner

    def on_loop_start(self) -> None:
        assert self.tuner is not None
        self.warnings |= {(view.trial_id, view.warning) for view in self.tuner.tuning_status.trials() if view.warning}


def watched(
    faults: Callable[[Attempt], FakeFaults] = lambda attempt: FakeFaults(), trials: int = 1, **options: Any
) -> tuple[FakeCloud, StatusWatch, KeptJournal]:
    """Trials of a hundred minutes that report and save every minute."""
    cloud = FakeCloud(
        lambda config, unit: {"loss": 1.0 / unit},
        UNITS,
        timing=FakeTiming(seconds_per_unit=MINUTE),
        faults=faults,
        resource_attr="epoch",
    )
    for each in options.pop("errors", ()):
        cloud.fail_next("checkpoint_committed_at", each)
    watch, storage = StatusWatch(), KeptJournal()
    watchdog = CheckpointWatchdogCallback(**{"max_age_seconds": 10 * MINUTE, **options})
    tuner_on(
        cloud,
        Scripted(size=trials),
        StoppingCriterion(max_wallclock_time=1e6),
        n_workers=trials,
        callbacks=[watchdog, watch],
        storage=storage,
        sleep_time=10.0,
    ).run()
    return cloud, watch, storage


def test_a_trial_whose_checkpoints_stop_arriving_is_warned_about_once(caplog: pytest.LogCaptureFixture) -> None:
    _, watch, storage = watched(lambda attempt: FakeFaults(keeps_until=20), trials=3)
    said = [record.getMessage() for record in caplog.records if "reports, but" in record.getMessage()]
    assert len(said) == 3
    assert "trial 0 (bench-00000-0) reports, but has committed no new checkpoint for 1" in said[0]
    assert "max_age_seconds=600" in said[0]
    assert {trial_id for trial_id, _ in watch.warnings} == {0, 1, 2}
    first = next(event for event in storage.kept.read() if isinstance(event, ev.TrialWarned))
    began = next(event for event in storage.kept.read() if isinstance(event, ev.StatusObserved))
    assert 30 * MINUTE < first.at - began.at < 33 * MINUTE, "ten minutes after the last"


def test_one_that_writes_none_is_told_as_such(caplog: pytest.LogCaptureFixture) -> None:
    watched(lambda attempt: FakeFaults(keeps_nothing=True))
    assert "has committed no checkpoint for 10 min" in caplog.text


def test_healthy_trials_are_silent_and_cheap(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        cloud, watch, _ = watched(trials=4)
    assert caplog.records == []
    assert watch.warnings == set()
    assert cloud.calls["checkpoint_committed_at"] <= 4 * UNITS / 10 + 4, "once in max_age_seconds"


def test_many_trials_cost_no_more_calls_than_allowed() -> None:
    cloud, _, _ = watched(lambda attempt: FakeFaults(keeps_until=5), trials=20, max_calls=1, check_interval=300.0)
    assert cloud.calls["checkpoint_committed_at"] <= UNITS * MINUTE / 300.0


def test_with_few_calls_every_trial_has_its_turn() -> None:
    _, watch, _ = watched(lambda attempt: FakeFaults(keeps_until=5), trials=12, max_calls=1)
    assert {trial_id for trial_id, _ in watch.warnings} == set(range(12))


def test_one_that_does_not_report_is_not_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    """It hangs, or reports nothing: whether its checkpoints arrive nobody can tell from their age."""
    _, watch, _ = watched(lambda attempt: FakeFaults(keeps_until=5, silent=True))
    assert "reports, but" not in caplog.text
    assert watch.warnings == set()


def test_checkpoints_that_come_again_withdraw_the_warning() -> None:
    """It saves every thirtieth minute only."""
    _, _, storage = watched(lambda attempt: FakeFaults(keeps_every=30))
    texts = [event.text for event in storage.kept.read() if isinstance(event, ev.TrialWarned)]
    assert texts[0].startswith("no checkpoint for")
    assert texts.count("") == 3, "after 30, 60 and 90 minutes"


def test_a_look_that_fails_is_made_again(caplog: pytest.LogCaptureFixture) -> None:
    _, watch, _ = watched(
        lambda attempt: FakeFaults(keeps_until=20), errors=[UnreachableError("S3 is away") for _ in range(5)]
    )
    assert watch.warnings


@pytest.mark.parametrize(
    "options", [{"max_age_seconds": 0}, {"max_age_seconds": "1h"}, {"check_interval": -1}, {"max_calls": 0}]
)
def test_options_that_watch_nothing_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        CheckpointWatchdogCallback(**options)


def test_local_trials_tell_the_age_of_their_checkpoints(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text("")
    backend = LocalBackend(script)
    assert isinstance(backend, TellsCheckpoints)
    backend.open(Experiment("local", tmp_path / "experiment"), SystemClock())
    assert backend.checkpoint_committed_at(0) is None
    folder = backend.checkpoint_trial_path(0)
    save_checkpoint(folder, lambda path: Path(path, "weights").touch(), 1)
    (manifest,) = folder.glob("*.json")
    assert backend.checkpoint_committed_at(0) == manifest.stat().st_mtime
    backend.close()
