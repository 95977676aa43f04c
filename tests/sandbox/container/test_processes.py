"""Starting, stopping and never leaving anything behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cloudtune.sandbox.container import isolation
from cloudtune.sandbox.container.inside import BOOT
from cloudtune.sandbox.container.isolation import HERE, Isolation
from tests.sandbox.container.conftest import FULL, RANK
from tests.sandbox.container.support import PATIENCE, Jobs, wait_for

SLEEP = "import time; print('ready', flush=True); time.sleep(600)"
CATCH = """
    import signal, sys, time
    def stop(number, frame):
        print("saving", flush=True)
        sys.exit(5)
    signal.signal(signal.SIGTERM, stop)
    print("ready", flush=True)
    time.sleep(600)
"""
IGNORE = """
    import signal, time
    signal.signal(signal.SIGTERM, lambda *_: print("not yet", flush=True))
    print("ready", flush=True)
    while True:
        time.sleep(600)
"""


def alive(directory: Path) -> list[int]:
    """Processes that work in or below ``directory``, or hold it in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                text = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if str(directory).encode() in text:
                found.append(int(entry.name))
    return found


def test_exit_codes_are_those_of_the_command(jobs_any: Jobs) -> None:
    job = jobs_any.command("/bin/sh", "-c", "exit 42")
    assert job.run() == 42


def test_a_signal_shows_as_a_negative_exit_code(jobs_any: Jobs) -> None:
    job = jobs_any.command("/bin/sh", "-c", "kill -SEGV $$")
    assert job.run() == -signal.SIGSEGV


def test_a_command_that_is_not_there_ends_with_127(jobs_any: Jobs) -> None:
    job = jobs_any.command("no-such-command")
    assert job.run() == 127
    assert job.lines == ["no-such-command: No such file or directory"]


def test_waiting_has_an_end(jobs: Jobs) -> None:
    job = jobs.script(SLEEP)
    job.begin()
    assert job.container.wait(0.01) is None


def test_a_script_hears_sigterm_and_has_time_to_save(jobs_any: Jobs) -> None:
    job = jobs_any.script(CATCH)
    job.begin()
    job.container.terminate()
    # the toolkit's exit code for a script that failed
    assert job.container.wait(PATIENCE) == 1
    assert "saving" in job.lines
    assert "ExitCode 5" in (job.container.failure_reason() or "")


def test_a_script_that_does_not_care_ends_by_sigterm(jobs_any: Jobs) -> None:
    job = jobs_any.script(SLEEP)
    job.begin()
    job.container.terminate()
    assert job.container.wait(PATIENCE) == 1
    assert "ExitCode -15" in (job.container.failure_reason() or "")


def test_a_script_hears_sigterm_through_the_shells_that_started_it(jobs_any: Jobs) -> None:
    files = {"run.sh": "#!/bin/bash\nbash -c 'python train.py; exit $?'\n", "train.py": CATCH}
    job = jobs_any.script(files, HyperParameters={"sagemaker_program": "run.sh"})
    job.begin()
    job.container.terminate()
    assert job.container.wait(PATIENCE) == 1
    assert "saving" in job.lines


def test_a_command_hears_sigterm_through_the_shell_that_started_it(jobs_any: Jobs) -> None:
    code = "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(5)); print('ready'); time.sleep(600)"
    job = jobs_any.command("/bin/bash", "-c", f'python -c "{code}"; exit $?')
    job.begin()
    job.container.terminate()
    assert job.container.wait(PATIENCE) == 5


def test_helpers_of_a_script_are_left_to_the_script(jobs: Jobs) -> None:
    """As in a container, where only the main process gets the signal."""
    script = """
        import signal, subprocess, sys, time
        helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        def stop(*_):
            time.sleep(0.2)
            print("helper", helper.poll(), flush=True)
            sys.exit(0)
        signal.signal(signal.SIGTERM, stop)
        print("ready", flush=True)
        time.sleep(600)
    """
    job = jobs.script(script)
    job.begin()
    job.container.terminate()
    assert job.container.wait(PATIENCE) == 0
    assert job.lines[-1] == "helper None"


def test_sigkill_comes_when_the_grace_is_over(jobs_any: Jobs) -> None:
    job = jobs_any.script(IGNORE, settings={"stop_grace_seconds": 1.5})
    job.begin()
    job.container.terminate()
    assert job.container.wait(PATIENCE) == -signal.SIGKILL
    assert "not yet" in job.lines


def test_a_second_stop_does_not_prolong_the_grace(jobs: Jobs) -> None:
    job = jobs.script(IGNORE, settings={"stop_grace_seconds": 1.5})
    job.begin()
    for _ in range(3):
        job.container.terminate()
    assert job.container.wait(PATIENCE) == -signal.SIGKILL
    assert job.lines.count("not yet") == 1


def test_kill_ends_all_at_once(jobs_any: Jobs) -> None:
    job = jobs_any.script(IGNORE)
    job.begin()
    job.container.kill()
    assert job.container.wait(PATIENCE) == -signal.SIGKILL
    assert "not yet" not in job.lines


@pytest.mark.parametrize(("end", "code"), [("terminate", -signal.SIGTERM), ("kill", -signal.SIGKILL)])
def test_a_job_stopped_before_its_start_never_starts(jobs: Jobs, end: str, code: int) -> None:
    job = jobs.script("print('no')")
    job.container.download()
    getattr(job.container, end)()
    job.container.start()
    assert job.container.wait(PATIENCE) == code
    assert job.lines == []


