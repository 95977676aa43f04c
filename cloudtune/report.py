"""What a training script says: one report is one line ``[tune-metric]: {json}`` on standard output.

This file travels into trials' containers: Python 3.8 and later, standard library only. ``parse_report_line`` beside
the writer is the one reader that all backends share.

Encoding: the line is ASCII JSON as Python's ``json`` writes it. Floats come back exactly. NaN and infinities are the
bare tokens ``NaN``, ``Infinity`` and ``-Infinity``, which Python's ``json`` reads; strict JSON parsers do not.
"""

import fcntl
import json
import os
import re
import select
import sys
import threading
import time
from types import TracebackType
from typing import Any, Callable, Dict, List, Optional, TextIO, Type, cast

ST_WORKER_ITER = "st_worker_iter"
"""Reports before this one, from 0 in each attempt."""
ST_WORKER_TIMESTAMP = "st_worker_timestamp"
"""Seconds since the epoch when the report was made."""
ST_WORKER_TIME = "st_worker_time"
"""Seconds since the ``Reporter`` was created."""
ST_WORKER_COST = "st_worker_cost"
"""Dollars since the ``Reporter`` was created."""

RESERVED_PREFIX = "st_"
"""Names of metrics can't start so: the automatic fields do."""
REPORT_PREFIX = "[tune-metric]: "
MAX_LINE_BYTES = 262_144 - 26
"""A CloudWatch log event holds 256 KB, 26 bytes of which are its own."""
DOLLARS_PER_HOUR_VARIABLE = "CLOUDTUNE_DOLLARS_PER_HOUR"
"""Environment variable that a backend with prices sets: dollars per hour of all instances of the job together."""

_MAX_DEPTH = 64


class ReportError(ValueError):
    """A report can't be written as it is; nothing of it was printed."""


class Reporter:
    """Reports metrics to the tuner: ``report = Reporter()``, then ``report(epoch=3, accuracy=0.91)``.

    Every report also carries ``st_worker_timestamp`` (seconds since the epoch) and ``st_worker_iter`` (reports of this
    reporter before it, from 0); with ``add_time`` also ``st_worker_time`` (seconds since the reporter was created);
    with ``add_cost`` and ``add_time`` also ``st_worker_cost`` (dollars since then), if the environment variable
    ``CLOUDTUNE_DOLLARS_PER_HOUR`` gives the price of all the job's instances, as the SageMaker backend sets it.

    Values are bool, int, float (NaN and infinities too), str, None, lists, tuples and dicts of these, and whatever
    stands for one number: numpy scalars, 0-d arrays, torch scalars, anything with ``.item()``. The resource of a
    multi-fidelity method is a positive int: epochs done, from 1.

    Threads may share a reporter, and forked workers standard output: lines never mix.
    """

    def __init__(self, add_time: bool = True, add_cost: bool = True) -> None:
        self.add_time = add_time
        self.add_cost = add_cost
        self._start = time.monotonic()
        self._dollars_per_hour = _dollars_per_hour() if add_time and add_cost else None
        self._iter = 0

    def __call__(self, /, **metrics: Any) -> None:
        """Print one report. Raises ``ReportError`` (a ``ValueError``), with nothing printed, if there is no metric, a
        name starts with ``st_``, a value isn't JSON, or the line has more than ``MAX_LINE_BYTES``."""
        fields = _checked(metrics)
        with undisturbed, _lock:
            fields.update(self._automatic_fields())
            _print_line(_encoded(fields))
            self._iter += 1

    def _automatic_fields(self) -> Dict[str, Any]:
        fields = {ST_WORKER_TIMESTAMP: time.time(), ST_WORKER_ITER: self._iter}
        if self.add_time:
            elapsed = time.monotonic() - self._start
            fields[ST_WORKER_TIME] = elapsed
            if self._dollars_per_hour is not None:
                fields[ST_WORKER_COST] = elapsed / 3600 * self._dollars_per_hour
        return fields


def parse_report_line(line: str) -> Optional[Dict[str, Any]]:
    """The fields of the first whole report in ``line``, automatic ones included; None if there is none. Never raises.

    What stands before (time stamps, rank prefixes, a report that was cut short) and after it doesn't matter.
    """
    for match in _BEGINNING.finditer(line):
        try:
            fields, _ = _DECODER.raw_decode(line, match.end())
        except (ValueError, RecursionError):
            continue
        if fields:
            return cast(Dict[str, Any], fields)
    return None


_BEGINNING = re.compile(re.escape(REPORT_PREFIX.rstrip()) + r"\s*(?=\{)")
_DECODER = json.JSONDecoder()


def _checked(metrics: Dict[str, Any]) -> Dict[str, Any]:
    if not metrics:
        raise ReportError("report() was called without a metric. Give at least one by name, e.g. report(accuracy=0.9).")
    for name in metrics:
        if name.startswith(RESERVED_PREFIX):
            raise ReportError(
                f"The metric name {name!r} is reserved: names that start with {RESERVED_PREFIX!r} belong to the tuner. "
                f"Report it under another name, e.g. {name[len(RESERVED_PREFIX) :] or 'metric'!r}."
            )
    return {name: _plain(value, name, 0) for name, value in metrics.items()}


