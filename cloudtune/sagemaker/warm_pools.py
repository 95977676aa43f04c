"""Warm pools: instances that stay for a while after their job, for the next one."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cloudtune.aws import Aws
from cloudtune.clock import Clock
from cloudtune.errors import InvalidRequestError, NotFoundError, NotYetError, OptionError, RefusedError, TransientError
from cloudtune.names import job_name
from cloudtune.options import check_seconds, named_options
from cloudtune.sagemaker.choices import Demand
from cloudtune.sagemaker.cursors import StatusCursor
from cloudtune.sagemaker.instances import price_of_resources
from cloudtune.sagemaker.pool_values import KEEP_ALIVE, Savings, Wait, pool_key
from cloudtune.sagemaker.pools import PoolBook
from cloudtune.sagemaker.quotas import limits
from cloudtune.sagemaker.states import JobState
from cloudtune.sagemaker.template import TrainingJobTemplate
from cloudtune.trial import AttemptId

logger = logging.getLogger("cloudtune.sagemaker")

DEFAULT_KEEP_ALIVE = 300
LONGEST_KEEP_ALIVE = 21_600
"""Seconds, by SageMaker's model; its documentation says 3,600."""

_LET_GO_PER_LOOK = 3
"""Jobs whose keep-alive is ended between two looks at all of them."""
_NONE_KEPT = (
    "no pool is kept: every job starts on new instances, as without keep_alive_period_in_seconds. Ask for more of the "
    "quota {quota!r} in Service Quotas"
)


@named_options()
@dataclass(frozen=True)
class WarmPoolOptions:
    """``keep_alive_seconds``: for which instances wait for the next job, and cost money; at most 21,600.

    ``longest_wait_seconds``: for which a launch waits at most for instances that are about to be free. It never waits
    longer than what that saves, which is measured; this can only shorten it, and 0 is never to wait.
    """

    keep_alive_seconds: int = DEFAULT_KEEP_ALIVE
    longest_wait_seconds: float | None = None

    def __post_init__(self) -> None:
        seconds = self.keep_alive_seconds
        if isinstance(seconds, bool) or not isinstance(seconds, int) or not 1 <= seconds <= LONGEST_KEEP_ALIVE:
            raise OptionError(
                f"keep_alive_seconds={seconds!r} is no number of seconds from 1 to {LONGEST_KEEP_ALIVE}",
                "without a warm pool, leave it out",
            )
        if self.longest_wait_seconds is not None:
            check_seconds("longest_wait_seconds", self.longest_wait_seconds, "give 0 never to wait")

    @classmethod
    def of(cls, given: WarmPoolOptions | int | None, template: TrainingJobTemplate) -> WarmPoolOptions | None:
        """What the backend's argument, or else the template, asks for; None for no pools.

        Raises ``OptionError`` if they contradict each other.
        """
        asked = keep_alive_of(template.request)
        if given is None:
            return cls(asked) if asked else None
        options = cls(given) if isinstance(given, int) else given
        if not isinstance(options, cls):
            raise OptionError(
                f"warm_pool={given!r} is neither WarmPoolOptions nor seconds", "for example warm_pool=300"
            )
        if asked and asked != options.keep_alive_seconds:
            raise OptionError(
                f"warm_pool keeps instances for {options.keep_alive_seconds} s, the template for {asked} s",
                "give one of them",
            )
        return options

    def put_into(self, template: TrainingJobTemplate) -> TrainingJobTemplate:
        """The template, asking for pools. Raises ``OptionError`` if it has no instances of its own."""
        resources = template.request.get("ResourceConfig")
        if not resources:
            raise OptionError("a warm pool needs instances, and the template has no ResourceConfig", "add it")
        return template.replaced(ResourceConfig={**resources, KEEP_ALIVE: self.keep_alive_seconds})


def keep_alive_of(request: Mapping[str, Any]) -> int:
    """Seconds for which a job of this request asks to keep its instances."""
    return int((request.get("ResourceConfig") or {}).get(KEEP_ALIVE) or 0)


