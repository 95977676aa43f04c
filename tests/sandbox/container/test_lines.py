"""Bytes become lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtune.sandbox.container.lines import LONGEST_LINE_BYTES, LineSplitter
from tests.sandbox.container.support import Jobs


def split(*pieces: bytes, longest: int = 64) -> list[str]:
    lines: list[str] = []
    splitter = LineSplitter(lines.append, longest)
    for piece in pieces:
        splitter.feed(piece)
    splitter.close()
    return lines


@pytest.mark.parametrize(
    ("pieces", "lines"),
    [
        ([b"a\nb\n"], ["a", "b"]),
        ([b"a\n\nb"], ["a", "", "b"]),
        ([b"a", b"b\nc"], ["ab", "c"]),
        ([b"a\r\nb\r\n"], ["a", "b"]),
        ([b"a\r", b"\nb\n"], ["a", "b"]),
        ([b" 1%\r 2%\r 3%\n"], [" 1%", " 2%", " 3%"]),
        ([b"a\r", b"b\n"], ["a", "b"]),
        ([b"\xc3", b"\xbc\n"], ["ü"]),
        ([b"\xff\xfe a\n"], ["\ufffd\ufffd a"]),
        ([b"cut \xc3"], ["cut \ufffd"]),
        ([b""], []),
    ],
)
def test_lines_end_where_a_terminal_would_begin_anew(pieces: list[bytes], lines: list[str]) -> None:
    assert split(*pieces) == lines


def test_a_line_is_written_as_soon_as_it_ends() -> None:
    lines: list[str] = []
    splitter = LineSplitter(lines.append)
    splitter.feed(b"50%\rno")
    assert lines == ["50%"]


def test_a_line_that_never_ends_is_written_in_pieces_meanwhile() -> None:
    lines: list[str] = []
    splitter = LineSplitter(lines.append, 64)
    for _ in range(100):
        splitter.feed(b"x" * 10)
    assert lines
    splitter.close()
    assert "".join(lines) == "x" * 1000


@given(st.text(), st.integers(4, 64), st.integers(1, 16))
def test_no_piece_is_too_long_and_nothing_is_lost(text: str, longest: int, step: int) -> None:
    data = text.encode("utf-8", errors="replace")
    pieces = [data[start : start + step] for start in range(0, len(data), step)]
    lines = split(*pieces, longest=longest)
    assert all(len(line.encode()) <= longest for line in lines)
    plain = data.decode().replace("\r\n", "\n").replace("\r", "\n")
    assert "".join(lines) == plain.replace("\n", "")


def test_a_job_prints_to_both_streams_in_order_and_what_it_likes(jobs: Jobs) -> None:
    script = r"""
        import sys
        print("out")
        print("err", file=sys.stderr)
        sys.stdout.buffer.write(b"\xff bytes\r progress\r\n")
        sys.stdout.buffer.write(b"y" * 300_000 + b"\n" + b"no end")
    """
    job = jobs.script(script)
    assert job.run() == 0
    assert job.lines[:4] == ["out", "err", "\ufffd bytes", " progress"]
    assert job.lines[-1] == "no end"
    long = job.lines[4:-1]
    assert "".join(long) == "y" * 300_000
    assert max(map(len, long)) <= LONGEST_LINE_BYTES


def test_lines_come_while_the_job_runs(jobs: Jobs) -> None:
    job = jobs.script("import time; print('ready'); time.sleep(600)")
    job.begin()
    assert job.container.wait(0) is None
