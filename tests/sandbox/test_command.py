"""``cloudtune sandbox``."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cloudtune.cli.sandbox import sandbox
from cloudtune.sandbox import Delays, find_running

RUN = "from cloudtune.cli.sandbox import sandbox; sandbox()"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(sandbox, list(arguments))


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "sandbox"
    yield directory
    left = find_running(directory)
    if left is not None:
        left.stop()


def test_start_use_reset_and_stop(home: Path) -> None:
    where = ("--directory", str(home))
    started = run("start", "--detach", *where, "--quota", "ml.m5.large=3", "--delay", "stop-grace=5")
    assert started.exit_code == 0, started.output
    running = find_running(home)
    assert running is not None
    assert running.address.endpoint_url in started.output
    assert f'eval "$(cloudtune sandbox env --directory {home})"' in started.output
    again = run("start", *where)
    assert again.exit_code == 1
    assert f"cloudtune sandbox stop --directory {home}" in again.output
    status = run("status", *where)
    assert f"pid       {running.pid}" in status.output
    assert "jobs      none" in status.output
    exports = run("env", *where).output
    shell = f'{exports}exec "{sys.executable}" -c "$CODE"'
    code = "import boto3; boto3.client('s3').create_bucket(Bucket='from-a-shell')"
    subprocess.run(["bash", "-c", shell], env={**os.environ, "CODE": code}, check=True)
    s3 = running.address.client("s3")
    assert "from-a-shell" in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    assert run("reset", *where).exit_code == 0
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == [running.address.bucket]
    stopped = run("stop", *where)
    assert stopped.exit_code == 0, stopped.output
    assert find_running(home) is None


def test_without_a_directory_it_is_registered_for_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    try:
        assert run("start", "--detach").exit_code == 0
        assert "http://127.0.0.1:" in run("status").output
        again = run("start", "--detach")
        assert again.exit_code == 1
        assert "cloudtune sandbox stop" in again.output
    finally:
        assert run("stop").exit_code == 0


@pytest.mark.parametrize("verb", ["stop", "status", "env", "reset"])
def test_without_a_sandbox_the_way_to_one_is_told(home: Path, verb: str) -> None:
    result = run(verb, "--directory", str(home))
    assert result.exit_code == 1
    assert f"cloudtune sandbox start --detach --directory {home}" in result.output


def test_help_names_every_delay() -> None:
    shown = "".join(run("start", "--help").output.split())
    for delay in dataclasses.fields(Delays):
        assert delay.name.replace("_", "-") in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--profile", "realistik"), "did you mean 'realistic'?"),
        (("--delay", "stoping=1"), "did you mean 'stopping'?"),
        (("--delay", "stopping"), "NAME=VALUE"),
        (("--delay", "stopping=-1"), "at least 0"),
        (("--delay", "stopping=soon"), "a number of seconds, got 'soon'"),
        (("--quota", "ml.m5.large=many"), "a whole number, got 'many'"),
        (("--quota", "ml.m5.lrage=1"), "did you mean 'ml.m5.large'?"),
        (("--region", "us-east-7", "--directory", "{tmp}"), "unknown region 'us-east-7': did you mean 'us-east-"),
        (("--region", "us-east-7", "--directory", "{tmp}", "--detach"), "unknown region 'us-east-7': did you mean"),
        (("--quota", "gpus=1"), "such names are 'ml.m5.large' and"),
    ],
)
def test_an_option_that_makes_no_sense_is_explained(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    result = run("start", *(argument.format(tmp=tmp_path) for argument in arguments))
    assert result.exit_code == 1
    assert message in result.output


def test_in_the_foreground_it_goes_on_until_interrupted(home: Path) -> None:
    command = [sys.executable, "-c", RUN, "start", "--directory", str(home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline().startswith("sandbox at http://127.0.0.1:")
        assert find_running(home) is not None
        server.send_signal(signal.SIGINT)
        assert server.wait() == 0
    assert find_running(home) is None
