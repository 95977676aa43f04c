from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from cloudtune.backends import Experiment, LocalBackend, PythonBackend
from cloudtune.backends.gpus import GpuPool, visible_gpus
from cloudtune.clock import SystemClock
from cloudtune.errors import OptionError
from cloudtune.testing.backend_contract import FOREVER
from cloudtune.trial import Attempt, AttemptId, AttemptStatus
from tests.backends.helpers import opened, write_script

SHOW = """
    import argparse, os, time
    from cloudtune import Reporter
    parser = argparse.ArgumentParser()
    parser.add_argument("--units", type=int)
    args, _ = parser.parse_known_args()
    report = Reporter()
    for unit in range(args.units):
        report(gpus=os.environ.get("CUDA_VISIBLE_DEVICES"))
        time.sleep(0.02)
"""


def pool(have: int, workers: int = 1, **options: object) -> GpuPool:
    made = GpuPool(detect=lambda: [str(number) for number in range(have)], **options)  # type: ignore[arg-type]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        made.open(workers)
    return made


def trial(number: int) -> AttemptId:
    return AttemptId(number, 0)


def test_each_trial_gets_a_free_gpu_and_waits_without() -> None:
    gpus = pool(2)
    assert [gpus.take(trial(number)) for number in range(3)] == ["0", "1", None]
    gpus.release(trial(1))
    assert gpus.take(trial(2)) == "1"


def test_of_the_free_ones_the_least_assigned_comes_first() -> None:
    gpus = pool(3)
    assert gpus.take(trial(0)) == "0"
    gpus.release(trial(0))
    assert gpus.take(trial(1)) == "1"
    gpus.release(trial(1))
    assert [gpus.take(trial(number)) for number in (2, 3, 4)] == ["2", "0", "1"]


def test_a_trial_may_have_several() -> None:
    gpus = pool(5, per_trial=2)
    assert [gpus.take(trial(number)) for number in range(3)] == ["0,1", "2,3", None]


def test_only_the_gpus_to_use_are_used() -> None:
    gpus = pool(4, to_use=[3, 1])
    assert [gpus.take(trial(number)) for number in range(3)] == ["3", "1", None]


def test_without_rotation_all_are_visible_to_all() -> None:
    assert pool(2, rotate=False).take(trial(0)) == ""
    gpus = pool(4, rotate=False, to_use=[0, 2])
    assert [gpus.take(trial(number)) for number in range(3)] == ["0,2"] * 3


def test_without_gpus_nothing_is_set_and_nobody_waits() -> None:
    gpus = pool(0, per_trial=2)
    assert [gpus.take(trial(number)) for number in range(3)] == [""] * 3


def test_what_a_trial_of_a_former_tuner_uses_is_not_free() -> None:
    gpus = pool(2)
    gpus.note(trial(9), "0")
    assert [gpus.take(trial(number)) for number in range(2)] == ["1", None]
    gpus.release(trial(9))
    assert gpus.take(trial(1)) == "0"


def test_more_workers_than_gpus_is_a_warning_with_the_way_out() -> None:
    gpus = GpuPool(per_trial=2, detect=lambda: ["0", "1", "2", "3"])
    with pytest.warns(UserWarning, match=r"n_workers=2 .*rotate_gpus=False"):
        gpus.open(n_workers=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"per_trial": 0}, "num_gpus_per_trial=0"),
        ({"per_trial": 3}, "num_gpus_per_trial=3 is more than the 2 GPUs"),
        ({"to_use": []}, "gpus_to_use"),
        ({"to_use": [0, 0]}, "different"),
        ({"to_use": [-1]}, "gpus_to_use"),
        ({"to_use": [0, 2]}, r"gpus_to_use names \[2\], but this machine shows 2"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        pool(2, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("variable", "gpus"),
    [("0,1", ["0", "1"]), ("GPU-8932, 3", ["GPU-8932", "3"]), ("", []), ("-1", []), ("2,-1,3", ["2"])],
)
def test_the_environment_says_which_gpus_there_are(
    monkeypatch: pytest.MonkeyPatch, variable: str, gpus: list[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    assert visible_gpus() == gpus


@pytest.mark.parametrize(
    ("answer", "gpus"),
    [
        ("echo 'GPU 0: H200 (UUID: GPU-1)'; echo 'GPU 1: H200 (UUID: GPU-2)'", ["0", "1"]),
        ("echo 'GPU 0: A100 (UUID: GPU-1)'; echo '  MIG 1g.5gb Device 0: (UUID: MIG-1)'", ["0"]),
        ("echo 'NVIDIA-SMI has failed'; exit 9", []),
    ],
)
def test_otherwise_the_driver_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: str, gpus: list[str]
) -> None:
    tool = write_script(tmp_path, f"#!/bin/sh\n{answer}\n", "nvidia-smi")
    tool.chmod(0o755)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_gpus() == gpus


def test_a_machine_without_the_driver_has_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_gpus() == []


@pytest.mark.filterwarnings("ignore:4 workers:UserWarning")
def test_trials_wait_for_gpus_also_across_tuners(tmp_path: Path) -> None:
    script = write_script(tmp_path, SHOW)

    def backend() -> LocalBackend:
        return LocalBackend(script, stop_grace=0.5, detect_gpus=lambda: ["0", "1"])

    killed = opened(backend(), tmp_path)
    running = [Attempt(trial(number), {"units": FOREVER}) for number in (0, 1)]
    waiting = [Attempt(trial(number), {"units": 1}) for number in (2, 3)]
    for attempt in running:
        killed.start_again(attempt)
    killed.poll_until(lambda: all(killed.reports(attempt) for attempt in running), "reports")
    for attempt in waiting:
        killed.start_again(attempt)

    watch = opened(backend(), tmp_path)
    watch.adopt(*running, *waiting)
    watch.await_reports(running[1], 2)
    assert [watch.reports(attempt)[0].metrics["gpus"] for attempt in running] == ["0", "1"]
    assert all(not watch.statuses(attempt) for attempt in waiting)

    watch.backend.stop(waiting[1].id)
    watch.finish(waiting[1])
    assert watch.ended_as(waiting[1]) is AttemptStatus.STOPPED
    assert watch.reports(waiting[1]) == []

    watch.backend.stop(running[1].id)
    watch.finish(running[1], waiting[0])
    assert watch.reports(waiting[0])[0].metrics["gpus"] == "1"
    watch.end_all()
    killed.end_all()


def test_a_function_gets_gpus_too(tmp_path: Path) -> None:
    def show() -> None:
        import os

        from cloudtune import Reporter

        Reporter()(gpus=os.environ["CUDA_VISIBLE_DEVICES"])

    backend = PythonBackend(show, {}, num_gpus_per_trial=2, gpus_to_use=[1, 2], detect_gpus=lambda: ["7", "8", "9"])
    backend.open(Experiment("gpus", tmp_path), SystemClock())
    backend.close()
    watch = opened(backend, tmp_path, n_workers=1)
    attempt = Attempt(trial(0), {})
    watch.start_again(attempt)
    watch.finish(attempt)
    assert watch.reports(attempt)[0].metrics["gpus"] == "8,9"
    watch.end_all()
