"""``cloudtune sandbox``: SageMaker on this machine, for as long as you like."""

from __future__ import annotations

import dataclasses
import difflib
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from cloudtune.sandbox.address import Address
    from cloudtune.sandbox.detached import RunningSandbox
    from cloudtune.sandbox.faults.plan import FaultPlan
    from cloudtune.sandbox.settings import Delays, Settings

T = TypeVar("T")
N = TypeVar("N", int, float)

_directory = click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the state here, over restarts. Without it nothing is kept.",
)


@click.group()
def sandbox() -> None:
    """SageMaker, S3 and CloudWatch on this machine: no cloud account, no network."""


@sandbox.command()
@click.option("--detach", is_flag=True, help="Go on in the background; `stop` ends it.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port on 127.0.0.1; 0: any free one.")
@_directory
@click.option(
    "--profile", default="instant", show_default=True, metavar="instant|realistic", help="How long everything takes."
)
@click.option(
    "--delay",
    "delays",
    multiple=True,
    metavar="NAME=SECONDS",
    help="Change one delay of the profile; repeatable. Names: starting, starting-warm, downloading, uploading, "
    "stopping, stop-grace (SIGTERM to SIGKILL), log-ingestion, search-index, checkpoint-sync.",
)
@click.option(
    "--quota",
    "quotas",
    multiple=True,
    metavar="NAME=LIMIT",
    help="One quota; repeatable. NAME: an instance type, such as ml.m5.large, or a quota's full name.",
)
@click.option(
    "--interpreter",
    "interpreters",
    multiple=True,
    metavar="IMAGE=PYTHON",
    help="The python executable for the jobs of one image; repeatable. Default: the sandbox's own.",
)
@click.option(
    "--faults",
    metavar="NAME|FILE.json",
    help="What goes wrong: a plan by its name, such as bad-tuesday, or one of your own.",
)
@click.option("--fault-seed", type=int, help="Another seed for the plan.")
@click.option("--region", default="us-east-1", show_default=True, help="The one region it has.")
def start(
    detach: bool,
    port: int,
    directory: Path | None,
    profile: str,
    delays: Sequence[str],
    quotas: Sequence[str],
    interpreters: Sequence[str],
    faults: str | None,
    fault_seed: int | None,
    region: str,
) -> None:
    """Start a sandbox."""
    from cloudtune.sandbox.settings import Settings

    try:
        settings = Settings(
            delays=_delays(profile, delays),
            directory=None if directory is None else directory.resolve(),
            port=port,
            region=region,
            quotas=_quotas(quotas),
            interpreters=dict(_pairs("--interpreter", interpreters)),
            faults=_faults(faults, fault_seed),
        )
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error
    _start(settings, detach)


def _start(settings: Settings, detach: bool) -> None:
    from cloudtune.sandbox.detached import SandboxProcessError, command, serve, start_detached

    try:
        if detach:
            running = start_detached(settings)
            click.echo(f"sandbox at {running.address.endpoint_url}, pid {running.pid}")
            click.echo(f'use it:  eval "$({command("env", settings.directory)})"')
            return
        serve(settings, lambda address: _announce(address, command("env", settings.directory)))
    except (SandboxProcessError, OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    except ImportError as error:
        raise click.ClickException(f"{error}: install the extra, pip install 'cloudtune[sandbox]'") from error


def _announce(address: Address, env: str) -> None:
    click.echo(f"sandbox at {address.endpoint_url}, Ctrl-C ends it")
    click.echo(f'use it from another shell:  eval "$({env})"')


@sandbox.command()
@_directory
def stop(directory: Path | None) -> None:
    """End the sandbox and every job in it."""
    running = _running(directory)
    running.stop()
    click.echo(f"stopped the sandbox at {running.address.endpoint_url}")


@sandbox.command()
@_directory
def status(directory: Path | None) -> None:
    """Show endpoint, process, jobs and faults."""
    running = _running(directory)
    found = _asking(running.status)
    click.echo(f"endpoint  {running.address.endpoint_url}")
    click.echo(f"pid       {running.pid}")
    click.echo(f"bucket    {running.address.bucket}")
    click.echo(f"role      {running.address.role_arn}")
    click.echo(f"jobs      {_counts(found.jobs) or 'none'}")
    if found.faults is not None:
        click.echo(f"faults    {found.faults}: {_counts(found.injected) or 'none so far'}")


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))


@sandbox.command()
@_directory
def env(directory: Path | None) -> None:
    """Print the `export` lines that point a shell's AWS clients at the sandbox."""
    for name, value in _running(directory).address.environment().items():
        click.echo(f"export {name}={shlex.quote(value)}")


@sandbox.command()
@_directory
def reset(directory: Path | None) -> None:
    """End all jobs and empty the sandbox."""
    running = _running(directory)
    _asking(running.reset)
    click.echo(f"the sandbox at {running.address.endpoint_url} is empty")


def _running(directory: Path | None) -> RunningSandbox:
    from cloudtune.sandbox.detached import command, find_running

    found = find_running(directory)
    if found is None:
        where = "" if directory is None else f" in {directory}"
        start = command("start --detach", directory)
        raise click.ClickException(f"no sandbox is running{where}: start one with `{start}`")
    return found


def _asking(question: Callable[[], T]) -> T:
    from cloudtune.sandbox.detached import SandboxProcessError

    try:
        return question()
    except SandboxProcessError as error:
        raise click.ClickException(str(error)) from error


def _delays(profile: str, changes: Sequence[str]) -> Delays:
    from cloudtune.sandbox.settings import Delays

    names = [field.name for field in dataclasses.fields(Delays)]
    seconds = {}
    for name, value in _pairs("--delay", changes):
        name = name.replace("-", "_")
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"
            raise ValueError(f"unknown delay {name!r}: {hint}")
        try:
            seconds[name] = _number(float, f"delay {name!r} is a number of seconds", value)
        except ValueError as error:
            raise ValueError(f"delay {name!r} is a number of seconds, got {value!r}") from error
    return dataclasses.replace(Delays.of_profile(profile), **seconds)


def _quotas(entries: Sequence[str]) -> dict[str, int]:
    if not entries:
        return {}
    from cloudtune.sandbox.training.instances import check_quota_names

    limits = {
        name: _number(int, f"quota {name!r} is a whole number", value) for name, value in _pairs("--quota", entries)
    }
    check_quota_names(limits)
    return limits


def _faults(given: str | None, seed: int | None) -> FaultPlan:
    from cloudtune.sandbox.faults.named import named_plan
    from cloudtune.sandbox.faults.operations import check_operations
    from cloudtune.sandbox.faults.plan import FaultPlan
    from cloudtune.sandbox.faults.travel import plan_from_file

    if given is None:
        if seed is not None:
            raise ValueError("--fault-seed belongs to --faults")
        return FaultPlan()
    plan = plan_from_file(Path(given)) if given.endswith(".json") else named_plan(given)
    check_operations(plan)
    return plan if seed is None else dataclasses.replace(plan, seed=seed)


def _pairs(option: str, entries: Sequence[str]) -> list[tuple[str, str]]:
    pairs = []
    for entry in entries:
        name, separator, value = entry.rpartition("=")
        if not separator or not name:
            raise ValueError(f"{option} wants NAME=VALUE, got {entry!r}")
        pairs.append((name, value))
    return pairs


def _number(kind: Callable[[str], N], rule: str, value: str) -> N:
    try:
        return kind(value)
    except ValueError as error:
        raise ValueError(f"{rule}, got {value!r}") from error
