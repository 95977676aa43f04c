"""The documentation is true: its code runs, its links lead somewhere, its commands and tests exist."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest

from cloudtune.cli.main import cli

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

TRAIN = """
import argparse
from cloudtune.report import Reporter

parser = argparse.ArgumentParser()
parser.add_argument("--x", type=float)
parser.add_argument("--epochs", type=int)
args, _ = parser.parse_known_args()
report = Reporter()
for epoch in range(1, args.epochs + 1):
    report(epoch=epoch, loss=args.x + 1 / epoch, accuracy=1 - 1 / (1 + epoch))
"""

READERS_TRAIN = """
import argparse
from cloudtune.report import Reporter

parser = argparse.ArgumentParser()
parser.add_argument("--learning_rate", type=float)
parser.add_argument("--hidden_units", type=int)
parser.add_argument("--epochs", type=int)
parser.add_argument("--st_checkpoint_dir")
args = parser.parse_args()
report = Reporter()
for epoch in range(1, args.epochs + 1):
    report(epoch=epoch, accuracy=1 - args.learning_rate / epoch)
"""


class Block(NamedTuple):
    """A fenced block of Python. ``runs``: not marked ``no-run``."""

    page: str
    number: int
    code: str
    runs: bool

    def __str__(self) -> str:
        return f"{self.page}-{self.number}"


def blocks(page: Path) -> list[Block]:
    found = re.findall(r"^```python( no-run)?\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    return [Block(page.name, number, code, not mark) for number, (mark, code) in enumerate(found, 1)]


SEARCHING = [
    "constraints-and-cost.md",
    "ask-tell.md",
    "bayesian-optimization.md",
    "simulation.md",
    "searchers.md",
    "hyperband.md",
    "synchronous.md",
    "early-stopping.md",
]
"""Pages whose samples need nothing but this machine."""

ALL_BLOCKS = [block for page in PAGES for block in blocks(page)]


# -- code --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", ALL_BLOCKS, ids=str)
def test_a_sample_is_python_whose_imports_from_here_resolve(block: Block) -> None:
    for node in ast.walk(ast.parse(block.code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cloudtune"):
            module = importlib.import_module(str(node.module))
            for alias in node.names:
                assert hasattr(module, alias.name), f"{node.module} has no {alias.name}"


def code_of(page: Path) -> str:
    return "\n".join(block.code for block in blocks(page) if block.runs)


def run(code: str, folder: Path, train: str = TRAIN, **environment: str) -> str:
    """What a reader's script prints, in a folder with a training script."""
    folder.mkdir(exist_ok=True)
    (folder / "train.py").write_text(train)
    (folder / "launcher.py").write_text(code)
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "CLOUDTUNE_FOLDER": str(folder / "experiments"), **environment}
    done = subprocess.run(
        [sys.executable, "launcher.py"], cwd=folder, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("page", [*SEARCHING, "schedulers.md", "crashes.md", "from-syne-tune.md", "sandbox.md"])
def test_the_samples_of_a_page_run_one_after_the_other(page: str, tmp_path: Path) -> None:
    assert run(code_of(ROOT / "docs" / page), tmp_path / "reader")


def test_the_samples_about_sagemaker_run(tmp_path: Path) -> None:
    run(code_of(ROOT / "docs" / "sagemaker.md"), tmp_path / "reader", AWS_DEFAULT_REGION="us-east-1")


SMALL = (
    'tuner = Tuner(LocalBackend("train.py"), RandomSearch({"x": uniform(0, 1), "epochs": 2}, metric="loss"),'
    " StoppingCriterion(max_num_trials_started=1), n_workers=2, sleep_time=0.1,"
    " wait_trial_completion_when_stopping=True)\n"
)
IN_A_SANDBOX = """
import os, runpy
from cloudtune.sandbox import Sandbox

with Sandbox() as sandbox:
    os.environ.update(sandbox.environment())
    runpy.run_path("reader.py", run_name="__main__")
"""


def test_the_readme_s_training_script_reports(tmp_path: Path) -> None:
    report, _ = blocks(ROOT / "README.md")
    printed = run("epochs, accuracy = 2, 0.5\n" + report.code, tmp_path / "reader")
    assert printed.count("[tune-metric]: ") == 2


def test_the_readme_s_launcher_tunes_on_the_sandbox(tmp_path: Path) -> None:
    _, launcher = blocks(ROOT / "README.md")
    shorter = {
        "max_wallclock_time=3600, max_cost=20": "max_num_trials_completed=1",
        '"epochs": 27': '"epochs": 3',
        "n_workers=4": "n_workers=2, sleep_time=0.2",
    }
    code = launcher.code
    for text, replacement in shorter.items():
        assert text in code
        code = code.replace(text, replacement)
    folder = tmp_path / "reader"
    folder.mkdir()
    (folder / "reader.py").write_text(code)
    assert "learning_rate" in run(IN_A_SANDBOX, folder, READERS_TRAIN)


def test_a_remote_tuner_is_launched_as_the_page_says(tmp_path: Path) -> None:
    (sample,) = blocks(ROOT / "docs" / "remote.md")
    folder = tmp_path / "reader"
    folder.mkdir()
    imports = (
        "from cloudtune import StoppingCriterion, Tuner, uniform\nfrom cloudtune.backends import LocalBackend\n"
        "from cloudtune.baselines import RandomSearch\n"
    )
    (folder / "reader.py").write_text(
        imports + SMALL + sample.code + "experiment.wait()\nprint(experiment.results())\n"
    )
    printed = run(IN_A_SANDBOX, folder)
    assert "tuner-1-train-" in printed
    assert "2 trials, 4 reports" in printed


# -- what is named -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_files_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links {target}"


def parameters_of(words: list[str]) -> tuple[click.Command, set[str]]:
    """The command that these words begin with, and its options. Raises AssertionError if there is none."""
    command: click.Command = cli
    for word in words:
        if not isinstance(command, click.Group):
            break
        found = command.get_command(click.Context(command), word)
        assert found is not None, f"there is no command {' '.join(words)!r}"
        command = found
    options = {option for parameter in command.params for option in parameter.opts}
    return command, options


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_exist_with_their_options(page: Path) -> None:
    text = page.read_text()
    lines = re.findall(r"^    (?:eval \"\$\()?(cloudtune [a-z][^\n#)]*)", text, re.MULTILINE)
    for line in lines + re.findall(r"`(cloudtune [a-z][^`\n]*)`", text):
        # `watch`, `status|watch` and the like stand for several
        words = [word for word in line.split()[1:] if re.fullmatch(r"[a-z][a-z-]*", word)]
        _, options = parameters_of(words)
        assert set(re.findall(r"--[a-z0-9-]+", line)) <= options | {"--help", "--version"}, line


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"^    make ([a-z0-9-]+)", page.read_text(), re.MULTILINE)}
    assert named
    assert named <= targets


