"""Experiments small enough for a test, run by a process of their own, and the command as a user types it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cloudtune.clock import SystemClock
from cloudtune.journal import events as ev
from cloudtune.journal.file import FileJournal

PACKAGE = str(Path(__file__).parents[2])
PATIENCE = 120.0

TRAIN = """
import argparse, os, time
from pathlib import Path
from cloudtune.report import Reporter

parser = argparse.ArgumentParser()
parser.add_argument("--x", type=float)
parser.add_argument("--epochs", type=int)
args, _ = parser.parse_known_args()
folder = Path(__file__).parent
with (folder / "begun.txt").open("a") as file:  # each process leaves one line
    file.write(f"{os.getpid()} {args.x!r}\\n")
report = Reporter()
for epoch in range(1, args.epochs + 1):
    while epoch == 2 and (folder / "wait").exists():
        time.sleep(0.02)
    print("epoch", epoch)
    report(epoch=epoch, loss=args.x + 1 / epoch)
    with (folder / "reported.txt").open("a") as file:
        file.write(f"{args.x!r} {epoch}\\n")
"""

LAUNCH = """
import logging, sys
from cloudtune import StoppingCriterion, Tuner, uniform
from cloudtune.backends import LocalBackend
from cloudtune.baselines import RandomSearch

logging.basicConfig(level=logging.INFO)
Tuner(
    LocalBackend(sys.argv[1], stop_grace=1.0),
    RandomSearch({"x": uniform(0, 1), "epochs": 3}, metric="loss", random_seed=3),
    StoppingCriterion(max_num_trials_started=3, max_wallclock_time=3600),
    n_workers=2,
    sleep_time=0.05,
    tuner_name="toy",
    suffix_tuner_name=False,
    wait_trial_completion_when_stopping=True,
).run()
"""


def wait_until(predicate: Callable[[], bool], what: str) -> None:
    clock = SystemClock()
    deadline = clock.now() + PATIENCE
    while not predicate():
        assert clock.now() < deadline, f"not within {PATIENCE} s: {what}"
        clock.sleep(0.02)


@dataclass
class Toy:
    """The experiment "toy": four trials of three epochs; as long as it is held, none goes beyond its first."""

    folder: Path
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.script.write_text(TRAIN)

    @property
    def script(self) -> Path:
        return self.folder / "train.py"

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": PACKAGE, "CLOUDTUNE_FOLDER": str(self.folder / "experiments")}

    def hold(self) -> None:
        (self.folder / "wait").touch()

    def release(self) -> None:
        (self.folder / "wait").unlink(missing_ok=True)

    def run(self) -> None:
        """To its end."""
        assert self.launch().wait(PATIENCE) == 0

    def launch(self) -> subprocess.Popen[str]:
        return self._started([sys.executable, "-c", LAUNCH, str(self.script)])

    def launch_and_hold(self) -> subprocess.Popen[str]:
        """Until two trials have reported their first epoch and wait in it."""
        self.hold()
        tuner = self.launch()
        wait_until(lambda: len(self.reports_counted()) >= 2, "two trials report")
        return tuner

    def kill(self, tuner: subprocess.Popen[str]) -> None:
        tuner.send_signal(signal.SIGKILL)
        tuner.wait(PATIENCE)

    # -- the command -------------------------------------------------------------------------------------------------

    def cloudtune(self, *arguments: str, status: int = 0) -> str:
        """What it prints, on stdout and stderr. Its exit status must be ``status``, and no traceback may come."""
        done = self.start_cloudtune(*arguments)
        said, _ = done.communicate(timeout=PATIENCE)
        assert done.returncode == status, said
        assert "Traceback" not in said
        return said

    def start_cloudtune(self, *arguments: str) -> subprocess.Popen[str]:
        return self._started([sys.executable, "-m", "cloudtune.cli.main", *arguments])

    def _started(self, command: Sequence[str]) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command,
            env=self.environment,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.processes.append(process)
        return process

    # -- what has happened -------------------------------------------------------------------------------------------

    def events(self) -> list[ev.Event]:
        return list(FileJournal(self.folder / "experiments" / "toy" / "journal").read())

    def reports_counted(self) -> list[ev.ReportObserved]:
        return [event for event in self.events() if isinstance(event, ev.ReportObserved)]

    def scripts(self) -> dict[int, float]:
        """Every process that ever ran the training script, with its ``x``."""
        path = self.folder / "begun.txt"
        lines = path.read_text().splitlines() if path.exists() else []
        return {int(pid): float(x) for pid, x in map(str.split, lines)}

    def running(self) -> list[int]:
        return [pid for pid in self.scripts() if _runs(pid, self.script)]

    def check_books(self, trials: int) -> None:
        """Journal, processes and the scripts' own record agree: nothing ran twice, no report is lost or doubled."""
        launched = Counter((e.trial_id, e.attempt) for e in self.events() if isinstance(e, ev.Launched))
        assert dict(launched) == {(trial, 0): 1 for trial in range(trials)}
        assert len(self.scripts()) == trials
        config = {e.trial_id: e.config for e in self.events() if isinstance(e, ev.LaunchIntended)}
        counted = Counter((config[e.trial_id]["x"], e.metrics["epoch"]) for e in self.reports_counted())
        lines = (self.folder / "reported.txt").read_text().splitlines()
        made = Counter((float(x), int(epoch)) for x, epoch in map(str.split, lines))
        assert counted == made
        assert set(counted.values()) == {1}
        assert self.running() == []

    def end_all(self) -> None:
        self.release()
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.communicate()
        for pid in self.running():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _runs(pid: int, script: Path) -> bool:
    try:
        return str(script).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


@contextmanager
def toy_in(folder: Path) -> Iterator[Toy]:
    toy = Toy(folder)
    try:
        yield toy
    finally:
        toy.end_all()


def json_of(said: str) -> Any:
    return json.loads(said)
