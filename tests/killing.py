"""Experiments on the sandbox whose tuner is a process that is killed and started again, and a quick starter for them.

    python -m tests.killing FOLDER

forks a tuner for each line of its input: a process like any other, without the second that imports take.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from cloudtune import StoppingCriterion, Tuner, uniform
from cloudtune.aws import Aws
from cloudtune.baselines import ASHA, RandomSearch
from cloudtune.callbacks import stop_requests
from cloudtune.callbacks.base import TunerCallback
from cloudtune.remote.storage import S3Storage
from cloudtune.sagemaker import FeedOptions, SageMakerBackend, TrainingJobTemplate
from cloudtune.schedulers import Decision, TrialScheduler
from cloudtune.schedulers.base import NOT_NOW, NotNow, Suggestion
from cloudtune.storage import LocalStorage
from cloudtune.trial import Metrics, Status, Trial

TRAIN = """
import argparse, os, time
from pathlib import Path
from cloudtune import Reporter

parser = argparse.ArgumentParser()
parser.add_argument("--width", type=float)
parser.add_argument("--epochs", type=int)
parser.add_argument("--st_checkpoint_dir")
args, _ = parser.parse_known_args()
kept = Path(args.st_checkpoint_dir, "epoch")
done = int(kept.read_text()) if kept.exists() else 0
report = Reporter()
for epoch in range(done + 1, args.epochs + 1):
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(str(epoch))
    report(epoch=epoch, loss=args.width + 1 / epoch)
    while epoch < args.epochs and not any(
        os.path.exists(f"{FOLDER}/{name}") for name in ("all", f"{args.width!r}-{epoch}")
    ):
        time.sleep(0.01)
"""

SPACE = {"width": uniform(0.0, 1.0), "epochs": 4}
SERVICES = ("sagemaker.", "logs.", "s3.", "sts.", "iam.")


class LockStep(TunerCallback):
    """Training goes beyond a report only once the tuner has decided on it, so that no decision depends on time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def on_tuning_start(self, tuner: Tuner) -> None:
        self._folder.mkdir(exist_ok=True)
        for row in tuner.ledger.rows:
            self._let_go(tuner.ledger.trials[row.trial_id].trial, row.metrics, row.decision.value)

    def on_trial_result(self, trial: Trial, status: Status, result: Metrics, decision: Decision) -> None:
        self._let_go(trial, result, decision.action.value)

    def _let_go(self, trial: Trial, result: Metrics, action: str) -> None:
        if action == "CONTINUE":
            (self._folder / f"{trial.config['width']!r}-{result['epoch']}").touch()


class OneByOne(ASHA):
    """Suggests nothing while a trial has not quite ended: what can be promoted doesn't depend on time, either."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._going: set[int] = set()

    def suggest(self, trial_id: int) -> Suggestion | NotNow | None:
        return NOT_NOW if self._going else super().suggest(trial_id)

    def on_trial_add(self, trial: Trial) -> None:
        self._going.add(trial.trial_id)
        super().on_trial_add(trial)

    def on_trial_resume(self, trial: Trial) -> None:
        self._going.add(trial.trial_id)
        super().on_trial_resume(trial)

    def on_trial_remove(self, trial: Trial) -> None:
        self._going.discard(trial.trial_id)
        super().on_trial_remove(trial)

    def on_trial_complete(self, trial: Trial, result: Metrics) -> None:
        self._going.discard(trial.trial_id)
        super().on_trial_complete(trial, result)


@dataclass(frozen=True)
class Case:
    """An experiment. ``where``: its journal is in S3, or in a file. ``trials``: so many. ``held``: no trial goes on."""

    name: str
    scheduler: str
    workers: int
    trials: int
    where: str = "file"
    held: bool = False

    def tuner(self, folder: Path) -> Tuner:
        steps = folder / f"steps-{self.name}"
        script = folder / f"{self.name}.py"
        if not script.exists():
            script.write_text(TRAIN.replace("{FOLDER}", str(steps)))
        return Tuner(
            SageMakerBackend(
                TrainingJobTemplate.script(script),
                feed=FeedOptions(drain_quiet_seconds=0.2, drain_limit_seconds=10.0),
                aws=Aws(rates={}),
            ),
            self._scheduler(),
            StoppingCriterion(max_num_trials_started=self.trials - 1),
            n_workers=self.workers,
            sleep_time=0.05,
            tuner_name=self.name,
            suffix_tuner_name=False,
            wait_trial_completion_when_stopping=True,
            callbacks=[] if self.held else [LockStep(steps)],
            storage=S3Storage() if self.where == "s3" else LocalStorage(),
        )

    def _scheduler(self) -> TrialScheduler:
        if self.scheduler == "random":
            return RandomSearch(SPACE, metric="loss", random_seed=5)
        return OneByOne(
            SPACE,
            metric="loss",
            resource_attr="epoch",
            max_resource_attr="epochs",
            type=self.scheduler,
            grace_period=1,
            reduction_factor=2,
            random_seed=5,
        )


class Starter:
    """The process that forks tuners; one at a time."""

    def __init__(self, own: Path, environment: dict[str, str], folder: Path | None = None) -> None:
        folder = folder or own
        own.mkdir(exist_ok=True)
        self.log = own / "tuners.log"
        self._pid: int | None = None
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.killing", str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=Path(__file__).parents[1],
                env=environment,
            )
        assert self._line() == "ready"

    def start(self, what: Case | str) -> int:
        """The pid of a process that runs this tuner, or ``cloudtune resume`` of this name."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what if isinstance(what, str) else vars(what)) + "\n")
        self._process.stdin.flush()
        self._pid = int(self._line())
        return self._pid

    def ended(self) -> int:
        """Wait for it; its exit code, minus the signal if it was killed."""
        code = int(self._line())
        self._pid = None
        return code

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the starter has died:\n{self.log.read_text()[-3000:]}"
        return line.strip()

    def __enter__(self) -> Starter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
        self._process.kill()
        self._process.communicate()


def _serve(folder: Path) -> None:
    aws = Aws()
    for service in ("s3", "sagemaker", "logs", "sts", "iam"):
        aws.client(service)  # their models stay in memory
    from cloudtune.cli import control, main  # noqa: F401

    print("ready", flush=True)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            os._exit(_run(json.loads(line), folder))
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def _run(what: Any, folder: Path) -> int:
    import logging
    import traceback

    os.dup2(2, 1)  # what it prints goes where its log goes
    signal.set_wakeup_fd(-1)
    stop_requests.LOOK_INTERVAL = 0.5
    logging.basicConfig(level=logging.INFO, format=f"{os.getpid()} %(message)s", force=True)
    try:
        if isinstance(what, str):
            from cloudtune.cli.main import cli

            cli(["resume", what], standalone_mode=False)
        else:
            Case(**what).tuner(folder).run()
    except BaseException:  # noqa: BLE001 - a forked process must not go on as its parent
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