def test_every_row_about_crashes_names_a_test_that_is_there() -> None:
    named = re.findall(r"`(tests/[^`]+)`", (ROOT / "docs" / "crashes.md").read_text())
    assert len(named) > 12
    for name in named:
        file, _, test = name.partition("::")
        assert (ROOT / file).is_file(), name
        assert not test or re.search(rf"^(def {test}\(|{test} = )", (ROOT / file).read_text(), re.MULTILINE), name


def test_every_import_in_the_table_for_syne_tune_s_users_resolves() -> None:
    rows = re.findall(r"\| `from (cloudtune[a-z_.]*) import ([^`]+)`", (ROOT / "docs/from-syne-tune.md").read_text())
    assert len(rows) > 10
    for module, names in rows:
        for name in names.split(", "):
            assert name == "…" or hasattr(importlib.import_module(module), name), f"{module}.{name}"


def test_the_sandbox_s_delays_are_all_named() -> None:
    from dataclasses import fields

    from cloudtune.sandbox import Delays

    text = (ROOT / "docs" / "sandbox.md").read_text()
    assert all(f"`{field.name}`" in text for field in fields(Delays))


# -- permissions -------------------------------------------------------------------------------------------------------

_ACTIONS = {
    "HeadObject": "s3:GetObject",
    "HeadBucket": "s3:ListBucket",
    "ListObjectsV2": "s3:ListBucket",
    "DeleteObjects": "s3:DeleteObject",
    "CopyObject": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPartCopy": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "ListServiceQuotas": "servicequotas:ListServiceQuotas",
}
_NEEDED_ALONG = {
    "sagemaker:AddTags",  # CreateTrainingJob with tags
    "iam:PassRole",  # CreateTrainingJob
}


