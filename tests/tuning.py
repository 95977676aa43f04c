"""Tuners on fakes: a cloud in memory, a clock that jumps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from cloudtune.baselines import ASHA
from cloudtune.callbacks.base import TunerCallback
from cloudtune.callbacks.progress import ProgressCallback
from cloudtune.engine.status import TuningStatus
from cloudtune.engine.stopping import StoppingCriterion
from cloudtune.journal.store import JournalStore, MemoryJournal
from cloudtune.schedulers.base import TrialScheduler
from cloudtune.space import randint, uniform
from cloudtune.testing.fake_backend import FakeBackend
from cloudtune.testing.fake_cloud import FakeCloud
from cloudtune.trial import Config
from cloudtune.tuner import Tuner

SPACE = {"x": uniform(0.0, 1.0), "n": randint(1, 100), "epochs": 9}


def curve(config: Config, epoch: int) -> dict[str, float]:
    """Falls towards ``x``; smaller ``x`` are better from the first epoch on."""
    return {"loss": config["x"] + 1.0 / epoch}


def asha(kind: str = "stopping", seed: int = 7) -> ASHA:
    return ASHA(SPACE, metric="loss", resource_attr="epoch", max_resource_attr="epochs", type=kind, random_seed=seed)


class Quiet(ProgressCallback):
    """Prints no table at the end: thousands of them would be most of the time of these tests."""

    def on_tuning_closed(self) -> None:
        pass


class KeptJournal:
    """Storage whose journal outlives the tuner's object."""

    def __init__(self, journal: JournalStore | None = None) -> None:
        self.kept = journal or MemoryJournal()
        self.published: list[str] = []

    def journal(self, folder: Path) -> JournalStore:
        return self.kept

    def publish(self, file: Path) -> None:
        self.published.append(file.name)

    def claim(self, folder: Path) -> None:
        pass

    def look(self, folder: Path) -> bool:
        return False

    def let_go(self, folder: Path) -> None:
        pass


def tuner_on(
    cloud: FakeCloud,
    scheduler: TrialScheduler | None = None,
    stop_criterion: Callable[[TuningStatus], bool] | None = None,
    n_workers: int | Literal["auto"] = 2,
    callbacks: Sequence[TunerCallback] = (),
    backend: FakeBackend | None = None,
    **options: Any,
) -> Tuner:
    return Tuner(
        backend or FakeBackend(cloud),
        scheduler or asha(),
        stop_criterion or StoppingCriterion(max_num_trials_started=7),
        n_workers,
        sleep_time=options.pop("sleep_time", 1.0),
        tuner_name=options.pop("tuner_name", "bench"),
        suffix_tuner_name=False,
        callbacks=[*callbacks, Quiet(1e9)],
        clock=cloud.clock,
        save_tuner=options.pop("save_tuner", False),
        **options,
    )
