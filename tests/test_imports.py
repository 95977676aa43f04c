"""What importing costs: other people's packages are loaded where they are used, and not before."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import cloudtune

HEAVY = {"boto3", "botocore", "scipy", "pandas", "numpy", "dill", "rich", "moto", "sklearn", "matplotlib", "sagemaker"}
LISTING = "import json, sys; before = set(sys.modules); {code}; print(json.dumps(sorted(set(sys.modules) - before)))"


def loaded_by(code: str) -> set[str]:
    """Modules that a fresh interpreter loads for ``code``."""
    done = subprocess.run([sys.executable, "-c", LISTING.format(code=code)], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    "code",
    [
        "import cloudtune",
        "from cloudtune import Reporter",
        "from cloudtune import uniform, randint; space = {'x': uniform(0, 1), 'n': randint(1, 9)}",
        "import cloudtune.sandbox",
        "import cloudtune.backends",
        "import cloudtune.schedulers",
        "import cloudtune.searchers",
        "import cloudtune.results",
    ],
)
def test_nothing_heavy_is_loaded(code: str) -> None:
    assert {name.partition(".")[0] for name in loaded_by(code)}.isdisjoint(HEAVY)


def test_importing_the_package_loads_next_to_nothing() -> None:
    ours = {name for name in loaded_by("import cloudtune") if name.startswith("cloudtune")}
    assert ours == {"cloudtune", "cloudtune.version"}


@pytest.mark.parametrize("module", ["cloudtune.report", "cloudtune.checkpointing"])
def test_what_travels_into_trials_loads_the_standard_library_only(module: str) -> None:
    foreign = {
        name
        for name in loaded_by(f"import {module}")
        if name.partition(".")[0] not in sys.stdlib_module_names and not name.startswith("cloudtune")
    }
    ours = {name for name in loaded_by(f"import {module}") if name.startswith("cloudtune")}
    assert foreign == set()
    assert ours <= {"cloudtune", "cloudtune.version", "cloudtune.report", "cloudtune.checkpointing"}


def test_following_an_experiment_needs_no_tables() -> None:
    loaded = {name.partition(".")[0] for name in loaded_by("import cloudtune.cli.look, cloudtune.cli.control")}
    assert not loaded & (HEAVY - {"rich"})


def test_importing_the_backend_or_the_launcher_loads_no_sdk_and_no_client() -> None:
    loaded = loaded_by("from cloudtune.sagemaker import SageMakerBackend; from cloudtune.remote import RemoteLauncher")
    assert not {name.partition(".")[0] for name in loaded} & {"boto3", "sagemaker", "moto"}


ROOMS = (
    "cloudtune",
    "cloudtune.aws",
    "cloudtune.backends",
    "cloudtune.baselines",
    "cloudtune.constants",
    "cloudtune.remote",
    "cloudtune.results",
    "cloudtune.sagemaker",
    "cloudtune.sandbox",
    "cloudtune.schedulers",
    "cloudtune.searchers",
    "cloudtune.space",
    "cloudtune.testing",
)
RESOLVING = """
import importlib
for room in {rooms!r}:
    module = importlib.import_module(room)
    assert len(set(module.__all__)) == len(module.__all__), room
    for name in module.__all__:
        assert getattr(module, name) is not None, (room, name)
"""


def test_every_public_name_resolves() -> None:
    done = subprocess.run(
        [sys.executable, "-c", RESOLVING.format(rooms=ROOMS)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_names_that_launcher_scripts_import_are_at_the_top() -> None:
    expected = {"Tuner", "StoppingCriterion", "Reporter", "uniform", "loguniform", "randint", "choice", "finrange"}
    assert expected <= set(cloudtune.__all__) <= set(dir(cloudtune))
    with pytest.raises(AttributeError, match="no attribute 'Tunre'"):
        cloudtune.Tunre  # noqa: B018
