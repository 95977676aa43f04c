"""A searcher without a tuner: whoever evaluates configurations asks for them and tells the results."""

from __future__ import annotations

import json
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np

from cloudtune.errors import MetricError, OptionError
from cloudtune.options import check_count, named_arguments, named_options, nearest_name
from cloudtune.searchers.base import Searcher
from cloudtune.searchers.factory import searcher_for
from cloudtune.searchers.problem import SearchProblem
from cloudtune.searchers.seeding import checked_seed
from cloudtune.space import config_space_from_json_dict, config_space_to_json_dict, validate_config_space
from cloudtune.trial import Config, Metrics, Mode, Status

VERSION = 1
"""Of the state as JSON."""
_ENTRIES = (
    *("config_space", "metric", "mode", "searcher", "search_options", "points_to_evaluate", "random_seed"),
    "events",
)


@dataclass(frozen=True)
class AskedTrial:
    """A configuration to evaluate, and what was told about it: ``metrics`` once it is completed."""

    trial_id: int
    config: Config
    status: Status = Status.in_progress
    metrics: Metrics | None = None


@dataclass(frozen=True)
class _Event:
    """What a searcher was told, and when: a state is the list of these."""

    kind: str
    """"asked", "told" or "failed"."""
    trial_id: int
    data: Mapping[str, Any] | None = None
    """The configuration, or the metrics."""
    carried: Mapping[str, Any] | None = None


