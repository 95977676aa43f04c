"""Files that are either whole or not there."""

from __future__ import annotations

import threading
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Put ``content`` into ``path`` at one stroke: a reader, or a next life, sees the old or the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{threading.get_ident()}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)


def append_line(path: Path, line: bytes) -> None:
    """Add one line at the end of ``path``, in one write."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab", buffering=0) as file:
        file.write(line + b"\n")


def read_lines(path: Path) -> list[bytes]:
    """The whole lines of ``path``; one torn at the end by a sudden death is not among them."""
    if not path.exists():
        return []
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        with path.open("rb+") as file:
            file.truncate(len(whole))
    return whole.splitlines()
