"""The runner of script mode: what ``train`` is in an image with the ``sagemaker-training`` toolkit.

Unpacks the source, installs what it requires, runs the entry point, and leaves the toolkit's exit codes and files:
``output/success``, or ``output/failure`` and exit code 1.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

from . import requirements
from .script_mode import Training

_NAME = re.compile(r"[A-Za-z0-9._][A-Za-z0-9._+-]*(/[A-Za-z0-9._+-]+)*")


class JobError(Exception):
    """The job fails by its own fault."""


class CommandError(JobError):
    """A command of the job failed; told in the toolkit's format, which failure reasons are read by."""

    def __init__(self, kind: str, code: int, command: list[str]) -> None:
        extra = '\nExtraInfo "OutOfMemory: Process killed by SIGKILL (signal 9)"' if code == 137 else ""
        text = f'{kind}:\nExitCode {code}\nErrorMessage ""{extra}\nCommand "{" ".join(command)}"'
        super().__init__(text)


def main(arguments: list[str]) -> int:
    """``arguments``: the plan, as JSON; keys ``base``, ``source`` (or null), ``python``, ``parent``, ``cache``."""
    plan = json.loads(arguments[0])
    output = Path(plan["base"]) / "output"
    try:
        _run(plan, Training(plan["base"]))
    except JobError as error:
        return _fail(output, str(error), 1)
    except Exception as error:  # noqa: BLE001 - whatever it is, the job has failed by it, and its reason is told
        message = f"Framework Error: \n{traceback.format_exc()}\n{error}"
        return _fail(output, message, getattr(error, "errno", None) or 1)
    (output / "success").touch()
    return 0


def _fail(output: Path, message: str, code: int) -> int:
    failure = output / "failure"
    if not failure.exists():
        failure.write_text(message, encoding="utf-8", errors="replace")
    print(message, file=sys.stderr, flush=True)
    return code


def _run(plan: dict[str, Any], training: Training) -> None:
    code = training.code_directory
    _unpack(plan["source"] or training.source, code)
    entry_point = _checked(training.entry_point, code)
    kind = _kind(entry_point, code)
    path = [code, *(each for each in sys.path if each != code)]
    overlay = None
    if kind == "package":
        _install(code)
    elif kind == "program" and os.path.exists(os.path.join(code, "requirements.txt")):
        overlay = _require(plan, code)
    elif kind == "command":
        os.chmod(os.path.join(code, entry_point), 0o777)
    environment = dict(os.environ, **training.variables())
    if overlay:
        path[1:1] = [str(overlay.sites)]
        environment["PATH"] = f"{overlay.bin}{os.pathsep}{environment.get('PATH', os.defpath)}"
    environment["PYTHONPATH"] = os.pathsep.join(path)
    if training.distributions:
        asked = ", ".join(training.distributions)
        print(f"cloudtune sandbox: {asked} isn't carried out here; the script runs as one process", flush=True)
    command = _command(kind, entry_point, training.arguments())
    _call("ExecuteUserScriptError", command, code, environment)


def _call(failure: str, command: list[str], directory: str, environment: dict[str, str] | None = None) -> None:
    status = subprocess.call(command, cwd=directory, env=environment)
    if status:
        raise CommandError(failure, status, command)


def _checked(name: Any, code: str) -> str:
    """The entry point's name, if it is a plain path inside the source."""
    if not name:
        raise JobError("The entry point has no name: set the hyperparameter 'sagemaker_program' to the script to run.")
    if not _NAME.fullmatch(name) or {".", ".."} & set(name.split("/")):
        raise JobError(
            f"The entry point {name!r} isn't a path inside the source made of letters, digits and '._+-/': "
            "rename the script and set the hyperparameter 'sagemaker_program' to its path, such as 'train.py'."
        )
    if not os.path.realpath(os.path.join(code, name)).startswith(os.path.realpath(code) + os.sep):
        raise JobError(f"The entry point {name!r} lies outside the source: give a path inside it, such as 'train.py'.")
    return str(name)


def _kind(name: str, code: str) -> str:
    if name.endswith(".sh"):
        return "command"
    if os.path.exists(os.path.join(code, "setup.py")):
        return "package"
    return "program" if name.endswith(".py") else "command"


def _command(kind: str, name: str, arguments: list[str]) -> list[str]:
    if kind == "package":
        return [sys.executable, "-m", re.sub(r"\.py$", "", name), *arguments]
    if kind == "program":
        return [sys.executable, "--", name, *arguments]
    return ["/bin/sh", "-c", "./{} {}".format(shlex.quote(name), " ".join(shlex.quote(each) for each in arguments))]


def _install(code: str) -> None:
    """Install the package into the job's own environment."""
    command = [sys.executable, "-m", "pip", "install", "."]
    if os.path.exists(os.path.join(code, "requirements.txt")):
        command += ["-r", "requirements.txt"]
    requirements.provide_pip()
    _call("InstallModuleError", command, code)


def _require(plan: dict[str, Any], code: str) -> requirements.Overlay | None:
    """Have the requirements at hand; where they went, if they weren't."""
    try:
        return requirements.satisfy(Path(code), Path(plan["cache"]), plan["parent"])
    except requirements.InstallationError as error:
        raise CommandError("InstallRequirementsError", error.code, error.command) from error


def _unpack(source: str, code: str) -> None:
    """Put the submitted source into ``code``, unless something is there already."""
    os.makedirs(code, exist_ok=True)
    if os.listdir(code):
        return
    import shutil
    import tarfile

    if os.path.isdir(source):
        shutil.copytree(source, code, dirs_exist_ok=True, symlinks=True)
    elif tarfile.is_tarfile(source):
        with tarfile.open(source) as archive:
            _extract(archive, code)
    else:
        shutil.copy2(source, code)


def _extract(archive: Any, code: str) -> None:
    """Unpack what stays inside ``code``; name the rest in the log."""
    inside = os.path.realpath(code) + os.sep
    for member in archive.getmembers():
        target = os.path.realpath(os.path.join(code, member.name))
        link = os.path.join(os.path.dirname(target) if member.issym() else code, member.linkname)
        is_link = member.issym() or member.islnk()
        fits = target + os.sep == inside or target.startswith(inside)
        if is_link and not os.path.realpath(link).startswith(inside):
            fits = False
        if fits and (member.isreg() or member.isdir() or is_link):
            member.mode = (member.mode & 0o755) | (0o700 if member.isdir() else 0o600)
            archive.extract(member, code, set_attrs=True)
        else:
            print(
                f"cloudtune sandbox: {member.name!r} of the source archive is left out: not inside the source",
                flush=True,
            )
