"""Launching attempts: where there is room for them, each once, whatever became of the answer."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple

from cloudtune.aws import Aws
from cloudtune.clock import Clock
from cloudtune.errors import (
    AlreadyExistsError,
    NoCapacityError,
    NotFoundError,
    NotYetError,
    QuotaReachedError,
    ThrottledError,
    UnreachableError,
)
from cloudtune.sagemaker.capacity import Breakers, Instances
from cloudtune.sagemaker.choices import together, types_of
from cloudtune.sagemaker.instances import price_of_resources
from cloudtune.sagemaker.request import AttemptRequest, RequestOptions, attempt_request
from cloudtune.sagemaker.verification import Expected
from cloudtune.sagemaker.warm_pools import WarmPools, kept_as
from cloudtune.trial import Attempt, AttemptId, AttemptStatus, Cause, Observation, StatusChange

logger = logging.getLogger("cloudtune.sagemaker")

LOOK_AGAIN = 10.0
"""Seconds after which a launch that waits asks again, which costs no call: room may come any time."""

_WAITING = "waiting for "
_NO_RATE = f"{_WAITING}a call of CreateTrainingJob: the account's rate is used up"


class Created(NamedTuple):
    """``request``: what runs. ``existed``: an earlier call made it, whose answer was lost."""

    request: AttemptRequest
    existed: bool

    @property
    def dollars_per_hour(self) -> float | None:
        return self.request.dollars_per_hour


class Launcher:
    """Creates training jobs, one per attempt; of its instance types, the first for which there is room."""

    def __init__(self, aws: Aws, clock: Clock, options: RequestOptions, pools: WarmPools) -> None:
        self._aws = aws
        self._clock = clock
        self._options = options
        self._pools = pools
        self._breakers = Breakers()
        self._needs: dict[AttemptId, tuple[Instances, ...]] = {}
        self._unsure: set[AttemptId] = set()
        self._told_of_files = False

    def launch(self, attempt: Attempt) -> Created:
        """Raises ``NotYetError`` if there is no room; that others wait already is known without asking."""
        choices = self._options.choices(attempt.config)
        while True:
            now = self._clock.now()
            unsure = attempt.id in self._unsure  # it may run already, and be what there is no room beside
            admitted = [choice for choice in choices if unsure or self._delay(choice.needs, now) <= 0]
            if not admitted:
                raise self._not_yet([choice.needs for choice in choices], now)
            resources = together(admitted)
            if resources is None:
                admitted = admitted[:1]
                resources = admitted[0].resources
            resources = self._pools.resources(attempt.id, resources)
            created = self._tried(attempt, resources, [need for choice in admitted for need in choice.needs])
            if created is not None:
                self._tell_of_file(created.request)
                return created

    def check_room(self, attempt: AttemptId, ways: Sequence[Sequence[Instances]]) -> None:
        """Raises ``NotYetError`` if it is known that there is no room for an attempt that takes any of these ways."""
        now = self._clock.now()
        if ways and attempt not in self._unsure and all(self._delay(way, now) > 0 for way in ways):
            raise self._not_yet(ways, now)
        choices = self._options.choices({})
        if [choice.needs for choice in choices] == list(ways):  # whatever its configuration
            self._pools.resources(attempt, together(choices) or choices[0].resources)

    def follow(self, attempt: Attempt) -> None:
        """It runs already, on one of the instances it may have."""
        choices = self._options.choices(attempt.config)
        self._needs[attempt.id] = tuple(need for choice in choices for need in choice.needs)
        self._pools.adopted(attempt.id, together(choices) or choices[0].resources)

    def price_of(self, attempt: Attempt) -> float | None:
        """Dollars per hour of an attempt that runs: if it may be on several kinds of instances, its job knows which."""
        if len(self._options.choices(attempt.config)) > 1:
            name = attempt_request(self._options, attempt).name
            with suppress(NotFoundError):  # it may come later than the listing that it was found in
                described = self._aws.call("sagemaker", "DescribeTrainingJob", TrainingJobName=name)
                return price_of_resources(described.get("ResourceConfig") or {})
        return attempt_request(self._options, attempt).dollars_per_hour

    def expected(self, attempt: Attempt) -> Expected:
        """What this process would have sent for an attempt, on the instances that it has, kept for as long."""
        return lambda described: self._as_it_is(attempt, attempt_request(self._options, attempt), described).request

    def observe(self, observations: Iterable[Observation]) -> None:
        """What became of jobs tells where there is room."""
        for observation in observations:
            if isinstance(observation, StatusChange) and observation.attempt in self._needs:
                self._observe(observation)

    # -- room ----------------------------------------------------------------------------------------------------------

    def _observe(self, change: StatusChange) -> None:
        needs = self._needs[change.attempt]
        if change.status is AttemptStatus.RUNNING:
            for need in needs:
                self._breakers.running(need)
        elif change.status is AttemptStatus.DRAINING:
            for need in needs:
                self._breakers.freed(need)
        elif change.status.is_final:
            del self._needs[change.attempt]
            for need in needs:
                if change.cause is Cause.CAPACITY:
                    self._breakers.refused(need, self._clock.now(), _none_left(need), stock=True)
                else:
                    self._breakers.undecided(need)

    def _delay(self, needs: Sequence[Instances], now: float) -> float:
        return max((self._breakers.delay(need, now) for need in needs), default=0.0)

    def _not_yet(self, ways: Sequence[Sequence[Instances]], now: float) -> NotYetError:
        reasons = dict.fromkeys(why for way in ways for need in way if (why := self._breakers.why(need)))
        delay = min(self._delay(way, now) for way in ways)
        listed = "; ".join(why.removeprefix(_WAITING) for why in reasons)
        return NotYetError(_WAITING + listed, retry_after=min(max(delay, 1.0), LOOK_AGAIN))

    # -- one try -------------------------------------------------------------------------------------------------------

    def _tried(self, attempt: Attempt, resources: Mapping[str, Any], needs: Sequence[Instances]) -> Created | None:
        """None if there was no room."""
        now = self._clock.now()
        for need in needs:
            self._breakers.trying(need, now)
        accepted = False
        self._unsure.discard(attempt.id)
        try:
            created = self._create(attempt, attempt_request(self._options, attempt, resources))
            accepted = True
        except QuotaReachedError as error:
            instance_type = error.quota.partition(" for ")[0]
            short = [need for need in needs if need.instance_type == instance_type] or needs
            self._close_off(short, error.message, stock=False)
            return None
        except NoCapacityError:
            for need in needs:
                self._close_off([need], _none_left(need), stock=True)
            return None
        except UnreachableError:
            self._unsure.add(attempt.id)
            raise
        except ThrottledError as error:
            # one reason for all that wait, without the name of a job
            raise ThrottledError(_NO_RATE) from error
        finally:
            for need in needs:
                if accepted:
                    self._breakers.accepted(need, self._clock.now())
                else:
                    self._breakers.undecided(need)
        self._needs[attempt.id] = tuple(needs)
        self._pools.launched(attempt.id, created.request.request.get("ResourceConfig") or {})
        return created

    def _close_off(self, needs: Iterable[Instances], why: str, stock: bool) -> None:
        for need in needs:
            if not self._breakers.why(need):
                logger.warning("no more launches on %s for now: %s", need, why)
            self._breakers.refused(need, self._clock.now(), why, stock)

    def _create(self, attempt: Attempt, prepared: AttemptRequest) -> Created:
        if prepared.config_file is not None:
            uri, content = prepared.config_file
            self._aws.call("s3", "PutObject", Bucket=uri.bucket, Key=uri.key, Body=content)
        try:
            self._aws.call("sagemaker", "CreateTrainingJob", **prepared.request)
        except AlreadyExistsError as error:
            described = self._confirmed(prepared, error)
            return Created(self._as_it_is(attempt, prepared, described), existed=True)
        return Created(prepared, existed=False)

    def _tell_of_file(self, request: AttemptRequest) -> None:
        """Once: a script that knows nothing of it can't run."""
        if request.why_file and not self._told_of_files:
            self._told_of_files = True
            logger.warning(
                "configurations travel as a JSON file, because %s; the script must read it: "
                "`config = load_config_json(vars(args))` of cloudtune.checkpointing",
                request.why_file,
            )

    def _confirmed(self, prepared: AttemptRequest, taken: AlreadyExistsError) -> Mapping[str, Any]:
        """The description of the job of this name.

        Raises ``AlreadyExistsError`` if it is another experiment's: other checkpoints or arguments.
        """
        try:
            described = self._aws.call("sagemaker", "DescribeTrainingJob", TrainingJobName=prepared.name)
        except NotFoundError as error:  # descriptions come later than names are taken
            raise UnreachableError(f"{prepared.name} exists, and can't be described yet") from error
        there = {**described, "HyperParameters": _arguments(described)}
        for field, expected in (
            ("HyperParameters", _arguments(prepared.request)),
            ("CheckpointConfig", prepared.request["CheckpointConfig"]),
        ):
            found = there.get(field) or {}
            if any(found.get(key) != value for key, value in expected.items()):
                raise AlreadyExistsError(
                    f"training job {prepared.name!r} exists and is not of this experiment: its {field} differ",
                    "an earlier experiment had the same tuner_name: choose another",
                ) from taken
        return described

    def _as_it_is(self, attempt: Attempt, prepared: AttemptRequest, described: Mapping[str, Any]) -> AttemptRequest:
        """The job may have been made when there was room on other instances than now."""
        resources = described.get("ResourceConfig") or {}
        types = types_of(resources)
        choices = [each for each in self._options.choices(attempt.config) if types_of(each.resources) <= types]
        if choices and types != types_of(prepared.request.get("ResourceConfig") or {}):
            prepared = attempt_request(self._options, attempt, together(choices) or choices[0].resources)
        request = {
            **prepared.request,
            "ResourceConfig": kept_as(prepared.request.get("ResourceConfig") or {}, resources),
        }
        price = price_of_resources(resources) or prepared.dollars_per_hour
        return replace(prepared, request=request, dollars_per_hour=price)


def _none_left(need: Instances) -> str:
    return f"{_WAITING}{need}: the region has none right now"


def _arguments(request: Mapping[str, Any]) -> dict[str, str]:
    """What the script is given; where its code lies may differ from one process of a tuner to the next."""
    given = request.get("HyperParameters") or {}
    return {name: value for name, value in given.items() if not name.startswith("sagemaker_")}
