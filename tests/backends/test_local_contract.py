from __future__ import annotations

from pathlib import Path

from cloudtune.backends import LocalBackend, PythonBackend, TrialBackend
from cloudtune.testing import BackendContract

SPACE = {"units": 1, "seconds": 0.0, "keep": 1}


class TestLocalBackend(BackendContract):
    def build(self, entry_point: Path, place: Path) -> TrialBackend:
        return LocalBackend(entry_point, stop_grace=0.5)


class TestPythonBackend(BackendContract):
    def build(self, entry_point: Path, place: Path) -> TrialBackend:
        def probe(units: int, seconds: float, keep: int, **config: object) -> None:
            from cloudtune.testing.probe_script import run

            run({"units": units, "seconds": seconds, "keep": keep, **config})

        return PythonBackend(probe, SPACE, stop_grace=0.5)
