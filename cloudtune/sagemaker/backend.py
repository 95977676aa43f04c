"""The SageMaker backend: every attempt of a trial is a training job."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cloudtune.aws import Aws, S3Uri
from cloudtune.backends.base import Capabilities, Experiment
from cloudtune.clock import Clock
from cloudtune.errors import InvalidRequestError, NotFoundError, OptionError
from cloudtune.names import check_tuner_name, job_name
from cloudtune.options import check_flag, check_kind, named_options
from cloudtune.sagemaker import checkpoints, preflight
from cloudtune.sagemaker.choices import Demand
from cloudtune.sagemaker.completion import completed
from cloudtune.sagemaker.existing import existing_attempts, job_exists
from cloudtune.sagemaker.feed import JobFeed
from cloudtune.sagemaker.following import FeedOptions
from cloudtune.sagemaker.launching import Launcher
from cloudtune.sagemaker.layout import default_s3_path, experiment_layout
from cloudtune.sagemaker.lines import LineReader, RegexReader, ReporterReader
from cloudtune.sagemaker.metrics import (
    MetricDefinition,
    checked_definitions,
    checked_names,
    reporter_definitions,
)
from cloudtune.sagemaker.pool_values import Savings
from cloudtune.sagemaker.quotas import workers_available
from cloudtune.sagemaker.request import RequestOptions, attempt_request, check_names
from cloudtune.sagemaker.source import SourceArchive
from cloudtune.sagemaker.spot import check_checkpoints, check_waiting
from cloudtune.sagemaker.staging import staged
from cloudtune.sagemaker.states import JobState
from cloudtune.sagemaker.template import TrainingJobTemplate
from cloudtune.sagemaker.warm_pools import WarmPoolOptions, WarmPools
from cloudtune.trial import Attempt, AttemptId, Launch, Observation

logger = logging.getLogger("cloudtune.sagemaker")


@dataclass
class _Opened:
    """What a backend has while it works for an experiment."""

    options: RequestOptions
    demand: Demand
    pools: WarmPools
    launcher: Launcher
    feed: JobFeed
    launched: dict[AttemptId, Launch] = field(default_factory=dict)
    """By this process, or adopted by it."""


_ENDED = re.compile(r"in status (Completed|Failed|Stopped|Stopping)\b")


@named_options()
class SageMakerBackend:
    """Runs every attempt of a trial as a training job of its own; as many at a time as the account has quota for.

    ``sm_estimator``: a ``TrainingJobTemplate``, a request as a dict, an estimator of SageMaker SDK 2 or a ModelTrainer
    of SDK 3. Its instance type and count are overridden by ``st_instance_type`` and ``st_instance_count`` of a
    configuration.
    ``metrics_names``: metrics of the Reporter to be drawn in SageMaker's console; default: what the scheduler uses.
    ``s3_path``: experiments lie below it, each under its name; default ``s3://{SageMaker's bucket}/cloudtune``.
    ``delete_checkpoints``: delete a trial's checkpoints when it is over.
    ``pass_args_as_json``: configurations travel as a file, whose name the script gets as ``st_config_json_filename``;
    without, they do so where SageMaker's limits leave no other way.
    ``metric_definitions``: how to read metrics from the lines of a script that doesn't use the Reporter (also as the
    SDK's ``{"Name": …, "Regex": …}``).
    ``inputs``: data channels: S3 URIs by name, or what the SDK's ``fit`` or ``train`` takes.
    ``checkpoint_argument``: whether scripts are given ``--st_checkpoint_dir``. Default: those with the Reporter are;
    those read by ``metric_definitions`` may refuse arguments they don't know, and find ``/opt/ml/checkpoints`` anyway.
    ``feed``: how long to wait for late logs. ``aws``: which account and region; default: the environment's.
    ``fallback_instance_types``: tried in this order where the template's InstanceType is not to be had.
    ``allow_spot_without_checkpoints``: a long spot job whose script doesn't seem to save any is not refused.
    ``warm_pool``: keep instances for the next job after each one, for so many seconds; default: as the template says.

    Raises ``OptionError``, ``ScriptError``, ``MetricError``.
    """

    def __init__(
        self,
        sm_estimator: Any,
        metrics_names: Sequence[str] | None = None,
        s3_path: str | None = None,
        delete_checkpoints: bool = False,
        pass_args_as_json: bool = False,
        metric_definitions: Sequence[MetricDefinition | Mapping[str, str]] | None = None,
        inputs: Any = None,
        checkpoint_argument: bool | None = None,
        feed: FeedOptions | None = None,
        aws: Aws | None = None,
        fallback_instance_types: Sequence[str] = (),
        allow_spot_without_checkpoints: bool = False,
        warm_pool: WarmPoolOptions | int | None = None,
    ) -> None:
        for name, flag in (
            ("delete_checkpoints", delete_checkpoints),
            ("pass_args_as_json", pass_args_as_json),
            ("allow_spot_without_checkpoints", allow_spot_without_checkpoints),
        ):
            check_flag(name, flag)
        check_kind("feed", feed or FeedOptions(), FeedOptions, "feed=FeedOptions(…)")
        check_kind("aws", aws or Aws(), Aws, "aws=Aws(…)")
        template = TrainingJobTemplate.of(sm_estimator, inputs).with_fallbacks(fallback_instance_types)
        self.warm_pool = WarmPoolOptions.of(warm_pool, template)
        self.template = template if self.warm_pool is None else self.warm_pool.put_into(template)
        self.delete_checkpoints = delete_checkpoints
        self.pass_args_as_json = pass_args_as_json
        self.metrics_names = checked_names(metrics_names)
        self.metric_definitions = checked_definitions(metric_definitions)
        self.s3_path = None if s3_path is None else S3Uri.parse(s3_path)
        self.feed_options = feed or FeedOptions()
        self._checkpoint_argument = (
            self.metric_definitions is None if checkpoint_argument is None else checkpoint_argument
        )
        self.aws = aws or Aws()
        self._archive: SourceArchive | None = None
        self._savings = Savings()
        self._work: _Opened | None = None
        check_names(self.template.request)
        check_waiting(self.template.request)
        if not allow_spot_without_checkpoints:
            check_checkpoints(self.template.request, self.template.source)

    def __getstate__(self) -> dict[str, Any]:
        """The script travels along: where this is loaded, its file may not exist."""
        state = {**self.__dict__, "_work": None}
        if self.template.source is not None:
            state["_archive"] = self._packed()
        return state

    # -- what it is ----------------------------------------------------------------------------------------------------

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(reports_lag=True, keeps_ready=self.warm_pool is not None)

    @property
    def entry_point(self) -> Path | None:
        return self.template.entry_point

    def prepare_to_travel(self) -> None:
        """Settle what another machine may not be able to find out: role, image, S3 path, the script's content.

        Raises ``OptionError`` or ``AccessDeniedError`` if there is no role, ``ScriptError``.
        """
        self.template = completed(self.aws, self.template)
        self.s3_path = self.s3_path or default_s3_path(self.aws)
        if self.template.source is not None:
            self._archive = self._packed()

    def _packed(self) -> SourceArchive | None:
        if self._archive is None and self.template.source is not None:
            self._archive = self.template.source.pack()
        return self._archive

    # -- the contract --------------------------------------------------------------------------------------------------

    def open(self, experiment: Experiment, clock: Clock) -> None:
        check_tuner_name(experiment.tuner_name)
        self.aws.use_clock(clock)
        reader = self._reader(experiment)
        preflight.check_instance_types(experiment.config_space)
        archive = self._packed()
        base = self.s3_path or default_s3_path(self.aws)
        preflight.check_bucket(self.aws, base)
        template = completed(self.aws, self.template).request
        preflight.check_role(self.aws, template["RoleArn"])
        layout = experiment_layout(base, experiment.tuner_name)
        options = RequestOptions(
            tuner_name=experiment.tuner_name,
            template=staged(self.aws, layout, template, archive),
            layout=layout,
            definitions=self._definitions(experiment),
            pass_args_as_json=self.pass_args_as_json,
            checkpoint_argument=self._checkpoint_argument,
            fallback_instance_types=self.template.fallback_instance_types,
        )
        self._rehearse(options)
        demand = preflight.demand_of(options, experiment.config_space)
        preflight.check_quotas(self.aws, demand, experiment.n_workers)
        name, workers = experiment.tuner_name, experiment.n_workers
        pools = WarmPools(self.aws, clock, name, self.warm_pool, demand, workers)
        pools.check_quota()
        self._work = _Opened(
            options,
            demand,
            pools,
            Launcher(self.aws, clock, options, pools),
            JobFeed(self.aws, clock, name, reader, self.feed_options, pools.saw),
        )

    def adopt(self, attempts: Sequence[Attempt]) -> None:
        work = self._opened()
        for attempt in attempts:
            prepared = attempt_request(work.options, attempt)
            work.launched[attempt.id] = Launch(prepared.name, prepared.dollars_per_hour)
            price, expected = prepared.dollars_per_hour, work.launcher.expected(attempt)
            work.feed.follow(attempt.id, price, older=True, expected=expected)
            work.launcher.follow(attempt)

    def launched(self, attempts: Sequence[Attempt]) -> Mapping[AttemptId, Launch]:
        work = self._opened()
        name = work.options.tuner_name
        existing = existing_attempts(self.aws, name, [attempt.id for attempt in attempts])
        return {
            each.id: Launch(job_name(name, each.id.trial_id, each.id.number), work.launcher.price_of(each))
            for each in attempts
            if each.id in existing
        }

    def start(self, attempt: Attempt) -> Launch:
        work = self._opened()
        if attempt.id not in work.launched:
            request, existed = work.launcher.launch(attempt)
            work.feed.follow(attempt.id, request.dollars_per_hour, existed, expected=request.request)
            work.launched[attempt.id] = Launch(request.name, request.dollars_per_hour)
        return work.launched[attempt.id]

    def stop(self, attempt: AttemptId) -> None:
        work = self._opened()
        name = job_name(work.options.tuner_name, attempt.trial_id, attempt.number)
        work.feed.stop_asked(attempt)
        work.pools.stopping(attempt)
        try:
            self.aws.call("sagemaker", "StopTrainingJob", TrainingJobName=name)
        except NotFoundError:
            logger.debug("%s was never started", name)
        except InvalidRequestError as error:
            # a job that has ended can't be stopped; anything else is an error
            if _ENDED.search(error.message):
                return  # a description may be older than this answer
            described = self.aws.call("sagemaker", "DescribeTrainingJob", TrainingJobName=name)
            if not JobState.of(described).is_over and described["TrainingJobStatus"] != "Stopping":
                raise

    def poll(self) -> Sequence[Observation]:
        work = self._opened()
        work.pools.look()
        news = work.feed.poll()
        work.launcher.observe(news)
        return news

    def copy_checkpoint(self, source_trial_id: int, target_trial_id: int) -> None:
        work = self._opened()
        # whoever waits for room copies when there is some: the launch comes next
        work.launcher.check_room(AttemptId(target_trial_id, 0), work.demand.ways)
        if not self._was_started(target_trial_id):
            checkpoints.copy_checkpoint(self.aws, work.options.layout, source_trial_id, target_trial_id)

    def delete_checkpoint(self, trial_id: int) -> None:
        checkpoints.delete_checkpoint(self.aws, self._opened().options.layout, trial_id)

    def checkpoint_committed_at(self, trial_id: int) -> float | None:
        return checkpoints.newest_commit(self.aws, self._opened().options.layout, trial_id)

    def logs(self, trial_id: int) -> Iterator[str]:
        return self._opened().feed.printed(trial_id)

    def workers_available(self) -> int | None:
        work = self._opened()
        workers = workers_available(self.aws, work.options.tuner_name, work.demand)
        if workers is not None:
            work.pools.limit_to(workers)
        return workers

    def start_no_more(self) -> None:
        self._opened().pools.start_no_more()

    def release(self) -> None:
        self._opened().pools.release()

    def summary_lines(self) -> Sequence[str]:
        return () if self._work is None else self._work.pools.lines()

    def close(self) -> None:
        self._savings = self.pool_savings
        self._work = None

    # -- for people ----------------------------------------------------------------------------------------------------

    @property
    def pool_savings(self) -> Savings:
        """What reuse of warm instances saved so far, and what their idling cost; in this process, once it is closed."""
        return self._savings if self._work is None else self._work.pools.savings

    def checkpoint_trial_path(self, trial_id: int) -> str:
        """The S3 prefix of a trial's checkpoints."""
        return str(self._opened().options.layout.checkpoints(trial_id))

    # -- opening -------------------------------------------------------------------------------------------------------

    def _reader(self, experiment: Experiment) -> LineReader:
        if self.metric_definitions is None:
            return ReporterReader()
        objective = experiment.metric_names[0] if experiment.metric_names else None
        return RegexReader(self.metric_definitions, objective, experiment.resource_attr)

    def _definitions(self, experiment: Experiment) -> Sequence[MetricDefinition]:
        if self.metric_definitions is not None:
            return self.metric_definitions
        names = self.metrics_names if self.metrics_names is not None else experiment.metric_names
        return reporter_definitions(names)

    def _rehearse(self, options: RequestOptions) -> None:
        """A request nobody sends shows what the service would reject in all of them."""
        try:
            attempt_request(options, Attempt(AttemptId(99_999, 9), {}))
        except InvalidRequestError as error:
            raise OptionError(error.message, error.hint) from error

    def _was_started(self, trial_id: int) -> bool:
        """Whether the trial has a job, and by now maybe checkpoints of its own."""
        work = self._opened()
        if any(attempt.trial_id == trial_id for attempt in work.launched):
            return True
        return job_exists(self.aws, job_name(work.options.tuner_name, trial_id, 0))

    def _opened(self) -> _Opened:
        if self._work is None:
            raise OptionError("the backend is not open", "a Tuner opens it; by hand: open(experiment, clock)")
        return self._work
