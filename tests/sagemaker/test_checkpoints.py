"""Checkpoints in S3 are whole or not there: whatever SageMaker has copied of them, wherever we are cut short."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from cloudtune.aws import Aws, S3Uri, objects
from cloudtune.aws.copies import CopyLimits
from cloudtune.backends.base import TellsCheckpoints
from cloudtune.baselines import ASHA
from cloudtune.checkpointing import latest_checkpoint, save_checkpoint
from cloudtune.engine.stopping import StoppingCriterion
from cloudtune.errors import TransientError, UnreachableError
from cloudtune.sagemaker.checkpoints import copy_checkpoint, delete_checkpoint, newest_commit
from cloudtune.sagemaker.layout import ExperimentLayout
from cloudtune.sandbox import Sandbox
from tests.aws.s3_faults import Killed, answer, fails_first, tampered, unretried
from tests.sagemaker.support import opened
from tests.tuning import SPACE
from tests.virtual import virtual

Files = Mapping[str, bytes]


def layout_of(account: Sandbox, name: str) -> ExperimentLayout:
    return ExperimentLayout(S3Uri(account.bucket, f"checkpoints/{name}/"))


def written(folder: Path, *versions: int) -> dict[str, bytes]:
    """What a script keeps that has saved these versions: each two files that say which they are of."""
    for version in versions:

        def write(path: str, version: int = version) -> None:
            Path(path, "weights").write_text(str(version) * 40)
            Path(path, "deep").mkdir()
            Path(path, "deep", "optimizer").write_text(str(version) * 20)

        save_checkpoint(folder, write, version)
    return content_of(folder)


def content_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def upload(aws: Aws, prefix: S3Uri, files: Files) -> None:
    for name, content in files.items():
        objects.put(aws, prefix / name, content)


def downloaded(aws: Aws, prefix: S3Uri) -> dict[str, bytes]:
    below = len(prefix.as_prefix.key)
    return {stored.uri.key[below:]: objects.get(aws, stored.uri) for stored in objects.listed(aws, prefix)}


def loaded(files: Files, folder: Path) -> int:
    """The version that a job which finds these files goes on from, checked to be whole; 0: from scratch."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    found = latest_checkpoint(folder)
    if found is None:
        return 0
    version = found.resource
    assert Path(found.path, "weights").read_text() == str(version) * 40
    assert Path(found.path, "deep", "optimizer").read_text() == str(version) * 20
    return version


def manifests(files: Files) -> list[str]:
    return sorted(name for name in files if name.endswith(".json"))


# -- copies ------------------------------------------------------------------------------------------------------------


def test_a_copy_holds_the_newest_checkpoint_and_nothing_else(account: Sandbox, tmp_path: Path) -> None:
    aws, layout = unretried(), layout_of(account, "newest")
    files = written(tmp_path / "script", 1, 2)
    upload(aws, layout.checkpoints(0), {**files, "notes.txt": b"mine"})
    upload(aws, layout.checkpoints(1), {"stale": b"x", **written(tmp_path / "other", 9)})
    assert copy_checkpoint(aws, layout, 0, 1) == 3
    found = downloaded(aws, layout.checkpoints(1))
    assert len(found) == 3
    assert loaded(found, tmp_path / "job") == 2
    assert downloaded(aws, layout.checkpoints(0)) == {**files, "notes.txt": b"mine"}
    assert copy_checkpoint(aws, layout, 0, 1) == 0, "all of it is there"


def test_a_checkpoint_that_is_not_all_there_is_passed_over(account: Sandbox, tmp_path: Path) -> None:
    aws, layout = unretried(), layout_of(account, "torn")
    files = written(tmp_path / "script", 1, 2)
    newest = manifests(files)[-1].removesuffix(".json")
    torn = {**files, f"{newest}/weights": files[f"{newest}/weights"][:-1]}
    upload(aws, layout.checkpoints(0), torn)
    copy_checkpoint(aws, layout, 0, 1)
    assert loaded(downloaded(aws, layout.checkpoints(1)), tmp_path / "job") == 1