class WarmPools:
    """The pools of one experiment that is open. With ``options`` None there are none, and nothing is called."""

    def __init__(
        self, aws: Aws, clock: Clock, tuner_name: str, options: WarmPoolOptions | None, demand: Demand, n_workers: int
    ) -> None:
        self._aws = aws
        self._clock = clock
        self._tuner_name = tuner_name
        self._is_used = options is not None
        options = options or WarmPoolOptions()
        self._book = PoolBook(tuner_name, options.keep_alive_seconds, n_workers, options.longest_wait_seconds)
        self._needs = [need for way in demand.ways for need in way]
        self._several_ways = len(demand.ways) > 1
        self._quota = pool_quota(self._needs[0].instance_type) if self._needs else ""
        self._room = math.inf
        self._said = False
        self._no_more = False
        self._not_let_go: dict[AttemptId, None] = {}
        """Those that were to be let go of, and could not."""

    def check_quota(self) -> None:
        """Warns if the account keeps no pools, or fewer than there are workers."""
        if not self._is_used or not self._needs:
            return
        try:
            known = limits(self._aws, {pool_quota(need.instance_type) for need in self._needs})
        except (RefusedError, TransientError) as error:
            logger.info("the account's quotas of warm pools can't be read: %s", error)
            return
        if not all(pool_quota(need.instance_type) in known for need in self._needs):
            return
        rooms = [int(known[pool_quota(need.instance_type)]) // need.count for need in self._needs]
        self._room = max(rooms) if self._several_ways else min(rooms)
        if self._room == 0:
            self._book.none_kept = self._said = True
            warnings.warn(_NONE_KEPT.format(quota=self._quota), stacklevel=3)
        elif self._room < self._book.most:
            few = f"the account's quota {self._quota!r} keeps {self._room} warm pools for {self._book.most} workers"
            warnings.warn(f"{few}: the other jobs start on new instances", stacklevel=3)
        self.limit_to(self._book.most)

    def limit_to(self, n_workers: int) -> None:
        """So many trials run at a time."""
        self._book.most = int(min(n_workers, self._room))

    # -- launches ------------------------------------------------------------------------------------------------------

    def resources(self, attempt: AttemptId, resources: Mapping[str, Any]) -> Mapping[str, Any]:
        """With which ResourceConfig to launch an attempt now.

        Raises ``NotYetError`` if instances are about to be free.
        """
        if not self._is_used or not resources:
            return resources
        verdict = self._book.decide(attempt, pool_key(resources), self._clock.now())
        if isinstance(verdict, Wait):
            raise NotYetError(verdict.why, retry_after=verdict.seconds)
        if verdict.keep and not self._no_more:
            return resources
        return {name: value for name, value in resources.items() if name != KEEP_ALIVE}

    def launched(self, attempt: AttemptId, resources: Mapping[str, Any]) -> None:
        """It was launched with this ResourceConfig."""
        if self._is_used:
            price, keep = price_of_resources(resources), bool(resources.get(KEEP_ALIVE))
            self._book.launched(attempt, pool_key(resources), keep, price, self._clock.now())

    def adopted(self, attempt: AttemptId, resources: Mapping[str, Any]) -> None:
        """An earlier process had launched it, probably with this ResourceConfig."""
        if self._is_used:
            self._book.adopted(attempt, pool_key(resources), price_of_resources(resources))

    # -- what becomes of jobs ------------------------------------------------------------------------------------------

    def saw(self, attempt: AttemptId, state: JobState) -> None:
        """What any view says of any job of the experiment."""
        if not self._is_used:
            return
        self._book.saw(attempt, state, self._clock.now())
        if self._book.none_kept and not self._said:
            self._said = True
            logger.warning(_NONE_KEPT.format(quota=self._quota))

    def stopping(self, attempt: AttemptId) -> None:
        """We are about to stop it. At the end its instances are not kept, if it has any by now."""
        if not self._is_used:
            return
        if self._no_more and self._book.has_begun(attempt) and attempt in self._book.to_let_go(self._clock.now()):
            self._let_go(attempt)
        self._book.stopping(attempt, self._clock.now())

    # -- letting go ----------------------------------------------------------------------------------------------------

    def start_no_more(self) -> None:
        """No launches will follow: what waits is let go with the next looks, what runs keeps nothing at its end."""
        self._no_more = True

    def look(self) -> None:
        """Let go of some of what is needed no more: not of all at once, other things have to be done, too."""
        if self._is_used:
            now = self._clock.now()
            needless = self._book.to_let_go(now) if self._no_more else self._book.surplus(now)
            for attempt in needless[:_LET_GO_PER_LOOK]:
                self._let_go(attempt)

    def release(self) -> None:
        """Let go of all instances that may still wait: those known of, and those a listing shows.

        Raises ``TransientError``, having let go of what it could; ``AccessDeniedError``.
        """
        if not self._is_used:
            return
        waiting = dict.fromkeys([*self._not_let_go, *self._book.to_let_go(self._clock.now())])
        cursor = StatusCursor(self._tuner_name)
        request = {**cursor.request(None), "WarmPoolStatusEquals": "Available"}
        for page in self._aws.pages("sagemaker", "ListTrainingJobs", **request):
            for attempt, state in cursor.take(page):
                self._book.saw(attempt, state, self._clock.now())
                waiting[attempt] = None
        failed: TransientError | None = None
        for attempt in waiting:
            try:
                self._end(attempt)
            except TransientError as error:
                failed = error
        if failed is not None:
            raise failed

    def _let_go(self, attempt: AttemptId) -> None:
        try:
            self._end(attempt)
        except (TransientError, RefusedError) as error:
            # at the very end it is tried again, and said if it can't be done
            logger.info("%s keeps its instances for now: %s", attempt, error)
            self._book.let_go(attempt, self._clock.now())
            self._not_let_go[attempt] = None

    def _end(self, attempt: AttemptId) -> None:
        name = job_name(self._tuner_name, attempt.trial_id, attempt.number)
        try:
            self._aws.call("sagemaker", "UpdateTrainingJob", TrainingJobName=name, ResourceConfig={KEEP_ALIVE: 0})
        except (InvalidRequestError, NotFoundError) as error:
            logger.debug("%s has no instances to let go: %s", name, error)
        self._not_let_go.pop(attempt, None)
        self._book.let_go(attempt, self._clock.now())

    # -- for people ----------------------------------------------------------------------------------------------------

    @property
    def savings(self) -> Savings:
        """What reuse saved so far, and what idling cost."""
        return self._book.savings(self._clock.now()) if self._is_used else Savings()

    def lines(self) -> Sequence[str]:
        """The same in words; nothing before the first launch."""
        savings = self.savings
        if not savings.launches:
            return ()
        if self._book.none_kept:
            return ("warm pools: none is kept (quota)",)
        cost = "" if savings.idle_dollars is None else f" ({savings.idle_dollars:.2f} $)"
        return (
            f"warm pools: {savings.reused} of {savings.launches} launches on warm instances, about "
            f"{_duration(savings.seconds_saved)} of starting saved; {_duration(savings.idle_seconds)} idle{cost}",
        )


def kept_as(resources: Mapping[str, Any], described: Mapping[str, Any]) -> dict[str, Any]:
    """A ResourceConfig that asks to keep the instances for as long as that of a job that exists."""
    kept = {KEEP_ALIVE: described[KEEP_ALIVE]} if described.get(KEEP_ALIVE) else {}
    return {**{name: value for name, value in resources.items() if name != KEEP_ALIVE}, **kept}


def pool_quota(instance_type: str) -> str:
    """The quota that counts a type's instances in warm pools, as Service Quotas names it."""
    return f"{instance_type} for training warm pool usage"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
