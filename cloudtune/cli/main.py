"""The ``cloudtune`` command. Subcommands are imported when they are called, so that ``--help`` is quick."""

from __future__ import annotations

import difflib
import importlib
import sys
import warnings
from dataclasses import dataclass
from typing import TextIO

import click

from cloudtune.errors import CloudtuneError
from cloudtune.version import __version__


@dataclass(frozen=True)
class _Home:
    """Where a command is, and what ``--help`` says about it."""

    module: str
    text: str


_COMMANDS = {
    "status": _Home("look", "Where an experiment stands: one row per trial."),
    "watch": _Home("look", "Follow an experiment until it has ended."),
    "logs": _Home("look", "What the training scripts have printed."),
    "results": _Home("look", "The best configuration, what it cost, and where the rest lies."),
    "plot": _Home("look", "Best value so far and learning curves, as a picture."),
    "stop": _Home("control", "End an experiment: running trials are stopped, results are kept."),
    "resume": _Home("control", "Go on with an experiment whose tuner has died or been stopped."),
    "sandbox": _Home("sandbox", "SageMaker, S3 and CloudWatch on this machine: no cloud account, no network."),
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        home = _COMMANDS.get(cmd_name)
        if home is None:
            return None
        command: click.Command = getattr(importlib.import_module(f"cloudtune.cli.{home.module}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, home.text) for name, home in _COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in _COMMANDS and not name.startswith("-"):
            near = difflib.get_close_matches(name, _COMMANDS, n=1)
            ctx.fail(f"there is no command {name!r}" + (f": did you mean {near[0]!r}?" if near else ""))
        return super().resolve_command(ctx, args)


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit status: 0, or 1 for an error told on stderr with the way out, or 2 for a wrong command line.",
)
@click.version_option(__version__, prog_name="cloudtune")
def cli() -> None:
    """Hyperparameter tuning on AWS: every trial its own training job.

    Experiments are found by their name, on this machine or else in S3.
    """


def main() -> None:
    """Entry point: errors of ours are told in words, with the way out, and exit status 1."""
    warnings.showwarning = _show_warning
    try:
        cli(prog_name="cloudtune")
    except CloudtuneError as error:
        click.echo(f"{type(error).__name__}: {error}", err=True)
        sys.exit(1)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """In one line, without the code that it comes from."""
    click.echo(f"warning: {message}", err=True)


if __name__ == "__main__":
    main()
