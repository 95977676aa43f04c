"""What goes into the tarball: the package, the launcher's own code, dependencies, the training script, the tuner."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import cloudtune
from cloudtune.errors import OptionError, ScriptError
from cloudtune.remote import layout
from cloudtune.remote.bundle import Bundle
from cloudtune.remote.packing import check_loads, pack
from cloudtune.remote.requirements import FLOORS, requirements
from tests.remote.support import local_tuner, training_script

REPOSITORY = Path(cloudtune.__file__).parents[1]

LAUNCHER = """
import helper
from cloudtune import StoppingCriterion, Tuner, uniform
from cloudtune.backends import LocalBackend
from cloudtune.baselines import RandomSearch
from cloudtune.callbacks.base import TunerCallback
from cloudtune.remote.packing import check_loads, pack

class OfTheScript(TunerCallback):
    def on_loop_end(self):
        return helper.answer()

tuner = Tuner(
    LocalBackend("code/train.py"), RandomSearch({"x": uniform(0, 1), "epochs": 1}, metric="loss"),
    StoppingCriterion(max_num_trials_started=1), n_workers=1, callbacks=[OfTheScript(), helper.OfTheHelper()],
)
upload = pack(tuner, [], True)
check_loads(upload)
print("python", upload.payload.python)
print(*upload.bundle.members, sep="\\n")
"""

HELPER = """
from cloudtune.callbacks.base import TunerCallback
import inner.deep

def answer():
    return 42

class OfTheHelper(TunerCallback):
    pass
"""


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def run_launcher(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "launch.py"],
        cwd=folder,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": "", "CLOUDTUNE_FOLDER": str(folder / "experiments")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_launcher_travels_with_its_classes_and_the_modules_beside_it(tmp_path: Path) -> None:
    write(tmp_path / "launch.py", LAUNCHER)
    write(tmp_path / "helper.py", HELPER)
    write(tmp_path / "inner" / "__init__.py", "")
    write(tmp_path / "inner" / "deep.py", "")
    write(tmp_path / "inner" / "loaded_later.py", "")
    write(tmp_path / "never_imported.py", "")
    write(tmp_path / "requirements.txt", "# my own\nsix>=1\n")
    training_script(tmp_path / "code")
    write(tmp_path / "code" / "model.py", "")
    done = run_launcher(tmp_path)
    assert done.returncode == 0, done.stderr
    python, *names = done.stdout.splitlines()
    assert python == f"python {sys.version_info.major}.{sys.version_info.minor}"
    assert {"launch.py", "helper.py", "inner/deep.py", "inner/loaded_later.py"} <= set(names)
    assert {"trial_source/train.py", "trial_source/model.py"} <= set(names)
    assert {"cloudtune_tuner.py", "tuner/tuner.dill", "requirements.txt", "cloudtune/tuner.py"} <= set(names)
    assert "never_imported.py" not in names
    assert not any("pycache" in name or "site-packages" in name for name in names)


def test_all_of_the_package_is_packed(tmp_path: Path) -> None:
    upload = pack(local_tuner(training_script(tmp_path)), [], True)
    package = REPOSITORY / "cloudtune"
    for path in package.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert f"cloudtune/{path.relative_to(package).as_posix()}" in upload.bundle.members


def test_dependencies_are_importable_by_their_names(tmp_path: Path) -> None:
    write(tmp_path / "lab" / "tools.py", "")
    upload = pack(local_tuner(training_script(tmp_path / "script")), [tmp_path / "lab"], True)
    assert "lab/tools.py" in upload.bundle.members


def test_the_scripts_requirements_are_installed_where_it_runs(tmp_path: Path) -> None:
    script = training_script(tmp_path)
    write(tmp_path / "requirements.txt", "scikit-learn\n")
    wanted = pack(local_tuner(script), [], True).bundle.members[layout.REQUIREMENTS].content.decode().splitlines()
    assert "scikit-learn" in wanted
    assert set(requirements()) <= set(wanted)


def test_what_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="dependency"):
        pack(local_tuner(training_script(tmp_path)), [tmp_path / "nowhere"], True)
    with pytest.raises(ScriptError, match=r"gone\.py"):
        pack(local_tuner(tmp_path / "gone.py"), [], True)


def test_a_tuner_that_cannot_be_loaded_elsewhere_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    upload = pack(local_tuner(training_script(tmp_path)), [], True)
    del upload.bundle.members["cloudtune/baselines/full_length.py"]
    with pytest.raises(OptionError, match=r"can't be loaded[\s\S]*cloudtune\.baselines"):
        check_loads(upload)


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    bundle = Bundle()
    bundle.add("a.py", b"one")
    bundle.add("a.py", b"one")
    with pytest.raises(OptionError, match=r"'a\.py'"):
        bundle.add("a.py", b"two")


def test_the_same_content_has_the_same_address(tmp_path: Path) -> None:
    one, two = Bundle(), Bundle()
    one.add("a", b"1")
    one.add("b", b"2")
    two.add("b", b"2")
    two.add("a", b"1")
    assert one.archive().sha256 == two.archive().sha256


def test_requirements_are_those_of_the_package() -> None:
    """Floors as in pyproject.toml, without what only the command needs."""
    declared = dict(re.findall(r'^  "(\w+)>=([\d.]+)"', (REPOSITORY / "pyproject.toml").read_text(), re.MULTILINE))
    assert {name: declared[name] for name in FLOORS} == FLOORS
    for line in requirements():
        assert re.fullmatch(r"\w+>=[\d.]+,<\d+", line)
