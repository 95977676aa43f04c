"""What happens inside a training job: its directories, its data, its processes.

:class:`TrainingContainer` is one run of one job. It needs an S3 endpoint and an interpreter, nothing of the control
plane: the caller decides when to download, start, stop and upload.
"""

from cloudtune.sandbox.container.container import TrainingContainer
from cloudtune.sandbox.container.spec import Artifacts, ContainerError, ContainerSpec

__all__ = ["TrainingContainer", "ContainerSpec", "Artifacts", "ContainerError"]
