from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import dill
import numpy as np
import pytest

from cloudtune.backends import LocalBackend
from cloudtune.backends.local_processes import FIRST_OWN_TRIAL
from cloudtune.errors import AlreadyExistsError, OptionError, ScriptError
from cloudtune.testing.backend_contract import PROBE, Watch
from cloudtune.trial import Attempt, AttemptId, AttemptStatus, Config
from tests.backends.helpers import is_running, numbers_in, opened, wait_until, write_script

ECHO = """
    import json, sys
    from cloudtune import Reporter
    Reporter()(argv=sys.argv[1:])
"""


class Bench:
    """Runs scripts, and leaves nothing running."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.watches: list[Watch] = []

    def open(self, script: str | Path, **options: Any) -> tuple[LocalBackend, Watch]:
        path = write_script(self.place, script) if isinstance(script, str) else script
        backend = LocalBackend(path, **{"stop_grace": 0.5, **options})
        self.watches.append(opened(backend, self.place))
        return backend, self.watches[-1]

    def run(self, script: str | Path, config: Config | None = None, **options: Any) -> tuple[Watch, Attempt]:
        """One attempt, to its end."""
        _, watch = self.open(script, **options)
        attempt = Attempt(AttemptId(0, 0), config or {})
        watch.start_again(attempt)
        watch.finish(attempt)
        return watch, attempt


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    for watch in bench.watches:
        watch.end_all()


def reason(watch: Watch, attempt: Attempt) -> str:
    ending = watch.ending(attempt)
    assert ending is not None
    assert ending.status is AttemptStatus.FAILED
    return ending.reason


# -- what a script gets ------------------------------------------------------------------------------------------------


def test_each_entry_is_an_argument_and_the_checkpoint_folder_comes_last(bench: Bench) -> None:
    watch, attempt = bench.run(ECHO, {"lr": 0.1, "name": "two words"})
    folder = bench.place / "experiment" / "0" / "checkpoints"
    (report,) = watch.reports(attempt)
    assert report.metrics["argv"] == ["--lr", "0.1", "--name", "two words", "--st_checkpoint_dir", str(folder)]
    assert not folder.exists(), "the script makes it"


def test_values_come_back_from_argparse_as_they_were(bench: Bench) -> None:
    script = """
        import argparse, json
        from cloudtune import Reporter
        parser = argparse.ArgumentParser()
        parser.add_argument("--tiny", type=float)
        parser.add_argument("--third", type=float)
        parser.add_argument("--below", type=float)
        parser.add_argument("--count", type=int)
        parser.add_argument("--empty")
        parser.add_argument("--dash")
        parser.add_argument("--flag")
        parser.add_argument("--layers", type=json.loads)
        parser.add_argument("--umlaut")
        args, _ = parser.parse_known_args()
        Reporter()(**vars(args))
    """
    config = {
        "tiny": 1e-300,
        "third": 1 / 3,
        "below": -1.25e-7,
        "count": -3,
        "empty": "",
        "dash": "--not-an-option",
        "flag": "True",
        "layers": [1, {"a": 2.5}],
        "umlaut": "größer \n 'quoted' $HOME",
    }
    watch, attempt = bench.run(script, config)
    (report,) = watch.reports(attempt)
    assert {name: report.metrics[name] for name in config} == config


def test_the_configuration_can_come_as_json(bench: Bench) -> None:
    script = """
        import argparse
        from cloudtune import Reporter
        from cloudtune.checkpointing import (
            add_checkpointing_to_argparse, add_config_json_to_argparse, load_config_json
        )
        parser = argparse.ArgumentParser()
        add_checkpointing_to_argparse(parser)
        add_config_json_to_argparse(parser)
        config = load_config_json(vars(parser.parse_args()))
        Reporter()(config={key: value for key, value in config.items() if not key.startswith("st_")},
                   folder=config["st_checkpoint_dir"])
    """
    config = {"lr": 0.1, "layers": [1, 2], "options": {"deep": {"er": None}}, "flag": True, "text": "x" * 200_000}
    watch, attempt = bench.run(script, config, pass_args_as_json=True)
    (report,) = watch.reports(attempt)
    assert report.metrics["config"] == config
    assert report.metrics["folder"].endswith("/0/checkpoints")


def test_an_argument_that_is_too_long_fails_with_the_way_out(bench: Bench) -> None:
    watch, attempt = bench.run(ECHO, {"text": "x" * 200_000})
    assert "pass_args_as_json=True" in reason(watch, attempt)


def test_the_working_directory_and_the_environment_are_the_tuners(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = """
        import os
        from cloudtune import Reporter
        Reporter()(cwd=os.getcwd(), threads=os.environ.get("OMP_NUM_THREADS"), mine=os.environ["MINE"])
    """
    monkeypatch.setenv("MINE", "1")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.chdir(bench.place)
    watch, attempt = bench.run(script)
    (report,) = watch.reports(attempt)
    assert (report.metrics["cwd"], report.metrics["threads"], report.metrics["mine"]) == (str(bench.place), None, "1")


def test_a_shell_script_works_too(bench: Bench) -> None:
    path = write_script(bench.place, """echo "[tune-metric]: {\\"lr\\": $2}"\n""", "train.sh")
    watch, attempt = bench.run(path, {"lr": 0.5})
    (report,) = watch.reports(attempt)
    assert report.metrics == {"lr": 0.5}


# -- what it leaves ----------------------------------------------------------------------------------------------------


def test_files_lie_where_users_look_for_them(bench: Bench) -> None:
    script = """
        import sys
        print("hello")
        print("trouble", file=sys.stderr)
    """
    backend, watch = bench.open(script)
    first, second = Attempt(AttemptId(3, 0), {"epochs": 1}), Attempt(AttemptId(3, 1), {"epochs": 2})
    for attempt in (first, second):
        watch.start_again(attempt)
        watch.finish(attempt)
    folder = bench.place / "experiment" / "3"
    assert backend.trial_path(3) == folder
    assert backend.checkpoint_trial_path(3).parent == folder
    assert json.loads((folder / "config.json").read_text()) == {"epochs": 2}
    assert (folder / "std.out").read_text() == "hello\nhello\n"
    assert (folder / "std.err").read_text() == "trouble\ntrouble\n"
    assert not (folder / "stop").exists()
    assert backend.stdout(3) == ["hello", "hello"]
    assert backend.stderr(3) == ["trouble", "trouble"]
    assert list(backend.logs(3)) == ["hello", "hello", "trouble", "trouble"]
    assert list(backend.logs(99)) == []


def test_a_stop_leaves_a_marker_that_does_not_touch_the_next_attempt(bench: Bench) -> None:
    backend, watch = bench.open(PROBE)
    first = watch.start(0, 0, units=100_000, seconds=0.02)
    watch.await_reports(first, 1)
    backend.stop(first.id)
    watch.finish(first)
    assert (backend.trial_path(0) / "stop").exists()
    second = watch.start(0, 1, units=watch.epochs(first)[-1] + 3)
    watch.finish(second)
    assert watch.ended_as(second) is AttemptStatus.COMPLETED


def test_attempts_of_one_trial_never_overlap(bench: Bench) -> None:
    backend, watch = bench.open(PROBE)
    first = watch.start(0, 0, units=100_000, seconds=0.02)
    watch.await_reports(first, 1)
    second = watch.start(0, 1, units=1, keep=0)
    backend.stop(first.id)
    watch.finish(first, second)
    (ended,) = [place for place, seen in enumerate(watch.seen) if seen == watch.ending(first)]
    (begun,) = [place for place, seen in enumerate(watch.seen) if seen.attempt == second.id and "RUNNING" in repr(seen)]
    assert ended < begun


def test_a_report_without_a_newline_counts_once_the_script_has_ended(bench: Bench) -> None:
    watch, attempt = bench.run("""print('[tune-metric]: {"a": 1}', end="")""")
    (report,) = watch.reports(attempt)
    assert report.metrics == {"a": 1}


def test_two_reporters_in_one_script_are_counted_separately(bench: Bench) -> None:
    watch, attempt = bench.run("""
        from cloudtune import Reporter
        Reporter()(a=1)
        Reporter()(a=2)
    """)
    assert [report.metrics["a"] for report in watch.reports(attempt)] == [1, 2]
    assert len({report.key for report in watch.reports(attempt)}) == 2


# -- how it ends -------------------------------------------------------------------------------------------------------


def test_a_failure_says_the_last_lines_of_stderr_and_no_more(bench: Bench) -> None:
    watch, attempt = bench.run("""
        import sys
        for line in range(100_000):
            print("line", line, file=sys.stderr)
        raise ValueError("the very end")
    """)
    text = reason(watch, attempt)
    assert text.startswith("exit code 1")
    assert text.endswith("ValueError: the very end")
    assert len(text) < 2_200


def test_a_failure_is_not_blamed_on_the_attempt_before(bench: Bench) -> None:
    _, watch = bench.open("""
        import sys
        sys.exit("first" if sys.argv[2] == "1" else 3)
    """)
    first, second = Attempt(AttemptId(0, 0), {"n": 1}), Attempt(AttemptId(0, 1), {"n": 2})
    for attempt in (first, second):
        watch.start_again(attempt)
        watch.finish(attempt)
    assert "first" in reason(watch, first)
    assert reason(watch, second) == "exit code 3, and it printed nothing"


def test_a_failure_that_is_only_on_stdout_is_shown(bench: Bench) -> None:
    watch, attempt = bench.run("""
        print("ERROR: no data")
        raise SystemExit(2)
    """)
    assert "exit code 2" in reason(watch, attempt)
    assert "ERROR: no data" in reason(watch, attempt)


def test_a_signal_is_named(bench: Bench) -> None:
    watch, attempt = bench.run("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert "SIGKILL" in reason(watch, attempt)
    assert "memory" in reason(watch, attempt)


def test_a_script_may_save_its_work_when_stopped(bench: Bench) -> None:
    backend, watch = bench.open(
        """
        import sys, time
        from cloudtune import Reporter
        from cloudtune.checkpointing import on_sigterm
        report = Reporter()
        with on_sigterm(lambda: (report(saved=1), sys.exit(0))):
            report(ready=1)
            time.sleep(600)
        """,
        stop_grace=60.0,
    )
    attempt = Attempt(AttemptId(0, 0), {})
    watch.start_again(attempt)
    watch.await_reports(attempt, 1)
    backend.stop(attempt.id)
    watch.finish(attempt)
    assert watch.ended_as(attempt) is AttemptStatus.STOPPED
    assert watch.reports(attempt)[-1].metrics["saved"] == 1


@pytest.mark.parametrize("end", ["time.sleep(600)", "raise SystemExit(0)", "raise SystemExit(1)"])
def test_what_a_script_started_ends_with_it(bench: Bench, end: str) -> None:
    script = f"""
        import os, signal, subprocess, sys, time
        from cloudtune import Reporter
        ignore = "import signal as s, time; s.signal(s.SIGTERM, s.SIG_IGN); print(flush=True); time.sleep(600)"
        worker = subprocess.Popen([sys.executable, "-c", ignore], stdout=subprocess.PIPE)
        worker.stdout.read(1)
        with open({str(bench.place / "pids")!r}, "w") as file:
            print(os.getpid(), worker.pid, file=file)
        Reporter()(ready=1)
        {end}
    """
    backend, watch = bench.open(script)
    attempt = Attempt(AttemptId(0, 0), {})
    watch.start_again(attempt)
    watch.await_reports(attempt, 1)
    backend.stop(attempt.id)
    watch.finish(attempt)
    for pid in numbers_in(bench.place / "pids"):
        wait_until(lambda pid=pid: not is_running(pid), f"process {pid} ends")  # type: ignore[misc]


def test_a_checkpoint_can_be_copied_while_its_trial_writes_the_next(bench: Bench) -> None:
    backend, watch = bench.open(PROBE)
    source = watch.start(0, units=100_000)
    watch.await_reports(source, 3)
    for target in range(1, 4):
        backend.copy_checkpoint(0, target)
    targets = [watch.start(trial_id, units=100_000, seconds=0.02) for trial_id in range(1, 4)]
    watch.poll_until(lambda: all(watch.epochs(target) for target in targets), "report of each")
    assert all(watch.epochs(target)[0] > 3 for target in targets)


def test_a_tuner_can_be_serialized_with_its_backend(bench: Bench) -> None:
    backend, watch = bench.open(PROBE)
    watch.finish(watch.start(units=1))
    copy = dill.loads(dill.dumps(backend, recurse=True))
    bench.watches.append(opened(copy, bench.place))
    attempt = bench.watches[-1].start(1, units=2)
    bench.watches[-1].finish(attempt)
    assert bench.watches[-1].epochs(attempt) == [1, 2]


# -- what bad input gets -----------------------------------------------------------------------------------------------


def test_a_missing_script_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match=r"nowhere\.py") as caught:
        opened(LocalBackend(tmp_path / "nowhere.py"), tmp_path)
    assert "working directory" in caught.value.hint


def test_a_folder_is_no_script(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match="is a folder"):
        opened(LocalBackend(tmp_path), tmp_path)


def test_other_files_are_no_scripts(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match=r"neither a \.py nor a \.sh"):
        opened(LocalBackend(write_script(tmp_path, "", "train.txt")), tmp_path)


@pytest.mark.parametrize("grace", [-1.0, float("nan")])
def test_a_negative_grace_is_refused(grace: float) -> None:
    with pytest.raises(OptionError, match="stop_grace"):
        LocalBackend(PROBE, stop_grace=grace)


def test_a_value_that_is_not_json_is_named(bench: Bench) -> None:
    backend, _ = bench.open(PROBE)
    with pytest.raises(OptionError, match=r"when=datetime.* is not JSON"):
        backend.start(Attempt(AttemptId(0, 0), {"units": 1, "when": datetime(2024, 1, 1)}))


def test_numpy_numbers_are_numbers(bench: Bench) -> None:
    watch, attempt = bench.run(PROBE, {"units": np.int64(2), "base": np.float64(0.1)})
    assert [report.metrics["value"] for report in watch.reports(attempt)] == [1.1, 2.1]
    assert json.loads((bench.place / "experiment" / "0" / "config.json").read_text()) == {"units": 2, "base": 0.1}


def test_a_folder_of_another_experiment_is_not_taken_for_ones_own(bench: Bench) -> None:
    watch, attempt = bench.run(PROBE, {"units": 1})
    _, other = bench.open(PROBE)
    with pytest.raises(AlreadyExistsError, match="another configuration"):
        other.backend.start(Attempt(attempt.id, {"units": 2}))
    assert watch.epochs(attempt) == [1]


# -- without a tuner ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "best",
    [
        {"units": 2},
        (5, {"units": 2}),
        {"trial_id": 5, "units": 2},
        {"trial_id": 5, "value": 0.1, "config_units": 2, "st_tuner_time": 3.0},
    ],
    ids=["configuration", "tuner", "with trial_id", "result row"],
)
def test_the_best_configuration_can_be_trained_again(bench: Bench, best: object) -> None:
    backend, watch = bench.open(PROBE)
    trial = backend.start_trial(config=best)
    again = backend.start_trial(config=best)
    assert (trial.config, trial.trial_id, again.trial_id) == ({"units": 2}, FIRST_OWN_TRIAL, FIRST_OWN_TRIAL + 1)
    attempts = [Attempt(AttemptId(each.trial_id, 0), each.config) for each in (trial, again)]
    watch.finish(*attempts)
    assert [watch.epochs(attempt) for attempt in attempts] == [[1, 2], [1, 2]]


def test_training_again_may_go_on_from_a_checkpoint(bench: Bench) -> None:
    backend, watch = bench.open(PROBE)
    watch.finish(watch.start(0, units=2))
    trial = backend.start_trial({"units": 3, "keep": 1}, checkpoint_trial_id=0)
    attempt = Attempt(AttemptId(trial.trial_id, 0), trial.config)
    watch.finish(attempt)
    assert watch.epochs(attempt) == [3]


def test_a_trial_needs_a_configuration_and_an_open_backend(bench: Bench) -> None:
    with pytest.raises(OptionError, match="not open"):
        LocalBackend(PROBE).start_trial({"units": 1})
    backend, _ = bench.open(PROBE)
    with pytest.raises(OptionError, match="no configuration"):
        backend.start_trial(5)
