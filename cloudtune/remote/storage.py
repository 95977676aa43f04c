"""An experiment kept in S3: its journal, and the files to be found later."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from cloudtune.aws import Aws, S3Uri
from cloudtune.aws import objects as s3
from cloudtune.journal.s3 import S3Journal
from cloudtune.paths import JOURNAL_FOLDER
from cloudtune.remote.claim import Claim, Holder, Kept
from cloudtune.remote.layout import STOP_MARKER
from cloudtune.sagemaker.layout import DEFAULT_PREFIX, default_bucket


def s3_experiment_path(
    s3_bucket: str | None = None,
    experiment_name: str | None = None,
    tuner_name: str | None = None,
    aws: Aws | None = None,
) -> str:
    """``s3://{bucket}/{experiment_name}/{tuner_name}/``; default: the account's SageMaker bucket, and ``cloudtune``."""
    uri = S3Uri(s3_bucket or default_bucket(aws or Aws()), experiment_name or DEFAULT_PREFIX)
    return str((uri / tuner_name if tuner_name else uri).as_prefix)


class S3Storage:
    """The experiment ``tuner_name`` lies below ``{uri}/{tuner_name}/``: ``journal/``, and each file under its name.

    ``uri``: the prefix of all experiments, by default ``s3_experiment_path()`` where the tuner runs.
    """

    def __init__(self, uri: str | None = None, aws: Aws | None = None) -> None:
        self._root = None if uri is None else S3Uri.parse(uri)
        self._aws = aws or Aws()
        self._kept: Kept | None = None
        self._token = ""

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": None, "_token": ""}

    def uri(self, tuner_name: str) -> S3Uri:
        """The experiment's own prefix."""
        if self._root is None:
            self._root = S3Uri.parse(s3_experiment_path(aws=self._aws))
        return self._root / tuner_name

    def journal(self, folder: Path) -> S3Journal:
        return S3Journal(str(self.uri(folder.name) / JOURNAL_FOLDER), self._aws)

    def publish(self, file: Path) -> None:
        s3.put(self._aws, self.uri(file.parent.name) / file.name, file.read_bytes())

    def claim(self, folder: Path) -> None:
        self._token = self._token or uuid.uuid4().hex
        claim = Claim(self._aws, self.uri(folder.name), self._token)
        claim.take()
        if not Holder.ourselves().job:  # a job that was interrupted begins again with the wish that it had not seen
            s3.delete(self._aws, [self.uri(folder.name) / STOP_MARKER])
        self._kept = claim.keep()

    def look(self, folder: Path) -> bool:
        return s3.exists(self._aws, self.uri(folder.name) / STOP_MARKER)

    def let_go(self, folder: Path) -> None:
        if self._kept is not None:
            self._kept.let_go()
            self._kept = None
        self._token = ""

    def holder(self, tuner_name: str) -> Holder | None:
        """Who runs the experiment now, as far as can be known from here."""
        return Claim(self._aws, self.uri(tuner_name)).holder()

    def request_stop(self, tuner_name: str) -> None:
        """Its tuner, wherever it is, sees this within a minute and ends the experiment."""
        s3.put(self._aws, self.uri(tuner_name) / STOP_MARKER, b"")
