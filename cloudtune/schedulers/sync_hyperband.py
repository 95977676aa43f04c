"""Synchronous successive halving and Hyperband."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cloudtune.errors import MetricError
from cloudtune.options import named_options
from cloudtune.schedulers.base import Decision, NotNow, Suggestion, TrialScheduler
from cloudtune.schedulers.hyperband_options import SearcherData
from cloudtune.schedulers.objective import Objective, check_distinct
from cloudtune.schedulers.setup import searcher_name, start
from cloudtune.schedulers.sync_brackets import Ascent, Bracket
from cloudtune.schedulers.sync_options import SyncOptions, checked_brackets, geometric_brackets
from cloudtune.schedulers.sync_trials import SyncTrials
from cloudtune.searchers.base import Searcher
from cloudtune.searchers.factory import searcher_for
from cloudtune.searchers.problem import SearchProblem
from cloudtune.searchers.seeding import checked_seed
from cloudtune.space import validate_config_space
from cloudtune.trial import Metrics, Mode, Trial


@named_options()
class SynchronousHyperbandScheduler(TrialScheduler):
    """Synchronous successive halving (one bracket) and Hyperband (several) with rungs as they are given.

    Every trial pauses at its rung. When a rung has as many results as it has places, the best of them are resumed to
    fill the next, and the others never are. A free worker goes to the oldest bracket that has a place for it; if all
    have to wait for results, the next bracket begins: no worker waits. Brackets follow each other in a cycle.

    Jamieson & Talwalkar (2016), Li et al. (2018), algorithm 1. A trial that failed, ended before its rung or came
    there with no finite number is last at its rung, takes its place there and never goes on: if it would have to,
    the next best does, and if there is none, the place above counts as taken.

    :param bracket_rungs: for each bracket its rungs, (size, level); sizes fall and levels rise.
    :param metric: what reports call the objective.
    :param mode: "min" or "max". NaN and infinite objectives rank last in both.
    :param searcher: a name ("random") or a ``Searcher``, which then has its own points_to_evaluate and options.
    :param search_options: of a searcher given by name; an unknown one is an error.
    :param points_to_evaluate: configurations tried first, partial ones completed (None: one of middles; ``[]``: none).
    :param random_seed: an integer of at least 0; if None, one is drawn now and can be read from ``random_seed``.
    :param resource_attr: what reports call the units of work done.
    :param max_resource_attr: the entry of the configuration that tells a script how long to run; it is set to where
        the trial will pause, and scripts end by themselves.
    :param max_resource_level: the most a trial may use. Default: the entry ``max_resource_attr`` of the space, else
        its entry "epochs", "max_t" or "max_epochs", else the highest level.
    :param searcher_data: what a searcher learns: results at "rungs", or "all".

    A resource that jumps over a level counts for it; a level counts once, so repeated or earlier reports (a script
    that starts again from scratch) change nothing. If the searcher has nothing more to propose, a lowest rung that
    stays incomplete is closed, and those above shrink in proportion. Raises OptionError and ConfigSpaceError.
    """

    def __init__(
        self,
        config_space: Mapping[str, Any],
        bracket_rungs: Sequence[Sequence[tuple[int, int]]],
        metric: str,
        *,
        mode: Mode = "min",
        searcher: str | Searcher = "random",
        search_options: Mapping[str, Any] | None = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        random_seed: int | None = None,
        resource_attr: str = "epoch",
        max_resource_attr: str | None = None,
        max_resource_level: int | None = None,
        searcher_data: SearcherData = "rungs",
    ) -> None:
        validate_config_space(config_space)
        super().__init__(config_space)
        self._objective = Objective(metric, mode)
        self._options = SyncOptions(resource_attr, max_resource_attr, max_resource_level, searcher_data)
        check_distinct(metric=metric, resource_attr=resource_attr)
        self.bracket_rungs = checked_brackets(bracket_rungs)
        """Per bracket its rungs, (size, level)."""
        limit = self._options.limit(config_space, max(rungs[-1].level for rungs in self.bracket_rungs))
        self.max_resource_level = limit.max_t
        """The most a trial may use."""
        self.random_seed = checked_seed(random_seed)
        problem = SearchProblem(
            config_space, points_to_evaluate, self.random_seed, (metric,), (mode,), resource_attr, limit.max_t
        )
        self.searcher = searcher_for(searcher, problem, search_options)
        self._trials = SyncTrials(self._objective, self._options, limit, self.searcher, self._make_bracket)

    def _make_bracket(self, number: int, outlook: Callable[[int, int], float | None]) -> Bracket:
        return Bracket(number, self.bracket_rungs[number % self.num_brackets], Ascent.RESUMED, outlook)

    def suggest(self, trial_id: int) -> Suggestion | NotNow | None:
        exhausted = False
        for place in self._trials.places():
            if place.trial_id is not None:
                return self._trials.resume(place)
            if not exhausted:
                config = self.searcher.suggest(trial_id)
                if config is not None:
                    return start(self.searcher, trial_id, self._trials.limited(config, place.level))
                exhausted = True
        return self._trials.without_new_configurations()

    # -- what has happened -----------------------------------------------------------------------------------------

    def on_trial_add(self, trial: Trial) -> None:
        self._trials.on_trial_add(trial)

    def on_trial_resume(self, trial: Trial) -> None:
        self._trials.on_trial_resume(trial)

    def on_trial_result(self, trial: Trial, result: Metrics) -> Decision:
        return self._trials.on_trial_result(trial, result)

    def on_late_result(self, trial: Trial, result: Metrics) -> None:
        self._trials.on_late_result(trial, result)

    def on_repeated_result(self, trial: Trial, result: Metrics) -> None:
        self._trials.on_repeated_result(trial, result)

    def on_trial_complete(self, trial: Trial, result: Metrics) -> None:
        self._trials.on_trial_complete(trial, result)

    def on_trial_error(self, trial: Trial) -> None:
        self._trials.on_trial_error(trial)

    def on_trial_remove(self, trial: Trial) -> None:
        self._trials.on_trial_remove(trial)

    def trials_checkpoints_can_be_removed(self) -> Sequence[int]:
        """Paused trials that will never be resumed: others at their full rung were better. Each named once."""
        return self._trials.named_removable()

    # -- what it says about itself -----------------------------------------------------------------------------------

    def metric_names(self) -> Sequence[str]:
        return [self._objective.metric]

    def metric_mode(self) -> Mode:
        return self._objective.mode

    @property
    def resource_attr(self) -> str:
        return self._options.resource_attr

    @property
    def max_resource_attr(self) -> str | None:
        return self._options.max_resource_attr

    @property
    def num_brackets(self) -> int:
        """After so many the cycle begins anew."""
        return len(self.bracket_rungs)

    @property
    def searcher_data(self) -> SearcherData:
        return self._options.searcher_data

    def brackets_at_work(self) -> Sequence[Bracket]:
        """Those that have begun and are not complete, oldest first. Read only."""
        return tuple(self._trials.brackets.active)

    def complaint(self) -> MetricError | None:
        return self.searcher.complaint()

    def metadata(self) -> dict[str, Any]:
        return {
            **super().metadata(),
            "searcher": searcher_name(self.searcher),
            "random_seed": self.random_seed,
            "resource_attr": self.resource_attr,
            "max_resource_attr": self.max_resource_attr,
            "max_resource_level": self.max_resource_level,
            "bracket_rungs": [[list(rung) for rung in rungs] for rungs in self.bracket_rungs],
            "searcher_data": self.searcher_data,
        }


@named_options()
class SynchronousGeometricHyperbandScheduler(SynchronousHyperbandScheduler):
    """``SynchronousHyperbandScheduler`` with the brackets of Hyperband: ``geometric_brackets``.

    :param grace_period: the lowest rung level.
    :param reduction_factor: η of at least 2 (default 3): levels are round(grace_period · η^j), and one in η goes on.
    :param brackets: how many; default: one for each rung level. 1 is successive halving.
    """

    def __init__(
        self,
        config_space: Mapping[str, Any],
        metric: str,
        *,
        mode: Mode = "min",
        searcher: str | Searcher = "random",
        search_options: Mapping[str, Any] | None = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        random_seed: int | None = None,
        resource_attr: str = "epoch",
        max_resource_attr: str | None = None,
        max_resource_level: int | None = None,
        grace_period: int = 1,
        reduction_factor: float | None = None,
        brackets: int | None = None,
        searcher_data: SearcherData = "rungs",
    ) -> None:
        validate_config_space(config_space)
        options = SyncOptions(resource_attr, max_resource_attr, max_resource_level, searcher_data)
        highest = options.known_limit(config_space).max_t
        super().__init__(
            config_space,
            geometric_brackets(highest, grace_period, reduction_factor, brackets),
            metric,
            mode=mode,
            searcher=searcher,
            search_options=search_options,
            points_to_evaluate=points_to_evaluate,
            random_seed=random_seed,
            resource_attr=resource_attr,
            max_resource_attr=max_resource_attr,
            max_resource_level=max_resource_level,
            searcher_data=searcher_data,
        )
