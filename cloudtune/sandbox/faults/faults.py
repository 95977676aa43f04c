"""A plan at work: counts what there was, and says of each what befalls it."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping

from cloudtune.sandbox.faults.buckets import Buckets, rates_of
from cloudtune.sandbox.faults.calls import CallFault, call_fault
from cloudtune.sandbox.faults.checks import check_name
from cloudtune.sandbox.faults.injected import Injected
from cloudtune.sandbox.faults.operations import check_operations, check_pattern
from cloudtune.sandbox.faults.plan import CALL_KINDS, LAUNCH_KINDS, FaultPlan

CREATE = "sagemaker.CreateTrainingJob"


class Faults:
    """What goes wrong in one sandbox. ``now`` in seconds since the epoch, ``quotas`` by full name.

    Raises ValueError for rules about operations that don't exist.
    """

    def __init__(self, plan: FaultPlan, now: Callable[[], float], quotas: Mapping[str, int]) -> None:
        check_operations(plan)
        self.plan = plan
        self.injected = Injected()
        self._now = now
        self._quotas = quotas
        self._lock = threading.Lock()
        self.restart()

    def restart(self) -> None:
        """From the beginning: nothing has happened yet."""
        rule = self.plan.throttling
        self.begin = self._now()
        """Seconds since the epoch."""
        self._counts: Counter[str] = Counter()
        self._next: dict[str, deque[str]] = {}
        self._buckets = None if rule is None else Buckets(rates_of(rule, self._quotas), rule.burst)
        self.injected.clear()

    def elapsed(self) -> float:
        """Seconds since the begin."""
        return self._now() - self.begin

    def count(self, what: str) -> int:
        """How often ``what`` has happened, this time included."""
        with self._lock:
            self._counts[what] += 1
            return self._counts[what]

    def fail_next(self, operation: str, kind: str, times: int = 1) -> None:
        """Let the next ``times`` calls of "service.Operation" go wrong; after what was ordered before."""
        check_pattern(operation, plain=True)
        check_name("kind of call fault", kind, CALL_KINDS + (LAUNCH_KINDS if operation == CREATE else ()))
        if times < 1:
            raise ValueError(f"times is at least 1, got {times!r}")
        with self._lock:
            self._next.setdefault(operation, deque()).extend([kind] * times)

    def ordered(self, operation: str, kinds: tuple[str, ...]) -> str | None:
        """What ``fail_next`` ordered for this call, if it is one of ``kinds``."""
        with self._lock:
            waiting = self._next.get(operation)
            return waiting.popleft() if waiting and waiting[0] in kinds else None

    def on_call(self, operation: str) -> CallFault | None:
        """What befalls this call, made now."""
        count, now = self.count(operation), self._now()
        ordered = self.ordered(operation, CALL_KINDS)
        if ordered is not None:
            fault: CallFault | None = CallFault(ordered)
        elif self._buckets is not None and not self._buckets.take(operation, now):
            fault = CallFault("throttled")
        else:
            fault = self.for_call(operation, count, now)
        if fault is not None:
            self.injected.note(fault.kind)
        return fault

    def for_call(self, operation: str, count: int, now: float) -> CallFault | None:
        """What the plan's rules do to the ``count``-th call of ``operation``, made at ``now``: nothing else decides."""
        return call_fault(self.plan, operation, count, now - self.begin)
