"""``requirements.txt`` of a job: nothing to do, an environment from the cache, or pip.

What isn't satisfied by the interpreter goes into an environment of its own below the cache, named by the content of
the file and the interpreter, built once and shared by all jobs; one that doesn't pin its versions is built anew each
week. The user's environment is never written to.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from . import venv

_PLAIN = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(?P<versions>([<>=!~]=?=?[^;]*)?)")
_VERSION = re.compile(r"(\d+(?:\.\d+)*)(?:\+[a-z0-9.]+)?")
_CLAUSE = re.compile(r"\s*(==|!=|>=|<=|~=|>|<)\s*(\d+(?:\.\d+)*)(\.\*)?\s*")
# lines that refer to more than the file says: other files, directories, archives
_REFERS = re.compile(
    r"^\s*(-r|-c|-e|--requirement|--constraint|--editable|-f|--find-links|\.|/|file:)|@\s*file:|\.whl\b"
)
_WEEK_SECONDS = 7 * 24 * 3600
# longer than any job may last: nobody works in an environment that wasn't asked for since
_UNUSED_SECONDS = 30 * 24 * 3600


class InstallationError(Exception):
    def __init__(self, code: int, command: list[str]) -> None:
        super().__init__(f"{' '.join(command)} ended with {code}")
        self.code = code
        self.command = command


class Overlay(NamedTuple):
    """Where requirements were installed."""

    bin: Path
    sites: Path


def satisfy(code: Path, cache: Path, parent: dict[str, Any]) -> Overlay | None:
    """Have the requirements in ``code`` at hand; None if the interpreter has them all already.

    ``parent``: :func:`venv.facts` of the interpreter. Raises InstallationError if pip fails.
    """
    lines = _lines((code / "requirements.txt").read_text(encoding="utf-8-sig", errors="replace"))
    if all(is_satisfied(line) for line in lines):
        return None
    if any(_REFERS.search(line) for line in lines):
        own = Path(sys.prefix)
        provide_pip()
        _pip(sys.executable, code)
        return Overlay(own / "bin", venv.site_directory(own, parent))
    overlay = cache / "requirements" / _key(lines, parent)
    with _locked(overlay):
        if (overlay / "complete").exists():
            os.utime(overlay / "complete")
        else:
            _remove_unused(overlay.parent)
            _build(overlay, code, parent)
    sites = venv.site_directory(overlay, parent)
    # the job's own environment sees it too, with its .pth files
    own_sites = venv.site_directory(Path(sys.prefix), parent)
    venv.link_sites(own_sites, [str(sites), *parent["sites"]])
    return Overlay(overlay / "bin", sites)


def _lines(text: str) -> list[str]:
    """Requirements, without comments and with continued lines joined."""
    joined = re.sub(r"\\\r?\n", "", text)
    stripped = (re.sub(r"(^|\s)#.*", "", line).strip() for line in joined.splitlines())
    return [line for line in stripped if line]


def is_satisfied(line: str) -> bool:
    """Whether the running interpreter surely has what ``line`` asks for; False where only pip could tell."""
    from importlib import metadata

    match = _PLAIN.fullmatch(line)
    if match is None:
        return False
    try:
        installed = metadata.version(match.group("name"))
    except metadata.PackageNotFoundError:
        return False
    clauses = match.group("versions").strip()
    return not clauses or all(_allows(clause, installed) for clause in clauses.split(","))


def _allows(clause: str, installed: str | None) -> bool:
    asked = _CLAUSE.fullmatch(clause)
    version = _VERSION.fullmatch(installed or "")
    if asked is None or version is None:
        return False
    operator, text, wildcard = asked.groups()
    have, want = _release(version.group(1)), _release(text)
    if wildcard or operator == "~=":
        count = len(text.split(".")) if wildcard else len(text.split(".")) - 1
        is_same = _padded(have, count)[:count] == _padded(want, count)[:count]
        return {"==": is_same, "!=": not is_same, "~=": is_same and count > 0 and have >= want}.get(operator, False)
    return {
        "==": have == want,
        "!=": have != want,
        ">=": have >= want,
        "<=": have <= want,
        ">": have > want,
        "<": have < want,
    }[operator]


def _release(text: str) -> list[int]:
    """Numbers of a version, without zeros at its end: 2.0 is 2."""
    numbers = [int(part) for part in text.split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return numbers


def _padded(numbers: list[int], count: int) -> list[int]:
    return numbers + [0] * (count - len(numbers))


def _key(lines: list[str], parent: dict[str, Any]) -> str:
    # an installation or removal in the parent changes its directory, and perhaps what is missing
    installed = [os.stat(site).st_mtime_ns for site in parent["sites"]]
    # jobs of the service get the newest of what isn't pinned
    week = None if all("==" in line for line in lines) else time.time() // _WEEK_SECONDS
    content = json.dumps([lines, parent, installed, week], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:32]


@contextlib.contextmanager
def _locked(overlay: Path) -> Iterator[None]:
    overlay.parent.mkdir(parents=True, exist_ok=True)
    with open(overlay.with_suffix(".lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _remove_unused(cache: Path) -> None:
    """Remove environments that no job has asked for in a long time."""
    for complete in cache.glob("*/complete"):
        if time.time() - complete.stat().st_mtime > _UNUSED_SECONDS:
            shutil.rmtree(complete.parent, ignore_errors=True)


def _build(overlay: Path, code: Path, parent: dict[str, Any]) -> None:
    """Make the environment; its last file says that it is whole."""
    if overlay.exists():
        shutil.rmtree(overlay)  # the remains of a build that was killed
    venv.derive(overlay, parent)
    python = str(overlay / "bin" / "python")
    provide_pip(python)
    _pip(python, code)
    (overlay / "complete").touch()


def provide_pip(python: str = sys.executable) -> None:
    """Give an environment pip if its parent has none."""
    if importlib.util.find_spec("pip") is None:
        subprocess.call([python, "-m", "ensurepip", "--default-pip"], stdout=subprocess.DEVNULL)


def _pip(python: str, code: Path) -> None:
    command = [python, "-m", "pip", "install", "-r", "requirements.txt"]
    print("Installing requirements.txt", flush=True)
    status = subprocess.call(command, cwd=code)
    if status:
        raise InstallationError(status, command)
