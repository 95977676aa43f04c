"""Logs of trials that ran inside the tuner's job, kept in S3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloudtune.aws import Aws, S3Uri
from cloudtune.aws import objects as s3
from cloudtune.callbacks.base import TunerCallback
from cloudtune.remote.layout import backend_path_not_synced_to_s3
from cloudtune.sagemaker.layout import ExperimentLayout

if TYPE_CHECKING:
    from cloudtune.tuner import Tuner


class StoreTrialLogs(TunerCallback):
    """At the end, copies what each trial printed to ``trials/{trial:05d}/`` of the experiment below ``s3_path``."""

    FILES = ("std.out", "std.err", "config.json")

    def __init__(self, experiment: S3Uri, aws: Aws) -> None:
        self._layout = ExperimentLayout(experiment)
        self._aws = aws
        self._tuner: Tuner | None = None

    def on_tuning_start(self, tuner: Tuner) -> None:
        self._tuner = tuner

    def on_tuning_closed(self) -> None:
        if self._tuner is None:
            return
        folder = self._tuner.trial_backend_path or backend_path_not_synced_to_s3()
        for trial in self._tuner.ledger.trials:
            for name in self.FILES:
                path = folder / str(trial.trial.trial_id) / name
                if path.is_file():
                    s3.put(self._aws, self._layout.trial(trial.trial.trial_id) / name, path.read_bytes())
