"""What an experiment of many workers costs: API calls, their rate, memory, the tuner's own time. In virtual time.

    python tests/performance/scale.py [workers[:trials] ...]

Default: 10, 100, 200 and 1,000 workers, five trials each; ASHA on the sandbox with its realistic delays and synthetic
jobs, which answers through the real botocore, pages and limits included. Beside our calls those that Syne Tune 0.13's
SageMaker backend makes for as many looks at as many running trials: ceil(n/20) + n + 2n per look (Search,
DescribeLogStreams, GetLogEvents of one page), 2 per start, 1 per stop.

The tuner's own time is the processor's, without what the sandbox takes to answer; memory is that of both together.
Of few workers most calls are looks, two every five seconds whatever runs: each trial has a large share of them. Ends
with 1 and says so if something is not as promised: rates, calls per look, and, from 200 workers on, calls per trial,
memory and time per observation.
"""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import resource
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[2]))

from cloudtune import StoppingCriterion, uniform
from cloudtune.baselines import ASHA
from cloudtune.sandbox import Delays
from cloudtune.storage import LocalStorage
from cloudtune.trial import Config
from tests.metering import DOCUMENTED_RATES, Meter
from tests.virtual import Training, virtual

DEFAULT_SIZES = ((10, 50), (100, 500), (200, 1000), (1000, 5000))
PROMISED_FROM = 200
"""Workers."""
SPACE = {"width": uniform(0.0, 1.0), "speed": uniform(30.0, 90.0), "epochs": 27}


@dataclass(frozen=True)
class Cost:
    """One row of the table."""

    workers: int
    trials: int
    hours: float
    calls_per_look: Sequence[int]
    theirs_per_look: Sequence[int]
    calls: int
    theirs: int
    peaks: dict[str, float]
    milliseconds: Sequence[float]
    megabytes: float


def learn(config: Config, epoch: int) -> dict[str, float]:
    return {"loss": config["width"] + 1.0 / epoch}


def seconds(config: Config, epoch: int) -> float:
    return float(config["speed"])


def syne_tune_look(running: int) -> int:
    """Calls of Syne Tune 0.13 for a look at so many trials."""
    return math.ceil(running / 20) + running + 2 * running


def experiment(size: tuple[int, int]) -> Cost:
    """Run one; in a process of its own, for its memory."""
    workers, trials = size
    meter = Meter()
    scheduler = ASHA(SPACE, metric="loss", resource_attr="epoch", max_resource_attr="epochs", random_seed=1)
    with (
        tempfile.TemporaryDirectory() as folder,
        Path(os.devnull).open("w") as nowhere,
        virtual(
            Training(learn, seconds, checkpoints=False),
            scheduler,
            StoppingCriterion(max_num_trials_started=trials - 1),
            workers,
            delays=Delays.realistic(),
            sandbox_options={"quotas": {"ml.m5.large": 10_000}},
            storage=LocalStorage(),
            tuner_name=f"scale-{workers}",
            wait_trial_completion_when_stopping=True,
            results_update_interval=10.0,
        ) as world,
    ):
        os.environ["CLOUDTUNE_FOLDER"] = folder
        meter.attach(world)
        begin = world.clock.now()
        with contextlib.redirect_stdout(nowhere):
            world.tuner.run()
        counts = world.sandbox.call_counts()
        ledger = world.tuner.ledger
        assert len(ledger.trials) == trials and not ledger.open
        theirs = [syne_tune_look(look.running) for look in meter.looks]
        return Cost(
            workers=workers,
            trials=trials,
            hours=(world.clock.now() - begin) / 3600,
            calls_per_look=[look.calls.total() for look in meter.looks],
            theirs_per_look=theirs,
            calls=counts.total(),
            theirs=sum(theirs) + 2 * trials + counts["sagemaker.StopTrainingJob"],
            peaks={operation: world.sandbox.peak_rate(operation) for operation in DOCUMENTED_RATES},
            milliseconds=[1000 * part for part in meter.work_per_observation()],
            megabytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
        )


def show(costs: Sequence[Cost]) -> None:
    calls = Table(title="API calls", show_lines=False)
    for column in (
        "workers",
        "trials",
        "hours",
        "per look",
        "at most",
        "per trial",
        "Syne Tune 0.13: per look",
        "per trial",
    ):
        calls.add_column(column, justify="right")
    rates = Table(title="Calls in the busiest second / documented rate")
    tuner = Table(title="The tuner itself")
    for column in ("workers", *(operation.partition(".")[2] for operation in DOCUMENTED_RATES)):
        rates.add_column(column, justify="right")
    for column in ("workers", "ms per observation, by fifths of the launches", "MB, sandbox included"):
        tuner.add_column(column, justify="right")
    for cost in costs:
        calls.add_row(
            str(cost.workers),
            str(cost.trials),
            f"{cost.hours:.1f}",
            f"{statistics.median(cost.calls_per_look):g}",
            str(max(cost.calls_per_look)),
            f"{cost.calls / cost.trials:.1f}",
            f"{statistics.median(cost.theirs_per_look):g}",
            f"{cost.theirs / cost.trials:.0f}",
        )
        peaks = [f"{cost.peaks[operation]:g} / {rate}" for operation, rate in DOCUMENTED_RATES.items()]
        rates.add_row(str(cost.workers), *peaks)
        spent = " ".join(f"{part:.2f}" for part in cost.milliseconds)
        tuner.add_row(str(cost.workers), spent, f"{cost.megabytes:.0f}")
    console = Console(width=120)
    for table in (calls, rates, tuner):
        console.print(table)


def broken(cost: Cost) -> list[str]:
    """What is not as promised."""
    found = [
        f"{operation}: {cost.peaks[operation]:g} calls in a second, {rate} are granted"
        for operation, rate in DOCUMENTED_RATES.items()
        if cost.peaks[operation] > rate
    ]
    # of two kinds, a page per hundred each; what starts and ends is shared by all
    if max(cost.calls_per_look) > 10 + 2 * math.ceil(cost.workers / 100):
        found.append(f"{max(cost.calls_per_look)} calls in one look")
    if cost.workers >= PROMISED_FROM:
        _, early, *_, late = cost.milliseconds
        if cost.calls / cost.trials >= 6:
            found.append(f"{cost.calls / cost.trials:.1f} calls per trial")
        if cost.megabytes >= 500:
            found.append(f"{cost.megabytes:.0f} MB")
        if late > 1.5 * early:
            found.append(f"{late:.2f} ms per observation in the end, {early:.2f} in the beginning")
    return [f"{cost.workers} workers: {each}" for each in found]


def sizes(arguments: Sequence[str]) -> list[tuple[int, int]]:
    pairs = [argument.partition(":") for argument in arguments]
    return [(int(workers), int(trials or 5 * int(workers))) for workers, _, trials in pairs]


def main() -> None:
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        costs = pool.map(experiment, sizes(sys.argv[1:]) or DEFAULT_SIZES, chunksize=1)
    show(costs)
    sys.exit("\n".join(each for cost in costs for each in broken(cost)) or 0)


if __name__ == "__main__":
    main()
