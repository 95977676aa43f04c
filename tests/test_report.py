"""One report is one whole line, whatever is reported and whoever else writes; and it comes back as it was."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtune.report import (
    DOLLARS_PER_HOUR_VARIABLE,
    MAX_LINE_BYTES,
    REPORT_PREFIX,
    Reporter,
    ReportError,
    parse_report_line,
)
from tests.old_pythons import OLD_VERSIONS, copy_what_travels, interpreter

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def no_price(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DOLLARS_PER_HOUR_VARIABLE, raising=False)


def run_script(script: str, *, python: str = sys.executable, path: Path | None = None) -> str:
    """Standard output, through a pipe, of ``script`` in a process of its own."""
    root = path or Path(__file__).parent.parent
    environment = {**os.environ, "PYTHONPATH": str(root)}
    command = [python, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=root, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def printed(capsys: Capture) -> dict[str, Any]:
    """The one report that was printed since the last look."""
    out = capsys.readouterr().out
    assert out.startswith(REPORT_PREFIX)
    assert out.endswith("}\n")
    assert out.count("\n") == 1
    fields = parse_report_line(out)
    assert fields is not None
    return fields


# ---- fields ----------------------------------------------------------------------------------------------------------


def test_a_report_carries_the_metrics_and_the_automatic_fields(capsys: Capture) -> None:
    Reporter()(epoch=3, accuracy=0.91)
    fields = printed(capsys)
    assert list(fields)[:2] == ["epoch", "accuracy"]
    assert fields["epoch"] == 3 and fields["accuracy"] == 0.91
    assert fields["st_worker_iter"] == 0
    assert fields["st_worker_time"] >= 0
    assert fields["st_worker_timestamp"] > 1.6e9
    assert len(fields) == 5, "no cost without a price"


def test_reports_are_counted_from_zero_and_refused_ones_not(capsys: Capture) -> None:
    report = Reporter()
    for value in (0.1, {1, 2}, 0.3):
        if isinstance(value, set):
            with pytest.raises(ReportError):
                report(loss=value)
        else:
            report(loss=value)
    fields = [parse_report_line(line) for line in capsys.readouterr().out.splitlines()]
    assert [one and one["st_worker_iter"] for one in fields] == [0, 1]


def test_time_can_be_left_out(capsys: Capture) -> None:
    Reporter(add_time=False)(loss=1)
    assert set(printed(capsys)) == {"loss", "st_worker_iter", "st_worker_timestamp"}


@pytest.mark.parametrize(
    ("add_time", "add_cost", "has_cost"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_cost_is_time_at_the_price_that_the_backend_gives(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, add_time: bool, add_cost: bool, has_cost: bool
) -> None:
    monkeypatch.setenv(DOLLARS_PER_HOUR_VARIABLE, "7200")
    Reporter(add_time=add_time, add_cost=add_cost)(loss=1)
    fields = printed(capsys)
    assert ("st_worker_cost" in fields) == has_cost
    if has_cost:
        assert fields["st_worker_cost"] == pytest.approx(2 * fields["st_worker_time"])


@pytest.mark.parametrize("price", ["cheap", "-1", "nan", "inf"])
def test_a_price_that_is_none_costs_no_trial(capsys: Capture, monkeypatch: pytest.MonkeyPatch, price: str) -> None:
    monkeypatch.setenv(DOLLARS_PER_HOUR_VARIABLE, price)
    report = Reporter()
    assert f"{DOLLARS_PER_HOUR_VARIABLE}={price!r}" in capsys.readouterr().err
    report(loss=1)
    assert "st_worker_cost" not in printed(capsys)


def test_a_metric_may_have_any_other_name(capsys: Capture) -> None:
    names = {"self": 1, "val/acc": 2, "ärger": 3, "stop": 4, "": 5, "a b\n": 6}
    Reporter()(**names)
    fields = printed(capsys)
    assert {name: fields[name] for name in names} == names


# ---- values ----------------------------------------------------------------------------------------------------------


class Tensor:
    """What torch and its like have in common: ``.item()``, for one element only."""

    def __init__(self, *values: float) -> None:
        self.values = values

    def __repr__(self) -> str:
        return f"Tensor{self.values}"

    def item(self) -> float:
        if len(self.values) != 1:
            raise RuntimeError(f"a Tensor with {len(self.values)} elements cannot be converted to Scalar")
        return self.values[0]


@pytest.mark.parametrize(
    ("value", "comes_back"),
    [
        (True, True),
        (None, None),
        ("text \u2028 \x00 \ud800 😀", "text \u2028 \x00 \ud800 😀"),
        (10**30, 10**30),
        (0.1 + 0.2, 0.1 + 0.2),
        (-0.0, -0.0),
        (5e-324, 5e-324),
        (math.inf, math.inf),
        (-math.inf, -math.inf),
        (np.float64(0.1), 0.1),
        (np.float32(0.5), 0.5),
        (np.float32("inf"), math.inf),
        (np.longdouble(0.5), 0.5),
        (np.int64(7), 7),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.array(0.5), 0.5),
        (np.array([3]), 3),
        (Tensor(2.5), 2.5),
        ((1, np.int8(2), [Tensor(3.0)]), [1, 2, [3.0]]),
        ({"a": {"b": np.array(1)}}, {"a": {"b": 1}}),
        ([], []),
    ],
    ids=repr,
)
def test_values_come_back(capsys: Capture, value: Any, comes_back: Any) -> None:
    Reporter()(metric=value)
    got = printed(capsys)["metric"]
    assert got == comes_back
    assert type(got) is type(comes_back)
    assert str(got) == str(comes_back), "signs of zero too"


@pytest.mark.parametrize("value", [math.nan, np.float32("nan"), np.array(math.nan), Tensor(math.nan)], ids=repr)
def test_nan_comes_back(capsys: Capture, value: Any) -> None:
    Reporter()(metric=value)
    assert math.isnan(printed(capsys)["metric"])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
names = st.text(min_size=1).filter(lambda name: not name.startswith("st_"))


@given(metrics=st.dictionaries(names, json_values, min_size=1, max_size=5))
def test_every_report_is_one_ascii_line_that_comes_back(metrics: dict[str, Any]) -> None:
    line = line_of(metrics)
    assert line.isascii()
    assert line.splitlines(keepends=True) == [line]
    fields = parse_report_line(line)
    assert fields is not None
    assert {name: fields[name] for name in metrics} == metrics


def line_of(metrics: dict[str, Any]) -> str:
    chunks: list[str] = []

    class Stream:
        def write(self, text: str) -> None:
            chunks.append(text)

        def flush(self) -> None:
            chunks.append("flushed")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", Stream())
        Reporter()(**metrics)
    assert len(chunks) == 2 and chunks[1] == "flushed", "one write, then a flush"
    return chunks[0]


# ---- errors ----------------------------------------------------------------------------------------------------------


def cycle() -> list[Any]:
    circle: list[Any] = []
    circle.append(circle)
    return circle


@pytest.mark.parametrize(
    ("metrics", "says"),
    [
        ({}, ["without a metric", "report(accuracy=0.9)"]),
        ({"st_worker_time": 1}, ["'st_worker_time'", "reserved", "'st_'", "'worker_time'"]),
        ({"st_": 1}, ["'st_'", "reserved"]),
        ({"loss": {1, 2}}, ["'loss'", "{1, 2}", "type set", "isn't JSON", "float(loss)"]),
        ({"loss": 1j}, ["'loss'", "1j", "type complex"]),
        ({"loss": [0, object]}, ["'loss[1]'", "type type"]),
        ({"net": {"lr": b"x"}}, ["net['lr']", "bytes"]),
        ({"loss": {1: 2}}, ["'loss'", "key 1 of type int", "str(key)"]),
        ({"loss": np.zeros(3)}, ["'loss'", "numpy.ndarray", ".mean()", ".tolist()"]),
        ({"loss": Tensor(1, 2)}, ["'loss'", "Tensor", "2 elements", ".tolist()"]),
        ({"loss": np.complex64(1)}, ["'loss'", "complex"]),
        ({"when": np.datetime64("2026-01-01")}, ["'when'", "datetime.date"]),
        ({"loss": cycle()}, ["nested deeper", "contain itself"]),
        ({"ok": 1, "text": "x" * MAX_LINE_BYTES}, ["'text'", str(MAX_LINE_BYTES), "CloudWatch", "262"]),
    ],
    ids=lambda value: next(iter(value), "none") if isinstance(value, dict) else "",
)
def test_a_wrong_report_says_so_and_prints_nothing(capsys: Capture, metrics: dict[str, Any], says: list[str]) -> None:
    with pytest.raises(ReportError) as caught:
        Reporter()(**metrics)
    for words in says:
        assert words in str(caught.value)
    assert isinstance(caught.value, ValueError)
    assert capsys.readouterr().out == ""


def test_the_longest_line_that_cloudwatch_takes_is_taken() -> None:
    room = MAX_LINE_BYTES - len(line_of({"text": ""}))
    assert len(line_of({"text": "x" * (room - 40)})) <= MAX_LINE_BYTES  # the automatic fields vary in length
    with pytest.raises(ReportError, match="Report a summary"):
        line_of({"text": "x" * (room + 100)})


# ---- parsing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        '[tune-metric]: {"a": 1}',
        '[tune-metric]: {"a": 1}\r\n',
        '[tune-metric]:{"a":1}',
        '2026-11-20T10:00:00.000Z algo-1 | [tune-metric]: {"a": 1}',
        '[1,0]<stdout>:[tune-metric]: {"a": 1}',
        ' 50%|#####     | 1/2\r[tune-metric]: {"a": 1}',
        '[tune-metric]: {"a": 1} [tune-metric]: {"a": 2}',
        '[tune-metric]: {"a": 1}Epoch 3/10',
        '[tune-metric]: {"b": 0.[tune-metric]: {"a": 1}',
        '[tune-metric]: {"b": "[tune-metric]: {[tune-metric]: {"a": 1}',
        '[tune-metric]: {} [tune-metric]: {"a": 1}',
    ],
)
def test_a_report_is_found_among_what_else_is_on_its_line(line: str) -> None:
    assert parse_report_line(line) == {"a": 1}


@pytest.mark.parametrize(
    "line",
    [
        "",
        "epoch 3: accuracy 0.9",
        '{"a": 1}',
        "[tune-metric]: ",
        "[tune-metric]: 1",
        '[tune-metric]: ["a"]',
        "[tune-metric]: {}",
        '[tune-metric]: {"a": 1',
        "[tune-metric]: {'a': 1}",
        "[tune-metric]: {" + '"a": {' * 100_000,
        '[tune-metric]: {"a": ' + "[" * 100_000,
    ],
    ids=range(11),
)
def test_foreign_and_torn_lines_are_no_reports(line: str) -> None:
    assert parse_report_line(line) is None


@given(before=st.text(), after=st.text(), cut=st.integers(0, 60))
def test_parsing_never_raises_and_misses_no_whole_report(before: str, after: str, cut: int) -> None:
    line = '[tune-metric]: {"loss": 0.25, "text": "[tune-metric]: {}"}'
    parse_report_line(before + line[:cut] + after)
    assert parse_report_line(before + line + after) == {"loss": 0.25, "text": "[tune-metric]: {}"}


# ---- writers side by side --------------------------------------------------------------------------------------------

_MANY_WRITERS = """
import os, threading
from cloudtune.report import Reporter

