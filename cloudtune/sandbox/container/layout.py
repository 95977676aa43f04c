"""Which directory of the host is which directory of the job."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from pathlib import Path

OPT_ML = "/opt/ml"


@dataclass(frozen=True)
class Layout:
    """Paths of one job: as the host sees them (``Path``) and as the job sees them (``str``).

    ``private`` tells whether the job has an ``/opt/ml`` of its own. Where it hasn't, it gets the host's path, and is
    told by ``SAGEMAKER_BASE_DIR``.
    """

    directory: Path
    private: bool

    @property
    def ml(self) -> Path:
        return self.directory / "ml"

    @property
    def base(self) -> str:
        """What the job calls ``/opt/ml``."""
        return OPT_ML if self.private else str(self.ml)

    @property
    def config(self) -> Path:
        return self.ml / "input" / "config"

    @property
    def data(self) -> Path:
        return self.ml / "input" / "data"

    @property
    def model(self) -> Path:
        return self.ml / "model"

    @property
    def output(self) -> Path:
        return self.ml / "output"

    @property
    def output_data(self) -> Path:
        return self.output / "data"

    @property
    def failure(self) -> Path:
        return self.output / "failure"

    @property
    def code(self) -> Path:
        return self.ml / "code"

    @property
    def home(self) -> Path:
        return self.directory / "home"

    @property
    def temporary(self) -> Path:
        return self.directory / "tmp"

    @property
    def python(self) -> Path:
        """Environment derived from the interpreter, into which the job may install."""
        return self.directory / "python"

    @property
    def source(self) -> Path:
        """Where the submitted source lies until the job unpacks it."""
        return self.directory / "sourcedir.tar.gz"

    @property
    def hosts_file(self) -> Path:
        return self.directory / "hosts"

    def make(self) -> None:
        """Make the directories that every job finds."""
        for path in (self.config, self.data, self.model, self.output_data, self.code, self.home, self.temporary):
            path.mkdir(parents=True, exist_ok=True)

    def seen_by_job(self, text: str) -> str:
        """``text`` with the paths below ``/opt/ml`` that it names, as this job sees them."""
        return text if self.private else text.replace(OPT_ML, self.base)

    def adapt(self, directory: Path) -> None:
        """Have the programs in ``directory`` find this job's directories where they look for ``/opt/ml``."""
        if self.private:
            return
        for path in directory.rglob("*"):
            if path.suffix in (".py", ".sh", ".json"):
                path.write_text(self.seen_by_job(path.read_text(encoding="utf-8")), encoding="utf-8")

    def checkpoints(self, local_path: str) -> Path:
        """Where the host finds the job's checkpoint directory ``local_path``, absolute as the job sees it."""
        normal = posixpath.normpath(local_path)
        if normal == OPT_ML or normal.startswith(OPT_ML + "/"):
            return self.ml / posixpath.relpath(normal, OPT_ML)
        return self.directory / "checkpoints"

    def outside_opt_ml(self, local_path: str) -> bool:
        normal = posixpath.normpath(local_path)
        return normal != OPT_ML and not normal.startswith(OPT_ML + "/")
