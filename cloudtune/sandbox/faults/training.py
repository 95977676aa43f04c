"""What goes wrong in the answers about training jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cloudtune.sandbox.faults.faults import Faults
from cloudtune.sandbox.faults.launches import Launches
from cloudtune.sandbox.faults.pages import SMALL_PAGE
from cloudtune.sandbox.faults.views import StaleViews
from cloudtune.sandbox.training.job import Job


class TrainingFaults:
    """By ``faults``."""

    def __init__(self, faults: Faults, launches: Launches) -> None:
        self._faults = faults
        self._launches = launches
        self._views = StaleViews(faults)

    def check_launch(self, request: Mapping[str, Any]) -> None:
        """Raise the refusal of a CreateTrainingJob that everything else would let pass."""
        self._launches.check(request)

    def seen(self, view: str, job: Job, now: float) -> Job | None:
        """``job`` as the view "describe", "list" or "search" shows it; None where it doesn't know it yet."""
        return self._views.seen(view, job, now)

    def smaller(self, request: Mapping[str, Any], default: int) -> Mapping[str, Any]:
        """``request`` for a page of jobs, asking for no more than there may be in one."""
        size = self._faults.plan.pages.jobs
        if size is None or request.get("MaxResults", default) <= size:
            return request
        self._faults.injected.note(SMALL_PAGE)
        return {**request, "MaxResults": size}
