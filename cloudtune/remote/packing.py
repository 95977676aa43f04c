"""Everything a tuner needs to run elsewhere, in one tarball."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cloudtune
from cloudtune.errors import OptionError, ScriptError
from cloudtune.remote import entry, layout
from cloudtune.remote.bundle import Bundle
from cloudtune.remote.payload import Payload, pack_tuner
from cloudtune.remote.requirements import requirements
from cloudtune.remote.user_code import add_user_code, launcher_script
from cloudtune.tuner import Tuner


@dataclass(frozen=True)
class Upload:
    """What goes to S3: ``bundle`` as the job's source, with ``payload`` in it."""

    bundle: Bundle
    payload: Payload


def pack(tuner: Tuner, dependencies: Sequence[Path], moves_script: bool) -> Upload:
    """The package itself, the launcher's code, the dependencies, the tuner; with ``moves_script`` the folder of the
    backend's training script, too.

    Raises ``OptionError`` or ``ScriptError`` for what can't travel.
    """
    payload = pack_tuner(tuner)
    bundle = Bundle()
    bundle.add(layout.ENTRY_POINT, Path(entry.__file__))
    bundle.add(layout.PAYLOAD, payload.content)
    bundle.add_tree("cloudtune", Path(cloudtune.__file__).parent)
    wanted = requirements()
    script = tuner.trial_backend.entry_point
    if moves_script and script is not None:
        if not script.is_file():
            raise ScriptError(f"entry_point={str(script)!r} doesn't exist", "give the path of the training script")
        bundle.add_tree(layout.TRIAL_SOURCE, script.absolute().parent)
        wanted += _lines(script.absolute().parent / layout.REQUIREMENTS)
    for folder in dependencies:
        if not folder.is_dir():
            raise OptionError(f"dependency {str(folder)!r} is no folder", "dependencies are folders on this machine")
        bundle.add_tree(folder.resolve().name, folder)
    add_user_code(bundle, payload.modules)
    launcher = launcher_script()
    if launcher is not None and launcher.with_name(layout.REQUIREMENTS).is_file():
        wanted += _lines(launcher.with_name(layout.REQUIREMENTS))
    bundle.add(layout.REQUIREMENTS, "".join(f"{line}\n" for line in dict.fromkeys(wanted)).encode())
    return Upload(bundle, payload)


def check_loads(upload: Upload) -> None:
    """Load the tuner from nothing but what was packed, in a process of its own.

    Raises ``OptionError`` with what that process said, if it can't be loaded.
    """
    with tempfile.TemporaryDirectory(prefix="cloudtune-check-") as folder:
        upload.bundle.unpack(Path(folder))
        checked = subprocess.run(
            [sys.executable, layout.ENTRY_POINT, "--check", "--tuner_sha256", upload.payload.sha256],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(_package_folders())},
            capture_output=True,
            text=True,
            check=False,
        )
    if checked.returncode:
        said = (checked.stderr.strip() or checked.stdout.strip()).splitlines()
        raise OptionError(
            "the tuner can't be loaded from what would be sent:\n  " + "\n  ".join(said[-6:]),
            "pass the folders its code is in as dependencies; name packages from an index in a requirements.txt next "
            "to the launcher script",
        )


def _package_folders() -> list[str]:
    """Where this process has the packages from that an image brings."""
    specs = [importlib.util.find_spec(name) for name in entry.NEEDED]
    return sorted({str(Path(spec.origin).parents[1]) for spec in specs if spec is not None and spec.origin})


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        return []
    lines = [line.strip() for line in path.read_text().splitlines()]
    return [line for line in lines if line and not line.startswith("#")]