def test_parts_of_checkpoints_alone_are_not_copied(
    account: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    aws, layout = unretried(), layout_of(account, "parts")
    files = written(tmp_path / "script", 1)
    upload(aws, layout.checkpoints(0), {name: each for name, each in files.items() if not name.endswith(".json")})
    upload(aws, layout.checkpoints(1), {"stale": b"x"})
    assert copy_checkpoint(aws, layout, 0, 1) == 0
    assert downloaded(aws, layout.checkpoints(1)) == {}
    assert "none that is whole" in caplog.text


def test_what_scripts_write_in_their_own_way_is_copied_as_it_is(account: Sandbox) -> None:
    aws, layout = unretried(), layout_of(account, "own")
    files = {"checkpoint-500/model.bin": b"m", "last.json": b"{}"}
    upload(aws, layout.checkpoints(0), files)
    assert copy_checkpoint(aws, layout, 0, 1) == 2
    assert downloaded(aws, layout.checkpoints(1)) == files


def test_large_checkpoints_are_copied_in_parts_with_the_manifest_last(account: Sandbox, tmp_path: Path) -> None:
    aws, layout = unretried(), layout_of(account, "large")
    save_checkpoint(tmp_path, lambda path: Path(path, "model").write_bytes(b"0123456789abcdef" * 786_433), 1)
    files = content_of(tmp_path)
    upload(aws, layout.checkpoints(0), files)
    asked: list[str] = []
    for operation in ("CompleteMultipartUpload", "CopyObject"):
        tampered(aws, operation, lambda request: asked.append(request.url))
    copy_checkpoint(aws, layout, 0, 1, CopyLimits(single=8 << 20, part=5 << 20))
    assert downloaded(aws, layout.checkpoints(1)) == files
    assert [".json" in url for url in asked] == [False, True]


def test_a_copy_killed_anywhere_leaves_nothing_torn_and_is_continued(account: Sandbox, tmp_path: Path) -> None:
    files = written(tmp_path / "script", 1)
    for step in range(len(files) + 1):
        aws, layout = unretried(), layout_of(account, f"killed-{step}")
        upload(aws, layout.checkpoints(0), files)
        upload(aws, layout.checkpoints(1), written(tmp_path / f"other-{step}", 7))
        left = [step]

        def dies(request: Any, left: list[int] = left) -> AWSResponse | None:
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return None

        tampered(aws, "CopyObject", dies)
        try:
            copy_checkpoint(aws, layout, 0, 1)
        except Killed:
            found = downloaded(aws, layout.checkpoints(1))
            assert loaded(found, tmp_path / f"job-{step}") == 0
            assert not manifests(found)
        else:
            assert step == len(files)
        again = unretried()
        before = len(downloaded(again, layout.checkpoints(1)))
        assert copy_checkpoint(again, layout, 0, 1) == len(files) - before
        assert downloaded(again, layout.checkpoints(1)) == files


def test_a_source_that_moves_on_is_looked_at_again(account: Sandbox, tmp_path: Path) -> None:
    aws, layout = unretried(), layout_of(account, "moves-on")
    files = written(tmp_path / "script", 1, 2)
    first, second = manifests(files)
    old = {name: each for name, each in files.items() if name.startswith(first.removesuffix(".json"))}
    upload(aws, layout.checkpoints(0), old)
    moved: list[int] = []

    def moves_on(request: Any) -> None:
        if not moved:
            moved.append(1)
            other = unretried()
            upload(other, layout.checkpoints(0), {name: each for name, each in files.items() if name not in old})
            objects.delete(other, [layout.checkpoints(0) / name for name in old])

    tampered(aws, "CopyObject", moves_on)
    copy_checkpoint(aws, layout, 0, 1)
    found = downloaded(aws, layout.checkpoints(1))
    assert manifests(found) == [second]
    assert loaded(found, tmp_path / "job") == 2


def test_a_source_that_never_rests_holds_the_launch_and_fails_nothing(account: Sandbox, tmp_path: Path) -> None:
    aws, layout = unretried(), layout_of(account, "restless")
    upload(aws, layout.checkpoints(0), written(tmp_path, 1))
    looks = tampered(aws, "ListObjectsV2", lambda request: None)
    tampered(aws, "CopyObject", lambda request: answer(request, 412, "PreconditionFailed"))
    with pytest.raises(UnreachableError, match="changes faster than it can be copied to trial 1"):
        copy_checkpoint(aws, layout, 0, 1)
    assert looks["ListObjectsV2"] == 10


def test_throttling_in_the_middle_is_survived(account: Sandbox, tmp_path: Path) -> None:
    aws, layout = unretried(), layout_of(account, "throttled")
    files = written(tmp_path / "script", 3)
    upload(aws, layout.checkpoints(0), files)
    tampered(aws, "CopyObject", fails_first(2))
    assert copy_checkpoint(aws, layout, 0, 1) == 3
    assert downloaded(aws, layout.checkpoints(1)) == files


# -- deletions ---------------------------------------------------------------------------------------------------------


def test_a_deletion_takes_the_manifests_first(
    account: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "MAX_BATCH", 1)
    files = written(tmp_path / "script", 1, 2)
    for step in range(4):
        aws, layout = unretried(), layout_of(account, f"deleted-{step}")
        upload(aws, layout.checkpoints(0), files)
        upload(aws, layout.checkpoints(1), {"of-another-trial": b"x"})
        left = [step]

        def dies(request: Any, left: list[int] = left) -> AWSResponse | None:
            left[0] -= 1
            return answer(request, 503, "SlowDown") if left[0] < 0 else None

        tampered(aws, "DeleteObjects", dies)
        with pytest.raises(TransientError):
            delete_checkpoint(aws, layout, 0)
        found = downloaded(aws, layout.checkpoints(0))
        assert len(found) == len(files) - step
        assert len(manifests(found)) == max(0, 2 - step)
        again = unretried()
        delete_checkpoint(again, layout, 0)
        delete_checkpoint(again, layout, 0)
        assert downloaded(again, layout.root) == {"trials/00001/checkpoints/of-another-trial": b"x"}


# -- what SageMaker has copied -----------------------------------------------------------------------------------------


def states(files: Files, dice: random.Random, count: int) -> list[dict[str, bytes]]:
    """What a sync may have brought to S3 by some moment: of each file nothing, its beginning, or all of it."""
    found = []
    for _ in range(count):
        state = {}
        for name, content in files.items():
            kind = dice.random()
            if kind < 0.7:
                state[name] = content
            elif kind < 0.85:
                state[name] = content[: dice.randrange(len(content))]
        found.append(state)
    return found


def whole_versions(state: Files, versions: Mapping[int, Files]) -> list[int]:
    """Versions all of whose files, manifest included, are there byte for byte."""
    return [version for version, files in versions.items() if all(state.get(name) == files[name] for name in files)]


def by_version(files: Files) -> dict[int, dict[str, bytes]]:
    found = {}
    for manifest in manifests(files):
        stem = manifest.removesuffix(".json")
        found[int(json.loads(files[manifest])["resource"])] = {
            name: content for name, content in files.items() if name == manifest or name.startswith(f"{stem}/")
        }
    return found


@pytest.mark.parametrize("hosts", [1, 2])
def test_whatever_a_sync_has_brought_a_resume_takes_the_newest_that_is_whole(tmp_path: Path, hosts: int) -> None:
    """On several hosts each writes its own, under the same sequence numbers, into one prefix."""
    files: dict[str, bytes] = {}
    for host in range(hosts):
        files.update(written(tmp_path / f"host-{host}", *(10 * version + host for version in (1, 2, 3))))
    versions = by_version(files)
    assert len(versions) == 3 * hosts
    seen = set()
    for number, state in enumerate(states(files, random.Random(hosts), 150)):
        version = loaded(state, tmp_path / f"job-{number}")
        assert version == max(whole_versions(state, versions), default=0)
        seen.add(version)
    assert seen == {0, *versions}


def test_whatever_a_sync_has_brought_a_copy_takes_the_newest_that_is_whole(account: Sandbox, tmp_path: Path) -> None:
    files = written(tmp_path / "script", 1, 2)
    aws, versions, seen = unretried(), by_version(files), set()
    for number, state in enumerate(states(files, random.Random(5), 20)):
        layout = layout_of(account, f"sync-{number}")
        upload(aws, layout.checkpoints(0), state)
        copy_checkpoint(aws, layout, 0, 1)
        found = downloaded(aws, layout.checkpoints(1))
        version = loaded(found, tmp_path / f"job-{number}")
        assert version == max(whole_versions(state, versions), default=0)
        assert found == versions.get(version, {}), "and nothing but it"
        seen.add(version)
    assert seen == {0, 1, 2}


def test_every_prefix_of_every_file_is_no_checkpoint(tmp_path: Path) -> None:
    """At every single byte."""
    files = written(tmp_path / "script", 1)
    count = 0
    for name, content in files.items():
        for length in range(len(content)):
            count += 1
            assert loaded({**files, name: content[:length]}, tmp_path / "job") == 0
    assert count > 300
    assert loaded(files, tmp_path / "job") == 1


# -- how old it is -----------------------------------------------------------------------------------------------------


def test_the_age_of_the_newest_commit_is_one_call(account: Sandbox, tmp_path: Path) -> None:
    aws, layout = unretried(), layout_of(account, "age")
    assert newest_commit(aws, layout, 0) is None
    files = written(tmp_path / "script", 1)
    unfinished = {name: each for name, each in files.items() if not name.endswith(".json")}
    upload(aws, layout.checkpoints(0), unfinished)
    assert newest_commit(aws, layout, 0) is None
    upload(aws, layout.checkpoints(0), files)
    upload(aws, layout.checkpoints(0), {"later.txt": b"x"})
    (manifest,) = manifests(files)
    head = account.client("s3").head_object(Bucket=account.bucket, Key=(layout.checkpoints(0) / manifest).key)
    before = aws.call_counts()["ListObjectsV2"]
    assert newest_commit(aws, layout, 0) == head["LastModified"].timestamp()
    assert aws.call_counts()["ListObjectsV2"] == before + 1


# -- all of it together ------------------------------------------------------------------------------------------------


def test_training_jobs_go_on_from_what_was_kept_and_start_again_where_it_was_not() -> None:
    scheduler = ASHA(
        SPACE,
        "loss",
        "epoch",
        max_resource_attr="epochs",
        type="promotion",
        random_seed=3,
        early_checkpoint_removal_kwargs={"max_num_checkpoints": 2, "baseline": "random", "max_wallclock_time": 1e6},
    )
    with virtual(
        scheduler=scheduler,
        stop_criterion=StoppingCriterion(max_num_trials_started=12),
        n_workers=1,
        backend_options={"delete_checkpoints": True},
        wait_trial_completion_when_stopping=True,
    ) as (sandbox, tuner, _):
        tuner.run()
        resumed = set(tuner.ledger.resumed_without_checkpoint)
        firsts: dict[tuple[int, int], int] = {}
        for row in tuner.ledger.rows:
            firsts.setdefault((row.trial_id, row.attempt), int(row.metrics["epoch"]))
        from_scratch = {trial_id for (trial_id, attempt), epoch in firsts.items() if attempt and epoch == 1}
        went_on = {trial_id for (trial_id, attempt), epoch in firsts.items() if attempt and epoch > 1}
        assert from_scratch == {trial_id for trial_id, _ in resumed}
        assert from_scratch
        assert went_on
        left = sandbox.client("s3").list_objects_v2(Bucket=sandbox.bucket)
        assert [each["Key"] for each in left.get("Contents", []) if "/checkpoints/" in each["Key"]] == []


def test_the_backend_tells_how_old_a_checkpoint_is(account: Sandbox, script: Path, tmp_path: Path) -> None:
    backend = opened(script, "tells", tmp_path)
    assert isinstance(backend, TellsCheckpoints)
    assert backend.checkpoint_committed_at(0) is None
