"""A checkpoint is whole or not there: after any kill, in any copy of single files, beside any other writer."""

from __future__ import annotations

import argparse
import json
import os
import pickle
import random
import shutil
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloudtune import checkpointing
from cloudtune.checkpointing import (
    CheckpointError,
    add_checkpointing_to_argparse,
    add_config_json_to_argparse,
    checkpoint_model_at_rung_level,
    latest_checkpoint,
    load_config_json,
    pytorch_load_save_functions,
    resume_from_checkpointed_model,
    save_checkpoint,
)
from tests.old_pythons import OLD_VERSIONS, copy_what_travels, interpreter

ROOT = Path(__file__).parent.parent

WRITER = '''
from pathlib import Path

def write(version, files=3, size=5000):
    """Several files, one in a folder, whose content tells their version."""
    def write_fn(path):
        for number in range(files):
            file = Path(path, "deep", f"{number}.bin") if number else Path(path, "0.bin")
            file.parent.mkdir(exist_ok=True)
            with file.open("wb") as stream:
                for _ in range(4):
                    stream.write(str(version).encode().rjust(8) * (size // 32))
                    stream.flush()
    return write_fn

def version_of(path, files=3, size=5000):
    """The one version of all files; raises if any is missing, cut short, or of another version."""
    found = sorted(file for file in Path(path).rglob("*") if file.is_file())
    assert len(found) == files, found
    content = {file.read_bytes() for file in found}
    assert len(content) == 1, "versions mixed"
    (block,) = content
    version = int(block[:8])
    assert block == str(version).encode().rjust(8) * (size // 32 * 4), "torn"
    return version
'''

_namespace: dict[str, Any] = {}
exec(WRITER, _namespace)
write: Callable[[int], Callable[[str], None]] = _namespace["write"]
version_of: Callable[[str], int] = _namespace["version_of"]


def save(directory: Path, version: int) -> None:
    save_checkpoint(directory, write(version), version)


def loaded(directory: Path) -> int:
    """The version that would be loaded, checked to be whole; 0 for none."""
    checkpoint = latest_checkpoint(directory)
    if checkpoint is None:
        return 0
    version = version_of(checkpoint.path)
    assert checkpoint.resource == version
    return version


def entries(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


# ---- saving and loading ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("there", [True, False])
def test_an_empty_or_missing_folder_holds_no_checkpoint(tmp_path: Path, there: bool) -> None:
    folder = tmp_path if there else tmp_path / "none"
    assert latest_checkpoint(folder) is None
    assert folder.exists() == there


def test_the_newest_is_loaded_and_the_one_before_stays(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "on the way"
    for version in range(1, 4):
        save(folder, version)
        assert loaded(folder) == version
    newest = latest_checkpoint(folder)
    assert newest is not None
    shutil.rmtree(newest.path)
    assert loaded(folder) == 2


def test_newest_means_written_last_not_furthest(tmp_path: Path) -> None:
    save(tmp_path, 9)
    save(tmp_path, 1)  # a trial that started again
    assert loaded(tmp_path) == 1


def test_superseded_checkpoints_go_however_many_come(tmp_path: Path) -> None:
    for version in range(1, 13):
        save(tmp_path, version)
    assert len(entries(tmp_path)) <= 2 * 4


def test_slow_checkpoints_leave_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpointing, "SETTLE_SECONDS", 0.0)
    for version in range(1, 6):
        save(tmp_path, version)
    assert len(entries(tmp_path)) == 2 * 2


def test_as_many_as_asked_for_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpointing, "SETTLE_SECONDS", 0.0)
    for version in range(1, 8):
        save_checkpoint(tmp_path, write(version), version, keep=4)
    assert len(entries(tmp_path)) == 2 * 4
    config = {"st_checkpoint_dir": str(tmp_path)}
    checkpoint_model_at_rung_level(config, lambda path, resource: write(resource)(path), 8, keep=3)
    assert len(entries(tmp_path)) == 2 * 3
    assert loaded(tmp_path) == 8


