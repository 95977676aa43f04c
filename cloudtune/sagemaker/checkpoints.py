"""Checkpoints of trials in S3: copied and deleted inside S3, never through this machine."""

from __future__ import annotations

from cloudtune.aws import Aws, objects
from cloudtune.sagemaker.layout import ExperimentLayout


def copy_checkpoint(aws: Aws, layout: ExperimentLayout, source_trial_id: int, target_trial_id: int) -> int:
    """Make the target's checkpoint equal to the source's, whatever it held; the number of objects copied."""
    return objects.mirror(aws, layout.checkpoints(source_trial_id), layout.checkpoints(target_trial_id))


def delete_checkpoint(aws: Aws, layout: ExperimentLayout, trial_id: int) -> None:
    """No error if there is none."""
    objects.delete_below(aws, layout.checkpoints(trial_id))
