"""A template with what the user left to us: role and image."""

from __future__ import annotations

from cloudtune.aws import Aws
from cloudtune.errors import OptionError
from cloudtune.sagemaker.images import default_image
from cloudtune.sagemaker.role import get_execution_role, role_arn
from cloudtune.sagemaker.template import DEFAULT_INSTANCE, TrainingJobTemplate


def completed(aws: Aws, template: TrainingJobTemplate) -> TrainingJobTemplate:
    """With a role and an image, where the user gave none.

    Raises ``OptionError`` if there is nothing to run, or no role is to be found.
    """
    if "RoleArn" not in template.request:
        role = role_arn(aws, template.role) if template.role else get_execution_role(aws)
        template = template.replaced(RoleArn=role)
    algorithm = template.request.get("AlgorithmSpecification") or {}
    if algorithm.get("TrainingImage") or algorithm.get("AlgorithmName"):
        return template
    if template.source is None:
        raise OptionError(
            "the training job template has neither TrainingImage nor AlgorithmName",
            "give one of them in its AlgorithmSpecification",
        )
    image = default_image(aws.region, template.instance_type or DEFAULT_INSTANCE, *template.fallback_instance_types)
    return template.replaced(AlgorithmSpecification={**algorithm, "TrainingImage": image})