def test_one_alone_is_too_few(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"keep=1 .* Use 2"):
        save_checkpoint(tmp_path, write(1), 1, keep=1)
    assert entries(tmp_path) == []


def test_fast_checkpoints_leave_one_that_a_slow_copy_can_finish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(checkpointing, "time", types.SimpleNamespace(time=lambda: now))
    lives: dict[str, list[float]] = {}
    for version in range(1, 200):
        save_checkpoint(tmp_path, lambda path: Path(path, "a").touch(), version)
        for name in entries(tmp_path):
            if name.endswith(".json"):
                lives.setdefault(name, []).append(now)
        now += 1.0
        assert len(entries(tmp_path)) <= 2 * 4
    long_lives = [(seen[0], seen[-1]) for seen in lives.values() if seen[-1] - seen[0] >= 60]
    for begin in range(1000, 1060):
        end = begin + 59
        assert any(first <= begin and end <= last for first, last in long_lives), "a copy of 59 seconds has one whole"


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    others = ["notes.txt", "checkpoint-last.json", "checkpoint-12", "checkpoint-00000001-abcdefgh.txt"]
    for name in others:
        (tmp_path / name).write_text("mine")
    for version in range(1, 6):
        save(tmp_path, version)
    assert set(others) <= set(entries(tmp_path))
    assert loaded(tmp_path) == 5


def test_a_write_that_fails_leaves_everything_as_it_was(tmp_path: Path) -> None:
    save(tmp_path, 1)
    before = entries(tmp_path)

    def fails(path: str) -> None:
        write(2)(path)
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        save_checkpoint(tmp_path, fails, 2)
    assert entries(tmp_path) == before
    assert loaded(tmp_path) == 1


def test_writing_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"written no file.*os\.path\.join\(local_path"):
        save_checkpoint(tmp_path, lambda path: Path(path, "empty").mkdir(), 1)
    assert entries(tmp_path) == []


@pytest.mark.parametrize("target", ["0.bin", "deep"])
def test_a_symbolic_link_is_an_error(tmp_path: Path, target: str) -> None:
    def links(path: str) -> None:
        write(1)(path)
        Path(path, "latest").symlink_to(target)

    with pytest.raises(CheckpointError, match=r"symbolic link .*latest.* S3"):
        save_checkpoint(tmp_path, links, 1)
    assert latest_checkpoint(tmp_path) is None


# ---- damage ----------------------------------------------------------------------------------------------------------


def damage_shorter(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def damage_flipped(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def damage_gone(file: Path) -> None:
    file.unlink()


@pytest.mark.parametrize("damage", [damage_shorter, damage_flipped, damage_gone])
@pytest.mark.parametrize("pattern", ["*/0.bin", "*/deep/2.bin"])
def test_a_checkpoint_that_is_not_byte_for_byte_there_is_passed_over(
    tmp_path: Path, damage: Callable[[Path], None], pattern: str
) -> None:
    save(tmp_path, 1)
    save(tmp_path, 2)
    damage(max(tmp_path.glob(pattern)))
    assert loaded(tmp_path) == 1
    damage(min(tmp_path.glob(pattern)))
    assert loaded(tmp_path) == 0
    save(tmp_path, 3)
    assert loaded(tmp_path) == 3


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", '{"format": 2}', '{"format": 1}', '{"format": 1, "files": []}', "ä", "[" * 100_000],
    ids=range(9),
)
def test_a_manifest_that_says_nothing_commits_nothing(tmp_path: Path, content: str) -> None:
    save(tmp_path, 1)
    save(tmp_path, 2)
    max(tmp_path.glob("*.json")).write_text(content, encoding="utf-8")
    assert loaded(tmp_path) == 1


def test_a_manifest_without_files_commits_nothing(tmp_path: Path) -> None:
    save(tmp_path, 1)
    manifest = max(tmp_path.glob("*.json"))
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "files": {}}))
    assert loaded(tmp_path) == 0


# ---- kills -----------------------------------------------------------------------------------------------------------

