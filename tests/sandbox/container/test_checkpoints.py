"""Checkpoints: back before the start, into S3 while the job runs and at its end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cloudtune.checkpointing import latest_checkpoint, save_checkpoint
from cloudtune.sandbox.container import ContainerError
from cloudtune.sandbox.container.checkpoints import CheckpointSync
from cloudtune.sandbox.container.s3 import Location, Store
from tests.sandbox.container.conftest import NONE, use
from tests.sandbox.container.support import Bucket, Jobs, artifacts, wait_for


@pytest.fixture
def sync(bucket: Bucket, tmp_path: Path) -> CheckpointSync:
    directory = tmp_path / "checkpoints"
    directory.mkdir()
    return CheckpointSync(Store(bucket.client), Location(bucket.name, "ckpt"), directory, 0.05)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints"


def test_a_file_is_copied_once_it_has_come_to_rest(sync: CheckpointSync, directory: Path, bucket: Bucket) -> None:
    with (directory / "epoch").open("w") as file:
        file.write("half")
        file.flush()
        sync.copy_settled()
        file.write(" and half")
        file.flush()
        sync.copy_settled()
        assert bucket.keys() == []
    sync.copy_settled()
    assert bucket.get("ckpt/epoch") == b"half and half"


def test_a_file_moved_into_place_is_copied_at_once(sync: CheckpointSync, directory: Path, bucket: Bucket) -> None:
    written = directory.parent / "written"
    written.write_text("whole")
    os.utime(written, ns=(10**18, 10**18))
    (directory / "deep").mkdir()
    written.rename(directory / "deep" / "epoch")
    sync.copy_settled()
    assert bucket.get("ckpt/deep/epoch") == b"whole"


def test_what_did_not_change_is_not_copied_again(sync: CheckpointSync, directory: Path, bucket: Bucket) -> None:
    (directory / "epoch").write_text("1")
    sync.finish()
    bucket.put("ckpt/epoch", "of somebody else")
    sync.finish()
    sync.copy_settled()
    assert bucket.get("ckpt/epoch") == b"of somebody else"


def test_a_change_of_equal_size_is_copied(sync: CheckpointSync, directory: Path, bucket: Bucket) -> None:
    (directory / "epoch").write_text("1")
    sync.finish()
    (directory / "epoch").write_text("2")
    os.utime(directory / "epoch", ns=(1, 1))
    sync.finish()
    assert bucket.get("ckpt/epoch") == b"2"


def test_a_file_that_never_rests_is_copied_now_and_then(sync: CheckpointSync, directory: Path, bucket: Bucket) -> None:
    held = []
    for look in range(1, 7):
        (directory / "epoch").write_text("x" * look)
        sync.copy_settled()
        held.append(len(bucket.get("ckpt/epoch")) if bucket.keys() else 0)
    assert held == [0, 0, 3, 3, 3, 6]


def test_a_file_deleted_here_is_deleted_in_s3(sync: CheckpointSync, directory: Path, bucket: Bucket) -> None:
    for name in ("first", "second", "third"):
        (directory / name).write_text("1")
    sync.copy_settled()
    sync.copy_settled()
    bucket.put("ckpt/of-somebody-else", "1")
    (directory / "first").unlink()
    sync.copy_settled()
    assert bucket.keys() == ["ckpt/of-somebody-else", "ckpt/second", "ckpt/third"]
    (directory / "second").unlink()
    sync.finish()
    assert bucket.keys() == ["ckpt/of-somebody-else", "ckpt/third"]


def test_a_restored_file_deleted_here_is_deleted_in_s3(sync: CheckpointSync, directory: Path, bucket: Bucket) -> None:
    bucket.put("ckpt/old", "1")
    sync.restore()
    (directory / "old").unlink()
    (directory / "new").write_text("2")
    sync.finish()
    assert bucket.keys() == ["ckpt/new"]


def test_the_end_does_not_wait_for_rest(sync: CheckpointSync, directory: Path, bucket: Bucket) -> None:
    (directory / "epoch").write_text("1")
    (directory / "link").symlink_to("nowhere")
    os.mkfifo(directory / "pipe")
    sync.finish()
    assert bucket.keys() == ["ckpt/epoch"]


def test_files_are_copied_in_an_order_that_has_nothing_to_do_with_their_age(
    sync: CheckpointSync, directory: Path, bucket: Bucket
) -> None:
    uploaded = []
    bucket.client.meta.events.register(
        "provide-client-params.s3.PutObject", lambda params, **_: uploaded.append(params["Key"])
    )
    for age, name in enumerate(["b", "latest", "a"]):
        (directory / name).write_text(name)
        os.utime(directory / name, ns=(10**18 - age, 10**18 - age))
    sync.finish()
    assert uploaded == ["ckpt/a", "ckpt/b", "ckpt/latest"]


class CutShortError(BaseException):
    """The machine is taken away in the middle of a copy."""


@dataclass(frozen=True)
class ShortLived(Store):
    """Makes as many uploads as ``left`` has entries."""

    left: Iterator[int]

    def upload(self, source: Path, target: Location) -> None:
        if next(self.left, None) is None:
            raise CutShortError
        super().upload(source, target)


def save(directory: Path, version: int) -> None:
    def write(path: str) -> None:
        Path(path, "weights").write_text(str(version) * 1000)
        Path(path, "optimizer").write_text(str(version) * 10)

    save_checkpoint(directory, write, version)


@pytest.mark.parametrize("hosts", [1, 2])
def test_a_sync_cut_short_anywhere_leaves_a_checkpoint_that_is_whole(
    bucket: Bucket, tmp_path: Path, hosts: int
) -> None:
    """Also where several instances of a job write into one prefix, each its own."""
    torn = 0
    for step in range(20):
        location = Location(bucket.name, f"cut-{hosts}-{step}")
        folders = [tmp_path / f"{step}-{host}" for host in range(hosts)]
        syncs = [CheckpointSync(Store(bucket.client), location, folder, 60.0) for folder in folders]
        for folder, sync in zip(folders, syncs, strict=True):
            folder.mkdir()
            save(folder, 1)
            sync.copy_settled()
            sync.copy_settled()
            save(folder, 2)
        store = ShortLived(bucket.client, iter(range(step)))
        try:
            for sync in syncs:
                sync._store = store
                sync.copy_settled()
                sync.copy_settled()
            finished = True
        except CutShortError:
            finished = False
        restored = tmp_path / f"{step}-restored"
        CheckpointSync(Store(bucket.client), location, restored, 60.0).restore()
        found = latest_checkpoint(restored)
        assert found is not None
        assert Path(found.path, "weights").read_text() == str(found.resource) * 1000
        assert Path(found.path, "optimizer").read_text() == str(found.resource) * 10
        torn += found.resource == 1 and len(list(restored.glob("*.json"))) > hosts
        if finished:
            assert found.resource == 2
            break
    assert finished
    assert torn, "a manifest came before what it names"


def test_restored_files_are_not_sent_back(sync: CheckpointSync, directory: Path, bucket: Bucket) -> None:
    bucket.put("ckpt/deep/epoch", "7")
    bucket.put("ckpt-of-another/epoch", "8")
    sync.restore()
    assert [path.name for path in directory.rglob("*") if path.is_file()] == ["epoch"]
    assert (directory / "deep" / "epoch").read_text() == "7"
    bucket.put("ckpt/deep/epoch", "9")
    sync.finish()
    assert bucket.get("ckpt/deep/epoch") == b"9"


def test_a_bucket_that_is_not_there_is_told_at_the_end(bucket: Bucket, directory: Path) -> None:
    directory.mkdir()
    (directory / "epoch").write_text("1")
    sync = CheckpointSync(Store(bucket.client), Location("no-such-bucket-here", "ckpt"), directory, 0.01)
    with pytest.raises(ContainerError, match="no-such-bucket-here"):
        sync.finish()


COUNT = """
    import os, pathlib, time
    base = os.environ["SM_INPUT_DIR"][: -len("/input")]
    directory = pathlib.Path(base, "checkpoints")
    state = directory / "epoch"
    begin = int(state.read_text()) + 1 if state.exists() else 1
    print("from", begin, flush=True)
    for epoch in range(begin, begin + 3):
        (directory / "new").write_text(str(epoch))
        (directory / "new").rename(state)
    print("ready", flush=True)
    while not (directory / "go").exists() and begin == 1:
        time.sleep(0.01)
