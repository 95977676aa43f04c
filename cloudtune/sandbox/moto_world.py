"""The services that moto plays, for one account: the only file that touches moto's insides.

moto keeps its state in the process, by account. Every sandbox of a process has an account of its own, so that several
can run side by side.
"""

from __future__ import annotations

import datetime
import difflib
import functools
import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import boto3
from moto import backends as moto_backends
from moto.core.base_backend import AccountSpecificBackend, BackendDict
from moto.iam.models import AWSManagedPolicy
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.test import EnvironBuilder, run_wsgi_app

from cloudtune.sandbox.logs.api import GROUP
from cloudtune.sandbox.unconfigured import botocore_session
from cloudtune.sandbox.wsgi import Wsgi

METRICS_NAMESPACE = "/aws/sagemaker/TrainingJobs"
RequestHandler = MotoRequestHandler
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
_ALLOWED = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
# moto makes a session of its own to learn the names of regions, from whatever the user has configured
AccountSpecificBackend.get_session = functools.cache(lambda: boto3.Session(botocore_session=botocore_session()))  # type: ignore[method-assign]
_application: Wsgi | None = None
_application_lock = threading.Lock()


@dataclass(frozen=True)
class StoredObject:
    """An S3 object with all that must come back with it."""

    bucket: str
    key: str
    content: bytes
    etag: str
    last_modified: str
    metadata: dict[str, str]
    storage_class: str
    tags: dict[str, str]

    def about(self) -> dict[str, Any]:
        """Everything but the content."""
        return {name: value for name, value in vars(self).items() if name != "content"}


