"""The training script's folder as one archive: the same files give the same bytes, and the Reporter is inside."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files as package_files
from pathlib import Path

from cloudtune.errors import ScriptError

PACKAGE = "cloudtune"
REPORTER_FILES = ("__init__.py", "version.py", "constants.py", "report.py", "checkpointing.py")
"""What of this package runs in trials' containers."""

IGNORED_NAMES = frozenset(
    {
        "__pycache__",
        ".git",
        ".hg",
        ".svn",
        ".DS_Store",
        ".ipynb_checkpoints",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
        ".tox",
        ".nox",
        ".venv",
        "node_modules",
    }
)
IGNORED_SUFFIXES = (".pyc", ".pyo", ".swp")

MAX_BYTES = 500_000_000
"""A folder larger than this holds data, not source."""


@dataclass(frozen=True)
class ScriptSource:
    """A script on this machine. With ``source_dir``, that folder and ``entry_point`` relative to it; without, the
    script alone and a ``requirements.txt`` beside it. ``dependencies``: folders to be importable by their names.

    Raises ``ScriptError`` for anything that isn't there.
    """

    entry_point: Path
    source_dir: Path | None = None
    dependencies: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        folder = self.source_dir
        if folder is not None and not folder.is_dir():
            raise ScriptError(f"source_dir={str(folder)!r} is no folder", "give the folder the script lies in")
        if self.script.is_dir():
            raise ScriptError(
                f"entry_point={str(self.entry_point)!r} is a folder",
                "name the training script in it; source_dir is for folders",
            )
        if not self.script.is_file():
            where = f" in {folder}" if folder is not None else ""
            raise ScriptError(
                f"entry_point={str(self.entry_point)!r} doesn't exist{where}",
                "give the path of the training script"
                + (", relative to source_dir" if folder is not None else f" (this is {Path.cwd()})"),
            )
        if folder is not None and not self.script.resolve().is_relative_to(folder.resolve()):
            raise ScriptError(
                f"entry_point={str(self.entry_point)!r} is not inside source_dir={str(folder)!r}",
                "only the folder travels into the job",
            )
        for dependency in self.dependencies:
            if not dependency.exists():
                raise ScriptError(f"dependency {str(dependency)!r} doesn't exist", "dependencies are folders or files")

    @property
    def script(self) -> Path:
        """The script's path on this machine."""
        return self.entry_point if self.source_dir is None else self.source_dir / self.entry_point

    @property
    def program(self) -> str:
        """The script's path inside the archive."""
        if self.source_dir is None:
            return self.entry_point.name
        return self.script.resolve().relative_to(self.source_dir.resolve()).as_posix()

    def files(self) -> dict[str, Path]:
        """What travels, by its name in the archive."""
        found: dict[str, Path] = {}
        if self.source_dir is None:
            found[self.entry_point.name] = self.entry_point
            requirements = self.entry_point.parent / "requirements.txt"
            if requirements.is_file():
                found[requirements.name] = requirements
        else:
            found.update(files_below(self.source_dir, ""))
        for dependency in self.dependencies:
            if dependency.is_dir():
                found.update(files_below(dependency, f"{dependency.resolve().name}/"))
            else:
                found[dependency.name] = dependency
        return found

    def pack(self) -> SourceArchive:
        """Read all files now. Raises ``ScriptError`` if they are too large or hide the Reporter."""
        found = self.files()
        try:
            _check_size(found)
            members = {name: Member(path.read_bytes(), os.access(path, os.X_OK)) for name, path in found.items()}
        except OSError as error:
            raise ScriptError(f"the training script's files can't be read: {error}") from error
        return SourceArchive.of(with_reporter(members))


@dataclass(frozen=True)
class Member:
    """A file of an archive."""

    content: bytes
    executable: bool = False


