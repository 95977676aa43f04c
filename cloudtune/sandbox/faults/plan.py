"""Plans of what goes wrong: frozen values that refuse nonsense, and travel as JSON."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from cloudtune.sandbox.faults.checks import check_amount, check_name, check_probability

CALL_KINDS = (
    "throttled",
    "internal-error",
    "internal-failure",
    "unavailable",
    "timeout",
    "timeout-after",
    "reset",
    "reset-after",
)
LAUNCH_KINDS = ("limit-exceeded", "capacity-refused", "no-capacity")
RUN_KINDS = ("interrupted", "capacity-lost", "service-lost")


@dataclass(frozen=True)
class When:
    """Which times of many something happens. All that is given must hold; ``When()`` is always.

    ``probability`` of each; ``counts``: the n-th ones, from 1; ``windows``: from and to, in seconds since the sandbox
    began.
    """

    probability: float = 1.0
    counts: tuple[int, ...] = ()
    windows: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        check_probability("probability", self.probability)
        for count in self.counts:
            if not isinstance(count, int) or count < 1:
                raise ValueError(f"counts are whole numbers from 1, got {count!r}")
        for window in self.windows:
            if len(window) != 2 or not 0 <= window[0] < window[1]:
                raise ValueError(f"a window is (from, to) in seconds since the sandbox began, got {window!r}")

    def holds(self, count: int, elapsed: float) -> bool:
        """Whether the ``count``-th time, ``elapsed`` seconds after the begin, can be hit at all."""
        in_time = not self.windows or any(begin <= elapsed < end for begin, end in self.windows)
        return in_time and (not self.counts or count in self.counts)


@dataclass(frozen=True)
class CallRule:
    """Calls that go wrong. ``operations``: a pattern, such as "sagemaker.CreateTrainingJob", "s3.*", "*".

    ``kind``: "throttled"; "internal-error", "internal-failure" (500), "unavailable" (503); no answer: "reset" and
    "timeout" before anything was done, "reset-after" and "timeout-after" when all was.
    """

    kind: str
    operations: str = "*"
    when: When = When()

    def __post_init__(self) -> None:
        check_name("kind of call fault", self.kind, CALL_KINDS)


@dataclass(frozen=True)
class LaunchRule:
    """Jobs that can't be had, by the pattern ``instance_types``; ``when`` counts CreateTrainingJob of these.

    ``kind``: "limit-exceeded" (somebody else in the account uses up the quota) and "capacity-refused" refuse the call;
    with "no-capacity" the job is created, and fails ``wait`` seconds later (a spot job waits for the end of the window,
    or for ``wait`` seconds where there is none).
    """

    kind: str
    instance_types: str = "*"
    when: When = When()
    wait: float = 60.0

    def __post_init__(self) -> None:
        check_name("kind of launch fault", self.kind, LAUNCH_KINDS)
        check_amount("wait", self.wait)


@dataclass(frozen=True)
class RunRule:
    """What befalls running jobs whose names fit the pattern ``jobs``.

    ``kind``: "interrupted" (spot jobs only: it starts again ``pause`` seconds later, its script has ``grace`` seconds
    from SIGTERM on, a synthetic one none), "capacity-lost" and "service-lost" (it fails). ``per_hour``: how often, on
    average, in an hour of training. ``at``: seconds of training; the first is of the first run, the second of the run
    after the first interruption, and so on.
    """

    kind: str
    jobs: str = "*"
    per_hour: float = 0.0
    at: tuple[float, ...] = ()
    pause: float = 0.0
    grace: float = 120.0

    def __post_init__(self) -> None:
        check_name("kind of run fault", self.kind, RUN_KINDS)
        for name in ("per_hour", "pause", "grace"):
            check_amount(name, getattr(self, name))
        for seconds in self.at:
            check_amount("at", seconds)
        if (self.per_hour > 0) == bool(self.at):
            raise ValueError(f"{self.kind!r} happens either at=(seconds, …) or per_hour=…: give one of them")


@dataclass(frozen=True)
class Throttling:
    """Token buckets: SageMaker's at the sandbox's quotas ("Rate of … requests"), CloudWatch Logs' at the documented
    rates, and others by ``rates`` ("service.Operation", per second). ``burst``: how many seconds' worth a bucket holds.
    """

    burst: float = 1.0
    rates: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.burst, (int, float)) or not self.burst > 0:
            raise ValueError(f"burst is a number of seconds, more than 0; got {self.burst!r}")
        for name, rate in self.rates.items():
            if not isinstance(rate, (int, float)) or not math.isfinite(rate) or rate < 0:
                raise ValueError(f"the rate of {name!r} is a number per second, got {rate!r}")


@dataclass(frozen=True)
class Lag:
    """How late a view is, in seconds: ``created`` for jobs that it doesn't know yet, ``changed`` for statuses.
    ``probability``: of each job, and of each change, to be late at all."""

    created: float = 0.0
    changed: float = 0.0
    probability: float = 1.0

    def __post_init__(self) -> None:
        check_amount("created", self.created)
        check_amount("changed", self.changed)
        check_probability("probability", self.probability)


@dataclass(frozen=True)
class Views:
    """What DescribeTrainingJob, ListTrainingJobs and Search do not know yet: each has its own lag."""

    describe: Lag = Lag()
    list: Lag = Lag()
    search: Lag = Lag()


@dataclass(frozen=True)
class LogRule:
    """What befalls printed lines, each by its probability.

    ``late``: how many seconds ``late_lines`` (single ones) and all lines of ``late_streams`` take longer to be
    readable: up to that, and at least half. ``duplicated`` lines are there twice, under two ids, the second one
    ``again_after`` seconds later. Of FilterLogEvents, ``repeated`` pages begin with the end of the page before, and
    ``empty_pages`` hold nothing, though their token goes on.
    """

    late: float = 0.0
    late_lines: float = 0.0
    late_streams: float = 0.0
    duplicated: float = 0.0
    again_after: float = 0.0
    repeated: float = 0.0
    empty_pages: float = 0.0

    def __post_init__(self) -> None:
        check_amount("late", self.late)
        check_amount("again_after", self.again_after)
        for name in ("late_lines", "late_streams", "duplicated", "repeated", "empty_pages"):
            check_probability(name, getattr(self, name))
        if (self.late > 0) != (self.late_lines > 0 or self.late_streams > 0):
            raise ValueError("late=seconds needs late_lines=… or late_streams=…, and these need late")
        if self.empty_pages > 0.9:
            raise ValueError(f"empty_pages is at most 0.9, or reading would never end; got {self.empty_pages!r}")


@dataclass(frozen=True)
class Pages:
    """The most that one page holds, whatever was asked for; None: as the service has it. ``jobs`` of ListTrainingJobs
    and Search, ``objects`` of S3's listings, ``events`` of FilterLogEvents and GetLogEvents."""

    jobs: int | None = None
    objects: int | None = None
    events: int | None = None

    def __post_init__(self) -> None:
        for name in ("jobs", "objects", "events"):
            size = getattr(self, name)
            if size is not None and (not isinstance(size, int) or size < 1):
                raise ValueError(f"a page of {name} holds at least 1, got {size!r}")


