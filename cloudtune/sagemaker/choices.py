"""On which instances a job may run: one kind, or an ordered list of which the first that is to be had is taken."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cloudtune.aws.request_check import input_shape
from cloudtune.constants import ST_INSTANCE_COUNT, ST_INSTANCE_TYPE
from cloudtune.errors import OptionError
from cloudtune.sagemaker.capacity import Instances
from cloudtune.trial import Config

PREFERENCES, GROUPS = "InstancePreferences", "InstanceGroups"
MAX_TYPES = 5
"""As many as the service's own list can have."""


@dataclass(frozen=True)
class Choice:
    """One way to run a job: the instances it needs, all of them together, and the ResourceConfig that asks for them."""

    needs: tuple[Instances, ...]
    resources: Mapping[str, Any]


@dataclass(frozen=True)
class Demand:
    """What one trial of an experiment needs: one of ``ways``, each of them instances of several kinds together.

    ``spread``: the configuration says which, so that trials are spread over all ways.
    """

    ways: tuple[tuple[Instances, ...], ...] = ()
    spread: bool = False


def choices_of(template: Mapping[str, Any], fallbacks: Sequence[str], config: Config) -> tuple[Choice, ...]:
    """All ways to run a job of this template with this configuration, in the order to be tried.

    A configuration that names its instance type has no other: its trial is about that type.
    """
    resources, spot = resources_of(template, config), is_spot(template)
    if groups := resources.get(GROUPS):
        return (Choice(tuple(_instances(group, resources, spot) for group in groups), resources),)
    if preferences := resources.get(PREFERENCES):
        return tuple(
            Choice((_instances(preference, resources, spot),), {**resources, PREFERENCES: [preference]})
            for preference in preferences
        )
    if "InstanceType" not in resources:
        return (Choice((), resources),)
    others = () if ST_INSTANCE_TYPE in config else fallbacks
    each = [{**resources, "InstanceType": name} for name in (resources["InstanceType"], *others)]
    return tuple(Choice((_instances(one, one, spot),), one) for one in each)


def together(choices: Sequence[Choice]) -> Mapping[str, Any] | None:
    """One ResourceConfig that leaves the choice to the service, or None where it has none for this."""
    first = choices[0].resources
    if len(choices) == 1:
        return first
    if PREFERENCES in first:
        return {**first, PREFERENCES: [preference for each in choices for preference in each.resources[PREFERENCES]]}
    excluded = "InstancePlacementConfig" in first or choices[0].needs[0].spot
    if excluded or not takes_preferences():
        return None
    rest = {name: value for name, value in first.items() if name != "InstanceType"}
    return {**rest, PREFERENCES: [{"InstanceType": each.resources["InstanceType"]} for each in choices]}


def resources_of(template: Mapping[str, Any], config: Config) -> dict[str, Any]:
    """The template's ResourceConfig, with what a configuration says about instances."""
    resources = dict(template.get("ResourceConfig") or {})
    if ST_INSTANCE_TYPE in config:
        resources["InstanceType"] = config[ST_INSTANCE_TYPE]
        resources.setdefault("InstanceCount", 1)
        for alternative in (PREFERENCES, GROUPS):
            resources.pop(alternative, None)
    if ST_INSTANCE_COUNT in config:
        resources["InstanceCount"] = int(config[ST_INSTANCE_COUNT])
    return resources


def types_of(resources: Mapping[str, Any]) -> set[str]:
    """The instance types that a ResourceConfig names."""
    several = resources.get(GROUPS) or resources.get(PREFERENCES) or [resources]
    return {str(each["InstanceType"]) for each in several if "InstanceType" in each}


def is_spot(template: Mapping[str, Any]) -> bool:
    return bool(template.get("EnableManagedSpotTraining"))


def checked_fallbacks(template: Mapping[str, Any], fallbacks: Sequence[str]) -> tuple[str, ...]:
    """Raises ``OptionError`` for instance types that can't stand in for the template's."""
    if not isinstance(fallbacks, (list, tuple)) or not all(isinstance(name, str) for name in fallbacks):
        raise OptionError(f"{fallbacks!r} is no list of instance types", "for example ['ml.g5.2xlarge']")
    if not fallbacks:
        return ()
    resources = template.get("ResourceConfig") or {}
    if "InstanceType" not in resources:
        raise OptionError(
            f"fallback instance types {list(fallbacks)} are for a template with one InstanceType",
            f"put them into its {PREFERENCES}" if PREFERENCES in resources else "leave them out",
        )
    if "TrainingPlanArn" in resources:
        raise OptionError(
            "a training plan is for one instance type, and there are fallback instance types",
            f"give {PREFERENCES} with a plan for each in ResourceConfig, or leave out one of them",
        )
    every = [resources["InstanceType"], *fallbacks]
    if len(set(every)) < len(every):
        raise OptionError(f"instance types {every} name one twice", "keep one of each")
    if len(every) > MAX_TYPES:
        raise OptionError(f"{len(every)} instance types are more than SageMaker's {MAX_TYPES}", "leave some out")
    known = _resource_shape().members["InstanceType"].enum
    for name in fallbacks:
        if name not in known:
            near = difflib.get_close_matches(name, known, 3)
            raise OptionError(
                f"{name!r} is no training instance type",
                f"did you mean {', '.join(near)}?" if near else "see cloudtune.sagemaker.select_instance_type",
            )
    return tuple(fallbacks)


def takes_preferences() -> bool:
    """Whether this botocore knows of lists of instance types."""
    return PREFERENCES in _resource_shape().members


def _resource_shape() -> Any:
    return input_shape("sagemaker", "CreateTrainingJob").members["ResourceConfig"]


def _instances(given: Mapping[str, Any], resources: Mapping[str, Any], spot: bool) -> Instances:
    count = given.get("InstanceCount") or resources.get("InstanceCount") or 1
    return Instances(str(given["InstanceType"]), int(count), spot)
