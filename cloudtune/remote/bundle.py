"""Files on their way into the tuner's job."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from cloudtune.errors import OptionError
from cloudtune.sagemaker.source import Member, SourceArchive, files_below

MAX_BYTES = 500_000_000
"""More than this is data, and belongs into an input channel."""


@dataclass
class Bundle:
    """Paths in the tarball, and what lies there."""

    members: dict[str, Member] = field(default_factory=dict)

    def add(self, name: str, content: Path | bytes) -> None:
        """Raises ``OptionError`` if the name is taken by something else."""
        member = (
            Member(content) if isinstance(content, bytes) else Member(content.read_bytes(), os.access(content, os.X_OK))
        )
        if self.members.setdefault(name, member) != member:
            raise OptionError(
                f"two different files would be {name!r} in the tuner's job"
                + (f", one of them {content}" if isinstance(content, Path) else ""),
                "rename one of them, or the folder it is in",
            )

    def add_tree(self, name: str, folder: Path) -> None:
        """All files below ``folder``, but caches and version control."""
        for path_in_archive, path in files_below(folder, f"{name}/"):
            self.add(path_in_archive, path)

    def archive(self) -> SourceArchive:
        """Raises ``OptionError`` if it would be absurdly large."""
        sizes = {name: len(member.content) for name, member in self.members.items()}
        if sum(sizes.values()) > MAX_BYTES:
            largest = max(sizes, key=sizes.__getitem__)
            raise OptionError(
                f"the tuner's sources have {sum(sizes.values()) / 1e6:.0f} MB; the largest file is {largest}",
                "move data out of the folders that are packed, and give it to the training script as an input channel",
            )
        return SourceArchive.of(self.members)

    def unpack(self, folder: Path) -> None:
        """Write everything below ``folder``."""
        for name, member in self.members.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(member.content)
            path.chmod(0o755 if member.executable else 0o644)