def calls_of_the_package() -> set[str]:
    """Every operation that the package calls, as the action that allows it; the sandbox is no caller."""
    found = set()
    for path in (ROOT / "cloudtune").rglob("*.py"):
        if "sandbox" in path.relative_to(ROOT).parts or "testing" in path.relative_to(ROOT).parts:
            continue
        text = path.read_text()
        for service, operation in re.findall(r'\.(?:call|pages)\(\s*"([a-z0-9-]+)",\s*"([A-Za-z0-9]+)"', text):
            if operation != "GetCallerIdentity":  # always allowed
                found.add(_ACTIONS.get(operation, f"{service}:{operation}"))
    return found


def allowed(policy: dict[str, Any]) -> set[str]:
    return {action for statement in policy["Statement"] for action in statement["Action"]}


def test_the_policy_allows_exactly_what_is_called() -> None:
    policy = json.loads((ROOT / "infra" / "tuner-policy.json").read_text())
    assert allowed(policy) == calls_of_the_package() | _NEEDED_ALONG


def test_every_action_of_the_policy_is_explained() -> None:
    policy = json.loads((ROOT / "infra" / "tuner-policy.json").read_text())
    text = (ROOT / "docs" / "sagemaker.md").read_text()
    assert all(action.partition(":")[2] in text for action in allowed(policy))


def test_defaults_that_are_said_to_differ_are_these() -> None:
    from cloudtune.searchers.bayesopt_options import BayesianOptimizationOptions
    from cloudtune.searchers.bore_searcher import BOREOptions
    from cloudtune.searchers.kde_searcher import KDEOptions

    options = {"bayesopt": BayesianOptimizationOptions(), "kde": KDEOptions(), "bore": BOREOptions()}
    text = (ROOT / "docs/from-syne-tune.md").read_text()
    rows = re.findall(r"\| `(\w+)`: `(\w+)` \| `([^`]+)`[^|]* \| `([^`]+)`", text)
    assert len(rows) == 9
    for searcher, option, _, here in rows:
        assert repr(getattr(options[searcher], option)) == repr(ast.literal_eval(here)), option


@pytest.mark.parametrize(("page", "least"), [("searchers.md", 12), ("bayesian-optimization.md", 15)])
def test_defaults_in_tables_of_options_hold(page: str, least: int) -> None:
    from cloudtune.searchers.bayesopt_options import BayesianOptimizationOptions
    from cloudtune.searchers.bore_searcher import BOREOptions
    from cloudtune.searchers.kde_searcher import KDEOptions
    from cloudtune.searchers.random_searcher import RandomOptions

    kinds = [BayesianOptimizationOptions, BOREOptions, KDEOptions, RandomOptions]
    known = {option.name: option.default for kind in kinds for option in dataclasses.fields(kind)}
    checked = 0
    for names, values in re.findall(r"^\| (`[a-z_`, ]+`) \| ([^|]+) \|", (ROOT / "docs" / page).read_text(), re.M):
        if values == "default":
            continue
        defaults = [ast.literal_eval(value.strip("` ")) for value in re.split(", (?![^{]*})", values)]
        for name, default in zip(re.findall(r"`(\w+)`", names), defaults, strict=True):
            if known.get(name, dataclasses.MISSING) is not dataclasses.MISSING:
                assert known[name] == default, name
                checked += 1
    assert checked >= least
