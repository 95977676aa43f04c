"""Settings and delays refuse nonsense and travel as JSON."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cloudtune.sandbox import Delays, Sandbox, Settings


def test_instant_means_no_delay_but_a_real_grace() -> None:
    delays = Delays()
    assert (delays.starting, delays.downloading, delays.stopping, delays.log_ingestion) == (0, 0, 0, 0)
    assert delays.stop_grace == 120


def test_realistic_means_minutes_to_start_seconds_when_warm_and_slow_stops() -> None:
    delays = Delays.of_profile("realistic")
    assert delays == Delays.realistic()
    assert delays.starting >= 60 > delays.starting_warm > 0
    assert delays.stopping > 0
    assert delays.log_ingestion > 0


def test_delays_change_one_by_one() -> None:
    assert dataclasses.replace(Delays.realistic(), stopping=1.0).starting == Delays.realistic().starting


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), "1"])
def test_a_delay_is_a_number_of_seconds(value: float) -> None:
    with pytest.raises(ValueError, match="'stopping'"):
        Delays(stopping=value)


def test_checkpoints_are_not_copied_without_a_pause() -> None:
    with pytest.raises(ValueError, match="checkpoint_sync"):
        Delays(checkpoint_sync=0)


def test_settings_survive_json() -> None:
    settings = Settings(
        delays=Delays(stopping=3),
        directory=Path("/x"),
        quotas={"ml.m5.large": 2},
        interpreters={"image": "/usr/bin/python3"},
    )
    assert Settings.from_json(settings.to_json()) == settings


def test_an_image_has_its_interpreter_with_and_without_tag() -> None:
    settings = Settings(interpreters={"image": "a", "image:2": "b", "host:5000/image": "c"})
    assert settings.interpreter_for("image:1") == "a"
    assert settings.interpreter_for("image:2") == "b"
    assert settings.interpreter_for("host:5000/image:9") == "c"
    assert settings.interpreter_for("other") == sys.executable


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="twelve digits"):
        Settings(account_id="12")
    with pytest.raises(ValueError, match="port"):
        Settings(port=70000)
    with pytest.raises(ValueError, match="at least 0, got -1"):
        Settings(quotas={"ml.m5.large": -1})
    with pytest.raises(ValueError, match="not both"):
        Sandbox(profile="realistic", delays=Delays())
    with pytest.raises(ValueError, match="did you mean 'instant'"):
        Sandbox(profile="instand")


def test_a_sandbox_that_does_not_run_says_so() -> None:
    with pytest.raises(RuntimeError, match="with block"):
        _ = Sandbox().endpoint_url


def test_what_a_user_has_configured_for_real_aws_does_not_keep_a_sandbox_from_starting() -> None:
    code = (
        "from cloudtune.sandbox import Sandbox\n"
        "with Sandbox() as sandbox: print(sandbox.client('s3').list_buckets()['Buckets'][0]['Name'])"
    )
    configured = {"AWS_PROFILE": "production", "AWS_CONFIG_FILE": "/nowhere", "AWS_REGION": "eu-west-1"}
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | configured,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.stdout.startswith("sagemaker-"), ran.stderr