# Kills the child before the n-th thing it does to a file, and at every line of the commit and of the user's function.
_KILL_AT_EVERY_STEP = (
    WRITER
    + """
import os, shutil, signal, sys
from cloudtune import checkpointing

FILE_EVENTS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.listdir", "os.scandir"}
root = Path(sys.argv[1])
checkpointing.SETTLE_SECONDS = 0.0
for version in (1, 2):
    checkpointing.save_checkpoint(root / "start", write(version, 2), version)

def child(folder, last):
    count = 0
    def step():
        nonlocal count
        count += 1
        if count == last:
            os.kill(os.getpid(), signal.SIGKILL)
    def audit(event, arguments):
        if event in FILE_EVENTS:
            step()
    def trace(frame, event, argument):
        if frame.f_code.co_name not in ("_commit", "write_fn"):
            return None
        if event == "line":
            step()
        return trace
    sys.addaudithook(audit)
    sys.settrace(trace)
    checkpointing.save_checkpoint(folder, write(3, 2), 3)
    os._exit(0)

seen, last = set(), 0
while True:
    last += 1
    folder = root / "trial"
    shutil.copytree(root / "start", folder)
    pid = os.fork()
    if pid == 0:
        child(folder, last)
    status = os.waitpid(pid, 0)[1]
    checkpoint = checkpointing.latest_checkpoint(folder)
    version = version_of(checkpoint.path, 2)
    assert version in (2, 3) and checkpoint.resource == version
    seen.add(version)
    checkpointing.save_checkpoint(folder, write(4, 2), 4)
    assert version_of(checkpointing.latest_checkpoint(folder).path, 2) == 4
    assert len(list(folder.iterdir())) == 4, "what the killed one left is cleared away"
    shutil.rmtree(folder)
    if status == 0:
        break
    assert os.WTERMSIG(status) == signal.SIGKILL
print(last, sorted(seen))
"""
)


