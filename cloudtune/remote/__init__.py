"""The tuner as a training job: pack it, launch it, be it, find it again."""

from cloudtune.remote.experiment import RemoteExperiment, RemoteStatus
from cloudtune.remote.launcher import RemoteLauncher
from cloudtune.remote.launching import resume
from cloudtune.remote.layout import backend_path_not_synced_to_s3
from cloudtune.remote.storage import S3Storage, s3_experiment_path
from cloudtune.remote.tuner_job import TunerJobOptions
from cloudtune.remote.tuning_metrics import RemoteTuningMetricsCallback

__all__ = [
    "RemoteLauncher",
    "TunerJobOptions",
    "RemoteExperiment",
    "RemoteStatus",
    "RemoteTuningMetricsCallback",
    "S3Storage",
    "backend_path_not_synced_to_s3",
    "resume",
    "s3_experiment_path",
]
