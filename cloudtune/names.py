"""Names of experiments and of what belongs to them."""

from __future__ import annotations

import re
from datetime import datetime, timezone

from cloudtune.errors import OptionError

MAX_TUNER_NAME = 40
"""Leaves room in a training job's 63 characters for trial and attempt."""

_VALID = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*")
_SUFFIX_LENGTH = len("-2026-01-31-23-59-59-999")


def check_tuner_name(name: str) -> str:
    """The name itself. Raises ``OptionError`` unless it is letters, digits and single inner dashes, at most 40."""
    if not isinstance(name, str):
        raise OptionError(f"tuner_name={name!r} is no string", "give letters, digits and inner dashes")
    if not _VALID.fullmatch(name):
        proposal = re.sub(r"[^a-zA-Z0-9]+", "-", name).strip("-") or "experiment"
        raise OptionError(
            f"tuner_name={name!r} has characters other than letters, digits and inner dashes",
            f"training jobs are named after it: use {proposal!r}",
        )
    if len(name) > MAX_TUNER_NAME:
        raise OptionError(
            f"tuner_name={name!r} has {len(name)} characters, more than {MAX_TUNER_NAME}",
            "training jobs are named after it and have 63: shorten it",
        )
    return name


def default_base(entry_point_stem: str | None) -> str:
    """A valid base name from the file name of a training script."""
    return re.sub(r"[^a-zA-Z0-9]+", "-", entry_point_stem or "").strip("-") or "experiment"


def suffixed(base: str, now: float) -> str:
    """``base`` (cut to fit) with the moment appended, to the millisecond, in UTC."""
    moment = datetime.fromtimestamp(now, timezone.utc)
    suffix = f"-{moment:%Y-%m-%d-%H-%M-%S}-{moment.microsecond // 1000:03d}"
    return base[: MAX_TUNER_NAME - _SUFFIX_LENGTH].rstrip("-") + suffix


def job_name(tuner_name: str, trial_id: int, attempt: int) -> str:
    """The training job of one attempt: a function of nothing else, so that a second launch finds the name taken."""
    return f"{tuner_name}-{trial_id:05d}-{attempt}"


def parse_job_name(tuner_name: str, name: str) -> tuple[int, int] | None:
    """(trial, attempt) if ``name`` is a training job of this experiment and of no other."""
    match = re.fullmatch(re.escape(tuner_name) + r"-(\d{5,})-(\d+)", name)
    return (int(match[1]), int(match[2])) if match else None
