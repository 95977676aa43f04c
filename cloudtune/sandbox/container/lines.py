"""What a job prints, as lines."""

from __future__ import annotations

import codecs
import os
from collections.abc import Callable

# CloudWatch Logs: 256 KiB for an event, 26 bytes of which are its own
LONGEST_LINE_BYTES = 256 * 1024 - 26
_CHUNK = 65_536


class LineSplitter:
    """Cuts a stream of bytes into lines of text.

    A line ends with a line feed, a carriage return (each state of a progress bar is a line) or both. Bytes that aren't
    UTF-8 become U+FFFD. A line of more than ``longest`` bytes is given in pieces, none of which cuts a character.
    """

    def __init__(self, write_line: Callable[[str], None], longest: int = LONGEST_LINE_BYTES) -> None:
        self._write_line = write_line
        self._longest = longest
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._begun = ""
        self._after_return = False

    def feed(self, data: bytes) -> None:
        self._take(self._decoder.decode(data))

    def close(self) -> None:
        """The stream has ended, with a line that nothing ended."""
        self._take(self._decoder.decode(b"", final=True))
        if self._begun:
            self._write(self._begun)
            self._begun = ""

    def _take(self, text: str) -> None:
        if not text:
            return
        if self._after_return and text[0] == "\n":
            text = text[1:]
        self._after_return = text.endswith("\r")
        *lines, self._begun = (self._begun + text.replace("\r\n", "\n").replace("\r", "\n")).split("\n")
        for line in lines:
            self._write(line)
        while len(self._begun) > self._longest:
            self._write(self._begun[: self._longest // 4])
            self._begun = self._begun[self._longest // 4 :]

    def _write(self, line: str) -> None:
        if len(line) * 4 <= self._longest:
            self._write_line(line)
            return
        data = line.encode("utf-8", errors="replace")
        while len(data) > self._longest:
            end = self._longest
            while data[end] & 0b1100_0000 == 0b1000_0000:
                end -= 1
            self._write_line(data[:end].decode())
            data = data[end:]
        self._write_line(data.decode())


def read_lines(descriptor: int, write_line: Callable[[str], None]) -> None:
    """Write each line that comes from ``descriptor`` until its end, then close it."""
    splitter = LineSplitter(write_line)
    try:
        while data := os.read(descriptor, _CHUNK):
            splitter.feed(data)
        splitter.close()
    finally:
        os.close(descriptor)
