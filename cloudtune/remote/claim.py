"""Who runs an experiment whose journal is in S3: an object that its tuner puts again every 20 s while it lives.

The journal's conditional puts see to it that no two tuners ever both write a number; this sees to it that the second
one is told so before it does anything, rather than the first one in the middle of its work.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

from cloudtune.aws import Aws, S3Uri
from cloudtune.aws import objects as s3
from cloudtune.aws.translation import translated
from cloudtune.errors import CloudtuneError, JournalConflictError, NotFoundError

STALE = 60.0
"""Seconds after which a tuner that has not said that it lives is taken to be dead."""

RENEW_INTERVAL = 20.0
"""Seconds between two times that it says so."""

CLAIM_FILE = "tuner.json"
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Holder:
    """Who runs it. ``machine`` tells machines of the same name apart; ``job``: its training job, "" if it is none."""

    host: str
    machine: str
    pid: int
    job: str

    @classmethod
    def ourselves(cls) -> Holder:
        boot = _BOOT.read_text().strip() if _BOOT.exists() else ""
        return cls(socket.gethostname(), boot, os.getpid(), os.environ.get("TRAINING_JOB_NAME", ""))

    def has_died(self) -> bool:
        """Whether that can be seen from here."""
        here = Holder.ourselves()
        if self.job or (self.host, self.machine) != (here.host, here.machine):
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False

    def __str__(self) -> str:
        return f"training job {self.job}" if self.job else f"process {self.pid} on {self.host}"


@dataclass(frozen=True)
class Claim:
    """On the experiment below ``uri``. ``token`` tells our own claims from all others: one may be ours though its
    answer was lost.
    """

    aws: Aws
    uri: S3Uri
    token: str = ""

    def holder(self) -> Holder | None:
        """Who runs the experiment, as far as can be known from here; None if nobody does."""
        found = self._found()
        if found is None:
            return None
        holder, age, _ = found
        return None if age > STALE or holder.has_died() else holder

    def take(self) -> None:
        """Raises ``JournalConflictError`` if somebody else has it."""
        found, ourselves = self._found(), Holder.ourselves()
        if found is not None:
            holder, age, token = found
            if token and token == self.token:
                return
            # the service runs one tuner job at a time, and the same one again after an interruption
            succeeds = bool(holder.job and ourselves.job)
            if age <= STALE and not succeeds and not holder.has_died():
                raise JournalConflictError(
                    f"another tuner is running this experiment: {holder}, which said so {age:.0f} s ago",
                    f"wait for it to end or `cloudtune stop` it (if it has just died, wait {STALE - age:.0f} s); or "
                    "give this one its own tuner_name",
                )
        self.renew()

    def renew(self) -> None:
        """Say that we live."""
        content = {**vars(Holder.ourselves()), "token": self.token}
        s3.put(self.aws, self.uri / CLAIM_FILE, json.dumps(content).encode())

    def let_go(self) -> None:
        """Nobody has to wait for us. No error if S3 can't be reached: it takes a little longer then."""
        with suppress(CloudtuneError):
            s3.delete(self.aws, [self.uri / CLAIM_FILE])

    def keep(self) -> Kept:
        """Say that we live until told otherwise, whatever the tuner is busy with: a launch may wait for minutes."""
        return Kept(self)

    def _found(self) -> tuple[Holder, float, str] | None:
        """Who said last that it runs the experiment, how many seconds ago by S3's own clock, and by which token."""
        where = self.uri / CLAIM_FILE
        try:
            answer = self.aws.call("s3", "GetObject", Bucket=where.bucket, Key=where.key)
            with translated("GetObject", str(where)):
                content = json.loads(answer["Body"].read())
            holder = Holder(content["host"], content["machine"], content["pid"], content["job"])
            token = str(content.get("token", ""))
        except NotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            return None  # not ours: the journal decides
        now: datetime = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
        return holder, max(0.0, (now - answer["LastModified"]).total_seconds()), token


class Kept:
    """A claim that is renewed by a thread of its own."""

    def __init__(self, claim: Claim) -> None:
        self._claim = claim
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="alive", daemon=True)
        self._thread.start()

    def let_go(self) -> None:
        """Nobody has to wait for us."""
        self._over.set()
        self._thread.join(RENEW_INTERVAL)  # a renewal on its way would come after the end
        self._claim.let_go()

    def _renew(self) -> None:
        while not self._over.wait(RENEW_INTERVAL):
            with suppress(CloudtuneError):
                self._claim.renew()
