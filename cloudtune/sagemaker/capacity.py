"""Which instances there is no room for now, and when to ask again: a circuit breaker per kind of instances. Pure."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_PAUSE = 15.0
"""Seconds until what was refused is asked for again; doubles with each refusal."""

LONGEST_PAUSE = 300.0

PROBE_LIMIT = 900.0
"""Seconds after which a job that still waits for its instances no longer keeps others from trying."""


@dataclass(frozen=True)
class Instances:
    """``count`` instances of a type, spot or on demand: what quotas and the cloud's stock are counted by."""

    instance_type: str
    count: int = 1
    spot: bool = False

    def __str__(self) -> str:
        count = f"{self.count} " if self.count > 1 else ""
        return f"{count}{'spot ' if self.spot else ''}{self.instance_type}"


@dataclass
class _Open:
    """An open breaker. ``stock``: it is the cloud that has none, which shows only once a job would get its instances;
    a full quota is told at once."""

    why: str
    stock: bool
    pause: float
    due: float
    freed: int = 0
    probe_until: float | None = None
    on_freed: bool = False


class Breakers:
    """Closed: launches pass. Open: none does until its pause is over. Then half open: one launch, the probe, tries.

    A full quota opens again early, once for each of our own jobs that ends. All times are moments in seconds.
    """

    def __init__(self) -> None:
        self._open: dict[Instances, _Open] = {}

    def delay(self, wanted: Instances, now: float) -> float:
        """Seconds until a launch may be tried; 0 for now."""
        breaker = self._open.get(wanted)
        if breaker is None:
            return 0.0
        if breaker.probe_until is not None and now < breaker.probe_until:
            return breaker.probe_until - now
        return 0.0 if breaker.freed else max(0.0, breaker.due - now)

    def why(self, wanted: Instances) -> str:
        """Why launches wait; empty if they don't."""
        return self._open[wanted].why if wanted in self._open else ""

    # -- a launch, from here to its outcome ----------------------------------------------------------------------------

    def trying(self, wanted: Instances, now: float) -> None:
        """A launch is about to be tried: until its outcome is known it is the only one."""
        breaker = self._open.get(wanted)
        if breaker is None:
            return
        breaker.on_freed = breaker.freed > 0 and now < breaker.due
        if breaker.on_freed:
            breaker.freed -= 1
        breaker.probe_until = now + PROBE_LIMIT

    def accepted(self, wanted: Instances, now: float) -> None:
        """The service took it. That closes a full quota's breaker, unless it only took the place of a job of ours."""
        breaker = self._open.get(wanted)
        if breaker is None or breaker.stock:
            return
        breaker.probe_until = None
        if breaker.on_freed:
            breaker.on_freed, breaker.due = False, now + breaker.pause
        else:
            del self._open[wanted]

    def refused(self, wanted: Instances, now: float, why: str, stock: bool) -> None:
        """There is no room. ``stock``: in the cloud, rather than in the account's quota."""
        known = self._open.get(wanted)
        if known is not None and known.probe_until is None and now < known.due:
            return  # a launch from before it opened: the same news once more
        pause = FIRST_PAUSE if known is None else min(LONGEST_PAUSE, 2 * known.pause)
        self._open[wanted] = _Open(why, stock, pause, now + pause)

    def undecided(self, wanted: Instances) -> None:
        """The launch failed for another reason: the next may try."""
        breaker = self._open.get(wanted)
        if breaker is not None:
            breaker.probe_until = None
            breaker.freed += breaker.on_freed
            breaker.on_freed = False

    # -- what became of jobs -------------------------------------------------------------------------------------------

    def running(self, wanted: Instances) -> None:
        """A job got its instances: there are some."""
        if wanted in self._open and self._open[wanted].stock:
            del self._open[wanted]

    def freed(self, given: Instances) -> None:
        """A job of ours gave its instances back: one launch may take them."""
        for wanted, breaker in self._open.items():
            same = (wanted.instance_type, wanted.spot) == (given.instance_type, given.spot)
            if same and not breaker.stock:
                breaker.freed += 1
