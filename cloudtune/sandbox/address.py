"""Where a running sandbox is, and what a process needs to find it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ACCESS_KEY_ID = "AKIASANDBOX000000000"
SECRET_ACCESS_KEY = "sandbox"
# the server's own operations, out of the way of any bucket; the header keeps web pages from using them
CONTROL_PATH = "/_cloudtune/"
CONTROL_HEADERS = {"X-Cloudtune-Control": "1"}
ROLE_NAME = "AmazonSageMaker-ExecutionRole-sandbox"


@dataclass(frozen=True)
class Address:
    """A running sandbox as its clients see it."""

    endpoint_url: str
    region: str
    account_id: str
    aws_config: str = os.devnull
    """A configuration file for AWS clients that names nothing but the region."""
    sdk_config: str | None = None
    """A SageMaker SDK configuration file: default bucket, no telemetry."""

    @property
    def bucket(self) -> str:
        """An S3 bucket that exists, named like SageMaker's default one."""
        return f"sagemaker-{self.region}-{self.account_id}"

    @property
    def role_arn(self) -> str:
        """An IAM role that exists and that SageMaker may assume."""
        return f"arn:aws:iam::{self.account_id}:role/{ROLE_NAME}"

    def environment(self) -> dict[str, str]:
        """The variables that point a child process's AWS clients here, and nowhere else."""
        # a proxy must not see loopback, and a user's own profiles must not redirect a client to real AWS
        no_proxy = ",".join(filter(None, [os.environ.get("NO_PROXY", os.environ.get("no_proxy")), "127.0.0.1"]))
        variables = {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
            "AWS_SESSION_TOKEN": "",
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_PROFILE": "default",
            "AWS_CONFIG_FILE": self.aws_config,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
            "NO_PROXY": no_proxy,
            "no_proxy": no_proxy,
        }
        if self.sdk_config is not None:
            variables["SAGEMAKER_USER_CONFIG_OVERRIDE"] = self.sdk_config
        return variables

    def client(self, service: str) -> Any:
        """A boto3 client of ``service`` ("sagemaker", "s3", "logs", …) that talks to this sandbox."""
        import boto3
        from botocore.config import Config

        from cloudtune.sandbox.unconfigured import client_session

        session = boto3.Session(
            botocore_session=client_session(),
            aws_access_key_id=ACCESS_KEY_ID,
            aws_secret_access_key=SECRET_ACCESS_KEY,
            region_name=self.region,
        )
        return session.client(service, endpoint_url=self.endpoint_url, config=Config(proxies={}))


def address_of(endpoint_url: str, region: str, account_id: str, directory: Path) -> Address:
    """The address of a sandbox, with the configuration files of its clients in ``directory``."""
    aws_config = directory / "aws-config"
    aws_config.write_text(f"[default]\nregion = {region}\n")
    sdk_config = directory / "sagemaker-config.yaml"
    address = Address(endpoint_url, region, account_id, str(aws_config), str(sdk_config))
    # SDK 2 asks the real STS for the account to name the bucket, and both report usage over the network
    modules = {"Session": {"DefaultS3Bucket": address.bucket}, "TelemetryOptOut": True}
    sdk_config.write_text(json.dumps({"SchemaVersion": "1.0", "SageMaker": {"PythonSDK": {"Modules": modules}}}))
    return address
