"""SageMaker's operations on training jobs."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from cloudtune.sandbox.aws_error import AwsError, invalid
from cloudtune.sandbox.faults.training import TrainingFaults
from cloudtune.sandbox.model import input_shape
from cloudtune.sandbox.training import rules, tags, warm_pools
from cloudtune.sandbox.training.describe import RecordCache, description, summary
from cloudtune.sandbox.training.execution import Executor
from cloudtune.sandbox.training.instances import Quotas, selections
from cloudtune.sandbox.training.job import STARTING, STOPPING, Job
from cloudtune.sandbox.training.ledger import Ledger
from cloudtune.sandbox.training.listing import DEFAULT_PAGE as LIST_PAGE
from cloudtune.sandbox.training.listing import list_jobs
from cloudtune.sandbox.training.search import DEFAULT_PAGE as SEARCH_PAGE
from cloudtune.sandbox.training.search import modified_from, search_jobs
from cloudtune.sandbox.validation import validate

NOT_FOUND = "Requested resource not found."

Answer = dict[str, Any]
Request = Mapping[str, Any]
NO_INSTANCES = "CapacityError"


class TrainingApi:
    """Answers requests about training jobs; ``None`` from ``answer`` means: not mine."""

    def __init__(
        self,
        ledger: Ledger,
        executor: Executor,
        account: rules.Account,
        quotas: Quotas,
        arn_prefix: str,
        search_lag: float,
        faults: TrainingFaults,
    ) -> None:
        self._ledger = ledger
        self._executor = executor
        self._account = account
        self._quotas = quotas
        self._arn_prefix = arn_prefix
        self._search_lag = search_lag
        self._faults = faults
        self._records = RecordCache()
        self._operations: dict[str, Callable[[Request], Answer]] = {
            "CreateTrainingJob": self.create,
            "DescribeTrainingJob": self.describe,
            "ListTrainingJobs": self.list,
            "StopTrainingJob": self.stop,
            "UpdateTrainingJob": self.update,
            "DeleteTrainingJob": self.delete,
            "Search": self.search,
            "AddTags": self.add_tags,
            "ListTags": self.list_tags,
            "DeleteTags": self.delete_tags,
        }

    @property
    def operations(self) -> Collection[str]:
        return self._operations.keys()

    def answer(self, operation: str, request: Any) -> Answer | None:
        """The answer to ``request``; raises AwsError as the service refuses."""
        if not self._is_ours(operation, request):
            return None
        validate(request, input_shape("sagemaker", operation))
        self._executor.catch_up()
        # an explicit null is as good as nothing
        return self._operations[operation]({name: value for name, value in request.items() if value is not None})

    def _is_ours(self, operation: str, request: Any) -> bool:
        if not isinstance(request, dict):
            return True
        if operation == "Search":
            return bool(request.get("Resource", "TrainingJob") == "TrainingJob")
        if operation.endswith("Tags"):
            return str(request.get("ResourceArn", "")).startswith(self._arn_prefix)
        return True

    def create(self, request: Request) -> Answer:
        rules.check(request, self._account)
        name = request["TrainingJobName"]
        job_tags = {tag["Key"]: tag["Value"] for tag in request.get("Tags", [])}
        with self._ledger.reading() as jobs:
            if name in jobs:
                raise AwsError(
                    "ResourceInUse",
                    "Job name must be unique within an AWS account and region, and a training job with this name "
                    f"already exists ({jobs[name].arn})",
                )
            request = self._with_instances(request)
            now = self._ledger.clock.now()
            job = Job(name, self._arn_prefix + name, request, now, now, job_tags)
            self._expire_pools(now)
            predecessor = warm_pools.take(job, self._ledger.holding(), now)
            try:
                self._quotas.admit(request, self._ledger.holding())
            except AwsError:
                if predecessor is not None and predecessor.warm_pool is not None:
                    warm_pools.give_back(predecessor.warm_pool)
                raise
            warm_pools.reserve(job, self._quotas, self._ledger.holding(), predecessor)
            job.enter(STARTING, now)
            self._ledger.add(job)
            if predecessor is not None:
                self._ledger.save(predecessor)
            self._executor.launch(job, warm=predecessor is not None)
        return {"TrainingJobArn": job.arn}

    def _with_instances(self, request: Request) -> Request:
        """Of a list of instance types, the first that is to be had is selected."""
        *others, last = selections(request)
        for selected in others:
            try:
                self._faults.check_launch(selected)
            except AwsError as error:
                if error.code == NO_INSTANCES:
                    continue
                raise
            return selected
        self._faults.check_launch(last)
        return last

    def describe(self, request: Request) -> Answer:
        with self._ledger.reading():
            now = self._ledger.clock.now()
            self._expire_pools(now)
            job = self._faults.seen("describe", self._find(request), now)
            if job is None:
                raise invalid(NOT_FOUND)
            return description(job, now)

    def list(self, request: Request) -> Answer:
        with self._ledger.reading() as jobs:
            now = self._ledger.clock.now()
            self._expire_pools(now)
            after = request.get("LastModifiedTimeAfter")
            asked = jobs.values() if after is None else self._ledger.changed_after(after)
            page, token = list_jobs(self._faults.smaller(request, LIST_PAGE), self._seen("list", asked, now))
            answer: Answer = {"TrainingJobSummaries": [summary(job, now) for job in page]}
        return answer if token is None else {**answer, "NextToken": token}

    def stop(self, request: Request) -> Answer:
        job = self._find(request)
        with self._ledger.changing(job) as now:
            if job.ended:
                raise invalid(f"The request was rejected because the training job is in status {job.status}.")
            if job.status == STOPPING:
                return {}
            job.enter(STOPPING, now)
        self._executor.stop(job)
        return {}

    def update(self, request: Request) -> Answer:
        job = self._find(request, code="ResourceNotFound")
        with self._ledger.changing(job) as now:
            self._expire_pools(now)
            resources = request.get("ResourceConfig")
            available = job.warm_pool is not None and job.warm_pool.status == warm_pools.AVAILABLE
            if job.ended and not (resources is not None and available):
                raise invalid(f"The request was rejected because the training job is in status {job.status}.")
            if resources is not None:
                warm_pools.update_keep_alive(job, resources["KeepAlivePeriodInSeconds"], now)
            for member in ("ProfilerConfig", "RemoteDebugConfig"):
                if member in request:
                    job.updates[member] = {**job.request.get(member, {}), **request[member]}
            if "ProfilerRuleConfigurations" in request:
                job.updates["ProfilerRuleConfigurations"] = request["ProfilerRuleConfigurations"]
            job.last_modified = max(now, job.last_modified)
            self._expire_pools(now)
        return {"TrainingJobArn": job.arn}

    def delete(self, request: Request) -> Answer:
        with self._ledger.reading():
            self._expire_pools(self._ledger.clock.now())
            job = self._find(request, code="ResourceNotFound")
            if not job.ended:
                raise AwsError(
                    "ResourceInUse", f"Training job {job.arn} is in status {job.status} and can not be deleted."
                )
            if job.warm_pool is not None and job.warm_pool.status == warm_pools.AVAILABLE:
                raise AwsError("ResourceInUse", f"Training job {job.arn} retains a warm pool and can not be deleted.")
            self._ledger.remove(job.name)
        return {}

    def search(self, request: Request) -> Answer:
        with self._ledger.reading() as jobs:
            now = self._ledger.clock.now()
            self._expire_pools(now)
            oldest = modified_from(request.get("SearchExpression", {}))
            asked = self._ledger.changed_after(math.nextafter(oldest, 0.0)) if oldest else jobs.values()
            known = (job for job in asked if job.created + self._search_lag <= now)
            indexed = [self._records.of(job, now) for job in self._seen("search", known, now)]
        found, token, total = search_jobs(self._faults.smaller(request, SEARCH_PAGE), indexed)
        answer: Answer = {
            "Results": [{"TrainingJob": entry} for entry in found],
            "TotalHits": {"Value": total, "Relation": "EqualTo"},
        }
        return answer if token is None else {**answer, "NextToken": token}

    def add_tags(self, request: Request) -> Answer:
        job = self._find_by_arn(request)
        with self._ledger.changing(job):
            tags.add(job, request["Tags"])
            return {"Tags": tags.all_of(job)}

    def list_tags(self, request: Request) -> Answer:
        job = self._find_by_arn(request)
        with self._ledger.reading():
            return tags.page(job, request)

    def delete_tags(self, request: Request) -> Answer:
        job = self._find_by_arn(request)
        with self._ledger.changing(job):
            for key in request["TagKeys"]:
                job.tags.pop(key, None)
        return {}

    def _find(self, request: Request, code: str = "ValidationException") -> Job:
        # the model lists ResourceNotFound for Describe and Stop too, but there the service has always answered with a
        # ValidationException of this text, and clients match on it; the younger operations follow the model
        job = self._ledger.get(request["TrainingJobName"])
        if job is None:
            raise AwsError(code, NOT_FOUND)
        return job

    def _find_by_arn(self, request: Request) -> Job:
        job = self._ledger.get(request["ResourceArn"].removeprefix(self._arn_prefix))
        if job is None:
            raise invalid(f"Could not find training job '{request['ResourceArn']}'.")
        return job

    def _seen(self, view: str, jobs: Iterable[Job], now: float) -> Iterator[Job]:
        """Those of ``jobs`` that the view knows, as it knows them."""
        shown = (self._faults.seen(view, job, now) for job in jobs)
        return (job for job in shown if job is not None)

    def _expire_pools(self, now: float) -> None:
        with self._ledger.reading():
            for job in warm_pools.expire(self._ledger.holding(), now):
                self._ledger.save(job)
