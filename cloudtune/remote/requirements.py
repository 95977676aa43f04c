"""What a remote tuner's image must have, or gets installed."""

from __future__ import annotations

from importlib import metadata

FLOORS = {
    "boto3": "1.35.5",
    "dill": "0.3.7",
    "numpy": "1.23",
    "pandas": "1.5",
    "rich": "13",
    "scipy": "1.9",
}
"""The oldest versions that do, by package: cloudtune's own requirements, without those of its command."""


SAME_MAJOR = frozenset({"numpy"})
"""Packages whose objects may be in the tuner's payload: those of one major version can't be loaded by another."""


def requirements() -> list[str]:
    """Lines of a requirements file: what cloudtune needs, nothing newer than the major versions installed here."""
    return [_line(name, floor) for name, floor in FLOORS.items()]


def _line(name: str, floor: str) -> str:
    try:
        major = int(metadata.version(name).partition(".")[0])
    except metadata.PackageNotFoundError:
        return f"{name}>={floor}"
    if name in SAME_MAJOR and not floor.startswith(f"{major}."):
        floor = f"{major}.0"
    return f"{name}>={floor},<{major + 1}"