@dataclass(frozen=True)
class SourceArchive:
    """A ``.tar.gz`` whose bytes are a function of names, contents and executable bits alone."""

    content: bytes = field(repr=False)

    @classmethod
    def of(cls, members: Mapping[str, Member]) -> SourceArchive:
        buffer = io.BytesIO()
        with (
            gzip.GzipFile(fileobj=buffer, mode="wb", filename="", mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            for name in sorted(members):
                archive.addfile(*_entry(name, members[name]))
        return cls(buffer.getvalue())

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    def members(self) -> dict[str, Member]:
        """Its regular files. Raises ``ScriptError`` if it is no archive."""
        members = {}
        try:
            with tarfile.open(fileobj=io.BytesIO(self.content)) as archive:
                for info in archive:
                    content = archive.extractfile(info) if info.isreg() or info.issym() or info.islnk() else None
                    if content is not None:
                        members[info.name.removeprefix("./")] = Member(content.read(), bool(info.mode & 0o100))
        except (tarfile.TarError, EOFError, OSError, KeyError) as error:
            raise ScriptError(f"the template's source archive can't be read: {error}") from error
        return members


def with_reporter(members: Mapping[str, Member]) -> dict[str, Member]:
    """The same files, with which ``from cloudtune import Reporter`` works; unchanged if they bring the package along.

    Raises ``ScriptError`` if a file or folder of theirs is named ``cloudtune`` and is something else.
    """
    theirs = {name for name in members if name == f"{PACKAGE}.py" or name.startswith(f"{PACKAGE}/")}
    if {f"{PACKAGE}/{name}" for name in ("__init__.py", "version.py", "report.py")} <= theirs:
        return dict(members)
    if theirs:
        raise ScriptError(
            f"{sorted(theirs)[0]!r} in the source folder hides the package {PACKAGE!r}, which holds the Reporter",
            "rename it",
        )
    return {**members, **reporter_members()}


def reporter_members() -> dict[str, Member]:
    """What of this package travels."""
    package = package_files(PACKAGE)
    return {f"{PACKAGE}/{name}": Member(package.joinpath(name).read_bytes()) for name in REPORTER_FILES}


def members_digest(members: Mapping[str, Member]) -> str:
    """SHA-256 over names and contents."""
    digest = hashlib.sha256()
    for name in sorted(members):
        digest.update(f"{name}\0{len(members[name].content)}\0".encode())
        digest.update(members[name].content)
    return digest.hexdigest()


def _entry(name: str, member: Member) -> tuple[tarfile.TarInfo, io.BytesIO]:
    info = tarfile.TarInfo(name)
    info.size = len(member.content)
    info.mode = 0o755 if member.executable else 0o644
    return info, io.BytesIO(member.content)


def files_below(folder: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    """Regular files by their names in the archive, links followed (once)."""
    seen: set[Path] = set()
    for root, folders, names in os.walk(folder, followlinks=True):
        here = Path(root)
        folders[:] = sorted(name for name in folders if not _is_ignored_folder(here / name, seen))
        for name in sorted(names):
            path = here / name
            if name not in IGNORED_NAMES and not name.endswith(IGNORED_SUFFIXES) and path.is_file():
                yield prefix + path.relative_to(folder).as_posix(), path


def _is_ignored_folder(folder: Path, seen: set[Path]) -> bool:
    real = folder.resolve()
    if folder.name in IGNORED_NAMES or (folder / "pyvenv.cfg").exists() or folder.name.endswith(".egg-info"):
        return True
    if folder.is_symlink() and (real in seen or folder.absolute().is_relative_to(real)):
        return True  # a link to a folder above it, or to one that is packed already
    seen.add(real)
    return False


def _check_size(found: Mapping[str, Path]) -> None:
    sizes = {name: path.stat().st_size for name, path in found.items()}
    total = sum(sizes.values())
    if total > MAX_BYTES:
        largest: Sequence[str] = sorted(sizes, key=sizes.__getitem__, reverse=True)[:3]
        listed = ", ".join(f"{name} ({sizes[name] / 1e6:.0f} MB)" for name in largest)
        raise ScriptError(
            f"the source folder has {total / 1e6:.0f} MB, more than {MAX_BYTES / 1e6:.0f}: {listed}",
            "data belongs into an input channel (inputs=...), not into the source",
        )
