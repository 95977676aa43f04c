"""Which trial sees which GPUs of this machine."""

from __future__ import annotations

import os
import subprocess
import warnings
from collections import Counter
from collections.abc import Callable, Sequence

from cloudtune.backends.supervise import GPU_VARIABLE
from cloudtune.errors import OptionError
from cloudtune.trial import AttemptId

_NVIDIA_SMI_SECONDS = 30


def visible_gpus() -> list[str]:
    """The GPUs this process may use, as ``CUDA_VISIBLE_DEVICES`` names them; asks ``nvidia-smi`` if it is not set."""
    listed = os.environ.get(GPU_VARIABLE)
    if listed is not None:
        names = [name.strip() for name in listed.split(",")]
        # CUDA ignores everything from the first invalid entry on
        end = next((place for place, name in enumerate(names) if name in ("", "-1")), len(names))
        return names[:end]
    try:
        answer = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, check=False, timeout=_NVIDIA_SMI_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    found = [line for line in answer.stdout.splitlines() if line.startswith("GPU ")] if answer.returncode == 0 else []
    return [str(number) for number in range(len(found))]


def _are_gpus(numbers: Sequence[int]) -> bool:
    each_is_one = all(isinstance(number, int) and number >= 0 for number in numbers)
    return each_is_one and 0 < len(numbers) == len(set(numbers))


class GpuPool:
    """Gives each attempt ``per_trial`` GPUs of its own; among the free ones, those with the fewest prior assignments.

    Syne Tune's documents say both that trials are delayed when no GPU is free and that they share; here they are
    delayed, and ``rotate=False`` shows all GPUs to all trials.
    """

    def __init__(
        self,
        rotate: bool = True,
        per_trial: int = 1,
        to_use: Sequence[int] | None = None,
        detect: Callable[[], Sequence[str]] = visible_gpus,
    ) -> None:
        if per_trial < 1:
            raise OptionError(f"num_gpus_per_trial={per_trial!r} is not positive", "give at least 1")
        if to_use is not None and not _are_gpus(to_use):
            raise OptionError(
                f"gpus_to_use={list(to_use)!r} is not a list of different GPUs",
                "give their numbers, [0, 1] for example",
            )
        self._rotate = rotate
        self._per_trial = per_trial
        self._to_use = None if to_use is None else tuple(to_use)
        self._detect = detect
        self._gpus: tuple[str, ...] = ()
        self._used_by: dict[AttemptId, tuple[str, ...]] = {}
        self._times_assigned: Counter[str] = Counter()

    def open(self, n_workers: int) -> None:
        """Look what there is. Raises ``OptionError`` if the options don't fit it; warns if trials will wait."""
        found = tuple(self._detect()) if self._rotate or self._to_use is not None else ()
        self._used_by.clear()
        self._gpus = tuple(found[number] for number in self._wanted(len(found)))
        have = len(self._gpus)
        if not self._rotate or not have:
            return
        if self._per_trial > have:
            raise OptionError(
                f"num_gpus_per_trial={self._per_trial} is more than the {have} GPUs to use",
                "lower it, or use a machine with more GPUs",
            )
        if n_workers * self._per_trial > have:
            warnings.warn(
                f"{n_workers} workers with {self._per_trial} GPUs per trial need more than the {have} GPUs to use: "
                f"trials will wait. With n_workers={have // self._per_trial} none does; with rotate_gpus=False "
                "trials share all GPUs.",
                stacklevel=2,
            )

    def _wanted(self, found: int) -> Sequence[int]:
        if self._to_use is None:
            return range(found)
        if missing := [number for number in self._to_use if number >= found]:
            raise OptionError(
                f"gpus_to_use names {missing}, but this machine shows {found} GPUs",
                f"use numbers from 0 to {found - 1}" if found else "leave gpus_to_use out",
            )
        return self._to_use

    def take(self, attempt: AttemptId) -> str | None:
        """``CUDA_VISIBLE_DEVICES`` for the attempt ("" to leave it as it is); None if it has to wait."""
        if not self._gpus:
            return ""
        if not self._rotate:
            return ",".join(self._gpus)
        in_use = {gpu for gpus in self._used_by.values() for gpu in gpus}
        free = [gpu for gpu in self._gpus if gpu not in in_use]
        if len(free) < self._per_trial:
            return None
        chosen = sorted(free, key=lambda gpu: self._times_assigned[gpu])[: self._per_trial]
        self._used_by[attempt] = tuple(chosen)
        self._times_assigned.update(chosen)
        return ",".join(chosen)

    def note(self, attempt: AttemptId, gpus: str | None) -> None:
        """The attempt runs with these, whoever gave them to it."""
        if gpus and self._rotate:
            self._used_by[attempt] = tuple(gpus.split(","))

    def release(self, attempt: AttemptId) -> None:
        self._used_by.pop(attempt, None)
