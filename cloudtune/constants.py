"""Names that cross the borders between processes: fields of reports, keys of configurations, files, columns."""

from cloudtune.checkpointing import ST_CHECKPOINT_DIR, ST_CONFIG_JSON_FNAME_ARG
from cloudtune.report import ST_WORKER_COST, ST_WORKER_ITER, ST_WORKER_TIME, ST_WORKER_TIMESTAMP

SYNE_TUNE_ENV_FOLDER = "SYNETUNE_FOLDER"
"""Environment variable that names the folder of all experiments, as Syne Tune's users have it set."""
SYNE_TUNE_DEFAULT_FOLDER = "syne-tune"
"""Folder below the home directory where Syne Tune's own experiments lie."""

ST_INSTANCE_TYPE = "st_instance_type"
"""Key of a configuration: instance type of the trial's training job."""
ST_INSTANCE_COUNT = "st_instance_count"
"""Key of a configuration: number of instances of the trial's training job."""

ST_REMOTE_UPLOAD_DIR_NAME = "tuner"
"""Folder in which the remote launcher uploads the tuner."""
ST_RESULTS_DATAFRAME_FILENAME = "results.csv.zip"
ST_METADATA_FILENAME = "metadata.json"
ST_TUNER_DILL_FILENAME = "tuner.dill"
ST_DATETIME_FORMAT = "%Y-%m-%d-%H-%M-%S"
"""Of dates in the names of results."""

SMT_TUNER_CREATION_TIMESTAMP = "st_tuner_creation_timestamp"
"""Entry of the metadata: when the tuner started, in seconds since the epoch."""

ST_TUNER_TIME = "st_tuner_time"
"""Column of results: seconds since the tuner started."""
ST_DECISION = "st_decision"
"""Column of results: what the scheduler decided on the report."""
ST_STATUS = "st_status"
"""Column of results: status of the trial."""

MAX_METRICS_SUPPORTED_BY_SAGEMAKER = 40
"""Metric definitions in the request of a training job."""
TUNER_DEFAULT_SLEEP_TIME = 5.0
"""Seconds between two polls of the tuner."""

__all__ = [
    "MAX_METRICS_SUPPORTED_BY_SAGEMAKER",
    "SMT_TUNER_CREATION_TIMESTAMP",
    "ST_CHECKPOINT_DIR",
    "ST_CONFIG_JSON_FNAME_ARG",
    "ST_DATETIME_FORMAT",
    "ST_DECISION",
    "ST_INSTANCE_COUNT",
    "ST_INSTANCE_TYPE",
    "ST_METADATA_FILENAME",
    "ST_REMOTE_UPLOAD_DIR_NAME",
    "ST_RESULTS_DATAFRAME_FILENAME",
    "ST_STATUS",
    "ST_TUNER_DILL_FILENAME",
    "ST_TUNER_TIME",
    "ST_WORKER_COST",
    "ST_WORKER_ITER",
    "ST_WORKER_TIME",
    "ST_WORKER_TIMESTAMP",
    "SYNE_TUNE_DEFAULT_FOLDER",
    "SYNE_TUNE_ENV_FOLDER",
    "TUNER_DEFAULT_SLEEP_TIME",
]