def test_stopping_a_job_that_has_ended_does_nothing(jobs: Jobs) -> None:
    job = jobs.script("pass")
    assert job.run() == 0
    job.container.terminate()
    job.container.kill()
    assert job.container.wait(PATIENCE) == 0


DETACHED = """
    import subprocess, sys
    code = "import time; print('ready', flush=True); time.sleep(600)"
    subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
"""


def test_what_a_script_leaves_running_ends_with_the_job(jobs_any: Jobs) -> None:
    job = jobs_any.script(DETACHED)
    assert job.run() == 0
    assert alive(jobs_any.directory) == []


def test_a_kill_reaches_processes_that_left_the_session(jobs_any: Jobs) -> None:
    job = jobs_any.script(DETACHED + "\n    import time; time.sleep(600)\n")
    job.begin()
    job.container.kill()
    assert job.container.wait(PATIENCE) == -signal.SIGKILL
    assert alive(jobs_any.directory) == []


HOST = """
import json, sys, time
from pathlib import Path
from cloudtune.sandbox.container import isolation
from cloudtune.sandbox.container.isolation import Isolation
from cloudtune.sandbox.container.processes import Plan, Processes
level, directory, code = sys.argv[1:]
environment = {"PATH": "/usr/bin:/bin", "MARK": directory}
binds = {"/opt/ml": directory} if level != "none" else {}
plan = Plan([sys.executable, "-c", code], environment, directory, binds, Isolation(level), False)
Processes(plan, lambda line: print(line, flush=True))
time.sleep(600)
"""


@pytest.mark.parametrize("level", RANK, ids=lambda level: level.value)
def test_no_job_outlives_a_sandbox_that_is_killed(tmp_path: Path, level: Isolation) -> None:
    if RANK.index(isolation.available()) < RANK.index(level):
        pytest.skip(f"this machine allows no isolation beyond {isolation.available().value!r}")
    code = (
        "import signal, subprocess, sys, time; signal.signal(15, signal.SIG_IGN); signal.signal(1, signal.SIG_IGN);"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True);"
        "print('ready', flush=True); time.sleep(600)"
    )
    arguments = [sys.executable, "-c", HOST, level.value, str(tmp_path), code]
    environment = {**os.environ, "PYTHONPATH": str(Path(HERE).parents[2])}
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, env=environment, text=True) as host:
        assert host.stdout is not None
        assert host.stdout.readline() == "ready\n"
        assert len(alive(tmp_path)) >= 3
        host.kill()
    wait_for(lambda: not alive(tmp_path), "the end of all processes of the job")


def test_no_job_outlives_its_keeper(jobs_any: Jobs) -> None:
    job = jobs_any.script(DETACHED + "\n    import time; time.sleep(600)\n")
    job.begin()
    processes = job.container._processes
    assert processes is not None
    processes._keeper.kill()
    assert job.container.wait(PATIENCE) == -signal.SIGKILL
    wait_for(lambda: not alive(jobs_any.directory), "the end of all processes of the job")


def test_a_job_sees_only_its_own_processes(jobs_private: Jobs) -> None:
    script = """
        import os
        print(os.getpid() < 20, all(os.path.exists(f"/proc/{each}") for each in (1, os.getpid(), "self")))
        print(max(int(each) for each in os.listdir("/proc") if each.isdigit()) < 100)
    """
    job = jobs_private.script(script)
    assert job.run() == 0
    assert job.lines == ["True True", "True"]


@pytest.mark.skipif(os.getuid() != 0, reason="all tests run as an ordinary user already")
def test_an_ordinary_user_may_have_private_directories_too(tmp_path_factory: pytest.TempPathFactory) -> None:
    python = "/usr/bin/python3"
    if isolation.available() is not FULL or not Path(python).exists():
        pytest.skip("needs namespaces, and an interpreter that everybody may run")
    probe = [python, "-I", "-S", "-c", BOOT, HERE, "keeper", "probe", "/var/tmp"]
    readable = [python, "-c", f"open({HERE + '/spec.py'!r})"]
    if subprocess.run(readable, user=65534, capture_output=True, check=False).returncode != 0:
        pytest.skip("the sources aren't readable by everybody")
    tried = subprocess.run(probe, user=65534, group=65534, extra_groups=[], capture_output=True, text=True, check=False)
    if tried.returncode == 1 and "Operation not permitted" in tried.stdout:
        pytest.skip("ordinary users may not have namespaces here")
    assert (tried.returncode, tried.stdout, tried.stderr) == (0, "", "")


@pytest.mark.parametrize("kind", ["script", "command"])
def test_the_wish_to_stop_is_never_lost_however_early_it_comes(jobs: Jobs, kind: str) -> None:
    """At every moment of the start there is a process that has the signal yet to come, or dies of it."""
    for number in range(24):
        name = f"early-{kind}-{number}"
        job = jobs.script(SLEEP, name) if kind == "script" else jobs.command(sys.executable, "-c", SLEEP, name=name)
        job.container.download()
        job.container.start()
        # the moment, not the condition: what is tested is that none of them matters
        time.sleep(number * 0.004)
        job.container.terminate()
        assert job.container.wait(PATIENCE) is not None, f"stopped after {number * 4} ms, and never ended"
        job.container.cleanup()
