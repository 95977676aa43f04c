"""Clients, call counts and errors, against a sandbox."""

from __future__ import annotations

import pickle
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from cloudtune.aws import Aws, Rate, S3Uri, objects
from cloudtune.clock import VirtualClock
from cloudtune.errors import AccessDeniedError, InvalidRequestError, NotFoundError, OptionError
from cloudtune.sandbox import Sandbox


def test_endpoint_region_and_credentials_are_the_environment_s(account: Sandbox) -> None:
    aws = Aws()
    assert aws.region == account.region
    assert aws.account == account.address.account_id
    assert aws.call_counts() == {"GetCallerIdentity": 1}
    assert aws.account == account.address.account_id
    assert aws.call_counts() == {"GetCallerIdentity": 1}


def test_errors_arrive_in_our_words(account: Sandbox) -> None:
    with pytest.raises(NotFoundError, match="DescribeTrainingJob no-such-job"):
        Aws().call("sagemaker", "DescribeTrainingJob", TrainingJobName="no-such-job")
    with pytest.raises(InvalidRequestError, match="TrainingJobName"):
        Aws().call("sagemaker", "DescribeTrainingJob")


def test_a_sandbox_that_has_ended_is_told_at_once_and_not_waited_for(
    account: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    with pytest.raises(OptionError, match=f"nothing listens at http://127.0.0.1:{port}"):
        Aws().call("sts", "GetCallerIdentity")


def test_without_credentials_the_hint_says_how_to_get_them(account: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    with pytest.raises(AccessDeniedError, match="aws configure"):
        Aws().call("sts", "GetCallerIdentity")


def test_without_a_region_the_hint_says_how_to_set_it(account: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_CONFIG_FILE", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    with pytest.raises(InvalidRequestError, match="AWS_DEFAULT_REGION"):
        assert Aws().region


def test_every_call_is_paced_also_those_of_pages_and_threads(account: Sandbox) -> None:
    clock = VirtualClock(0.0)
    aws = Aws(clock=clock, rates={"ListTrainingJobs": Rate(2, burst=1)})
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: aws.call("sagemaker", "ListTrainingJobs"), range(8)))
    assert aws.call_counts() == {"ListTrainingJobs": 8}
    assert clock.now() >= 3.5


def test_all_pages_of_a_listing(account: Sandbox) -> None:
    aws = Aws()
    prefix = S3Uri(account.bucket, "pages/")
    for number in range(5):
        objects.put(aws, prefix / str(number), b"")
    pages = list(aws.pages("s3", "ListObjectsV2", Bucket=prefix.bucket, Prefix=prefix.key, MaxKeys=2))
    assert [len(page["Contents"]) for page in pages] == [2, 2, 1]


def test_it_travels_without_its_clients(account: Sandbox) -> None:
    aws = Aws(rates={"GetCallerIdentity": Rate(100, 100)})
    assert aws.account
    assert pickle.loads(pickle.dumps(aws)).account == aws.account


def test_nothing_foreign_is_loaded_before_the_first_call() -> None:
    code = (
        "import sys, cloudtune.aws, cloudtune.sagemaker; print([m for m in ('boto3', 'botocore') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


# -- objects -----------------------------------------------------------------------------------------


def test_an_object_is_there_or_not(account: Sandbox) -> None:
    aws = Aws()
    uri = S3Uri(account.bucket, "objects/one")
    assert not objects.exists(aws, uri)
    objects.put(aws, uri, b"content")
    assert objects.exists(aws, uri)
    assert objects.get(aws, uri) == b"content"
    with pytest.raises(NotFoundError):
        objects.get(aws, uri / "more")
    assert objects.bucket_exists(aws, account.bucket)
    assert not objects.bucket_exists(aws, "no-such-bucket")


def test_deleting_below_a_prefix_spares_its_neighbours(account: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    aws = Aws()
    monkeypatch.setattr(objects, "MAX_BATCH", 3)
    for number in range(7):
        objects.put(aws, S3Uri(account.bucket, f"del/t-1/{number}"), b"")
    objects.put(aws, S3Uri(account.bucket, "del/t-10/x"), b"")
    objects.delete_below(aws, S3Uri(account.bucket, "del/t-1"))
    assert [stored.uri.key for stored in objects.listed(aws, S3Uri(account.bucket, "del"))] == ["del/t-10/x"]
    assert aws.call_counts()["DeleteObjects"] == 3
    objects.delete_below(aws, S3Uri(account.bucket, "del/t-1"))
