"""A stopped job runs its hook once, finishes what it is writing, and leaves with 143."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cloudtune.checkpointing import CheckpointError, on_sigterm
from cloudtune.report import parse_report_line

ROOT = Path(__file__).parent.parent

PREAMBLE = """
import os, signal, sys, threading, time
from pathlib import Path
from cloudtune import Reporter
from cloudtune.checkpointing import latest_checkpoint, on_sigterm, save_checkpoint

def stop(): os.kill(os.getpid(), signal.SIGTERM)
def say(text): print(text)  # not flushed: leaving does
def wait():
    while True: time.sleep(60)
"""


def run(script: str, *arguments: str) -> tuple[int, list[str], str]:
    """(exit code, lines of output, errors) of a script that stops itself."""
    done = subprocess.run(
        [sys.executable, "-c", PREAMBLE + script, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout.splitlines(), done.stderr


def test_the_hook_runs_and_the_process_leaves_with_143() -> None:
    script = """
import atexit
atexit.register(say, "atexit")
with on_sigterm(lambda: say("hook")):
    try:
        stop()
        wait()
    finally:
        say("finally")
"""
    assert run(script) == (143, ["hook", "finally", "atexit"], "")


def test_a_signal_from_outside_wakes_a_sleeping_script() -> None:
    # not by print: the signal may come before it has returned, and standard output can't be entered twice
    script = PREAMBLE + "on_sigterm(lambda: say('hook'))\nos.write(1, b'ready\\n')\nwait()"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        assert process.stdout.read() == "hook\n"
        assert process.wait(timeout=60) == 143


def test_it_runs_in_the_main_thread_whichever_thread_is_busy() -> None:
    script = """
threading.Thread(target=wait, daemon=True).start()
on_sigterm(lambda: say(threading.current_thread() is threading.main_thread()))
threading.Thread(target=stop).start()
wait()
"""
    assert run(script) == (143, ["True"], "")


def test_it_runs_once_however_often_the_signal_comes() -> None:
    script = """
def hook():
    say("hook")
    stop()
    say("hook ends")
with on_sigterm(hook):
    try:
        stop()
    except BaseException as error:
        say(f"caught {error}")
    stop()
    say("never")
"""
    assert run(script) == (143, ["hook", "hook ends", "caught 143"], "")


def test_a_hook_that_fails_is_shown_and_the_process_leaves_all_the_same() -> None:
    script = """
def hook(): raise RuntimeError("no space")
try:
    raise KeyError
except KeyError:
    with on_sigterm(hook):
        stop()
        wait()
"""
    code, _, errors = run(script)
    assert code == 143
    assert "RuntimeError: no space" in errors


@pytest.mark.parametrize("code", [0, 7])
def test_a_hook_may_leave_with_its_own_code(code: int) -> None:
    assert run(f"on_sigterm(lambda: (say('hook'), sys.exit({code})))\nstop()\nwait()") == (code, ["hook"], "")


def test_hooks_nest_and_former_handlers_run_after_them() -> None:
    script = """
signal.signal(signal.SIGTERM, lambda number, frame: say(f"former {number}"))
with on_sigterm(lambda: say("outer")):
    with on_sigterm(lambda: say("inner")):
        stop()
        wait()
"""
    assert run(script) == (143, ["inner", "outer", "former 15"], "")


def test_at_the_end_the_former_handler_is_back() -> None:
    script = """
signal.signal(signal.SIGTERM, lambda number, frame: say("former"))
with on_sigterm(lambda: say("outer")):
    with on_sigterm(lambda: say("inner")):
        pass
hook = on_sigterm(lambda: say("function"))
hook.close()
stop()
say("goes on")
"""
    assert run(script) == (0, ["former", "goes on"], "")


def test_a_hook_closed_below_another_passes_the_signal_on() -> None:
    script = """
signal.signal(signal.SIGTERM, lambda number, frame: say("former"))
below = on_sigterm(lambda: say("below"))
above = on_sigterm(lambda: say("above"))
below.close()
stop()
wait()
"""
    assert run(script) == (143, ["above", "former"], "")


def test_where_termination_was_ignored_the_hook_still_gets_its_turn() -> None:
    script = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\non_sigterm(lambda: say('hook'))\nstop()\nwait()"
    assert run(script) == (143, ["hook"], "")


def test_forked_workers_die_without_the_hook() -> None:
    script = """
with on_sigterm(lambda: os.write(1, b"hook\\n")):
    child = os.fork()
    if child == 0:
        wait()
    os.kill(child, signal.SIGTERM)
    print(os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGTERM)
"""
    assert run(script) == (0, ["True"], "")


def test_a_checkpoint_being_written_is_finished_first(tmp_path: Path) -> None:
    script = """
def write(path):
    Path(path, "model").write_text("half")
    stop()
    Path(path, "model").write_text("whole")
def hook():
    found = latest_checkpoint(sys.argv[1])
    say(Path(found.path, "model").read_text())
    save_checkpoint(sys.argv[1], lambda path: Path(path, "model").write_text("hook's"), 2)
    say(latest_checkpoint(sys.argv[1]).resource)
with on_sigterm(hook):
    save_checkpoint(sys.argv[1], write, 1)
    say("never")
"""
    assert run(script, str(tmp_path)) == (143, ["whole", "2"], "")


def test_a_checkpoint_that_fails_while_the_signal_waits_is_no_checkpoint(tmp_path: Path) -> None:
    script = """
def write(path):
    Path(path, "model").write_text("half")
    stop()
    raise OSError("no space")
with on_sigterm(lambda: say(latest_checkpoint(sys.argv[1]))):
    save_checkpoint(sys.argv[1], write, 1)
"""
    code, lines, _ = run(script, str(tmp_path))
    assert (code, lines) == (143, ["None"])


def test_a_checkpoint_of_another_thread_is_finished_or_never_there(tmp_path: Path) -> None:
    script = """
inside = threading.Event()
def write(path):
    Path(path, "model").write_text("half")
    inside.set()
    left.wait()
    Path(path, "model").write_text("whole")
left = threading.Event()
thread = threading.Thread(target=save_checkpoint, args=(sys.argv[1], write, 1))
thread.start()
inside.wait()
with on_sigterm(left.set):
    stop()
    wait()
"""
    assert run(script, str(tmp_path)) == (143, [], "")
    (model,) = tmp_path.glob("*/model")
    assert model.read_text() == "whole"


def test_a_report_being_written_stays_whole_and_the_hook_can_report() -> None:
    script = """
report = Reporter()
with on_sigterm(lambda: report(last=True)):
    threading.Timer(0.2, stop).start()
    while True: report(filling="x" * 100_000)
"""
    code, lines, errors = run(script)
    assert (code, errors) == (143, "")
    fields = [parse_report_line(line) for line in lines]
    assert [one and one["st_worker_iter"] for one in fields] == list(range(len(lines)))
    assert fields[-1] is not None and fields[-1]["last"] is True


def test_in_a_thread_it_says_that_it_can_not() -> None:
    caught: list[BaseException] = []

    def install() -> None:
        try:
            on_sigterm(lambda: None)
        except CheckpointError as error:
            caught.append(error)

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=install)
    thread.start()
    thread.join()
    assert "main" in str(caught)
    assert signal.getsignal(signal.SIGTERM) == before
