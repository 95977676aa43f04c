"""Talking to AWS: one place that builds clients, paces and counts calls, and translates errors.

No boto3 is loaded before the first call. Nothing here knows whether the other side is AWS or a sandbox: endpoint,
region and credentials come from the environment.
"""

from cloudtune.aws.account import Aws
from cloudtune.aws.pacing import RATES, Rate
from cloudtune.aws.s3_uri import S3Uri

__all__ = ["Aws", "RATES", "Rate", "S3Uri"]
