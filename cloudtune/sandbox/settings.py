"""How a sandbox behaves: a frozen value that travels to a server of its own as JSON."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cloudtune.sandbox.faults.plan import FaultPlan
from cloudtune.sandbox.faults.travel import plan_from_plain, plan_to_plain

ACCOUNT_ID = "123456789012"
REGION = "us-east-1"
PROFILES = ("instant", "realistic")


@dataclass(frozen=True)
class Delays:
    """How long things take, in seconds. The defaults are the profile "instant"; ``Delays.realistic()`` is the other.

    Change single ones by ``Delays(stopping=3)`` or ``dataclasses.replace(Delays.realistic(), stopping=3)``.
    """

    starting: float = 0.0
    """From CreateTrainingJob to the download, on fresh instances."""
    starting_warm: float = 0.0
    """The same, on the instances of a warm pool."""
    downloading: float = 0.0
    """What image and data take beyond the real download."""
    uploading: float = 0.0
    """What the artifacts take beyond the real upload."""
    stopping: float = 0.0
    """From the end of a stopped job's processes to ``Stopped``."""
    stop_grace: float = 120.0
    """From SIGTERM to SIGKILL."""
    log_ingestion: float = 0.0
    """From a printed line to a readable log event."""
    search_index: float = 0.0
    """From CreateTrainingJob until Search knows the job."""
    checkpoint_sync: float = 5.0
    """Between two copies of ``/opt/ml/checkpoints`` to S3 while a job runs."""

    def __post_init__(self) -> None:
        for spec in dataclasses.fields(self):
            value = getattr(self, spec.name)
            if not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
                raise ValueError(f"delay {spec.name!r} is a number of seconds, at least 0; got {value!r}")
        if self.checkpoint_sync == 0:
            raise ValueError("delay 'checkpoint_sync' must be more than 0: between two copies some time must pass")

    @classmethod
    def realistic(cls) -> Delays:
        """What one waits for in the cloud: minutes to start, seconds when warm, slow stops, late logs."""
        return cls(
            starting=150.0,
            starting_warm=15.0,
            downloading=20.0,
            uploading=10.0,
            stopping=20.0,
            log_ingestion=8.0,
            search_index=15.0,
            checkpoint_sync=15.0,
        )

    @classmethod
    def of_profile(cls, profile: str) -> Delays:
        """The delays of a profile: "instant" or "realistic"."""
        if profile not in PROFILES:
            near = difflib.get_close_matches(profile, PROFILES, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(PROFILES)}"
            raise ValueError(f"unknown sandbox profile {profile!r}{hint}")
        return cls() if profile == "instant" else cls.realistic()


@dataclass(frozen=True)
class Settings:
    """Everything a sandbox server is told when it starts."""

    delays: Delays = field(default_factory=Delays)
    directory: Path | None = None
    """Where the state lives on; None: nothing outlives the server."""
    port: int = 0
    """0: any free one."""
    region: str = REGION
    account_id: str = ACCOUNT_ID
    quotas: Mapping[str, int] = field(default_factory=dict)
    """Limits by instance type ("ml.m5.large": training job usage) or by a quota's full name."""
    interpreters: Mapping[str, str] = field(default_factory=dict)
    """Python executable by training image; the sandbox's own where none is named."""
    faults: FaultPlan = field(default_factory=FaultPlan)
    """What goes wrong."""

    def __post_init__(self) -> None:
        if not isinstance(self.port, int) or not 0 <= self.port <= 65535:
            raise ValueError(f"port must be in 0..65535, got {self.port!r}")
        if len(self.account_id) != 12 or not self.account_id.isdigit():
            raise ValueError(f"an account id has twelve digits, got {self.account_id!r}")
        for name, limit in self.quotas.items():
            if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
                raise ValueError(f"quota {name!r} is a whole number of at least 0, got {limit!r}")

    def interpreter_for(self, image: str) -> str:
        """The python executable of ``image``: its exact name, else its name without tag, else the sandbox's own."""
        found = self.interpreters.get(image) or self.interpreters.get(image.rpartition(":")[0])
        return found or sys.executable

    def to_json(self) -> str:
        plain = dataclasses.asdict(self)
        plain["directory"] = None if self.directory is None else str(self.directory)
        plain["quotas"] = dict(self.quotas)
        plain["interpreters"] = dict(self.interpreters)
        plain["faults"] = plan_to_plain(self.faults)
        return json.dumps(plain)

    @classmethod
    def from_json(cls, text: str) -> Settings:
        plain: dict[str, Any] = json.loads(text)
        plain["delays"] = Delays(**plain["delays"])
        plain["directory"] = None if plain["directory"] is None else Path(plain["directory"])
        plain["faults"] = plan_from_plain(plain["faults"])
        return cls(**plain)
