"""Where things of an experiment lie in S3: one prefix per experiment, one per trial below it."""

from __future__ import annotations

from dataclasses import dataclass

from cloudtune.aws import Aws, S3Uri
from cloudtune.paths import JOURNAL_FOLDER

DEFAULT_PREFIX = "cloudtune"


@dataclass(frozen=True)
class ExperimentLayout:
    """``root`` is the experiment's own prefix. Prefixes end in a slash."""

    root: S3Uri

    @property
    def journal(self) -> S3Uri:
        return self.root / f"{JOURNAL_FOLDER}/"

    def source(self, sha256: str, name: str = "sourcedir.tar.gz") -> S3Uri:
        """Content-addressed: the same source is never uploaded twice."""
        return self.root / f"source/{sha256}/{name}"

    def trial(self, trial_id: int) -> S3Uri:
        return self.root / f"trials/{trial_id:05d}/"

    def checkpoints(self, trial_id: int) -> S3Uri:
        return self.trial(trial_id) / "checkpoints/"

    def output(self, trial_id: int) -> S3Uri:
        return self.trial(trial_id) / "output/"

    def config(self, trial_id: int, attempt: int) -> S3Uri:
        """The prefix of the configuration's JSON file, where it travels as one."""
        return self.trial(trial_id) / f"config-{attempt}/"


def experiment_layout(base: S3Uri, tuner_name: str) -> ExperimentLayout:
    """The layout of experiment ``tuner_name`` below ``base``."""
    return ExperimentLayout((base / tuner_name).as_prefix)


def default_bucket(aws: Aws) -> str:
    """SageMaker's own bucket of this account and region, by name."""
    return f"sagemaker-{aws.region}-{aws.account}"


def default_s3_path(aws: Aws) -> S3Uri:
    """Where experiments lie unless the user says otherwise."""
    return S3Uri(default_bucket(aws), DEFAULT_PREFIX)


def s3_experiment_path(tuner_name: str, s3_path: str | None = None, aws: Aws | None = None) -> str:
    """``s3://bucket/cloudtune/{tuner_name}/``, or below ``s3_path``."""
    base = default_s3_path(aws or Aws()) if s3_path is None else S3Uri.parse(s3_path)
    return str(experiment_layout(base, tuner_name).root)
