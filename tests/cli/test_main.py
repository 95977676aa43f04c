"""The command itself: help, version, wrong command lines."""

from __future__ import annotations

import json
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from cloudtune.cli.main import cli
from cloudtune.version import __version__
from tests.cli.support import Toy

COMMANDS = ["status", "watch", "logs", "results", "plot", "stop", "resume", "sandbox"]


def test_version(finished: Toy) -> None:
    assert finished.cloudtune("--version") == f"cloudtune, version {__version__}\n"


def test_help_names_every_command_with_its_own_first_sentence(finished: Toy) -> None:
    said = " ".join(finished.cloudtune("--help").split())
    context = click.Context(cli)
    assert cli.list_commands(context) == COMMANDS
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        assert command.help is not None
        first = command.help.split("\n\n")[0].strip()
        sentence = " ".join(first.split()).removesuffix(" Ctrl-C stops the watching, not the experiment.")
        assert f"{name} {sentence}" in said


@pytest.mark.parametrize("arguments", [("--help",), ("--version",)])
def test_help_is_quick_because_it_loads_little(arguments: tuple[str, ...]) -> None:
    code = (
        "import json, sys\n"
        "from cloudtune.cli.main import cli\n"
        f"try: cli({list(arguments)!r})\n"
        "except SystemExit: pass\n"
        "print(json.dumps(sorted(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stderr))
    assert not loaded & {"pandas", "numpy", "scipy", "boto3", "botocore", "moto", "rich", "dill", "matplotlib"}
    assert not [name for name in loaded if name.startswith(("cloudtune.sandbox", "cloudtune.results"))]
    assert len(loaded) < 250


def test_a_command_that_is_none_is_a_wrong_command_line_with_the_nearest(finished: Toy) -> None:
    assert "there is no command 'statsu': did you mean 'status'?" in finished.cloudtune("statsu", "toy", status=2)
    assert "Missing argument 'TUNER_NAME'" in finished.cloudtune("status", status=2)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    done = CliRunner().invoke(cli, [command, "--help"], prog_name="cloudtune")
    assert f"Usage: cloudtune {command}" in done.output


@pytest.mark.parametrize("option", ["--n-workers", "--max-wallclock-time", "--max-cost"])
def test_impossible_limits_are_a_wrong_command_line(option: str) -> None:
    done = CliRunner().invoke(cli, ["resume", "toy", option, "0"])
    assert done.exit_code == 2
    assert option in done.output


def test_without_a_sandbox_the_way_to_one_is_said(finished: Toy) -> None:
    said = finished.cloudtune("sandbox", "status", "--directory", str(finished.folder), status=1)
    assert f"start one with `cloudtune sandbox start --detach --directory {finished.folder}`" in said


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("--delay", "stoping=3", "unknown delay 'stoping': did you mean 'stopping'?"),
        ("--delay", "stopping=long", "delay 'stopping' is a number of seconds, got 'long'"),
        ("--delay", "stopping=-1", "delay 'stopping' is a number of seconds, at least 0; got -1.0"),
        ("--profile", "realstic", "did you mean 'realistic'?"),
        ("--quota", "ml.m5.large", "--quota wants NAME=VALUE"),
        ("--quota", "ml.m5.large=few", "quota 'ml.m5.large' is a whole number, got 'few'"),
        ("--interpreter", "python3", "--interpreter wants NAME=VALUE"),
    ],
)
def test_a_sandbox_is_not_started_with_settings_that_make_no_sense(option: str, value: str, error: str) -> None:
    done = CliRunner().invoke(cli, ["sandbox", "start", option, value])
    assert done.exit_code == 1
    assert error in done.output
