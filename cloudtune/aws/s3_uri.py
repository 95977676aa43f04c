"""S3 URIs as values."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cloudtune.errors import OptionError

_URI = re.compile(r"s3://(?P<bucket>[A-Za-z0-9][A-Za-z0-9._-]{2,254})(?:/(?P<key>.*))?", re.DOTALL)


@dataclass(frozen=True, order=True)
class S3Uri:
    """``s3://bucket/key``. Built with ``/``, whatever this machine's file system uses."""

    bucket: str
    key: str = ""

    @classmethod
    def parse(cls, text: str) -> S3Uri:
        """Raises ``OptionError`` unless it is ``s3://bucket`` or ``s3://bucket/key``."""
        match = _URI.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise OptionError(f"{text!r} is not an S3 URI", "write it as a string: 's3://bucket/folder'")
        return cls(match["bucket"], match["key"] or "")

    def __truediv__(self, name: str) -> S3Uri:
        """One level down; a trailing slash of ``name`` stays."""
        above = self.key.rstrip("/")
        return S3Uri(self.bucket, f"{above}/{name.lstrip('/')}" if above else name.lstrip("/"))

    @property
    def as_prefix(self) -> S3Uri:
        """The same with a trailing slash, so that ``trial-1`` never matches ``trial-10``."""
        return self if self.key.endswith("/") or not self.key else S3Uri(self.bucket, f"{self.key}/")

    @property
    def name(self) -> str:
        """The last component."""
        return self.key.rstrip("/").rpartition("/")[2]

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"
