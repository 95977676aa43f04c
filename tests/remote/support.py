"""Small tuners to send away."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

from cloudtune import StoppingCriterion, Tuner, uniform
from cloudtune.backends import LocalBackend
from cloudtune.baselines import RandomSearch
from cloudtune.callbacks.base import TunerCallback
from cloudtune.engine.status import TuningStatus

TRAIN = """
import argparse, os, time
from cloudtune import Reporter

parser = argparse.ArgumentParser()
parser.add_argument("--width", type=float)
parser.add_argument("--epochs", type=int)
args, _ = parser.parse_known_args()
report = Reporter()
for epoch in range(1, args.epochs + 1):
    print("epoch", epoch)
    report(epoch=epoch, loss=(args.width - 0.3) ** 2 + 1 / epoch)
    {wait}
"""

FOREVER = "while epoch == 2: time.sleep(0.1)"


def until(path: Path) -> str:
    """Wait in the second epoch until there is such a file."""
    return f"while epoch == 2 and not os.path.exists({str(path)!r}): time.sleep(0.05)"


def training_script(folder: Path, wait: str = "pass") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "train.py"
    script.write_text(TRAIN.replace("{wait}", wait))
    return script


def local_tuner(
    script: Path,
    trials: int = 2,
    stop_criterion: Callable[[TuningStatus], bool] | None = None,
    callbacks: list[TunerCallback] | None = None,
    max_failures: int = 1,
) -> Tuner:
    """Its trials are processes inside the tuner's job."""
    return Tuner(
        LocalBackend(script),
        RandomSearch({"width": uniform(0, 1), "epochs": 3}, metric="loss", mode="min", random_seed=1),
        stop_criterion or StoppingCriterion(max_num_trials_started=trials - 1),
        n_workers=2,
        sleep_time=0.2,
        tuner_name="away",
        callbacks=callbacks,
        wait_trial_completion_when_stopping=True,
        max_failures=max_failures,
    )


def kill_tuner(job_name: str) -> None:
    """SIGKILL for the process that runs the tuner inside this training job."""
    [process] = [
        folder
        for folder in Path("/proc").iterdir()
        if folder.name.isdigit() and _runs_tuner(folder / "cmdline", job_name)
    ]
    os.kill(int(process.name), signal.SIGKILL)


def _runs_tuner(command_line: Path, job_name: str) -> bool:
    try:
        words = command_line.read_bytes().decode(errors="replace").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return f"/{job_name}." in words[0] and "cloudtune_tuner.py" in words[1:3]
