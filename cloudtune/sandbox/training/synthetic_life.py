"""The life of one synthetic job: what follows from what, and when."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, TypeAlias

from cloudtune.sandbox.script import Exit, Line, Run, Save, Step, Terminated
from cloudtune.sandbox.training.checkpoint_store import Checkpoints
from cloudtune.sandbox.training.execution import Mishap, Shortage
from cloudtune.sandbox.training.job import (
    COMPLETED,
    DOWNLOADING,
    INTERRUPTED,
    MAX_RUNTIME_EXCEEDED,
    MAX_WAIT_EXCEEDED,
    STARTING,
    STOPPED,
    STOPPING,
    TRAINING,
    UPLOADING,
    Job,
    failure_text,
)
from cloudtune.sandbox.training.limits import max_runtime, wait_ends
from cloudtune.sandbox.training.output import Output

if TYPE_CHECKING:
    from cloudtune.sandbox.training.synthetic import SyntheticExecutor

SIGKILL, SIGTERM = -9, -15

Action: TypeAlias = Callable[["Life", float], None]
"""What is due: a method of ``Life``, at a moment."""


class Life:
    """``job`` from its creation to its end, as ``home`` brings its moments."""

    def __init__(self, home: SyntheticExecutor, job: Job) -> None:
        self.job = job
        self._home = home
        self._agenda: dict[Action, int] = {}
        self._steps: Iterator[Step] | None = None  # of the script, while it runs
        self._step: Step = Exit()
        self._step_due = math.inf
        self._began = 0.0  # on its instances
        self._spent = 0.0  # seconds on the instances it has lost
        self._restarts = 0
        self._next_sync = 0.0
        self._exit: tuple[int, str | None] = (0, None)
        self._end_as: str | None = None
        self._mishap: Mishap | None = None
        self._unsynced: dict[str, bytes | None] = {}
        self._checkpoints = Checkpoints(home.checkpoints, job.request)
        self._output = Output(job, home.logs, home.ledger)

    # -- its agenda ----------------------------------------------------------------------------------------------------

    def takes(self, action: Action, number: int) -> bool:
        """Whether this planned ``action`` still stands; it is taken then."""
        if self._agenda.get(action) != number:
            return False
        del self._agenda[action]
        return True

    def _plan(self, action: Action, at: float) -> None:
        if at < math.inf:
            self._agenda[action] = self._home.plan(self, action, at)
        else:
            self._agenda.pop(action, None)

    # -- up to its script ----------------------------------------------------------------------------------------------

    def begin(self, at: float, warm: bool) -> None:
        """It was created."""
        if warm:
            self._plan(Life._got_instances, at + self._home.delays.starting_warm)
        else:
            self._look_for_instances(at)
        self._plan(Life._exceed_wait, wait_ends(self.job))

    def _look_for_instances(self, at: float) -> None:
        shortage = self._home.shortages(self.job, self._restarts, at) or Shortage(0.0)
        if shortage.reason is not None:
            self._mishap = Mishap(shortage.seconds, shortage.reason)
            self._plan(Life._befall, at + shortage.seconds)
        else:
            self._plan(Life._got_instances, at + shortage.seconds + self._home.delays.starting)

    def _got_instances(self, at: float) -> None:
        self._began = at
        self._enter(DOWNLOADING, at)
        self._plan(Life._downloaded, at + self._home.delays.downloading)

    def _downloaded(self, at: float) -> None:
        self._enter(TRAINING, at)
        self._output.begin(at)
        self._plan(Life._exceed_runtime, max(at, self._began + max_runtime(self.job) - self._spent))
        self._mishap = self._home.mishaps(self.job, self._restarts)
        if self._mishap is not None:
            self._plan(Life._befall, at + self._mishap.after)
        self._next_sync = at
        self._call(at, lambda: iter(self._home.script(self._run_of(at))))

    def _run_of(self, at: float) -> Run:
        request = self.job.request
        return Run(
            job_name=self.job.name,
            hyperparameters=request.get("HyperParameters") or {},
            environment=request.get("Environment") or {},
            request=request,
            began=at,
            restarts=self._restarts,
            checkpoint=self._checkpoints.read(),
        )

    # -- its script ----------------------------------------------------------------------------------------------------

    def _call(self, at: float, start: Callable[[], Iterator[Step]]) -> None:
        try:
            self._steps = start()
        except Exception as error:  # noqa: BLE001 - a script that fails, whatever way
            self._crash(at, error)
        else:
            self._advance(at, self._steps.__next__)

    def _advance(self, at: float, following: Callable[[], Step]) -> None:
        """Let the script say what it does next."""
        try:
            self._step = following()
        except StopIteration:
            self._leave(at, 0)
        except Terminated:
            self._leave(at, SIGTERM)
        except Exception as error:  # noqa: BLE001 - a script that fails, whatever way
            self._crash(at, error)
        else:
            self._step_due = at + self._step.after
            self._plan(Life._do_step, self._step_due)

    def _do_step(self, at: float) -> None:
        step = self._step
        if isinstance(step, Exit):
            self._leave(at, step.code, step.failure)
            return
        if isinstance(step, Line):
            self._print(step.text if isinstance(step.text, str) else step.text(at), at)
        else:
            self._save(step, at)
        assert self._steps is not None
        self._advance(at, self._steps.__next__)

    def _print(self, text: str, at: float) -> None:
        for line in text.splitlines() or [""]:
            self._output.line(line, at)

    def _save(self, step: Save, at: float) -> None:
        for name, content in step.files.items():
            # what is written again is newer than what was written between
            self._unsynced.pop(name, None)
            self._unsynced[name] = content
        if Life._sync not in self._agenda:
            interval = self._home.delays.checkpoint_sync
            turns = math.ceil((at - self._next_sync) / interval)
            self._next_sync += max(1, turns) * interval
            self._plan(Life._sync, self._next_sync)

    def _sync(self, at: float) -> None:
        files, self._unsynced = self._unsynced, {}
        self._checkpoints.write(files, at)

    def _crash(self, at: float, error: Exception) -> None:
        for line in traceback.format_exception(error):
            self._print(line.rstrip("\n"), at)
        self._leave(at, 1, f"{type(error).__name__}: {error}")

    def _leave(self, at: float, code: int, failure: str | None = None) -> None:
        """The script has ended."""
        self._end_script()
        self._exit = (code, failure)
        self._sync(at)
        self._enter(UPLOADING, at)
        delays = self._home.delays
        self._plan(Life._conclude, at + (delays.stopping if self._is_stopping else delays.uploading))

    def _end_script(self) -> None:
        steps, self._steps = self._steps, None
        if isinstance(steps, Generator):
            steps.close()
        self._agenda.clear()

    # -- stops and ends ------------------------------------------------------------------------------------------------

    @property
    def _is_stopping(self) -> bool:
        return self.job.status == STOPPING

    def stop(self, at: float) -> None:
        """It is ``Stopping`` from now on."""
        if self._steps is not None:
            self._terminate(at)
        else:
            # starting, downloading, or uploading
            self._agenda.clear()
            self._plan(Life._conclude, at + self._home.delays.stopping)

    def _terminate(self, at: float) -> None:
        self._agenda.pop(Life._exceed_runtime, None)
        self._agenda.pop(Life._do_step, None)
        self._agenda.pop(Life._befall, None)
        self._plan(Life._kill, at + self._home.delays.stop_grace)
        word = Terminated(self._step, max(0.0, self._step_due - at))
        steps = self._steps
        if isinstance(steps, Generator):
            self._advance(at, lambda: steps.throw(word))
        else:
            self._leave(at, SIGTERM)

    def _kill(self, at: float) -> None:
        self._leave(at, SIGKILL)

    def _exceed_runtime(self, at: float) -> None:
        self.job.runtime_exceeded = True
        self._end_as = MAX_RUNTIME_EXCEEDED
        self._enter(STOPPING, at)
        self.stop(at)

    def _exceed_wait(self, at: float) -> None:
        if self._is_stopping:
            return
        self._end_as = MAX_WAIT_EXCEEDED
        if self.job.secondary in (STARTING, INTERRUPTED):
            self._end(MAX_WAIT_EXCEEDED, at)
        else:
            self._enter(STOPPING, at)
            self.stop(at)

    def _conclude(self, at: float) -> None:
        code, failure = self._exit
        if self._is_stopping:
            self._end(self._end_as or STOPPED, at)
        elif code == 0:
            self._end(COMPLETED, at)
        else:
            self.fail(at, failure_text(code, failure))

    # -- what befalls it -----------------------------------------------------------------------------------------------

    def _befall(self, at: float) -> None:
        mishap = self._mishap
        assert mishap is not None
        mishap.struck()
        if mishap.reason is None:
            self.interrupt(at, mishap.pause)
        else:
            self.fail(at, mishap.reason)

    def interrupt(self, at: float, pause: float) -> None:
        """Its instances are gone, and with them what was not in S3 yet; others come ``pause`` seconds later."""
        if not self.job.spot or self._is_stopping or self.job.secondary not in (DOWNLOADING, TRAINING):
            return
        waits = self._agenda.get(Life._exceed_wait)
        self._end_script()
        if waits is not None:
            self._agenda[Life._exceed_wait] = waits
        self._unsynced.clear()
        self._spent += at - self._began
        self._restarts += 1
        self._enter(INTERRUPTED, at)
        self._plan(Life._start_again, at + pause)

    def _start_again(self, at: float) -> None:
        self._enter(STARTING, at)
        self._look_for_instances(at)

    def fail(self, at: float, reason: str) -> None:
        """The end, with its reason."""
        self._end_script()
        if not self.job.ended:
            with self._home.ledger.changing(self.job):
                self.job.fail(reason, at)
        self._home.forget(self.job)

    def abandon(self) -> None:
        """The sandbox ends."""
        self._end_script()

    def _end(self, secondary: str, at: float) -> None:
        self._end_script()
        self._enter(secondary, at)
        self._home.forget(self.job)

    def _enter(self, secondary: str, at: float) -> None:
        with self._home.ledger.changing(self.job):
            self.job.enter(secondary, at)
