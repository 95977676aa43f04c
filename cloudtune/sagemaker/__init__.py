"""Every trial its own SageMaker training job."""

from cloudtune.sagemaker.backend import SageMakerBackend
from cloudtune.sagemaker.following import FeedOptions
from cloudtune.sagemaker.instances import InstanceInfo, InstanceInfos, select_instance_type
from cloudtune.sagemaker.layout import s3_experiment_path
from cloudtune.sagemaker.metrics import FLOAT, MetricDefinition
from cloudtune.sagemaker.role import get_execution_role
from cloudtune.sagemaker.template import TrainingJobTemplate
from cloudtune.sagemaker.warm_pools import WarmPoolOptions

__all__ = [
    "SageMakerBackend",
    "TrainingJobTemplate",
    "MetricDefinition",
    "FLOAT",
    "FeedOptions",
    "WarmPoolOptions",
    "InstanceInfo",
    "InstanceInfos",
    "select_instance_type",
    "get_execution_role",
    "s3_experiment_path",
]
