"""Where other people's files are to lie."""

from __future__ import annotations

from pathlib import Path

from cloudtune.errors import UserError
from cloudtune.paths import experiment_path

RAW_FOLDER = "blackbox-repository/raw"


def raw_path(name: str) -> Path:
    """The folder for the files of a published benchmark, as they were published."""
    return experiment_path() / RAW_FOLDER / name


def raw_files(name: str, patterns: tuple[str, ...], where_from: str) -> list[Path]:
    """The files in ``raw_path(name)``, at any depth, sorted.

    Raises ``UserError`` that says where to get them and where to put them if there is none.
    """
    folder = raw_path(name)
    found = sorted({path for pattern in patterns for path in folder.rglob(pattern)})
    if not found:
        raise UserError(
            f"the blackbox {name!r} is made from files that are not in {folder}: {' or '.join(patterns)}",
            f"get them from {where_from} and put them there; then load_blackbox({name!r}) makes it",
        )
    return found
