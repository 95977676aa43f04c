"""Trials as processes of this machine that run a training script."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from cloudtune.backends.base import Capabilities, Experiment
from cloudtune.backends.gpus import GpuPool, visible_gpus
from cloudtune.backends.local_files import AttemptFiles
from cloudtune.backends.local_processes import LocalProcesses
from cloudtune.clock import Clock
from cloudtune.errors import OptionError, ScriptError
from cloudtune.options import named_options
from cloudtune.space import to_cli_string
from cloudtune.trial import Attempt, AttemptId, Config, Launch, Observation, Trial

CHECKPOINT_ARGUMENT = "--st_checkpoint_dir"
CONFIG_JSON_ARGUMENT = "--st_config_json_filename"


@named_options()
class LocalBackend:
    """Runs each attempt as a process of this machine; tuner and trials share its cores and memory.

    ``entry_point``: the training script, ``.py`` (run by this Python) or ``.sh``. It gets ``--name value`` for each
    entry of the configuration, and ``--st_checkpoint_dir``; its working directory is the tuner's.
    ``delete_checkpoints``: the tuner deletes a trial's checkpoint once the trial can't be resumed.
    ``pass_args_as_json``: the script gets ``--st_config_json_filename`` instead, the name of a file with the
    configuration as JSON: for lists and dicts, and for strings that begin with a dash.
    ``rotate_gpus``: each trial gets ``num_gpus_per_trial`` GPUs of its own through ``CUDA_VISIBLE_DEVICES``, and waits
    until they are free; of the free ones, those with the fewest assignments so far. If False, trials share all GPUs.
    ``gpus_to_use``: numbers of the GPUs to use, counted among those this process sees; default: all.
    ``stop_grace``: seconds between SIGTERM and SIGKILL when a trial is stopped.
    ``detect_gpus``: says which GPUs there are, as ``CUDA_VISIBLE_DEVICES`` names them.

    Raises ``OptionError`` for arguments that make no sense, and in ``open`` ``ScriptError`` for a script that can't be
    run. Files are as ``cloudtune.backends.local_files`` draws them. Attempts outlive a tuner that is killed.
    """

    def __init__(
        self,
        entry_point: str | Path,
        delete_checkpoints: bool = False,
        pass_args_as_json: bool = False,
        rotate_gpus: bool = True,
        num_gpus_per_trial: int = 1,
        gpus_to_use: Sequence[int] | None = None,
        stop_grace: float = 30.0,
        detect_gpus: Callable[[], Sequence[str]] = visible_gpus,
    ) -> None:
        if not isinstance(entry_point, (str, Path)):
            raise OptionError(f"entry_point={entry_point!r} is no path", "give the path of the training script")
        self._entry_point = Path(entry_point)
        self.delete_checkpoints = delete_checkpoints
        self.pass_args_as_json = pass_args_as_json
        self._processes = LocalProcesses(GpuPool(rotate_gpus, num_gpus_per_trial, gpus_to_use, detect_gpus), stop_grace)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities()

    @property
    def entry_point(self) -> Path:
        return self._entry_point

    def set_entry_point(self, entry_point: str | Path) -> None:
        """The script lies there now: for a tuner that was moved to another machine. Before ``open``."""
        self._entry_point = Path(entry_point)

    # -- the contract ------------------------------------------------------------------------------------------------

    def open(self, experiment: Experiment, clock: Clock) -> None:
        self._entry_point = check_script(self._entry_point)
        self._processes.open(experiment, clock)

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

    def checkpoint_committed_at(self, trial_id: int) -> float | None:
        return self._processes.checkpoint_committed_at(trial_id)

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

    # -- for users -----------------------------------------------------------------------------------------------------

    def start_trial(self, config: object, checkpoint_trial_id: int | None = None) -> Trial:
        """Start a trial of one's own beside a tuner's, to train the best configuration again for example.

        ``config``: a configuration, or what ``Tuner.best_config()`` or ``ExperimentResult.best_config()`` returned.
        ``checkpoint_trial_id``: the trial whose checkpoint it starts from. Returns at once; the trial's number
        is 1,000,000 or above. Only after ``open``, as after a tuner's ``run``.
        """
        return self._processes.start_trial(config, checkpoint_trial_id, self._command)

    def trial_path(self, trial_id: int) -> Path:
        """The folder with all files of a trial."""
        return self._processes.trial(trial_id).folder

    def checkpoint_trial_path(self, trial_id: int) -> Path:
        """The folder a trial writes its checkpoints to; made by the script."""
        return self._processes.trial(trial_id).checkpoints

    def stdout(self, trial_id: int) -> list[str]:
        """Lines the trial's attempts printed on standard output."""
        return self._processes.stdout(trial_id)

    def stderr(self, trial_id: int) -> list[str]:
        """Lines the trial's attempts printed on standard error."""
        return self._processes.stderr(trial_id)

    # -- the command line ----------------------------------------------------------------------------------------------

    def _command(self, attempt: Attempt, files: AttemptFiles) -> list[str]:
        shell = self._entry_point.suffix == ".sh"
        interpreter = shutil.which("bash") or "sh" if shell else sys.executable
        if self.pass_args_as_json:
            arguments = [CONFIG_JSON_ARGUMENT, str(files.config.absolute())]
        else:
            arguments = command_line_arguments(attempt.config)
        checkpoints = str(files.trial.checkpoints.absolute())
        return [interpreter, str(self._entry_point), *arguments, CHECKPOINT_ARGUMENT, checkpoints]


def command_line_arguments(config: Config) -> list[str]:
    """``--name value`` for each entry; ``--name=value`` where argparse would take the value for an option."""
    arguments: list[str] = []
    for name, value in config.items():
        text = to_cli_string(value)
        if isinstance(value, str) and text.startswith("-"):
            arguments.append(f"--{name}={text}")
        else:
            arguments += [f"--{name}", text]
    return arguments


def check_script(script: Path) -> Path:
    """Its absolute path. Raises ``ScriptError`` unless it is a file that can be run."""
    path = script.expanduser().absolute()
    if path.is_dir():
        raise ScriptError(
            f"entry_point={str(script)!r} is a folder",
            f"name the training script in it, {str(path / 'train.py')!r} say",
        )
    if not path.is_file():
        raise ScriptError(
            f"entry_point={str(script)!r} does not exist: there is no file {path}",
            "paths are relative to the working directory; Path(__file__).parent / 'train.py' is not",
        )
    if path.suffix not in (".py", ".sh"):
        raise ScriptError(f"entry_point={str(script)!r} is neither a .py nor a .sh file", "name the training script")
    try:
        path.open("rb").close()
    except PermissionError as error:
        raise ScriptError(f"entry_point={str(script)!r} can't be read: {error}", f"chmod +r {path}") from error
    return path
