"""The same commands where the tuner is a training job and the experiment lies in S3."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cloudtune import StoppingCriterion, Tuner, uniform
from cloudtune.backends import LocalBackend
from cloudtune.baselines import RandomSearch
from cloudtune.remote import RemoteExperiment, RemoteLauncher
from cloudtune.sandbox import Delays, Sandbox
from tests.cli.support import Toy, json_of


@contextmanager
def cloud(monkeypatch: pytest.MonkeyPatch, delays: Delays) -> Iterator[None]:
    with Sandbox(delays=delays) as sandbox:
        for name, value in sandbox.environment().items():
            monkeypatch.setenv(name, value)
        yield


def launched(toy: Toy) -> RemoteExperiment:
    space = {"x": uniform(0, 1), "epochs": 2}
    tuner = Tuner(
        LocalBackend(toy.script),
        RandomSearch(space, metric="loss", random_seed=1),
        StoppingCriterion(max_num_trials_started=1),
        n_workers=2,
        sleep_time=0.1,
        tuner_name="away",
        wait_trial_completion_when_stopping=True,
    )
    return RemoteLauncher(tuner, publish_tuning_metrics=False).run(wait=False)


def test_a_remote_tuner_is_watched_to_its_end_and_read(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    with cloud(monkeypatch, Delays()):
        experiment = launched(toy)
        *_, last, ending = toy.cloudtune("watch", experiment.name, "--interval", "0.2").splitlines()
        assert last.startswith("2 trials (2 Completed), 4 reports")
        assert ending == "Ended: 2 is more than max_num_trials_started=1."
        experiment.wait()
        summary = json_of(toy.cloudtune("results", experiment.name, "--json"))
        assert summary["where"] == str(experiment.uri)
        assert summary["reports"] == 4
        assert "has ended already" in toy.cloudtune("stop", experiment.name)


def test_a_tuner_whose_instance_is_still_starting(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    with cloud(monkeypatch, Delays(starting=3600)):
        experiment = launched(toy)
        assert "its tuner has not begun yet" in toy.cloudtune("status", experiment.name)
        assert "was asked to stop" in toy.cloudtune("stop", experiment.name)
        experiment.wait()
        said = toy.cloudtune("watch", experiment.name, status=1)
        assert "has ended before it began" in said
        assert f"cloudtune resume {experiment.name}" in said