@dataclass(frozen=True)
class FaultPlan:
    """Everything that goes wrong in a sandbox. ``name`` is what ``cloudtune sandbox status`` calls it.

    The same plan does the same to the same calls, lines and jobs.
    """

    name: str = "own"
    seed: int = 0
    calls: tuple[CallRule, ...] = ()
    launches: tuple[LaunchRule, ...] = ()
    runs: tuple[RunRule, ...] = ()
    throttling: Throttling | None = None
    views: Views = Views()
    logs: LogRule = LogRule()
    pages: Pages = Pages()

    def __post_init__(self) -> None:
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise ValueError(f"seed is a whole number, got {self.seed!r}")
        for name, kind in (("calls", CallRule), ("launches", LaunchRule), ("runs", RunRule)):
            rules = getattr(self, name)
            if not isinstance(rules, (tuple, list)) or not all(isinstance(rule, kind) for rule in rules):
                raise ValueError(f"{name}=({kind.__name__}(…),) is a tuple of rules, got {rules!r}")
        for name, part in (("views", Views), ("logs", LogRule), ("pages", Pages)):
            if not isinstance(getattr(self, name), part):
                raise ValueError(f"{name} are {part.__name__}(…), got {getattr(self, name)!r}")
        if self.throttling is not None and not isinstance(self.throttling, Throttling):
            raise ValueError(f"throttling is Throttling(…), got {self.throttling!r}")

    @property
    def empty(self) -> bool:
        """Whether nothing goes wrong by it."""
        return dataclasses.replace(self, name="own", seed=0) == FaultPlan()
