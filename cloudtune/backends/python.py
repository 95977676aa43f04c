"""Trials as processes of this machine that call a Python function."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cloudtune.backends import run_function
from cloudtune.backends.base import Capabilities, Experiment
from cloudtune.backends.function_payload import pack_function
from cloudtune.backends.gpus import GpuPool, visible_gpus
from cloudtune.backends.local import CHECKPOINT_ARGUMENT, CONFIG_JSON_ARGUMENT
from cloudtune.backends.local_files import AttemptFiles, file_errors
from cloudtune.backends.local_processes import LocalProcesses
from cloudtune.clock import Clock
from cloudtune.options import named_options
from cloudtune.trial import Attempt, AttemptId, Launch, Observation, Trial


@named_options()
class PythonBackend:
    """Tunes a function instead of a script; each attempt calls it in a process of its own, as ``LocalBackend`` does.

    ``tune_function``: reports through a ``Reporter`` that it makes itself. It travels alone: it imports and defines
    inside itself whatever it uses. Its arguments are names of ``config_space``, passed as they are, never as text;
    ``st_checkpoint_dir`` is the trial's checkpoint folder. Nothing is loaded but what the attempt was started with:
    the payload's SHA-256 is checked first.

    The rest is documented at ``LocalBackend``. Raises ``OptionError`` if the function can't travel, and
    ``ConfigSpaceError`` if it needs an argument that the space does not have.
    """

    def __init__(
        self,
        tune_function: Callable[..., object],
        config_space: Mapping[str, Any],
        rotate_gpus: bool = True,
        delete_checkpoints: bool = False,
        num_gpus_per_trial: int = 1,
        gpus_to_use: Sequence[int] | None = None,
        stop_grace: float = 30.0,
        detect_gpus: Callable[[], Sequence[str]] = visible_gpus,
    ) -> None:
        self._function = pack_function(tune_function)
        self._function.check_space(config_space)
        self.delete_checkpoints = delete_checkpoints
        self._processes = LocalProcesses(GpuPool(rotate_gpus, num_gpus_per_trial, gpus_to_use, detect_gpus), stop_grace)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities()

    @property
    def entry_point(self) -> Path:
        """No file that exists: the function's name, for the names of experiments."""
        return Path(f"{self._function.name.strip('<>')}.py")

    @property
    def tune_function_path(self) -> Path:
        """The file with the serialized function; written by ``open``."""
        return self._processes.experiment.path.absolute() / "tune_function" / f"{self._function.sha256}.dill"

    # -- the contract ------------------------------------------------------------------------------------------------

    def open(self, experiment: Experiment, clock: Clock) -> None:
        if experiment.config_space:
            self._function.check_space(experiment.config_space)
        self._processes.open(experiment, clock)
        path = self.tune_function_path
        with file_errors(f"{path} can't be written"):
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_suffix(".draft")
            draft.write_bytes(self._function.content)
            draft.replace(path)

    def adopt(self, attempts: Sequence[Attempt]) -> None:
        self._processes.adopt(attempts, self._command)

    def launched(self, attempts: Sequence[Attempt]) -> Mapping[AttemptId, Launch]:
        return self._processes.launched(attempts)

    def start(self, attempt: Attempt) -> Launch:
        return self._processes.start(attempt, self._command)

    def stop(self, attempt: AttemptId) -> None:
        self._processes.stop(attempt)

    def poll(self) -> Sequence[Observation]:
        return self._processes.poll()

    def copy_checkpoint(self, source_trial_id: int, target_trial_id: int) -> None:
        self._processes.copy_checkpoint(source_trial_id, target_trial_id)

    def delete_checkpoint(self, trial_id: int) -> None:
        self._processes.delete_checkpoint(trial_id)

    def logs(self, trial_id: int) -> Iterator[str]:
        return self._processes.logs(trial_id)

    def workers_available(self) -> int | None:
        return None

    def start_no_more(self) -> None:
        pass

    def summary_lines(self) -> Sequence[str]:
        return ()

    def release(self) -> None:
        pass

    def close(self) -> None:
        self._processes.close()

    # -- for users, as at LocalBackend ---------------------------------------------------------------------------------

    def start_trial(self, config: object, checkpoint_trial_id: int | None = None) -> Trial:
        return self._processes.start_trial(config, checkpoint_trial_id, self._command)

    def trial_path(self, trial_id: int) -> Path:
        return self._processes.trial(trial_id).folder

    def checkpoint_trial_path(self, trial_id: int) -> Path:
        return self._processes.trial(trial_id).checkpoints

    def stdout(self, trial_id: int) -> list[str]:
        return self._processes.stdout(trial_id)

    def stderr(self, trial_id: int) -> list[str]:
        return self._processes.stderr(trial_id)

    def _command(self, attempt: Attempt, files: AttemptFiles) -> list[str]:
        return [
            sys.executable,
            run_function.__file__,
            str(self.tune_function_path),
            self._function.sha256,
            CONFIG_JSON_ARGUMENT,
            str(files.config.absolute()),
            CHECKPOINT_ARGUMENT,
            str(files.trial.checkpoints.absolute()),
        ]