@named_options()
class AskTell:
    """Proposes configurations and learns one result per trial; evaluates nothing, and keeps no files.

    :param metric: the name of the objective in what is told, and in messages.
    :param mode: "min" or "max".
    :param searcher: a name ("bayesopt", "random", …), or a ``Searcher`` that has told and asked nothing yet.
    :param search_options: of a searcher given by name; an unknown one is an error.
    :param points_to_evaluate: proposed first, partial ones completed (None: one of middles; ``[]``: none).
    :param random_seed: an integer of at least 0; if None, one is drawn now and can be read from ``random_seed``.

    Any number of trials may be asked for before the first is told: those under way are known to the searcher's
    model. Same seed and same calls give the same proposals. There is no multi-fidelity here: a trial has one result,
    not one per epoch; for that, give the searcher to a scheduler. Raises OptionError and ConfigSpaceError.
    """

    def __init__(
        self,
        config_space: Mapping[str, Any],
        metric: str = "objective",
        mode: Mode = "min",
        searcher: str | Searcher = "bayesopt",
        search_options: Mapping[str, Any] | None = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        random_seed: int | None = None,
    ) -> None:
        validate_config_space(config_space)
        if not isinstance(metric, str) or not metric:
            raise OptionError(f"metric is {metric!r}", 'give the name of the objective, "loss" for example')
        if mode not in ("min", "max"):
            raise OptionError(f"mode is {mode!r}", 'give "min" or "max"')
        self.random_seed = checked_seed(random_seed)
        self._problem = SearchProblem(config_space, points_to_evaluate, self.random_seed, (metric,), (mode,))
        self._search_options = search_options
        self._name = searcher if isinstance(searcher, str) else None
        self.searcher = searcher_for(searcher, self._problem, search_options)
        self._trials: list[AskedTrial] = []
        self._events: list[_Event] = []

    @property
    def metric(self) -> str:
        return self._problem.metric

    @property
    def mode(self) -> Mode:
        return self._problem.mode

    @property
    def trials(self) -> Sequence[AskedTrial]:
        """All of them, by number."""
        return tuple(self._trials)

    # -- asking and telling ----------------------------------------------------------------------------------------

    @overload
    def ask(self) -> AskedTrial | None: ...

    @overload
    def ask(self, n: int) -> list[AskedTrial]: ...

    def ask(self, n: int | None = None) -> AskedTrial | list[AskedTrial] | None:
        """The next trial; None if the space is exhausted. With ``n``: a list of so many, shorter at the end.

        Raises MetricError if what was told lacks something that the searcher needs, a constraint for example.
        Trials of a batch are proposed one after another, each with those before it under way.
        """
        if n is None:
            return self._ask()
        check_count("n", n, least=1)
        batch: list[AskedTrial] = []
        while len(batch) < n and (trial := self._ask()) is not None:
            batch.append(trial)
        return batch

    def _ask(self) -> AskedTrial | None:
        if complaint := self.searcher.complaint():
            raise complaint
        trial_id = len(self._trials)
        config = self.searcher.suggest(trial_id)
        if config is None:
            return None
        carried = self.searcher.carried(trial_id)
        # as it comes back from a state: what is told to the searcher must not depend on whether it was ever saved
        event = _Event("asked", trial_id, config, None if carried is None else json.loads(json.dumps(carried)))
        self._happen(event)
        return self._trials[trial_id]

    def tell(self, trial_id: int, result: float | Metrics) -> None:
        """The trial's objective, or a dict with the objective and what else was measured.

        NaN and infinities are results of a training that diverged. Raises OptionError for a trial that was not asked
        for or has its result, and MetricError for what is no number or lacks the metric.
        """
        self._check_open(trial_id)
        metrics = dict(result) if isinstance(result, Mapping) else {self.metric: result}
        if self.metric not in metrics:
            hint = nearest_name(self.metric, map(str, metrics))
            raise MetricError(f"the result of trial {trial_id} has no {self.metric!r}", hint)
        if not _is_number(metrics[self.metric]):
            raise MetricError(
                f"{self.metric!r} of trial {trial_id} is {metrics[self.metric]!r}, which is no number",
                "tell a number, or tell_failed(trial_id) if there is none",
            )
        self._happen(_Event("told", int(trial_id), {name: _plain(name, value) for name, value in metrics.items()}))

    def tell_failed(self, trial_id: int) -> None:
        """The trial gave no result and will give none: its configuration is not proposed again.

        Raises OptionError for a trial that was not asked for or has its result.
        """
        self._check_open(trial_id)
        self._happen(_Event("failed", int(trial_id)))

    def best(self) -> AskedTrial | None:
        """The completed trial with the best objective, the first of several; None before any finite result."""
        sign = 1.0 if self.mode == "min" else -1.0
        ranked = [
            (sign * trial.metrics[self.metric], trial.trial_id)
            for trial in self._trials
            if trial.metrics is not None and abs(trial.metrics[self.metric]) < float("inf")
        ]
        return self._trials[min(ranked)[1]] if ranked else None

    def _check_open(self, trial_id: int) -> None:
        number = isinstance(trial_id, (int, np.integer)) and not isinstance(trial_id, bool)
        if not number or not 0 <= int(trial_id) < len(self._trials):
            asked = f"asked for so far: 0 to {len(self._trials) - 1}" if self._trials else "ask() for one first"
            raise OptionError(f"there is no trial {trial_id!r}", asked)
        status = self._trials[int(trial_id)].status
        if status is not Status.in_progress:
            end = "has failed" if status is Status.failed else "has its result"
            raise OptionError(f"trial {trial_id} {end} already", "every trial is told about once")

    def _happen(self, event: _Event) -> None:
        """Live and from a state alike."""
        trial_id, data = event.trial_id, event.data
        if event.kind == "asked":
            assert data is not None
            self._trials.append(AskedTrial(trial_id, dict(data)))
            if event.carried is not None:
                self.searcher.on_carried(trial_id, event.carried)
            self.searcher.on_trial_add(trial_id, dict(data))
            self.searcher.register_pending(trial_id)
        elif event.kind == "told":
            assert data is not None
            trial = self._trials[trial_id]
            self._trials[trial_id] = replace(trial, status=Status.completed, metrics=data)
            self.searcher.on_result(trial_id, trial.config, data, update=True)
            self.searcher.cleanup_pending(trial_id)
        else:
            self._trials[trial_id] = replace(self._trials[trial_id], status=Status.failed)
            self.searcher.on_trial_error(trial_id)
        self._events.append(event)

    # -- the state as text -----------------------------------------------------------------------------------------

    def to_json(self) -> str:
        """All there is to know, for ``from_json``. NaN and infinities are written as Python's ``json`` does.

        Raises OptionError for search options that are no JSON.
        """
        state = {
            "version": VERSION,
            "config_space": config_space_to_json_dict(self._problem.config_space),
            "metric": self.metric,
            "mode": self.mode,
            "searcher": self._name,
            "search_options": self._search_options,
            "points_to_evaluate": self._problem.points_to_evaluate,
            "random_seed": self.random_seed,
            "events": [_to_list(event) for event in self._events],
        }
        try:
            return json.dumps(state, default=_of_numpy)
        except TypeError as error:
            raise OptionError(
                f"the state can't be written: {error}",
                "give a Searcher object instead of search_options that are no JSON, here and to from_json",
            ) from error

    @classmethod
    @named_arguments
    def from_json(cls, text: str, searcher: Searcher | None = None) -> AskTell:
        """What ``to_json`` wrote; proposes what the original would. Computes no earlier proposal again.

        ``searcher``: a new one made like the original's, if that was given as an object and not by its name. Raises
        OptionError for a text that is no state, and for a searcher that is missing or too many.
        """
        state = _state(text)
        if (state["searcher"] is None) == (searcher is None):
            raise OptionError(
                f"the state's searcher is {state['searcher'] or 'an object'!r}, the argument {searcher!r}",
                "give a new searcher exactly if the original was an object: its settings are not in the state",
            )
        restored = cls(
            config_space_from_json_dict(state["config_space"]),
            state["metric"],
            state["mode"],
            searcher if searcher is not None else state["searcher"],
            state["search_options"],
            state["points_to_evaluate"],
            state["random_seed"],
        )
        for kind, trial_id, *rest in state["events"]:
            restored._happen(_Event(kind, trial_id, *rest))
        return restored


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _plain(name: str, value: Any) -> Any:
    """A number as Python's own, numpy's included; anything else as JSON reads it back."""
    if _is_number(value):
        return int(value) if isinstance(value, numbers.Integral) else float(value)
    try:
        return json.loads(json.dumps(value))
    except TypeError:
        raise MetricError(f"{name!r} is {value!r}", "tell numbers, texts, and lists and dicts of these") from None


def _of_numpy(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} is no JSON")


def _to_list(event: _Event) -> list[Any]:
    """Short: a state holds one or two per trial."""
    if event.kind == "asked":
        return [event.kind, event.trial_id, event.data, event.carried]
    return [event.kind, event.trial_id] if event.data is None else [event.kind, event.trial_id, event.data]


def _state(text: str) -> dict[str, Any]:
    try:
        state = json.loads(text)
    except (TypeError, ValueError) as error:
        raise OptionError(f"the state is no JSON: {error}", "give what to_json() returned") from error
    version = state.get("version") if isinstance(state, dict) else None
    if version != VERSION:
        raise OptionError(
            f"the state's version is {version!r}, not {VERSION}", "give what this version's to_json() wrote"
        )
    missing = [name for name in _ENTRIES if name not in state]
    if missing:
        raise OptionError(f"the state has no {missing[0]!r}", "give what to_json() returned, all of it")
    return dict(state)