class MotoWorld:
    """S3, IAM, CloudWatch and everything else moto has, of one account in one region.

    Raises ValueError for a region that AWS doesn't have.
    """

    def __init__(self, account_id: str, region: str) -> None:
        regions = _backend("logs")[account_id].regions
        if region not in regions:
            near = difflib.get_close_matches(region, regions, n=1) or ["us-east-1"]
            raise ValueError(f"unknown region {region!r}: did you mean {near[0]!r}?")
        self.account_id = account_id
        self.region = region

    def application(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """moto as a WSGI application, acting for this account. Raises NotImplementedError for what it lacks."""
        environ["HTTP_X_MOTO_ACCOUNT_ID"] = self.account_id
        begun: list[tuple[Any, ...]] = []
        answer = _shared_application()(environ, lambda *start: begun.append(start))
        if begun[0][0].startswith(("404", "405")):
            answer = [b"".join(answer)]
            # no service speaks HTML: it is what serves moto that knows no such path
            if answer[0].startswith(b"<!doctype html>"):
                raise NotImplementedError(environ["PATH_INFO"])
        start_response(*begun[0])
        return answer

    def prepare(self, bucket: str, role_name: str) -> None:
        """What every sandbox has from the start: a bucket, a role for SageMaker, the log group."""
        if not self.has_bucket(bucket):
            self.s3.create_bucket(bucket, self.region)
        if not self._has_role_named(role_name):
            iam = self.iam
            iam.create_role(role_name, json.dumps(_TRUST), "/", None, "Runs training jobs", [], "3600")
            iam.put_role_policy(role_name, "everything", json.dumps(_ALLOWED))
        if GROUP not in self.logs.groups:
            self.logs.create_log_group(GROUP, {})

    def clear(self) -> None:
        """Forget this account."""
        for bucket in list(self.s3.buckets):
            # the register of names is shared by all accounts
            _backend("s3").bucket_accounts.pop(bucket, None)
            for key in self.s3.buckets[bucket].keys.values():
                key.dispose()
        instances: Any = BackendDict
        for service in list(instances._instances):
            service.pop(self.account_id, None)

    @property
    def s3(self) -> Any:
        return _backend("s3")[self.account_id]["aws"]

    @property
    def iam(self) -> Any:
        return _backend("iam")[self.account_id]["aws"]

    @property
    def logs(self) -> Any:
        return _backend("logs")[self.account_id][self.region]

    def has_bucket(self, name: str) -> bool:
        return name in self.s3.buckets or name in _backend("s3").bucket_accounts

    def has_role(self, arn: str) -> bool:
        prefix = f"arn:aws:iam::{self.account_id}:role"
        return arn.startswith(prefix) and any(role.arn == arn for role in list(self.iam.roles.values()))

    def _has_role_named(self, name: str) -> bool:
        return any(role.name == name for role in self.iam.roles.values())

    def ensure_managed_policy(self, arn: str) -> None:
        """Have the AWS-managed policy ``arn``, allowing everything, if moto doesn't know it."""
        policies = self.iam.managed_policies
        if arn not in policies:
            path, _, name = arn.partition(":policy")[2].rpartition("/")
            managed: Any = AWSManagedPolicy
            policies[arn] = managed(
                name,
                account_id=self.account_id,
                region="aws",
                path=f"{path}/",
                default_version_id="v1",
                document=json.dumps(_ALLOWED),
            )

    def read_object(self, bucket: str, key: str) -> StoredObject | None:
        """The current version of an object, None if there is none."""
        found = self.s3.get_object(bucket, key) if bucket in self.s3.buckets else None
        if found is None:
            return None
        return StoredObject(
            bucket=bucket,
            key=key,
            content=found.value,
            etag=found.etag.strip('"'),
            last_modified=found.last_modified.isoformat(),
            metadata={name: str(value) for name, value in found.metadata.items()},
            storage_class=found.storage_class,
            tags=self.s3.tagger.get_tag_dict_for_resource(found.arn),
        )

    def restore_object(self, stored: StoredObject) -> None:
        """Put back what ``read_object`` gave; an object of a bucket that is gone stays away."""
        if stored.bucket not in self.s3.buckets:
            return
        key = self.s3.put_object(
            stored.bucket,
            stored.key,
            stored.content,
            storage=stored.storage_class,
            etag=stored.etag,
            disable_notification=True,
        )
        key.set_metadata(dict(stored.metadata))
        key.last_modified = datetime.datetime.fromisoformat(stored.last_modified)
        tags = [{"Key": name, "Value": value} for name, value in stored.tags.items()]
        self.s3.tagger.tag_resource(key.arn, tags)

    def objects_below(self, bucket: str, prefix: str) -> dict[str, bytes]:
        """The current content of every object whose key begins with ``prefix``, by key."""
        if bucket not in self.s3.buckets:
            return {}
        keys = sorted(key for key in list(self.s3.buckets[bucket].keys) if key.startswith(prefix))
        found = {key: self.s3.get_object(bucket, key) for key in keys}
        return {key: stored.value for key, stored in found.items() if stored is not None}

    def put_object(self, bucket: str, key: str, content: bytes, at: float) -> None:
        """An object written at ``at``, in seconds since the epoch; nothing if the bucket is gone."""
        if bucket in self.s3.buckets:
            stored = self.s3.put_object(bucket, key, content)
            stored.last_modified = _utc(at)

    def delete_object(self, bucket: str, key: str) -> None:
        """Delete an object, if there is one."""
        if bucket in self.s3.buckets:
            self.s3.delete_object(bucket, key)

    def request(self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes) -> int:
        """Make a request of moto without a network; its HTTP status."""
        environ = EnvironBuilder(
            path=path, query_string=query, method=method, headers=list(headers.items()), data=body
        ).get_environ()
        _, status, _ = run_wsgi_app(self.application, environ)
        return int(status.split()[0])

    def put_metric(self, job_name: str, metric: str, value: float, at: float) -> None:
        """One value of a training job's metric for CloudWatch."""
        datum = {
            "MetricName": metric,
            "Value": value,
            "Timestamp": _utc(at),
            "Dimensions": [{"Name": "TrainingJobName", "Value": job_name}],
        }
        _backend("cloudwatch")[self.account_id][self.region].put_metric_data(METRICS_NAMESPACE, [datum])


def _utc(at: float) -> datetime.datetime:
    """moto compares times without a zone, in UTC."""
    return datetime.datetime.fromtimestamp(at, datetime.timezone.utc).replace(tzinfo=None)


def _backend(service: str) -> Any:
    """moto's state of a service, by account and region."""
    found: Any = moto_backends.get_backend(service)  # type: ignore[call-overload, unused-ignore]
    return found


def _create_app(service: Any) -> Any:
    """The application of one service; None stands for one that moto has never heard of."""
    if service is None:
        raise NotImplementedError("an unknown service")
    return create_backend_app(service)


def _shared_application() -> Wsgi:
    global _application
    with _application_lock:
        if _application is None:
            _application = DomainDispatcherApplication(_create_app)
        return _application
