"""Training jobs as files, one each."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from cloudtune.sandbox.state.files import write_whole
from cloudtune.sandbox.training.job import FinalMetric, Job, Transition, WarmPool


class JobFiles:
    """``{directory}/{job name}.json``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def save(self, name: str, job: Job | None) -> None:
        path = self._directory / f"{name}.json"
        if job is None:
            path.unlink(missing_ok=True)
        else:
            write_whole(path, job_to_json(job).encode())

    def load(self) -> list[Job]:
        """Oldest first."""
        if not self._directory.exists():
            return []
        jobs = [job_from_json(path.read_text()) for path in self._directory.glob("*.json")]
        return sorted(jobs, key=lambda job: (job.created, job.name))


def job_to_json(job: Job) -> str:
    return json.dumps(dataclasses.asdict(job))


def job_from_json(text: str) -> Job:
    plain: dict[str, Any] = json.loads(text)
    plain["transitions"] = [Transition(**entry) for entry in plain["transitions"]]
    plain["metrics"] = {name: FinalMetric(**entry) for name, entry in plain["metrics"].items()}
    plain["warm_pool"] = None if plain["warm_pool"] is None else WarmPool(**plain["warm_pool"])
    return Job(**plain)
