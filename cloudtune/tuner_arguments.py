"""What a tuner refuses to be made of."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cloudtune.callbacks.base import TunerCallback
from cloudtune.engine.stopping import StoppingCriterion
from cloudtune.errors import OptionError
from cloudtune.journal.events import ExperimentStarted, to_line
from cloudtune.options import check_flag
from cloudtune.schedulers.base import TrialScheduler

_BACKEND_METHODS = ("open", "start", "stop", "poll", "close")


def check_parts(backend: object, scheduler: object, criterion: object) -> None:
    """Raises ``OptionError`` for classes where objects are needed, for parts that are swapped or something else."""
    _refuse_class("trial_backend", backend)
    _refuse_class("scheduler", scheduler)
    _refuse_class("stop_criterion", criterion)
    if not all(callable(getattr(backend, name, None)) for name in _BACKEND_METHODS):
        raise OptionError(
            f"trial_backend={backend!r} is no backend", "give what runs trials: LocalBackend('train.py') for example"
        )
    if not isinstance(scheduler, TrialScheduler):
        raise OptionError(
            f"scheduler={scheduler!r} is no TrialScheduler",
            "for example RandomSearch(config_space, metric='loss'); classes of your own derive from TrialScheduler",
        )
    _check_criterion(criterion)


def check_numbers(
    n_workers: object, max_failures: object, sleep_time: object, results_interval: object, print_interval: object
) -> None:
    """Raises ``OptionError`` for what is no number, or too small."""
    if n_workers != "auto" and (isinstance(n_workers, bool) or not isinstance(n_workers, int) or n_workers < 1):
        raise OptionError(
            f"n_workers={n_workers!r} is not a positive number", 'give the number of parallel trials, or "auto"'
        )
    if isinstance(max_failures, bool) or not isinstance(max_failures, int) or max_failures < 0:
        raise OptionError(
            f"max_failures={max_failures!r} is not a number of at least 0", "0 ends the experiment at the first failure"
        )
    intervals = {
        "sleep_time": sleep_time,
        "results_update_interval": results_interval,
        "print_update_interval": print_interval,
    }
    for name, seconds in intervals.items():
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds >= 0:
            raise OptionError(f"{name}={seconds!r} is not a number of seconds", "give 0 or more, 5.0 for example")


def check_flags(**flags: object) -> None:
    """Raises ``OptionError`` for what is neither True nor False."""
    for name, flag in flags.items():
        check_flag(name, flag)


def check_seams(clock: object, storage: object) -> None:
    """Raises ``OptionError`` for what is no clock and no storage."""
    for name, given, methods, example in (
        ("clock", clock, ("now", "sleep"), "VirtualClock()"),
        ("storage", storage, ("journal", "publish", "claim"), "S3Storage()"),
    ):
        if given is not None:
            _refuse_class(name, given)
            if not all(callable(getattr(given, method, None)) for method in methods):
                raise OptionError(f"{name}={given!r} is no {name}", f"for example {name}={example}, or leave it out")


def checked_callbacks(callbacks: Sequence[TunerCallback] | None) -> list[TunerCallback]:
    """Raises ``OptionError`` for what is no list of callbacks."""
    if isinstance(callbacks, TunerCallback):
        raise OptionError(f"callbacks={callbacks!r} is no list", f"write [{type(callbacks).__name__}(…)]")
    given = list(callbacks or [])
    for callback in given:
        _refuse_class("an entry of callbacks", callback)
        if not isinstance(callback, TunerCallback):
            raise OptionError(
                f"callbacks has {callback!r}, which is no TunerCallback", "derive its class from TunerCallback"
            )
    return given


def checked_metadata(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """Raises ``OptionError`` for what the journal can't hold."""
    if metadata is not None and not isinstance(metadata, Mapping):
        raise OptionError(f"metadata={metadata!r} is no dict", "give a dict that JSON holds")
    given = dict(metadata or {})
    try:
        to_line(ExperimentStarted(0.0, "", "", given))
    except (TypeError, ValueError) as error:
        raise OptionError(
            f"metadata={given!r} is not JSON: {error}", "use numbers, strings, lists and dicts"
        ) from error
    return given


def _refuse_class(what: str, given: object) -> None:
    if isinstance(given, type):
        raise OptionError(f"{what} is the class {given.__name__}, not an object of it", f"write {given.__name__}(…)")


def _check_criterion(criterion: object) -> None:
    if not callable(criterion):
        raise OptionError(
            f"stop_criterion={criterion!r} can't say when to stop",
            "give StoppingCriterion(max_wallclock_time=3600) for example, or a function of a TuningStatus",
        )
    if isinstance(criterion, StoppingCriterion) and criterion == StoppingCriterion():
        warnings.warn(
            "stop_criterion=StoppingCriterion() has no limit: the experiment goes on until the configuration space is "
            "exhausted. Give it max_wallclock_time or max_cost, for example",
            stacklevel=4,
        )
    if not _takes_one(criterion):
        raise OptionError(
            f"stop_criterion={criterion!r} does not take one argument", "it is called with the TuningStatus"
        )


def _takes_one(function: Callable[..., object]) -> bool:
    try:
        signature = inspect.signature(function)
    except ValueError:  # some of C's functions have none
        return True
    try:
        signature.bind(None)
    except TypeError:
        return False
    return True
