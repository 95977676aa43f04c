"""Proposals that several models choose together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cloudtune.errors import MetricError
from cloudtune.options import nearest_name
from cloudtune.searchers.base import Searcher
from cloudtune.searchers.batches import one_by_one
from cloudtune.searchers.lattice import Array
from cloudtune.searchers.observations import Observations, check_same
from cloudtune.searchers.problem import SearchProblem
from cloudtune.searchers.proposing import Proposer
from cloudtune.searchers.random_searcher import RandomSearcher
from cloudtune.surrogates.acquisition import Score
from cloudtune.trial import Config, Metrics

Carried = Mapping[str, Mapping[str, Any]]
"""What the fit of each model carried, by the model's name."""


class Record(Protocol):
    """Something that remembers what happens: ``Observations`` of a metric, say."""

    def on_trial_add(self, trial_id: int, config: Config) -> None: ...

    def register_pending(self, trial_id: int, resource: int | None = None) -> None: ...

    def on_result(self, trial_id: int, config: Config, result: Metrics, update: bool) -> None: ...

    def remove_case(self, trial_id: int, resource: int) -> None: ...

    def cleanup_pending(self, trial_id: int) -> None: ...


@dataclass(frozen=True)
class Judgement:
    """``centers``: ``(c, d)``, points known to be good, best first. ``carried``: of models fitted anew this time."""

    score: Score
    centers: Array
    carried: Carried


class Guide(Protocol):
    """Says what points are worth, by records that it reads."""

    def is_informed(self) -> bool:
        """Whether enough is known for its models."""
        ...

    def judge(self, carried: Carried) -> Judgement:
        """Depends on the records and on ``carried`` alone, what earlier fits handed on."""
        ...


class GuidedSearcher(Searcher):
    """Trials after the first few are those that ``guide`` says are worth most.

    :param random: proposes the first configurations, and knows which may be proposed.
    :param proposer: finds what scores best.
    :param objectives: what is observed of the metric to be optimized.
    :param others: records of what else is reported, told the same.
    :param required: a metric that must be reported besides: with the result that counts, or in an earlier report of
        the trial. As long as no trial did, that is a ``complaint``: its name is misspelled, then. Afterwards a trial
        without it is one of which it is not known.
    """

    def __init__(
        self,
        random: RandomSearcher,
        proposer: Proposer,
        guide: Guide,
        objectives: Observations,
        others: Sequence[Record],
        required: str,
        name: str,
    ) -> None:
        self.required = required
        self._name = name
        self._random = random
        self._proposer = proposer
        self._guide = guide
        self._objectives = objectives
        self.records: tuple[Record, ...] = (objectives, *others)
        """Read only."""
        self._reported: dict[int, Any] = {}
        self._lacking: tuple[int, Metrics] | None = None
        self._handed_on: dict[str, tuple[int, Mapping[str, Any]]] = {}
        self._calls = 0
        self._latest: tuple[int, int, Config | None, Carried | None] | None = None

    @property
    def name(self) -> str:
        return self._name

    # -- proposals -----------------------------------------------------------------------------------------------------

    def suggest(self, trial_id: int) -> Config | None:
        config, _ = self._proposed(trial_id)
        return None if config is None else dict(config)

    def carried(self, trial_id: int) -> Mapping[str, Any] | None:
        return self._proposed(trial_id)[1]

    def suggest_batch(self, trial_ids: Sequence[int]) -> list[Config]:
        """For several trials at once: each as if those before it had been launched; fewer if no more are left."""
        return one_by_one(self, trial_ids)

    def _proposed(self, trial_id: int) -> tuple[Config | None, Carried | None]:
        if self._latest is None or self._latest[:2] != (trial_id, self._calls):
            self._latest = trial_id, self._calls, *self._propose(trial_id)
        return self._latest[2:]

    def _propose(self, trial_id: int) -> tuple[Config | None, Carried | None]:
        if not self._proposer.needs_model(trial_id) or not self._guide.is_informed():
            return self._proposer.initial(trial_id), None
        judgement = self._guide.judge({name: carried for name, (_, carried) in self._handed_on.items()})
        return self._proposer.best(judgement.score, judgement.centers, trial_id), judgement.carried or None

    # -- what happens --------------------------------------------------------------------------------------------------

    def check_fits(self, problem: SearchProblem) -> None:
        check_same(problem, self._objectives, self._random.config_space)

    def on_carried(self, trial_id: int, carried: Mapping[str, Any]) -> None:
        self._calls += 1
        for name, each in carried.items():
            if name not in self._handed_on or trial_id >= self._handed_on[name][0]:
                self._handed_on[name] = trial_id, each

    def on_trial_add(self, trial_id: int, config: Config) -> None:
        self._calls += 1
        self._random.on_trial_add(trial_id, config)
        for record in self.records:
            record.on_trial_add(trial_id, config)

    def register_pending(self, trial_id: int, resource: int | None = None) -> None:
        self._calls += 1
        for record in self.records:
            record.register_pending(trial_id, resource)

    def on_result(self, trial_id: int, config: Config, result: Metrics, update: bool) -> None:
        result = self._completed(trial_id, result, update)
        self._calls += 1
        for record in self.records:
            record.on_result(trial_id, config, result, update)

    def _completed(self, trial_id: int, result: Metrics, update: bool) -> Metrics:
        """With what is required, where the trial has reported it before."""
        if self.required in result:
            self._reported[trial_id] = result[self.required]
        elif update and trial_id in self._reported:
            return {**result, self.required: self._reported[trial_id]}
        elif update and self._lacking is None:
            self._lacking = trial_id, result
        return result

    def complaint(self) -> MetricError | None:
        if self._lacking is None or self._reported:
            return None
        trial_id, result = self._lacking
        seen = ", ".join(map(repr, result)) or "nothing"
        return MetricError(
            f"a report of trial {trial_id} carries no {self.required!r}; seen: {seen}",
            nearest_name(self.required, result),
        )

    def remove_case(self, trial_id: int, resource: int) -> None:
        self._calls += 1
        for record in self.records:
            record.remove_case(trial_id, resource)

    def cleanup_pending(self, trial_id: int) -> None:
        self._calls += 1
        for record in self.records:
            record.cleanup_pending(trial_id)

    def on_trial_error(self, trial_id: int) -> None:
        self._calls += 1
        self._random.on_trial_error(trial_id)
        for record in self.records:
            record.cleanup_pending(trial_id)
