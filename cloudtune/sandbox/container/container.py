"""One run of one training job."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable
from typing import Any

from cloudtune.sandbox.container import isolation, s3
from cloudtune.sandbox.container.artifacts import upload_artifacts
from cloudtune.sandbox.container.channels import download_channel
from cloudtune.sandbox.container.checkpoints import DEFAULT_PATH, CheckpointSync, check_local_path
from cloudtune.sandbox.container.command import main_command, submitted_source
from cloudtune.sandbox.container.config import HOSTS, instances, write_config, write_hosts
from cloudtune.sandbox.container.environment import job_environment
from cloudtune.sandbox.container.inside.venv import derive
from cloudtune.sandbox.container.interpreter import facts
from cloudtune.sandbox.container.isolation import Isolation
from cloudtune.sandbox.container.layout import OPT_ML, Layout
from cloudtune.sandbox.container.processes import Plan, Processes
from cloudtune.sandbox.container.spec import Artifacts, ContainerError, ContainerSpec
from cloudtune.sandbox.directories import remove_tree

_LONGEST_REASON = 1024
# the channel by which version 3 of the SDK sends what runs the user's script; its paths are fixed
DRIVERS = "sm_drivers"


class TrainingContainer:
    """Runs a job: ``download``, ``start``, ``wait``, ``upload``, ``cleanup``, in this order.

    ``write_line`` gets each line that the job prints, without its end, from another thread. ``terminate`` and ``kill``
    may come from any thread at any time; before ``start`` they prevent it.
    """

    def __init__(self, spec: ContainerSpec, write_line: Callable[[str], None]) -> None:
        self._spec = spec
        self._write_line = write_line
        self._parent: dict[str, Any] = facts(spec.interpreter)
        # what the job needs of the host, which its own mounts must not hide
        self._needed = (
            str(spec.directory),
            isolation.HERE,
            self._parent["executable"],
            self._parent["base_executable"],
            *self._parent["sites"],
        )
        self._isolation = isolation.for_paths(self._needed)
        self._layout = Layout(spec.directory, private=self._isolation is not Isolation.NONE)
        self._store = s3.Store.of(spec)
        self._lock = threading.Lock()
        self._prevented: int | None = None
        self._processes: Processes | None = None
        self._sync: CheckpointSync | None = None
        self._checkpoint_path = DEFAULT_PATH
        checkpoints = spec.request.get("CheckpointConfig")
        if checkpoints:
            self._checkpoint_path = checkpoints.get("LocalPath", DEFAULT_PATH)
            location = s3.Location.parse(checkpoints["S3Uri"])
            directory = self._layout.checkpoints(self._checkpoint_path)
            self._sync = CheckpointSync(self._store, location, directory, spec.checkpoint_sync_seconds)

    def download(self) -> None:
        """Make the job's directories and fill them. Raises ContainerError if anything that the job needs is missing."""
        request = self._spec.request
        self._layout.make()
        main_command(self._spec, self._layout, self._parent)
        check_local_path(self._checkpoint_path, self._layout, self._needed)
        write_config(self._layout, request)
        write_hosts(self._layout.hosts_file)
        derive(self._layout.python, self._parent)
        mode = request.get("AlgorithmSpecification", {}).get("TrainingInputMode", "File")
        for channel in request.get("InputDataConfig", []):
            directory = self._layout.data / channel["ChannelName"]
            download_channel(self._store, channel, directory, mode)
            if channel["ChannelName"] == DRIVERS:
                self._layout.adapt(directory)
        source = submitted_source(request)
        if source is not None:
            self._store.download(s3.Location.parse(source), self._layout.source)
        self._layout.checkpoints(DEFAULT_PATH).mkdir(exist_ok=True)
        if self._sync is not None:
            self._sync.restore()

    def start(self) -> None:
        """Start the job's main process; nothing if it was stopped before."""
        count = instances(self._spec.request)
        if count > 1:
            self._write_line(f"cloudtune sandbox: {count} instances were asked for; the job runs as one, algo-1")
        command = main_command(self._spec, self._layout, self._parent)
        plan = Plan(
            command=command.arguments,
            environment=job_environment(self._spec, self._layout, self._parent),
            directory=str(self._layout.home),
            binds=self._binds(),
            isolation=self._isolation,
            passes_on=command.passes_on,
        )
        with self._lock:
            if self._prevented is not None:
                return
            self._processes = Processes(plan, self._write_line)
        if self._sync is not None:
            self._sync.start()

    def _binds(self) -> dict[str, str]:
        if not self._layout.private:
            return {}
        binds = {OPT_ML: str(self._layout.ml)}
        if HOSTS.exists():
            binds[str(HOSTS)] = str(self._layout.hosts_file)
        if self._layout.outside_opt_ml(self._checkpoint_path):
            binds[self._checkpoint_path] = str(self._layout.checkpoints(self._checkpoint_path))
        return binds

    def wait(self, timeout_seconds: float | None = None) -> int | None:
        """The exit code, negative for a signal, once all output is written; None if it takes longer than the timeout.

        Raises ContainerError if the job's surroundings couldn't be made.
        """
        if self._processes is None:
            if self._prevented is None:
                raise RuntimeError("the container wasn't started")
            return self._prevented
        return self._processes.wait(timeout_seconds)

    def terminate(self) -> None:
        """SIGTERM now, SIGKILL to all processes ``stop_grace_seconds`` later; returns at once."""
        with self._lock:
            if self._processes is None:
                self._prevented = -signal.SIGTERM
            else:
                self._processes.terminate(self._spec.stop_grace_seconds)

    def kill(self) -> None:
        """SIGKILL to all processes; returns at once."""
        with self._lock:
            if self._processes is None:
                self._prevented = -signal.SIGKILL
            else:
                self._processes.kill()

    def failure_reason(self) -> str | None:
        """What the job wrote to ``/opt/ml/output/failure``, at most 1024 characters."""
        if not self._layout.failure.is_file():
            return None
        with self._layout.failure.open(encoding="utf-8", errors="replace") as file:
            return file.read(_LONGEST_REASON) or None

    def upload(self) -> Artifacts:
        """Copy the last checkpoints and what the job left to S3. Raises ContainerError if S3 refuses."""
        if self._sync is not None:
            self._sync.finish()
        return upload_artifacts(self._spec, self._layout, self._store)

    def cleanup(self) -> None:
        """End what still runs and remove the job's directory. Its mounts went with its processes."""
        self.kill()
        if self._processes is not None:
            # it may never have run, which wait() has told already
            with contextlib.suppress(ContainerError):
                self._processes.wait()
        if self._sync is not None:
            self._sync.stop()
        remove_tree(self._layout.directory)
