from __future__ import annotations

import errno
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudtune.backends import LocalBackend
from cloudtune.backends.local_files import TrialFiles
from cloudtune.backends.local_run import ReportFile
from cloudtune.testing.backend_contract import PROBE
from cloudtune.trial import AttemptStatus
from tests.backends.helpers import opened

LINES = st.lists(
    st.one_of(
        st.builds(lambda value: "[tune-metric]: " + json.dumps({"value": value}), st.integers()),
        st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=30),
        st.just("50%\r100%\r[tune-metric]: " + json.dumps({"value": 0, "text": "größer"})),
    ),
    max_size=12,
)


def reports_in(text: bytes) -> list[dict[str, object]]:
    return [json.loads(line.split(b"]: ")[1]) for line in text.split(b"\n") if b"[tune-metric]: {" in line]


@settings(max_examples=50, deadline=None)
@given(lines=LINES, cuts=st.lists(st.integers(0, 600), max_size=10), newline=st.booleans())
def test_however_the_file_grows_each_report_is_read_once_in_order(
    lines: list[str], cuts: list[int], newline: bool
) -> None:
    earlier = b'[tune-metric]: {"of": "another attempt"}\n'
    text = "\n".join(lines).encode() + (b"\n" if newline else b"")
    with tempfile.TemporaryDirectory() as folder:
        trial = TrialFiles(Path(folder))
        reader = ReportFile(trial.attempt(0), len(earlier))
        seen = list(reader.new(None, ended=False))
        for end in sorted(cuts):
            trial.stdout.write_bytes(earlier + text[:end])
            seen += reader.new(None, ended=False)
        trial.stdout.write_bytes(earlier + text + b'[tune-metric]: {"of": "a later attempt"}\n')
        seen += reader.new(len(earlier) + len(text), ended=True)
        seen += reader.new(len(earlier) + len(text), ended=True)
    assert [metrics for _, metrics in seen] == reports_in(text)
    assert [number for number, _ in seen] == list(range(len(seen)))


def test_what_was_read_is_not_read_again(tmp_path: Path) -> None:
    trial = TrialFiles(tmp_path)
    line = b'[tune-metric]: {"value": 1}\n'
    reader = ReportFile(trial.attempt(0), 0)
    trial.stdout.write_bytes(line * 3)
    assert len(list(reader.new(None, ended=False))) == 3
    trial.stdout.write_bytes(b"?" * len(line * 3) + line)
    assert len(list(reader.new(None, ended=False))) == 1


def test_what_can_not_be_read_now_is_read_next_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = opened(LocalBackend(PROBE), tmp_path)
    attempt = watch.start(units=3)
    original = ReportFile.new

    def too_many_files(self: ReportFile, end: int | None, ended: bool) -> Iterator[tuple[int, dict[str, Any]]]:
        monkeypatch.setattr(ReportFile, "new", original)
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(ReportFile, "new", too_many_files)
    watch.finish(attempt)
    assert watch.epochs(attempt) == [1, 2, 3]
    assert watch.statuses(attempt)[0] is AttemptStatus.RUNNING
    watch.end_all()
