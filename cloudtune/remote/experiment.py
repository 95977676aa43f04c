"""A remote experiment, from anywhere: where it stands, waiting for it, stopping it, its results."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cloudtune.aws import Aws
from cloudtune.aws import objects as s3
from cloudtune.aws.s3_uri import S3Uri
from cloudtune.clock import Clock, SystemClock
from cloudtune.engine.status import TuningStatus
from cloudtune.errors import ExperimentFailedError, ExperimentNotFoundError, NotFoundError
from cloudtune.journal.file import FileJournal
from cloudtune.names import check_tuner_name, parse_job_name
from cloudtune.paths import JOURNAL_FOLDER, METADATA_FILE, RESULTS_FILE, experiment_path
from cloudtune.remote.journal_view import JournalView
from cloudtune.remote.layout import STOP_MARKER
from cloudtune.remote.storage import S3Storage
from cloudtune.remote.tuner_job import TunerJob, tuner_jobs
from cloudtune.sagemaker.instances import dollars_per_hour

if TYPE_CHECKING:
    from cloudtune.results.experiment import ExperimentResult

SHORTEST, LONGEST = 0.5, 10.0
"""Seconds between two looks while waiting: the pause grows."""


@dataclass(frozen=True)
class RemoteStatus:
    """``job``: the newest launch of the tuner. ``tuning``: what its journal says; None until it begins."""

    job: TunerJob
    tuning: TuningStatus | None

    @property
    def is_running(self) -> bool:
        return self.job.is_active

    def __str__(self) -> str:
        reason = f" ({self.job.reason})" if self.job.reason else ""
        return f"{self.job.name}: {self.job.status}{reason}; {self.tuning or 'no trials yet'}"


class RemoteExperiment:
    """The experiment ``name`` whose tuner is, or was, a training job.

    ``s3_path``: the prefix of all experiments, if it isn't the default.
    """

    def __init__(
        self, name: str, s3_path: str | None = None, aws: Aws | None = None, clock: Clock | None = None
    ) -> None:
        self.name = check_tuner_name(name)
        self.s3_path = s3_path
        self.aws = aws or Aws()
        self.clock = clock or SystemClock()
        self._storage = S3Storage(s3_path, self.aws)
        self._view: JournalView | None = None

    @property
    def uri(self) -> S3Uri:
        """Its prefix in S3."""
        return self._storage.uri(self.name)

    @property
    def job_name(self) -> str:
        """The newest training job that runs, or ran, its tuner."""
        return self.job().name

    def job(self) -> TunerJob:
        """The newest launch of its tuner. Raises ``ExperimentNotFoundError`` if there was none."""
        jobs = tuner_jobs(self.aws, self.name)
        if not jobs:
            raise ExperimentNotFoundError(
                f"no training job has run a tuner for {self.name!r}",
                "names carry a suffix (such as -2026-01-31-12-00-00-000): is it complete? Is this the right region?",
            )
        return jobs[-1]

    def status(self) -> RemoteStatus:
        """Where it stands now."""
        job = self.job()
        if job.status == "Failed":
            job = self.refreshed(job)
        return RemoteStatus(job, self.view().status(self.clock.now()))

    def view(self) -> JournalView:
        """What its journal says, kept from call to call."""
        if self._view is None:
            self._view = JournalView(str(self.uri), self.aws)
        return self._view

    def wait(self) -> RemoteStatus:
        """Return once its tuner's job has ended. Raises ``ExperimentFailedError`` with the reason if it failed."""
        job, pause = self.job(), SHORTEST
        while job.is_active:
            self.clock.sleep(pause)
            pause = min(LONGEST, 1.2 * pause)
            job = self.refreshed(job)
        return self.ended(job)

    def refreshed(self, job: TunerJob) -> TunerJob:
        """The same launch, as it is now."""
        described = self.aws.call("sagemaker", "DescribeTrainingJob", TrainingJobName=job.name)
        return replace(job, status=str(described["TrainingJobStatus"]), reason=str(described.get("FailureReason", "")))

    def ended(self, job: TunerJob) -> RemoteStatus:
        """Where it stands after this launch. Raises ``ExperimentFailedError`` if it failed."""
        if job.status == "Failed":
            raise ExperimentFailedError(
                f"{job.name} failed: {self.refreshed(job).reason or 'no reason given'}",
                f"its log tells more; `cloudtune resume {self.name}` goes on with it",
            )
        return RemoteStatus(job, self.view().status(self.clock.now()))

    def stop(self) -> None:
        """Ask for its end: running trials are stopped, results are kept. Returns at once."""
        s3.put(self.aws, self.uri / STOP_MARKER, b"")
        jobs = tuner_jobs(self.aws, self.name)
        running = [job for job in jobs if job.is_active]
        for job in running:
            self.aws.call("sagemaker", "StopTrainingJob", TrainingJobName=job.name)
        if not running:
            self._stop_orphans()

    def results(self) -> ExperimentResult:
        """All reports so far, as ``cloudtune.results.load_experiment`` gives them."""
        from cloudtune.results.loading import load_experiment

        return load_experiment(self.name, s3_path=self.s3_path)

    def download(self, local_path: str | Path | None = None) -> Path:
        """Copy its journal and files to this machine, where ``cloudtune results`` and ``load_experiment`` find them.

        ``local_path``: the folder of all experiments. Returns the experiment's own. The copy does not follow the
        original; a journal that is there already is completed.
        """
        folder = experiment_path(self.name, local_path)
        copy = FileJournal(folder / JOURNAL_FOLDER)
        known = sum(1 for _ in copy.read())
        copy.append(known, list(self._storage.journal(folder).read(known)))
        copy.close()
        for name in (METADATA_FILE, RESULTS_FILE):
            with suppress(NotFoundError):
                (folder / name).write_bytes(s3.get(self.aws, self.uri / name))
        return folder

    def tuner_dollars(self) -> float | None:
        """What its tuner's own jobs have cost so far, trials not included; None if a price is unknown."""
        total = 0.0
        for job in tuner_jobs(self.aws, self.name):
            described = self.aws.call("sagemaker", "DescribeTrainingJob", TrainingJobName=job.name)
            price = dollars_per_hour(described["ResourceConfig"].get("InstanceType"))
            if price is None:
                return None
            total += price * described.get("BillableTimeInSeconds", 0) / 3600
        return total

    def _stop_orphans(self) -> None:
        """Nobody is there who would stop the trials."""
        request = {"NameContains": f"{self.name}-", "StatusEquals": "InProgress", "MaxResults": 100}
        for page in self.aws.pages("sagemaker", "ListTrainingJobs", **request):
            for summary in page["TrainingJobSummaries"]:
                if parse_job_name(self.name, summary["TrainingJobName"]):
                    self.aws.call("sagemaker", "StopTrainingJob", TrainingJobName=summary["TrainingJobName"])
