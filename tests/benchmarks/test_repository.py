"""Blackboxes by name: here, else in S3, else made."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cloudtune.aws import Aws
from cloudtune.aws import objects as s3
from cloudtune.benchmarks import (
    BlackboxRepositoryBackend,
    BlackboxTabular,
    blackbox_list,
    blackbox_local_path,
    deserialize,
    load_blackbox,
    repository,
    save_blackbox,
    serialize,
    upload_blackbox,
)
from cloudtune.benchmarks.recipes import RECIPES, TableRecipe
from cloudtune.errors import OptionError, UserError
from cloudtune.sandbox import Sandbox
from tests.benchmarks.tables import single_table, small_table

CONFIG = {"kind": "b", "size": 2}


def same(one: BlackboxTabular, other: object) -> None:
    assert isinstance(other, BlackboxTabular)
    assert one.configuration_space == other.configuration_space
    assert one.fidelity_space == other.fidelity_space
    assert one.objectives_names == other.objectives_names
    assert one.all_configurations() == other.all_configurations()
    np.testing.assert_array_equal(one.objectives_evaluations, other.objectives_evaluations)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A recipe called ``counted``; the list has an entry for each time it was carried out."""
    made: list[str] = []

    def generate() -> Mapping[str, BlackboxTabular]:
        made.append("once more")
        return {"small": small_table(), "single": single_table()}

    monkeypatch.setitem(RECIPES, "counted", TableRecipe("counted", "a small table", generate, "nobody"))
    return made


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has an account, and nobody waits to find out."""
    monkeypatch.setattr(repository, "_download", lambda name, s3_root: False)


def test_tables_come_back_from_disk_as_they_were(tmp_path: Path) -> None:
    serialize({"one/two": small_table(), "single": single_table()}, tmp_path, {"cite": "nobody"})
    found = deserialize(tmp_path)
    assert list(found) == ["one/two", "single"]
    same(small_table(), found["one/two"])
    same(single_table(), found["single"])
    assert list(deserialize(tmp_path, "single")) == ["single"]
    assert json.loads((tmp_path / "blackbox.json").read_text())["metadata"] == {"cite": "nobody"}
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", *[".parquet"] * 4]


def test_single_precision_stays_single_and_nan_stays_nan(tmp_path: Path) -> None:
    table = small_table()
    values = table.objectives_evaluations.astype(np.float32)
    values[0, 0, 0, 0] = np.nan
    single = BlackboxTabular(
        table.hyperparameters,
        table.configuration_space,
        table.fidelity_space,
        values,
        objectives_names=["loss", "seconds"],
    )
    serialize({"t": single}, tmp_path)
    found = deserialize(tmp_path)["t"]
    assert found.objectives_evaluations.dtype == np.float32
    np.testing.assert_array_equal(found.objectives_evaluations, values)


def test_a_folder_without_tables_says_so(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="has no tables"):
        deserialize(tmp_path)
    serialize({"small": small_table()}, tmp_path)
    with pytest.raises(OptionError, match="did you mean 'small'"):
        deserialize(tmp_path, "smal")


def test_a_blackbox_is_made_once(counted: list[str], offline: None) -> None:
    same(small_table(), load_blackbox("counted")["small"])
    same(single_table(), load_blackbox("counted", dataset="single")["single"])
    assert len(counted) == 1
    assert blackbox_local_path("counted").is_dir()


def test_unless_that_is_not_wanted(counted: list[str], offline: None) -> None:
    with pytest.raises(OptionError, match="generate_if_not_found"):
        load_blackbox("counted", generate_if_not_found=False)
    assert counted == []


def test_a_name_that_nobody_knows(offline: None) -> None:
    with pytest.raises(OptionError, match="did you mean 'mlp-digits'"):
        load_blackbox("mlp-digit")


def test_tables_of_your_own_are_kept_under_their_name(offline: None) -> None:
    save_blackbox("mine", {"small": small_table()})
    assert "mine" in blackbox_list()
    same(small_table(), load_blackbox("mine")["small"])


def test_what_one_machine_made_another_finds_in_s3(sandbox: Sandbox, counted: list[str]) -> None:
    root = f"s3://{sandbox.bucket}/boxes"
    load_blackbox("counted", s3_root=root)
    shutil.rmtree(blackbox_local_path("counted"))  # this is another machine now
    same(small_table(), load_blackbox("counted", s3_root=root)["small"])
    assert len(counted) == 1


def test_s3_is_asked_again_if_that_is_wanted(sandbox: Sandbox) -> None:
    root = f"s3://{sandbox.bucket}/again"
    save_blackbox("mine", {"small": small_table()}, s3_root=root)
    save_blackbox("mine", {"single": single_table()})
    assert list(load_blackbox("mine", s3_root=root)) == ["single"]
    assert list(load_blackbox("mine", s3_root=root, skip_if_present=False)) == ["small"]


def test_by_default_it_is_the_accounts_own_bucket(sandbox: Sandbox) -> None:
    save_blackbox("mine", {"small": small_table()})
    aws = Aws()
    bucket = f"sagemaker-{aws.region}-{aws.account}"
    if not s3.bucket_exists(aws, bucket):
        aws.call("s3", "CreateBucket", Bucket=bucket)
    assert upload_blackbox("mine") == f"s3://{bucket}/blackbox-repository/mine"
    shutil.rmtree(blackbox_local_path("mine"))
    same(small_table(), load_blackbox("mine")["small"])


def test_without_pyarrow_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    def refuse(name: str, *args: Any) -> Any:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", refuse)
    with pytest.raises(UserError, match=r"pip install 'cloudtune\[blackboxes\]'"):
        serialize({"small": small_table()}, tmp_path)


# -- the backend that takes a name -------------------------------------------------------------------------------------


def test_the_backend_finds_its_blackbox(counted: list[str], offline: None) -> None:
    backend = BlackboxRepositoryBackend("counted", "seconds", dataset="small")
    assert backend.blackbox(CONFIG, fidelity=1) == {"loss": 401.0, "seconds": 5.0}
    assert str(backend.entry_point) == "counted-small.py"
    with pytest.raises(OptionError, match="one of small, single"):
        BlackboxRepositoryBackend("counted", "seconds")
    with pytest.raises(OptionError, match="did you mean 'seconds'"):
        BlackboxRepositoryBackend("counted", "second", dataset="small")


def test_the_backend_fits_a_surrogate(counted: list[str], offline: None) -> None:
    backend = BlackboxRepositoryBackend(
        "counted",
        "seconds",
        dataset="small",
        surrogate="KNeighborsRegressor",
        surrogate_kwargs={"n_neighbors": 1},
        add_surrogate_kwargs={"predict_curves": True, "fit_differences": ["seconds"]},
    )
    assert backend.blackbox.num_seeds == 1
    np.testing.assert_allclose(backend.blackbox.curves(CONFIG)[:, 1], [5.0, 10.0, 15.0])
    with pytest.raises(OptionError, match="did you mean 'fit_differences'"):
        BlackboxRepositoryBackend(
            "counted",
            "seconds",
            dataset="small",
            surrogate="KNeighborsRegressor",
            add_surrogate_kwargs={"fit_difference": []},
        )
    with pytest.raises(OptionError, match="name one"):
        BlackboxRepositoryBackend("counted", "seconds", dataset="small", surrogate_kwargs={"n_neighbors": 1})


def test_a_saved_backend_names_its_table_and_keeps_its_clock(counted: list[str], offline: None) -> None:
    backend = BlackboxRepositoryBackend("counted", "seconds", dataset="small", seed=1)
    payload = pickle.dumps((backend, backend.clock))
    assert len(payload) < 2000
    again, clock = pickle.loads(payload)
    assert again.clock is clock
    assert again.blackbox(CONFIG, fidelity=1) == {"loss": 401.0, "seconds": 5.0}


def test_nothing_but_what_is_asked_for_is_imported() -> None:
    import subprocess
    import sys

    heavy = ("pandas", "sklearn", "pyarrow", "boto3")
    code = f"import sys, cloudtune.benchmarks; print([name for name in {heavy} if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
