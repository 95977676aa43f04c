"""Where the objects of a channel come to lie."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtune.sandbox.container import ContainerError
from cloudtune.sandbox.container.channels import download_channel
from cloudtune.sandbox.container.s3 import Location, Store, relative_path
from tests.sandbox.container.support import Bucket, Jobs, channel


def fetch(bucket: Bucket, directory: Path, described: dict[str, Any], mode: str = "File") -> list[str]:
    target = directory / "channel"
    download_channel(Store(bucket.client), described, target, mode)
    return sorted(path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("prefix", "files"),
    [
        ("data/train/", ["a.csv", "deep/b.csv"]),
        ("data/train/a.csv", ["a.csv"]),
        ("data/train/deep", ["b.csv"]),
        ("data/tr", ["train/a.csv", "train/deep/b.csv", "train2/c.csv"]),
        ("data/", ["train/a.csv", "train/deep/b.csv", "train2/c.csv"]),
        ("", ["data/train/a.csv", "data/train/deep/b.csv", "data/train2/c.csv"]),
    ],
)
def test_a_prefix_brings_all_keys_that_begin_with_it(
    bucket: Bucket, tmp_path: Path, prefix: str, files: list[str]
) -> None:
    for key in ("data/train/a.csv", "data/train/deep/b.csv", "data/train2/c.csv"):
        bucket.put(key, key)
    assert fetch(bucket, tmp_path, channel("c", f"{bucket.uri}/{prefix}")) == files


def test_a_prefix_that_is_also_the_beginning_of_others_brings_them_too(bucket: Bucket, tmp_path: Path) -> None:
    for key in ("data/train/a.csv", "data/train2/c.csv"):
        bucket.put(key, key)
    assert fetch(bucket, tmp_path, channel("c", f"{bucket.uri}/data/train")) == ["a.csv", "train2/c.csv"]


def test_markers_of_directories_become_directories(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("data/")
    bucket.put("data/empty/")
    bucket.put("data/x", "1")
    assert fetch(bucket, tmp_path, channel("c", f"{bucket.uri}/data/")) == ["x"]
    assert (tmp_path / "channel" / "empty").is_dir()


def test_content_arrives_unchanged_however_many_objects(bucket: Bucket, tmp_path: Path) -> None:
    names = [f"{number:04d}" for number in range(20)]
    for name in names:
        bucket.put(f"many/{name}", name)
    assert fetch(bucket, tmp_path, channel("c", f"{bucket.uri}/many")) == names
    assert all((tmp_path / "channel" / name).read_text() == name for name in names)


def test_a_manifest_brings_the_keys_it_lists(bucket: Bucket, tmp_path: Path) -> None:
    for name in ("a.csv", "deep/b.csv", "left-out.csv"):
        bucket.put(f"data/{name}", name)
    bucket.put("m.manifest", json.dumps([{"prefix": f"{bucket.uri}/data/"}, "a.csv", "deep/b.csv"]))
    described = channel("c", f"{bucket.uri}/m.manifest", S3DataType="ManifestFile")
    assert fetch(bucket, tmp_path, described) == ["a.csv", "deep/b.csv"]


def test_an_augmented_manifest_comes_with_what_it_refers_to(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("images/1.png", "1")
    lines = [{"source-ref": f"{bucket.uri}/images/1.png", "class": 3}, {"source": "text", "class": 4}]
    bucket.put("all.jsonl", "\n".join(map(json.dumps, lines)))
    described = channel("c", f"{bucket.uri}/all.jsonl", S3DataType="AugmentedManifestFile")
    assert fetch(bucket, tmp_path, described) == ["1.png", "all.jsonl"]


@pytest.mark.parametrize(
    ("described", "reason"),
    [
        (channel("c", "s3://{bucket}/none/"), "no S3 objects found under s3://{bucket}/none/ for channel 'c'"),
        (channel("c", "s3://no-such-bucket-here/x"), "no-such-bucket-here.*NoSuchBucket"),
        (channel("c", "https://example.com/x"), "'https://example.com/x' is no S3 URI"),
        ({**channel("c", "s3://{bucket}/x"), "InputMode": "Pipe"}, "'c' uses Pipe mode"),
        ({"ChannelName": "c", "DataSource": {"FileSystemDataSource": {}}}, "'c' reads from FileSystemDataSource"),
        (channel("c", "s3://{bucket}/bad", S3DataType="ManifestFile"), "is no manifest"),
        (channel("c", "s3://{bucket}/bad", S3DataType="AugmentedManifestFile"), "isn't JSON lines"),
        (channel("c", "s3://{bucket}/out", S3DataType="ManifestFile"), "leads out of the job's directory"),
    ],
)
def test_what_cannot_be_fetched_is_named(
    bucket: Bucket, tmp_path: Path, described: dict[str, Any], reason: str
) -> None:
    bucket.put("bad", "not json")
    bucket.put("out", json.dumps([{"prefix": f"{bucket.uri}/data/"}, "../../secret"]))
    filled = json.loads(json.dumps(described).replace("{bucket}", bucket.name))
    with pytest.raises(ContainerError, match=reason.replace("{bucket}", bucket.name)):
        fetch(bucket, tmp_path, filled)


def test_the_mode_of_the_algorithm_counts_for_channels_without_one(jobs: Jobs, bucket: Bucket) -> None:
    bucket.put("d/x")
    algorithm = {"TrainingImage": "image", "TrainingInputMode": "Pipe", "ContainerEntrypoint": ["true"]}
    request = {"AlgorithmSpecification": algorithm, "InputDataConfig": [channel("c", f"{bucket.uri}/d/")]}
    with pytest.raises(ContainerError, match="Pipe"):
        jobs.make(request).container.download()


@given(st.lists(st.sampled_from(["a", "b", "train", ""]), min_size=1, max_size=4).map("/".join), st.integers(0, 12))
def test_every_key_has_a_place_below_the_directory(key: str, cut: int) -> None:
    relative = relative_path(key, key[:cut])
    assert not relative.startswith("/")
    assert key.endswith(relative)


@pytest.mark.parametrize(
    ("uri", "below"),
    [("s3://b", "s3://b/x"), ("s3://b/", "s3://b/x"), ("s3://b/k", "s3://b/k/x"), ("s3://b/k/", "s3://b/k/x")],
)
def test_a_location_is_a_directory_with_or_without_its_slash(uri: str, below: str) -> None:
    assert str(Location.parse(uri).below("x")) == below
