"""The tuner as bytes: what may travel, and what is refused before anything is loaded."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import dill
import pytest

from cloudtune.callbacks.base import TunerCallback
from cloudtune.engine.status import TuningStatus
from cloudtune.errors import IntegrityError, OptionError, UserError
from cloudtune.remote.payload import load_tuner, pack_tuner, sha256
from tests.remote.support import local_tuner, training_script


class Careful(TunerCallback):
    """Part of this module, not of the launcher script."""


class HoldsASocket(TunerCallback):
    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection


class Trap:
    """What an attacker would send: does something as soon as it is loaded."""

    loaded = False

    def __reduce__(self) -> tuple[object, tuple[()]]:
        return Trap._spring, ()

    @staticmethod
    def _spring() -> str:
        Trap.loaded = True
        return "got you"


def enough(status: TuningStatus) -> bool:
    return status.num_trials_started > 3


def test_a_tuner_comes_back_as_it_was(tmp_path: Path) -> None:
    tuner = local_tuner(training_script(tmp_path), stop_criterion=enough, callbacks=[Careful()])
    payload = pack_tuner(tuner)
    back = load_tuner(payload.content, payload.sha256, payload.python)
    assert back.name == tuner.name
    assert back.scheduler.config_space == tuner.scheduler.config_space
    assert back.stop_criterion is enough
    assert any(isinstance(callback, Careful) for callback in back.callbacks)


def test_modules_it_refers_to_are_known(tmp_path: Path) -> None:
    payload = pack_tuner(local_tuner(training_script(tmp_path), callbacks=[Careful()]))
    assert __name__ in payload.modules
    assert "cloudtune.tuner" in payload.modules


def test_nothing_is_loaded_unless_the_digest_is_right(tmp_path: Path) -> None:
    evil = dill.dumps(Trap())
    with pytest.raises(IntegrityError, match="SHA-256"):
        load_tuner(evil, pack_tuner(local_tuner(training_script(tmp_path))).sha256, "")
    assert not Trap.loaded


def test_something_else_than_a_tuner_is_refused() -> None:
    content = dill.dumps({"no": "tuner"})
    with pytest.raises(IntegrityError, match="is a dict, no tuner"):
        load_tuner(content, sha256(content), "")


def test_a_lambda_as_stop_criterion_is_refused_with_the_way_out(tmp_path: Path) -> None:
    tuner = local_tuner(training_script(tmp_path), stop_criterion=lambda status: status.num_trials_started > 3)
    with pytest.raises(OptionError, match=r"lambda[\s\S]*use StoppingCriterion"):
        pack_tuner(tuner)


def test_what_cannot_be_serialized_is_named(tmp_path: Path) -> None:
    with socket.socket() as connection:
        tuner = local_tuner(training_script(tmp_path), callbacks=[Careful(), HoldsASocket(connection)])
        with pytest.raises(OptionError, match="callback HoldsASocket can't be serialized"):
            pack_tuner(tuner)


def test_code_of_the_launcher_binds_the_payload_to_this_python(tmp_path: Path) -> None:
    def closure(status: TuningStatus) -> bool:
        return status.num_trials_started > limit

    limit = 3
    bound = pack_tuner(local_tuner(training_script(tmp_path), stop_criterion=closure))
    free = pack_tuner(local_tuner(training_script(tmp_path)))
    assert (bool(bound.python), free.python) == (True, "")
    with pytest.raises(UserError, match=r"packed by Python 2\.7"):
        load_tuner(bound.content, bound.sha256, "2.7")


def test_a_missing_module_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vanishing.py").write_text(
        "from cloudtune.callbacks.base import TunerCallback\nclass Here(TunerCallback): pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    module = pytest.importorskip("vanishing")
    payload = pack_tuner(local_tuner(training_script(tmp_path / "script"), callbacks=[module.Here()]))
    monkeypatch.undo()
    monkeypatch.delitem(sys.modules, "vanishing")
    (tmp_path / "vanishing.py").unlink()
    with pytest.raises(UserError, match=r"vanishing[\s\S]*dependencies"):
        load_tuner(payload.content, payload.sha256, "")
