"""Spot instances and waiting for them: what makes no sense, or loses work, is refused before money is spent."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cloudtune.constants import ST_CHECKPOINT_DIR
from cloudtune.errors import OptionError
from cloudtune.sagemaker.choices import PREFERENCES, choices_of, is_spot
from cloudtune.sagemaker.request import checkpoint_folder
from cloudtune.sagemaker.source import ScriptSource

LONG_RUN = 3600
"""Seconds of training that nobody wants to lose to an interruption."""

DEFAULT_MAX_RUN = 86_400
"""The service's own, in seconds."""

_ACCELERATED = ("ml.p", "ml.g", "ml.trn", "ml.inf")
_CHECKPOINTING = re.compile(r"cloudtune(\.|\s+import\s+)checkpointing\b")
_TEXTS = frozenset({".py", ".sh", ".yaml", ".yml", ".json", ".toml", ".cfg", ".ini", ".txt"})
_LONGEST_TEXT = 2_000_000


def check_waiting(request: Mapping[str, Any]) -> None:
    """Raises ``OptionError`` for limits of waiting, and settings of spot, that the service refuses or ignores."""
    stopping = request.get("StoppingCondition") or {}
    resources = request.get("ResourceConfig") or {}
    max_wait, max_pending = stopping.get("MaxWaitTimeInSeconds"), stopping.get("MaxPendingTimeInSeconds")
    if is_spot(request):
        _check_spot(resources, max_wait, stopping.get("MaxRuntimeInSeconds", DEFAULT_MAX_RUN))
    elif max_wait is not None:
        raise OptionError(
            f"max_wait (MaxWaitTimeInSeconds) = {max_wait} is for spot instances, and these are on demand",
            "set use_spot=True (EnableManagedSpotTraining), or leave max_wait out",
        )
    types = [need.instance_type for choice in choices_of(request, (), {}) for need in choice.needs]
    if max_pending is not None and types and not any(name.startswith(_ACCELERATED) for name in types):
        raise OptionError(
            f"max_pending (MaxPendingTimeInSeconds) = {max_pending} has no effect on {', '.join(types)}",
            "it is for instances with accelerators (ml.p…, ml.g…, ml.trn…): leave it out",
        )


def _check_spot(resources: Mapping[str, Any], max_wait: int | None, max_run: int) -> None:
    if max_wait is None:
        raise OptionError(
            "a spot job says how long it may take in all, waiting included, and this one doesn't",
            f"give max_wait (MaxWaitTimeInSeconds), at least max_run = {max_run}",
        )
    if max_wait < max_run:
        raise OptionError(
            f"max_wait (MaxWaitTimeInSeconds) = {max_wait} is less than max_run (MaxRuntimeInSeconds) = {max_run}",
            "max_wait counts waiting and running together: raise it, or lower max_run",
        )
    if resources.get("KeepAlivePeriodInSeconds"):
        raise OptionError(
            "spot instances can't be kept alive: SageMaker has no warm pools of them",
            "leave out keep_alive_period_in_seconds, or use_spot",
        )
    if resources.get(PREFERENCES):
        raise OptionError(
            f"SageMaker takes no {PREFERENCES} for spot instances",
            "give one InstanceType, and the others as fallback_instance_types: they are tried in this order",
        )


def check_checkpoints(request: Mapping[str, Any], source: ScriptSource | None) -> None:
    """Raises ``OptionError`` for a long spot job whose script is known, and nothing in it speaks of checkpoints."""
    max_run = (request.get("StoppingCondition") or {}).get("MaxRuntimeInSeconds", DEFAULT_MAX_RUN)
    if source is None or not is_spot(request) or max_run <= LONG_RUN or _saves(request, source):
        return
    raise OptionError(
        f"trials may run for {max_run} s on spot instances, and {str(source.entry_point)!r} saves no checkpoint: "
        "each interruption would start one again from nothing",
        f"save to {checkpoint_folder(request)}, as cloudtune.checkpointing does; or max_run={LONG_RUN} or less; or, "
        "if it saves there in a way that isn't seen, SageMakerBackend(allow_spot_without_checkpoints=True)",
    )


def _saves(request: Mapping[str, Any], source: ScriptSource) -> bool:
    names = (ST_CHECKPOINT_DIR, checkpoint_folder(request))
    given = [*(request.get("HyperParameters") or {}).values(), *(request.get("Environment") or {}).values()]
    texts = (*given, *_texts(source))
    return any(_CHECKPOINTING.search(text) or any(name in text for name in names) for text in texts)


def _texts(source: ScriptSource) -> Iterator[str]:
    for path in {source.script, *source.files().values()}:
        if _is_text(path):
            yield path.read_text(encoding="utf-8", errors="replace")


def _is_text(path: Path) -> bool:
    return path.suffix in _TEXTS and path.stat().st_size <= _LONGEST_TEXT