def _plain(value: Any, where: str, depth: int) -> Any:
    """``value`` in JSON's own types. ``where`` names it in errors."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if depth > _MAX_DEPTH:
        raise ReportError(f"The metric {where[:80]!r}… is nested deeper than {_MAX_DEPTH}. Does it contain itself?")
    if isinstance(value, (list, tuple)):
        return [_plain(entry, f"{where}[{index}]", depth + 1) for index, entry in enumerate(value)]
    if isinstance(value, dict):
        return {_key(key, where): _plain(entry, f"{where}[{key!r}]", depth + 1) for key, entry in value.items()}
    return _scalar(value, where, depth)


def _key(key: Any, where: str) -> str:
    if isinstance(key, str):
        return key
    raise ReportError(
        f"The metric {where!r} has the key {_shown(key)} of type {_type_name(key)}, but keys in JSON are strings, "
        f"and it would not come back as it was. Use str(key)."
    )


def _scalar(value: Any, where: str, depth: int) -> Any:
    """The one number inside a numpy, torch, jax … value. A class itself has ``item`` too, but no number."""
    item = None if isinstance(value, type) else getattr(value, "item", None)
    if not callable(item):
        raise ReportError(
            f"The metric {where!r} is {_shown(value)} of type {_type_name(value)}, which isn't JSON. "
            f"Report a number, a string, or a list or dict of these, e.g. float({where.split('[')[0]})."
        )
    try:
        number = item()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ReportError(
            f"The metric {where!r} of type {_type_name(value)} is not a single number: .item() says {error}. "
            f"Report one number, e.g. its .mean(), or all of them as a list with .tolist()."
        ) from error
    # numpy's longdouble is its own item
    if type(number) is type(value) and hasattr(number, "__float__"):
        return float(number)
    return _plain(number, where, depth + 1)


def _encoded(fields: Dict[str, Any]) -> bytes:
    line = (REPORT_PREFIX + json.dumps(fields) + "\n").encode("ascii")
    if len(line) > MAX_LINE_BYTES:
        sizes = sorted(((len(json.dumps(value)), name) for name, value in fields.items()), reverse=True)
        raise ReportError(
            f"The report has {len(line)} bytes, more than the {MAX_LINE_BYTES} that a CloudWatch log event holds; the "
            f"largest metric, {sizes[0][1]!r}, has {sizes[0][0]}. Report a summary, and write the rest to a file."
        )
    return line


def _dollars_per_hour() -> Optional[float]:
    text = os.environ.get(DOLLARS_PER_HOUR_VARIABLE)
    if not text:
        return None
    try:
        price = float(text)
    except ValueError:
        price = -1.0
    if 0 <= price < float("inf"):
        return price
    # a trial is worth more than the estimate of its price
    print(f"{DOLLARS_PER_HOUR_VARIABLE}={text!r} is not a price: reporting without {ST_WORKER_COST}", file=sys.stderr)
    return None


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _type_name(value: Any) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


# ---- printing ------------------------------------------------------------------------------------------------------


def flush(stream: TextIO) -> None:
    """Flush ``stream``, unless a signal handler interrupted a flush of it: then it is under way."""
    try:
        stream.flush()
    except RuntimeError as error:
        if "reentrant" not in str(error):
            raise


def _print_line(line: bytes) -> None:
    stream = sys.stdout
    redirected = stream is not sys.__stdout__  # inside Python: a notebook, a capture, a tee
    if redirected:
        stream.write(line.decode("ascii"))
        flush(stream)
        return
    flush(stream)  # what was printed before comes before
    descriptor = stream.fileno()
    # The lock is the process's, on the pipe itself: other workers on the same pipe wait. A pipe takes no more than 4 KB
    # at once undivided, and no lock is needed where the system refuses it.
    locked = _try_lock(descriptor)
    try:
        _write_all(descriptor, line)
    finally:
        if locked:
            fcntl.lockf(descriptor, fcntl.LOCK_UN)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX)
    except OSError:
        return False
    return True


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:  # whoever reads made the pipe non-blocking
            select.select([], [descriptor], [])


# ---- what a SIGTERM must not cut -----------------------------------------------------------------------------------


class _Undisturbed:
    """``with undisturbed:`` a section of the main thread that a SIGTERM hook waits for (see ``checkpointing``)."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Be outside any section, with nothing waiting."""
        self._depth = 0
        self._pending: List[Callable[[], None]] = []

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self._depth += 1

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        if threading.current_thread() is threading.main_thread():
            self._depth -= 1
            if not self._depth and self._pending:
                self._pending.pop()()

    def run_or_defer(self, action: Callable[[], None]) -> None:
        """Run ``action`` now, or at the end of the section that the main thread is in."""
        if self._depth:
            self._pending = [action]
        else:
            action()


undisturbed = _Undisturbed()
_lock = threading.RLock()


def _after_fork() -> None:
    """A thread of the parent may have held the lock, and the parent may have been in a section: the child isn't."""
    global _lock
    _lock = threading.RLock()
    undisturbed.reset()


os.register_at_fork(after_in_child=_after_fork)
