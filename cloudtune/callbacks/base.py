"""What may watch a tuner."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from cloudtune.schedulers.base import Decision
from cloudtune.trial import Metrics, Status, Trial

if TYPE_CHECKING:
    from cloudtune.tuner import Tuner

logger = logging.getLogger("cloudtune.callbacks")

Hook = TypeVar("Hook", bound=Callable[..., None])


def now_and_then(hook: Hook) -> Hook:
    """Marks a hook of the loop that does something by the clock: a simulation may call it less than once per look."""
    setattr(hook, _NOW_AND_THEN, True)
    return hook


_NOW_AND_THEN = "does something now and then"
_OF_NEWS = ("on_trial_result", "on_trial_complete", "on_fetch_status_results")
_OF_THE_LOOP = ("on_loop_start", "on_fetch_status_results", "on_tuning_sleep", "on_loop_end")


class TunerCallback:
    """Hooks of the tuning loop, in the order they are called; override what you need.

    Per iteration: ``on_loop_start``, ``on_fetch_status_results``, one ``on_trial_result`` or ``on_trial_complete`` per
    event, one ``on_start_trial`` or ``on_resume_trial`` per launch, ``on_tuning_sleep``, ``on_loop_end``; then the stop
    criterion is looked at. A callback travels with the tuner to a remote job, so it must be serializable by dill.

    In simulated time, where no callback overrides a hook of the loop, an iteration is several looks at the backend.
    """

    def on_tuning_start(self, tuner: Tuner) -> None:
        """Once, before the first iteration; after a crash once more, in the process that goes on."""

    def on_loop_start(self) -> None:
        """Before new results are fetched."""

    def on_fetch_status_results(
        self,
        trial_status_dict: Mapping[int, tuple[Trial, Status]],
        new_results: Sequence[tuple[int, Metrics]],
    ) -> None:
        """Just after results were fetched: trials that have news, and their new reports in order."""

    def on_trial_result(self, trial: Trial, status: Status, result: Metrics, decision: Decision) -> None:
        """Just after the scheduler saw a report; ``status`` is the trial's before the decision."""

    def on_trial_complete(self, trial: Trial, result: Metrics) -> None:
        """A trial's script ended by itself; ``result`` is its last report."""

    def on_start_trial(self, trial: Trial) -> None:
        """A new trial was launched."""

    def on_resume_trial(self, trial: Trial) -> None:
        """A paused trial was launched again."""

    def on_tuning_sleep(self, sleep_time: float) -> None:
        """The loop has slept for so many seconds."""

    def on_loop_end(self) -> None:
        """Before the stop criterion is looked at."""

    def on_tuning_end(self) -> None:
        """Once, after the last iteration, before running trials are stopped."""

    def on_tuning_closed(self) -> None:
        """Once, after everything has ended and the last late reports are in."""


class CallbackList:
    """Calls all callbacks. One that raises is reported and stays in: it can neither end the tuning nor hide itself."""

    def __init__(self, callbacks: Sequence[TunerCallback]) -> None:
        self.callbacks = callbacks
        self.errors: Counter[str] = Counter()
        """How often each hook of each class has raised."""

    @property
    def callbacks(self) -> Sequence[TunerCallback]:
        return self._callbacks

    @callbacks.setter
    def callbacks(self, callbacks: Sequence[TunerCallback]) -> None:
        self._callbacks = tuple(callbacks)
        self._listeners: dict[str, list[Callable[..., None]]] = {}
        self._want_news: bool | None = None

    def listen(self, hook: str) -> bool:
        """Whether anybody does something there."""
        return bool(self._listening(hook))

    def want_news(self) -> bool:
        """Whether anybody does something with reports or ends."""
        if self._want_news is None:
            self._want_news = any(map(self.listen, _OF_NEWS))
        return self._want_news

    def want_each_look(self) -> bool:
        """Whether anybody does something in each iteration of the loop."""
        hooks = [method for hook in _OF_THE_LOOP for method in self._listening(hook)]
        return not all(getattr(hook, _NOW_AND_THEN, False) for hook in hooks)

    def _listening(self, hook: str) -> list[Callable[..., None]]:
        found = self._listeners.get(hook)
        if found is None:
            nothing = getattr(TunerCallback, hook)
            methods = [getattr(each, hook) for each in self._callbacks]
            found = [method for method in methods if getattr(method, "__func__", None) is not nothing]
            self._listeners[hook] = found
        return found

    def call(self, hook: str, *arguments: object) -> None:
        listeners = self._listeners.get(hook)
        for method in self._listening(hook) if listeners is None else listeners:
            try:
                method(*arguments)
            except Exception:
                name = f"{type(getattr(method, '__self__', method)).__name__}.{hook}"
                self.errors[name] += 1
                logger.exception("callback %s failed; tuning goes on", name)
