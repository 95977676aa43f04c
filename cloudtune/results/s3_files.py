"""An experiment's prefix in S3."""

from __future__ import annotations

from dataclasses import dataclass

from cloudtune.aws import Aws, S3Uri
from cloudtune.aws import objects as s3
from cloudtune.errors import NotFoundError
from cloudtune.journal.s3 import S3Journal
from cloudtune.paths import JOURNAL_FOLDER


@dataclass(frozen=True)
class S3Files:
    """Reads what a remote tuner keeps below ``uri``."""

    uri: S3Uri
    aws: Aws

    @classmethod
    def of(cls, tuner_name: str, s3_path: str | None = None) -> S3Files:
        """Below ``s3_path``, by default ``cloudtune/`` in the account's SageMaker bucket."""
        aws = Aws()
        root = S3Uri.parse(s3_path) if s3_path else S3Uri(f"sagemaker-{aws.region}-{aws.account}", "cloudtune")
        return cls(root / tuner_name, aws)

    @property
    def where(self) -> str:
        return str(self.uri)

    def exists(self) -> bool:
        # a tuner that was launched has files here before its first event
        return any(True for _ in s3.listed(self.aws, self.uri))

    def journal(self) -> S3Journal:
        return S3Journal(str(self.uri / JOURNAL_FOLDER), self.aws)

    def read(self, name: str) -> bytes | None:
        try:
            return s3.get(self.aws, self.uri / name)
        except NotFoundError:
            return None