def run_script(script: str, *arguments: str | Path, python: str = sys.executable, path: Path = ROOT) -> str:
    done = subprocess.run(
        [python, "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(path)},
        cwd=path,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_killed_between_any_two_steps_it_loads_the_old_or_the_new_one(tmp_path: Path) -> None:
    steps, versions = run_script(_KILL_AT_EVERY_STEP, tmp_path).split(maxsplit=1)
    assert int(steps) > 40
    assert versions.strip() == "[2, 3]"


_SAVE_FOR_EVER = (
    WRITER
    + """
import sys
from cloudtune.checkpointing import latest_checkpoint, save_checkpoint

last = latest_checkpoint(sys.argv[1])
version = version_of(last.path, size=200_000) if last else 0
print("from", version, flush=True)
while True:
    version += 1
    save_checkpoint(sys.argv[1], write(version, size=200_000), version)
    print(version, flush=True)
"""
)


def test_killed_at_random_moments_it_goes_on_from_the_last_commit(tmp_path: Path) -> None:
    dice = random.Random(0)
    committed = 0
    for _ in range(12):
        command = [sys.executable, "-c", _SAVE_FOR_EVER, str(tmp_path)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as p:
            assert p.stdout is not None
            start = int(p.stdout.readline().removeprefix("from "))
            assert start in (committed, committed + 1), "the last said, or the one that it had no time to say"
            for _ in range(dice.randrange(3)):
                committed = int(p.stdout.readline())
            for _ in range(dice.randrange(20_000)):
                pass
            p.kill()
            said = p.stdout.read().splitlines()
        committed = max([start, committed, *(int(line) for line in said if line)])
    assert committed > 0


# ---- copies ----------------------------------------------------------------------------------------------------------


def history(folder: Path, saves: int) -> list[dict[str, bytes]]:
    """What ``folder`` holds after every line that runs while checkpoints are written."""
    moments: list[dict[str, bytes]] = [{}]

    def look() -> None:
        now = {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
        if now != moments[-1]:
            moments.append(now)

    def trace(frame: types.FrameType, event: str, argument: object) -> Any:
        if frame.f_code.co_filename not in (checkpointing.__file__, "<string>"):
            return None
        sys.settrace(None)
        look()
        sys.settrace(trace)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for version in range(1, saves + 1):
            save_checkpoint(folder, write(version), version)
    finally:
        sys.settrace(before)
    look()
    return moments


@pytest.fixture(scope="module")
def moments(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, bytes]]:
    found = history(tmp_path_factory.mktemp("written"), 7)
    assert len(found) > 50
    return found


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_copy_that_takes_each_file_at_another_moment_is_never_torn(
    tmp_path_factory: pytest.TempPathFactory, moments: list[dict[str, bytes]], data: st.DataObject
) -> None:
    copy = tmp_path_factory.mktemp("copy")
    window = data.draw(st.integers(0, len(moments) - 1), label="first moment")
    late = data.draw(st.integers(window, min(len(moments) - 1, window + 40)), label="last moment")
    names = sorted({name for moment in moments[window : late + 1] for name in moment})
    for name in names:
        moment = moments[data.draw(st.integers(window, late), label=name)]
        if name in moment:
            target = copy / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(moment[name])
    version = loaded(copy)
    if window == late:
        manifests = [text for name, text in moments[late].items() if name.endswith(".json")]
        assert version == max((json.loads(text)["resource"] for text in manifests), default=0)
    save(copy, 8)
    assert loaded(copy) == 8
    shutil.rmtree(copy)


# ---- writers side by side --------------------------------------------------------------------------------------------

_TWO_WRITERS = (
    WRITER
    + """
import os, sys, threading
from cloudtune.checkpointing import latest_checkpoint, save_checkpoint

def work(first):
    for version in range(first, first + 15):
        save_checkpoint(sys.argv[1], write(version), version)
        found = latest_checkpoint(sys.argv[1])
        assert found is not None

children = []
for first in (100, 200):
    pid = os.fork()
    if pid == 0:
        threads = [threading.Thread(target=work, args=(first + more,)) for more in (0, 50)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        os._exit(0)
    children.append(pid)
assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0]
print(version_of(latest_checkpoint(sys.argv[1]).path))
"""
)


def test_processes_and_threads_take_turns(tmp_path: Path) -> None:
    assert int(run_script(_TWO_WRITERS, tmp_path)) in (114, 164, 214, 264)


# ---- the helpers for training scripts --------------------------------------------------------------------------------


def config_of(*arguments: str) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=3)
    add_checkpointing_to_argparse(parser)
    add_config_json_to_argparse(parser)
    return load_config_json(vars(parser.parse_args(arguments)))


def never(path: str) -> int:
    raise AssertionError(f"called with {path}")


def test_without_the_argument_checkpointing_is_off() -> None:
    config = config_of()
    assert config["st_checkpoint_dir"] is None
    checkpoint_model_at_rung_level(config, lambda path, resource: never(path), 1)
    assert resume_from_checkpointed_model(config, never) == 0
    assert resume_from_checkpointed_model({}, never) == 0


def test_an_empty_folder_starts_from_scratch(tmp_path: Path) -> None:
    assert resume_from_checkpointed_model(config_of("--st_checkpoint_dir", str(tmp_path)), never) == 0


def test_functions_get_a_folder_and_resume_where_they_were(tmp_path: Path) -> None:
    config = config_of("--st_checkpoint_dir", str(tmp_path / "checkpoints"))

    def save_model(local_path: str, resource: int) -> None:
        os.makedirs(local_path, exist_ok=True)  # as scripts written for Syne Tune do  # noqa: PTH103
        Path(local_path, "checkpoint.json").write_text(json.dumps({"epoch": resource}))

    def load_model(local_path: str) -> int:
        return int(json.loads(Path(local_path, "checkpoint.json").read_text())["epoch"])

    for epoch in (1, 2, 3):
        checkpoint_model_at_rung_level(config, save_model, epoch)
    assert resume_from_checkpointed_model(config, load_model) == 3
    assert resume_from_checkpointed_model(config, lambda path: 0) == 0, "it could not use it"
    assert resume_from_checkpointed_model(config, lambda path: None) == 3, "the recorded resource"


class Stateful:
    def __init__(self, value: Any) -> None:
        self.value = value

    def state_dict(self) -> dict[str, Any]:
        return {"value": self.value}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.value = state["value"]


def test_pytorch_functions_bring_every_state_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the two functions of torch that they use; ``test_pytorch_itself`` has the real ones where they are."""

    def dump(content: object, path: str) -> None:
        Path(path).write_bytes(pickle.dumps(content))

    def load(path: str, map_location: str) -> Any:
        assert map_location == "cpu"
        return pickle.loads(Path(path).read_bytes())

    torch = types.ModuleType("torch")
    torch.__dict__.update(save=dump, load=load)
    monkeypatch.setitem(sys.modules, "torch", torch)
    config = {"st_checkpoint_dir": str(tmp_path)}
    saved = {"model": Stateful(1), "optimizer": Stateful([2])}
    _, save_model = pytorch_load_save_functions(saved, {"best": 0.5})
    checkpoint_model_at_rung_level(config, save_model, 4)

    fresh, state = {"model": Stateful(0), "optimizer": Stateful(0)}, {"best": 0.0, "new": 1}
    load_model, _ = pytorch_load_save_functions(fresh, state)
    assert resume_from_checkpointed_model(config, load_model) == 4
    assert (fresh["model"].value, fresh["optimizer"].value, state) == (1, [2], {"best": 0.5, "new": 1})

    load_model, _ = pytorch_load_save_functions({"net": Stateful(0)})
    with pytest.raises(CheckpointError, match=r"\['model', 'optimizer'\].*\['net'\]"):
        resume_from_checkpointed_model(config, load_model)


def test_pytorch_itself(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    config = {"st_checkpoint_dir": str(tmp_path)}
    best = {"best": np.float64(1)}
    checkpoint_model_at_rung_level(config, pytorch_load_save_functions({"m": model, "o": optimizer}, best)[1], 7)
    other, state = torch.nn.Linear(2, 1), {"best": 0.0}
    fresh = torch.optim.Adam(other.parameters())
    assert resume_from_checkpointed_model(config, pytorch_load_save_functions({"m": other, "o": fresh}, state)[0]) == 7
    assert torch.equal(other.weight, model.weight)
    assert state == {"best": 1}


def test_a_configuration_in_a_file_joins_the_arguments(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"epochs": 9, "layers": [1, 2], "loss": float("inf")}))
    config = config_of("--st_config_json_filename", str(file), "--st_checkpoint_dir", "there")
    assert config == {
        "epochs": 9,
        "layers": [1, 2],
        "loss": float("inf"),
        "st_checkpoint_dir": "there",
        "st_config_json_filename": str(file),
    }
    assert config_of("--epochs", "4")["epochs"] == 4


@pytest.mark.parametrize(("content", "says"), [("{", "not JSON"), ("[1]", "a list, not an object")])
def test_a_file_that_holds_no_configuration_is_named(tmp_path: Path, content: str, says: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(content)
    with pytest.raises(ValueError, match=rf"config\.json.*{says}"):
        config_of("--st_config_json_filename", str(file))


# ---- in other people's images ----------------------------------------------------------------------------------------

_IN_A_CONTAINER = (
    WRITER
    + """
import sys
from cloudtune.checkpointing import checkpoint_model_at_rung_level, on_sigterm, resume_from_checkpointed_model

config = {"st_checkpoint_dir": sys.argv[1]}
for epoch in (1, 2, 3):
    with on_sigterm(lambda: None):
        checkpoint_model_at_rung_level(config, lambda path, resource: write(resource)(path), epoch)
print(resume_from_checkpointed_model(config, version_of))
"""
)


@pytest.mark.parametrize("version", OLD_VERSIONS)
def test_it_works_on_old_pythons(tmp_path: Path, version: str) -> None:
    path = copy_what_travels(tmp_path / "site")
    assert run_script(_IN_A_CONTAINER, tmp_path / "c", python=interpreter(version), path=path) == "3\n"