"""


def test_a_second_job_goes_on_where_the_first_stopped(jobs_both: Jobs, bucket: Bucket) -> None:
    config = {"S3Uri": f"{bucket.uri}/ckpt"}
    first = jobs_both.script(COUNT, "first", CheckpointConfig=config, settings={"checkpoint_sync_seconds": 0.05})
    first.begin()
    wait_for(lambda: bucket.keys("ckpt/") == ["ckpt/epoch"], "the checkpoint in S3 while the job runs")
    assert bucket.get("ckpt/epoch") == b"3"
    first.container.kill()
    first.container.wait(60)
    artifacts(first)
    second = jobs_both.script(COUNT, "second", CheckpointConfig=config)
    assert second.run() == 0
    assert second.lines == ["from 4", "ready"]
    artifacts(second)
    assert bucket.get("ckpt/epoch") == b"6"


@pytest.mark.parametrize(
    "local", ["/opt/ml/checkpoints/", "/opt/ml/state/deep", "{tmp}/not/there/yet", "{tmp}/neighbours"]
)
def test_the_local_path_may_be_anywhere(jobs_private: Jobs, bucket: Bucket, tmp_path: Path, local: str) -> None:
    bucket.put("ckpt/epoch", "7")
    (tmp_path / "neighbour").write_text("still here")
    (tmp_path / "neighbours").mkdir()
    path = local.format(tmp=tmp_path)
    script = f"""
        import pathlib
        path = pathlib.Path({path!r})
        print((path / "epoch").read_text(), pathlib.Path({str(tmp_path / "neighbour")!r}).exists())
        (path / "epoch").write_text("8")
    """
    job = jobs_private.script(script, CheckpointConfig={"S3Uri": f"{bucket.uri}/ckpt/", "LocalPath": path})
    assert job.run() == 0, job.said()
    assert job.lines == ["7 True"]
    artifacts(job)
    assert bucket.get("ckpt/epoch") == b"8"
    assert not (tmp_path / "not").exists()
    assert list((tmp_path / "neighbours").iterdir()) == []


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/no-such-directory-here", "can't be made: it is directly below /"),
        ("relative/path", "isn't absolute"),
        ("/", "would hide"),
        ("{jobs}", "would hide {jobs}/job"),
    ],
)
def test_a_local_path_that_cannot_be_had_is_named(jobs_private: Jobs, bucket: Bucket, path: str, reason: str) -> None:
    names = {"jobs": jobs_private.directory / "jobs"}
    config = {"S3Uri": f"{bucket.uri}/ckpt", "LocalPath": path.format(**names)}
    with pytest.raises(ContainerError, match=f"LocalPath '{path}'.*{reason}".format(**names)):
        jobs_private.script("pass", CheckpointConfig=config).container.download()


def test_a_local_path_outside_opt_ml_needs_mounts(
    jobs: Jobs, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use(monkeypatch, NONE)
    config = {"S3Uri": f"{bucket.uri}/ckpt", "LocalPath": str(tmp_path)}
    with pytest.raises(ContainerError, match="below /opt/ml"):
        jobs.script("pass", CheckpointConfig=config).container.download()
