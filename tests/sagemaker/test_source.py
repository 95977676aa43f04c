"""The script's folder as an archive."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from cloudtune.errors import ScriptError
from cloudtune.sagemaker import source as source_module
from cloudtune.sagemaker.source import REPORTER_FILES, Member, ScriptSource, SourceArchive, with_reporter

OURS = {f"cloudtune/{name}" for name in REPORTER_FILES}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "code"
    (root / "lib").mkdir(parents=True)
    (root / "train.py").write_text("from cloudtune import Reporter\nReporter()(acc=0.5)\n")
    (root / "requirements.txt").write_text("numpy\n")
    (root / "lib" / "__init__.py").write_text("")
    return root


def theirs(archive: SourceArchive) -> set[str]:
    return set(archive.members()) - OURS


def test_a_script_alone_travels_with_the_requirements_beside_it(folder: Path) -> None:
    source = ScriptSource(folder / "train.py")
    assert source.program == "train.py"
    assert theirs(source.pack()) == {"train.py", "requirements.txt"}


def test_a_folder_travels_whole(folder: Path) -> None:
    (folder / "jobs").mkdir()
    (folder / "jobs" / "train.py").write_text("")
    source = ScriptSource(Path("jobs/train.py"), folder)
    assert source.program == "jobs/train.py"
    assert theirs(source.pack()) == {"train.py", "requirements.txt", "lib/__init__.py", "jobs/train.py"}


def test_dependencies_are_importable_by_their_names(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "helpers" / "deep").mkdir(parents=True)
    (tmp_path / "helpers" / "deep" / "x.py").write_text("")
    (tmp_path / "single.py").write_text("")
    source = ScriptSource(folder / "train.py", None, (tmp_path / "helpers", tmp_path / "single.py"))
    assert theirs(source.pack()) >= {"helpers/deep/x.py", "single.py"}


def test_in_any_image_the_script_can_import_the_reporter(folder: Path, tmp_path: Path) -> None:
    archive = ScriptSource(Path("train.py"), folder).pack()
    place = tmp_path / "container"
    with tarfile.open(fileobj=BytesIO(archive.content)) as packed:
        packed.extractall(place, filter="data") if sys.version_info >= (3, 12) else packed.extractall(place)
    done = subprocess.run(
        [sys.executable, "-S", "-E", "train.py"], cwd=place, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.startswith('[tune-metric]: {"acc": 0.5')


def test_the_same_files_give_the_same_bytes_whenever_and_wherever_they_are_packed(folder: Path, tmp_path: Path) -> None:
    first = ScriptSource(Path("train.py"), folder).pack()
    os.utime(folder / "train.py", (1, 1))
    other = tmp_path / "elsewhere"
    folder.rename(other)
    second = ScriptSource(Path("train.py"), other).pack()
    assert first.content == second.content
    assert first.sha256 == second.sha256
    (other / "train.py").write_text("changed")
    assert ScriptSource(Path("train.py"), other).pack().sha256 != first.sha256


def test_what_is_no_source_stays_behind(folder: Path) -> None:
    for name in (".git/config", "lib/__pycache__/x.cpython-311.pyc", "venv/pyvenv.cfg", "venv/lib/y.py", "a.pyc"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    assert theirs(ScriptSource(Path("train.py"), folder).pack()) == {"train.py", "requirements.txt", "lib/__init__.py"}


def test_links_are_followed_once(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "s.py").write_text("")
    (folder / "linked").symlink_to(tmp_path / "shared")
    (folder / "loop").symlink_to(folder)
    names = theirs(ScriptSource(Path("train.py"), folder).pack())
    assert "linked/s.py" in names
    assert not any(name.startswith("loop/") for name in names)


def test_executables_stay_executable(folder: Path) -> None:
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    members = ScriptSource(Path("train.py"), folder).pack().members()
    assert members["run.sh"].executable
    assert not members["train.py"].executable


def test_a_folder_of_data_is_refused_with_its_largest_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "weights.bin").write_bytes(b"x" * 3_000_000)
    monkeypatch.setattr(source_module, "MAX_BYTES", 2_000_000)
    with pytest.raises(ScriptError, match=r"weights.bin \(3 MB\)"):
        ScriptSource(Path("train.py"), folder).pack()


@pytest.mark.parametrize("name", ["cloudtune/mine.py", "cloudtune.py"])
def test_a_user_s_own_cloudtune_would_hide_the_reporter(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("")
    with pytest.raises(ScriptError, match="hides the package"):
        ScriptSource(Path("train.py"), folder).pack()


def test_a_copy_of_this_package_that_the_user_brings_is_left_alone() -> None:
    members = {f"cloudtune/{name}": Member(b"theirs") for name in ("__init__.py", "version.py", "report.py")}
    assert with_reporter(members) == members


def test_an_archive_made_elsewhere_is_read_whatever_its_names_look_like() -> None:
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        info = tarfile.TarInfo("./train.py")
        info.size = 1
        archive.addfile(info, BytesIO(b"x"))
    assert SourceArchive(buffer.getvalue()).members() == {"train.py": Member(b"x")}
    with pytest.raises(ScriptError, match="can't be read"):
        SourceArchive(b"no archive").members()


@pytest.mark.parametrize(
    ("entry_point", "source_dir", "complaint"),
    [
        ("nowhere.py", None, "doesn't exist"),
        ("nowhere.py", ".", "doesn't exist in"),
        ("train.py", "nowhere", "is no folder"),
        ("../outside.py", ".", "is not inside"),
    ],
)
def test_what_is_not_there_is_named(folder: Path, entry_point: str, source_dir: str | None, complaint: str) -> None:
    (folder.parent / "outside.py").write_text("")
    given = None if source_dir is None else folder / source_dir
    with pytest.raises(ScriptError, match=complaint):
        ScriptSource(Path(entry_point) if given else folder / entry_point, given)
    with pytest.raises(ScriptError, match="dependency"):
        ScriptSource(folder / "train.py", None, (folder / "nowhere",))