report = Reporter()

def work(worker):
    for number in range(20):
        report(worker=worker, number=number, filling="x" * 20_000)

for child in range(4):
    if os.fork() == 0:
        threads = [threading.Thread(target=work, args=(f"{child}-{thread}",)) for thread in range(2)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        os._exit(0)
for child in range(4):
    assert os.wait()[1] == 0
"""


def test_threads_and_forked_workers_never_mix_their_lines() -> None:
    fields = [parse_report_line(line) for line in run_script(_MANY_WRITERS).splitlines()]
    assert all(one is not None and len(one["filling"]) == 20_000 for one in fields)
    seen = [(one["worker"], one["number"]) for one in fields if one]
    assert sorted(seen) == sorted(
        (f"{child}-{thread}", n) for child in range(4) for thread in range(2) for n in range(20)
    )


def test_a_fork_while_another_thread_reports_leaves_the_child_able_to() -> None:
    script = """
import os, threading
from cloudtune import report
inside, forked = threading.Event(), threading.Event()
def hold():
    with report._lock:
        inside.set(); forked.wait()
holder = threading.Thread(target=hold); holder.start(); inside.wait()
child = os.fork()
if child == 0:
    report.Reporter()(who="child"); os._exit(0)
status = os.waitpid(child, 0)[1]
forked.set(); holder.join()
assert status == 0
"""
    fields = parse_report_line(run_script(script))
    assert fields is not None and fields["who"] == "child"


def test_what_was_printed_before_comes_before() -> None:
    lines = run_script("from cloudtune import Reporter\nprint('before')\nReporter()(a=1)\nprint('after')").splitlines()
    assert [lines[0], lines[2]] == ["before", "after"]
    assert parse_report_line(lines[1])


def test_a_reader_that_made_the_pipe_non_blocking_gets_whole_lines() -> None:
    script = """
import os, sys
os.set_blocking(1, False)
from cloudtune import Reporter
report = Reporter()
for number in range(10): report(number=number, filling="x" * 100_000)
"""
    fields = [parse_report_line(line) for line in run_script(script).splitlines()]
    assert [one and one["number"] for one in fields] == list(range(10))


def test_redirected_output_goes_where_it_is_redirected() -> None:
    class Tee:
        def __init__(self) -> None:
            self.text = ""

        def write(self, text: str) -> None:
            self.text += text

        def flush(self) -> None:
            pass

    tees = [Tee(), Tee()]

    def both() -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for tee in tees:
                patch.setattr(sys, "stdout", tee)
                yield

    for _ in both():
        thread = threading.Thread(target=Reporter(), kwargs={"a": 1})
        thread.start()
        thread.join()
    assert [parse_report_line(tee.text) is not None for tee in tees] == [True, True]


# ---- in other people's images ----------------------------------------------------------------------------------------


def test_importing_it_loads_next_to_nothing() -> None:
    script = """
import sys
before = set(sys.modules)
import cloudtune.report
print(*sorted(set(sys.modules) - before))
"""
    loaded = set(run_script(script).split())
    assert {name for name in loaded if name.startswith("cloudtune")} == {
        "cloudtune",
        "cloudtune.report",
        "cloudtune.version",
    }
    heavy = {"argparse", "asyncio", "dataclasses", "hashlib", "inspect", "logging", "pathlib", "shutil", "subprocess"}
    assert not loaded & (heavy | {"numpy", "boto3", "scipy", "pandas", "torch"})
    assert len(loaded) <= 60


_IN_A_CONTAINER = """
import sys
from cloudtune import Reporter, __version__
from cloudtune.report import parse_report_line
import cloudtune.checkpointing, cloudtune.constants
report = Reporter()
report(epoch=1, loss=float("nan"), path=list(sys.path[:0]))
try:
    from cloudtune import Tuner
except ImportError:
    pass
else:
    raise AssertionError("the container has more than what travels")
"""


@pytest.mark.parametrize("version", ["ours", *OLD_VERSIONS])
def test_what_travels_is_enough(tmp_path: Path, version: str) -> None:
    python = sys.executable if version == "ours" else interpreter(version)
    fields = parse_report_line(run_script(_IN_A_CONTAINER, python=python, path=copy_what_travels(tmp_path)))
    assert fields is not None
    assert fields["epoch"] == 1 and math.isnan(fields["loss"]) and fields["path"] == []
