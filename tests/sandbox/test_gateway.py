"""The front door: who is asked, what is counted, what happens to two at once."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

from cloudtune.sandbox import Sandbox
from cloudtune.sandbox.calls import identify
from tests.sandbox.support import client, create, describe, wait_for_end

AWS = Path(sys.executable).parent / "aws"


@pytest.mark.parametrize(
    ("method", "target", "headers", "operation"),
    [
        ("GET", "/", {}, "ListBuckets"),
        ("PUT", "/b", {}, "CreateBucket"),
        ("HEAD", "/b", {}, "HeadBucket"),
        ("GET", "/b", {}, "ListObjects"),
        ("GET", "/b?list-type=2&prefix=x", {}, "ListObjectsV2"),
        ("GET", "/b?location", {}, "GetBucketLocation"),
        ("POST", "/b?delete", {}, "DeleteObjects"),
        ("PUT", "/b/k/l m", {}, "PutObject"),
        ("PUT", "/b/k", {"x-amz-copy-source": "b/j"}, "CopyObject"),
        ("PUT", "/b/k?uploadId=1&partNumber=2", {}, "UploadPart"),
        ("POST", "/b/k?uploads", {}, "CreateMultipartUpload"),
        ("POST", "/b/k?uploadId=1", {}, "CompleteMultipartUpload"),
        ("GET", "/b/k", {}, "GetObject"),
        ("HEAD", "/b/k", {}, "HeadObject"),
        ("DELETE", "/b/k", {}, "DeleteObject"),
        ("PUT", "/b/k?tagging", {}, "PutObjectTagging"),
    ],
)
def test_the_operation_of_an_s3_request(method: str, target: str, headers: dict[str, str], operation: str) -> None:
    path, _, query = target.partition("?")
    assert identify(method, path, query, headers, b"").name == f"s3.{operation}"


def test_calls_are_counted_by_service_and_operation() -> None:
    with Sandbox() as sandbox:
        create(sandbox, "counted")
        wait_for_end(sandbox, "counted")
        sandbox.reset_call_counts()
        describe(sandbox, "counted")
        with pytest.raises(ClientError):
            describe(sandbox, "uncounted")
        client(sandbox, "s3").put_object(Bucket=sandbox.bucket, Key="k", Body=b"v")
        client(sandbox, "sts").get_caller_identity()
        client(sandbox, "cloudwatch").list_metrics()
        client(sandbox, "iam").list_roles()
        assert sandbox.call_counts() == {
            "sagemaker.DescribeTrainingJob": 2,
            "s3.PutObject": 1,
            "sts.GetCallerIdentity": 1,
            "cloudwatch.ListMetrics": 1,
            "iam.ListRoles": 1,
        }


def test_of_many_conditional_puts_one_wins(shared: Sandbox) -> None:
    s3 = client(shared, "s3")
    outcomes: list[str] = []
    start = threading.Barrier(8)

    def put(number: int) -> None:
        start.wait()
        try:
            s3.put_object(Bucket=shared.bucket, Key="once", Body=str(number).encode(), IfNoneMatch="*")
            outcomes.append(str(number))
        except ClientError as error:
            assert error.response["Error"]["Code"] == "PreconditionFailed"

    threads = [threading.Thread(target=put, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    body = s3.get_object(Bucket=shared.bucket, Key="once")["Body"].read().decode()
    assert outcomes == [body]


def test_objects_of_every_kind_survive_the_way_there_and_back(shared: Sandbox) -> None:
    s3 = client(shared, "s3")
    for key, body in {"plain": b"x", "sp ace/ü+%": b"\x00\xff" * 1000, "empty": b""}.items():
        s3.put_object(Bucket=shared.bucket, Key=key, Body=body, Metadata={"who": "me"})
        found = s3.get_object(Bucket=shared.bucket, Key=key)
        assert found["Body"].read() == body
        assert found["Metadata"] == {"who": "me"}


def test_big_objects_go_up_in_parts(shared: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(os.urandom(20 * 1024 * 1024))
    s3 = client(shared, "s3")
    s3.upload_file(str(path), shared.bucket, "big")
    assert s3.get_object(Bucket=shared.bucket, Key="big")["Body"].read() == path.read_bytes()


def test_a_request_for_another_region_is_told_so(shared: Sandbox) -> None:
    session = boto3.Session(aws_access_key_id="x", aws_secret_access_key="x", region_name="eu-west-1")
    elsewhere = session.client("sagemaker", endpoint_url=shared.endpoint_url)
    with pytest.raises(ClientError, match="'eu-west-1': this sandbox is in 'us-east-1'"):
        elsewhere.list_training_jobs()


@pytest.mark.parametrize(
    ("service", "operation", "arguments"),
    [
        ("sagemaker", "get_search_suggestions", {"Resource": "TrainingJob"}),
        ("iam", "get_organizations_access_report", {"JobId": "0" * 36}),
        ("pricing", "get_products", {"ServiceCode": "AmazonSageMaker"}),
        ("guardduty", "list_ip_sets", {"DetectorId": "1"}),
    ],
)
def test_what_nobody_here_can_do_is_told_at_once(
    shared: Sandbox, service: str, operation: str, arguments: dict[str, object]
) -> None:
    before = shared.call_counts().total()
    with pytest.raises(ClientError) as caught:
        getattr(client(shared, service), operation)(**arguments)
    assert caught.value.response["Error"]["Code"] == "NotImplemented"
    assert "the sandbox has no" in caught.value.response["Error"]["Message"]
    assert shared.call_counts().total() == before + 1


def test_a_role_that_does_not_exist_can_not_be_simulated(shared: Sandbox) -> None:
    iam = client(shared, "iam")
    arguments = {"ActionNames": ["s3:GetObject"], "PolicySourceArn": shared.role_arn}
    assert iam.simulate_principal_policy(**arguments)["EvaluationResults"][0]["EvalDecision"] == "allowed"
    with pytest.raises(iam.exceptions.NoSuchEntityException, match="name nobody"):
        iam.simulate_principal_policy(**{**arguments, "PolicySourceArn": "arn:aws:iam::123456789012:role/nobody"})


def test_nothing_listens_outside_loopback(shared: Sandbox) -> None:
    host, port = shared.endpoint_url.removeprefix("http://").split(":")
    assert host == "127.0.0.1"
    hexadecimal = f"{int(port):04X}"
    listening = [
        line.split()[1]
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        if line.split()[1].endswith(f":{hexadecimal}") and line.split()[3] == "0A"
    ]
    assert listening == [f"0100007F:{hexadecimal}"]


def test_a_taken_port_is_an_error_and_leaves_nothing_behind(shared: Sandbox) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="can't be had: Address already in use"), Sandbox(port=taken.getsockname()[1]):
            pass


def test_two_sandboxes_side_by_side_know_nothing_of_each_other(shared: Sandbox) -> None:
    with Sandbox() as other:
        assert other.bucket != shared.bucket
        create(other, "only-here")
        client(other, "s3").put_object(Bucket=other.bucket, Key="only-here", Body=b"")
        with pytest.raises(ClientError, match="not found"):
            describe(shared, "only-here")
        buckets = client(shared, "s3").list_buckets()["Buckets"]
        assert other.bucket not in [bucket["Name"] for bucket in buckets]
        assert client(other, "sts").get_caller_identity()["Account"] == other.address.account_id


def test_a_sandbox_starts_empty_even_after_another() -> None:
    with Sandbox() as first:
        client(first, "s3").put_object(Bucket=first.bucket, Key="k", Body=b"")
    with Sandbox() as second:
        assert client(second, "s3").list_objects_v2(Bucket=second.bucket)["KeyCount"] == 0


def test_the_unmodified_aws_command(shared: Sandbox) -> None:
    create(shared, "by-command")
    wait_for_end(shared, "by-command")
    environment = {**os.environ, **shared.environment()}
    del environment["AWS_ENDPOINT_URL"]
    command = [str(AWS), "--endpoint-url", shared.endpoint_url, "sagemaker", "list-training-jobs"]
    query = ["--name-contains", "by-command", "--query", "TrainingJobSummaries[].TrainingJobStatus", "--output", "text"]
    listed = subprocess.run([*command, *query], env=environment, capture_output=True, text=True, check=True)
    assert listed.stdout == "Completed\n"


def test_the_environment_is_all_a_child_needs(shared: Sandbox) -> None:
    code = "import boto3; print(boto3.client('sts').get_caller_identity()['Account'])"
    hostile = {"AWS_PROFILE": "no-such", "HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    environment = {**os.environ, **hostile, **shared.environment()}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == shared.address.account_id


def test_a_job_can_launch_a_job(shared: Sandbox) -> None:
    code = """
import boto3, os
client = boto3.client('sagemaker')
request = client.describe_training_job(TrainingJobName='parent')
fields = ('RoleArn', 'AlgorithmSpecification', 'OutputDataConfig', 'ResourceConfig', 'StoppingCondition')
client.create_training_job(
    TrainingJobName='child', Environment={'CODE': 'print(1)'}, **{name: request[name] for name in fields}
)
"""
    create(shared, "parent", code)
    parent = wait_for_end(shared, "parent")
    assert parent["TrainingJobStatus"] == "Completed", parent.get("FailureReason")
    assert wait_for_end(shared, "child")["TrainingJobStatus"] == "Completed"


def test_importing_the_room_is_light() -> None:
    code = "import sys, cloudtune.sandbox; assert not {'moto', 'boto3', 'werkzeug'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
