"""Speculative removal: any paused trial may be resumed, but not all checkpoints can be kept."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cloudtune.callbacks.base import TunerCallback
from cloudtune.engine.stopping import limits_of
from cloudtune.errors import OptionError
from cloudtune.schedulers.checkpoint_removal import EarlyCheckpointRemoval
from cloudtune.schedulers.early_termination import unwrapped
from cloudtune.schedulers.hyperband import HyperbandScheduler
from cloudtune.schedulers.resumption import (
    BetaBinomialEstimator,
    TrialInformation,
    compute_probabilities_of_getting_resumed,
)
from cloudtune.trial import Metrics, Mode, Status, Trial

if TYPE_CHECKING:
    from cloudtune.tuner import Tuner

TOO_MANY = "too many checkpoints, and others are more likely to be needed"


class HyperbandRemoveCheckpointsCommon(TunerCallback):
    """Keeps checkpoints of running and paused trials to at most ``max_num_checkpoints``. A base: see those below.

    Running trials write checkpoints in any case, so that it must exceed the number of workers; room for as many is
    kept free, so that a launch never makes it one too many. ``max_wallclock_time``: of the experiment, in seconds;
    ``metric``, ``resource_attr``, ``mode``: as the scheduler's, a ``HyperbandScheduler`` of a type that pauses.
    A trial that is resumed without its checkpoint trains from scratch, and what it repeats counts once.
    """

    def __init__(
        self, max_num_checkpoints: int, max_wallclock_time: float, metric: str, resource_attr: str, mode: Mode
    ) -> None:
        self.max_num_checkpoints = max_num_checkpoints
        self.max_wallclock_time = max_wallclock_time
        self.metric = metric
        self.resource_attr = resource_attr
        self.mode = mode
        self._tuner: Tuner | None = None
        self._paused: set[int] = set()
        self._refused: set[int] = set()

    # -- hooks ---------------------------------------------------------------------------------------------------------

    def on_tuning_start(self, tuner: Tuner) -> None:
        self._tuner = tuner
        trials = tuner.ledger.trials
        self._paused = {state.trial.trial_id for state in trials if state.status is Status.paused}

    def on_fetch_status_results(
        self, trial_status_dict: Mapping[int, tuple[Trial, Status]], new_results: Sequence[tuple[int, Metrics]]
    ) -> None:
        # here, and not at the end of the loop: what is decided now is done before the next launches
        for trial_id, (_, status) in trial_status_dict.items():
            if status is Status.paused:
                self._paused.add(trial_id)
        if self._tuner is not None:
            self._remove(self._tuner)

    def on_resume_trial(self, trial: Trial) -> None:
        self._paused.discard(trial.trial_id)
        self._refused.discard(trial.trial_id)

    # -- what to remove ------------------------------------------------------------------------------------------------

    def _remove(self, tuner: Tuner) -> None:
        scheduler = unwrapped(tuner.scheduler)
        if not isinstance(scheduler, HyperbandScheduler):
            return
        waiting = self._with_checkpoint(tuner)
        self._learn(scheduler, waiting)
        workers = tuner.n_workers if isinstance(tuner.n_workers, int) else 0
        excess = len(waiting) + max(len(tuner.ledger.open), workers) - self.max_num_checkpoints
        removable = [trial_id for trial_id in waiting if trial_id not in self._refused]
        if excess <= 0 or not removable:
            return
        ranked = self._ranked(tuner, scheduler, [_information(scheduler, trial_id) for trial_id in removable])
        doomed = [information.trial_id for information in ranked[:excess]]
        # whatever becomes of it, it is asked for once: a deletion that is refused would be refused again
        self._refused.update(doomed)
        tuner.delete_checkpoints(doomed, TOO_MANY)

    def _with_checkpoint(self, tuner: Tuner) -> list[int]:
        """Paused trials whose jobs have ended and that have a checkpoint which is to stay, in order."""
        trials, intents = tuner.ledger.trials, tuner.ledger.intents
        # those without one are looked at no more, however many there come to be
        self._paused = {
            each
            for each in self._paused
            if trials[each].status is Status.paused and not trials[each].checkpoint_deleted
        }
        return [
            each
            for each in sorted(self._paused)
            if trials[each].current.status.is_final and ("delete", each) not in intents
        ]

    def _learn(self, scheduler: HyperbandScheduler, waiting: Sequence[int]) -> None:
        """Trials may have come to rungs where those of ``waiting`` have checkpoints."""

    def _ranked(
        self, tuner: Tuner, scheduler: HyperbandScheduler, paused: Sequence[TrialInformation]
    ) -> list[TrialInformation]:
        """Whose checkpoint to remove first."""
        raise NotImplementedError

    # -- what came of it -----------------------------------------------------------------------------------------------

    @property
    def num_checkpoints_removed(self) -> int:
        """Checkpoints it has asked to delete, over all sessions of the experiment."""
        return 0 if self._tuner is None else self._tuner.ledger.deletions_asked_for[TOO_MANY]

    def trials_resumed_without_checkpoint(self) -> list[tuple[int, int]]:
        """Trials that were resumed after their checkpoint had gone, and the resource each had come to."""
        return [] if self._tuner is None else list(self._tuner.ledger.resumed_without_checkpoint)

    def extra_results(self) -> dict[str, Any]:
        """For an ``ExtraResultsComposer``: how many were removed, resumed without, and what those had come to."""
        resumed = self.trials_resumed_without_checkpoint()
        numbers = (self.num_checkpoints_removed, len(resumed), sum(level for _, level in resumed))
        return dict(zip(self.extra_results_keys(), numbers, strict=True))

    @staticmethod
    def extra_results_keys() -> list[str]:
        return ["num_checkpoints_removed", "num_trials_resumed_without_checkpoint", "resource_trained_again"]

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_tuner": None}


def _information(scheduler: HyperbandScheduler, trial_id: int) -> TrialInformation:
    rung = scheduler.rung_of(trial_id)
    return TrialInformation(trial_id, rung.level, 1 + rung.rank(trial_id), len(rung))


class HyperbandRemoveCheckpointsCallback(HyperbandRemoveCheckpointsCommon):
    """Removes first what it costs least to be without: rung level times the probability of being resumed.

    A trial without checkpoint trains again what led to its level. The probability
    (``cloudtune.schedulers.resumption``) follows from the trial's rank, the length of its rung and the time left, and
    from how often a new trial comes out better than one that waits with a checkpoint. That is estimated from all such
    pairs seen, with a Beta prior of mean ``prior_beta_mean`` (below one half: those that wait are among the better) and
    size ``prior_beta_size``: per rung, and over all rungs where one has fewer than ``min_data_at_rung`` pairs.
    ``approx_steps``: its cost grows with the square.
    """

    def __init__(
        self,
        max_num_checkpoints: int,
        max_wallclock_time: float,
        metric: str,
        resource_attr: str,
        mode: Mode,
        approx_steps: int = 25,
        prior_beta_mean: float = 0.33,
        prior_beta_size: float = 2,
        min_data_at_rung: int = 5,
    ) -> None:
        super().__init__(max_num_checkpoints, max_wallclock_time, metric, resource_attr, mode)
        self.approx_steps = approx_steps
        self.min_data_at_rung = min_data_at_rung
        self._prior = (prior_beta_mean, prior_beta_size)
        self._forget()

    def _forget(self) -> None:
        self._overall = BetaBinomialEstimator(*self._prior)
        self._at_rung: list[BetaBinomialEstimator] = []
        self._came: list[dict[int, int]] = []
        """Per rung: the trials that came, with their number in order."""

    def on_tuning_start(self, tuner: Tuner) -> None:
        # after a crash all that ever came is compared with those that still wait: nearly what was known before
        self._forget()
        super().on_tuning_start(tuner)

    def _learn(self, scheduler: HyperbandScheduler, waiting: Sequence[int]) -> None:
        rungs = scheduler.all_rungs()
        if not self._came:
            self._came = [{} for _ in rungs]
            self._at_rung = [BetaBinomialEstimator(*self._prior) for _ in rungs]
        for rung, came, estimator in zip(rungs, self._came, self._at_rung, strict=True):
            if len(rung) == len(came):
                continue
            here = [trial_id for trial_id in waiting if scheduler.rung_of(trial_id) is rung]
            new = list(rung.keys)[len(came) :]
            came.update(zip(new, range(len(came), len(rung)), strict=True))
            for trial_id in new:
                earlier = [other for other in here if came[other] < came[trial_id]]
                data = [int(rung.keys[trial_id] < rung.keys[other]) for other in earlier]
                estimator.update(data)
                self._overall.update(data)

    def _ranked(
        self, tuner: Tuner, scheduler: HyperbandScheduler, paused: Sequence[TrialInformation]
    ) -> list[TrialInformation]:
        rungs = [scheduler.rung_of(information.trial_id) for information in paused]
        better = {id(rung): self._estimate(place) for place, rung in enumerate(scheduler.all_rungs())}
        probabilities = compute_probabilities_of_getting_resumed(
            [information.rank for information in paused],
            [information.rung_len for information in paused],
            [rung.level / rung.next_level for rung in rungs],
            [better[id(rung)] for rung in rungs],
            self._time_ratio(tuner),
            self.approx_steps,
        )
        scored = [
            TrialInformation(each.trial_id, each.level, each.rank, each.rung_len, each.level * float(probability))
            for each, probability in zip(paused, probabilities, strict=True)
        ]
        return sorted(scored, key=lambda each: (each.score_val, each.level, -each.rank, each.trial_id))

    def _estimate(self, place: int) -> float:
        at_rung = self._at_rung[place]
        return (at_rung if at_rung.num_total >= self.min_data_at_rung else self._overall).posterior_mean()

    def _time_ratio(self, tuner: Tuner) -> float:
        spent = tuner.ledger.wallclock_time(tuner.clock.now())
        return max(0.0, self.max_wallclock_time - spent) / max(spent, 1e-9)


class HyperbandRemoveCheckpointsBaselineCallback(HyperbandRemoveCheckpointsCommon):
    """To compare with: removes the checkpoint of a paused trial drawn at ``"random"``, or ``"by_level"`` (None): of the
    lowest rung, there the worst."""

    def __init__(
        self,
        max_num_checkpoints: int,
        max_wallclock_time: float,
        metric: str,
        resource_attr: str,
        mode: Mode,
        baseline: str | None = None,
    ) -> None:
        super().__init__(max_num_checkpoints, max_wallclock_time, metric, resource_attr, mode)
        # checks the name
        EarlyCheckpointRemoval(max_num_checkpoints, baseline=baseline)
        self.baseline = baseline or "by_level"
        self._dice = random.Random(0)

    def _ranked(
        self, tuner: Tuner, scheduler: HyperbandScheduler, paused: Sequence[TrialInformation]
    ) -> list[TrialInformation]:
        if self.baseline == "random":
            return self._dice.sample(list(paused), len(paused))
        return sorted(paused, key=lambda each: (each.level, -each.rank, each.trial_id))


def removal_callback(
    scheduler: HyperbandScheduler, options: EarlyCheckpointRemoval, stop_criterion: object
) -> HyperbandRemoveCheckpointsCommon:
    """As the user asked for. Raises ``OptionError`` if nobody says how long the experiment takes at most."""
    limit = options.max_wallclock_time
    if limit is None:
        limit = limits_of(stop_criterion).max_wallclock_time
    if limit is None:
        raise OptionError(
            "early_checkpoint_removal_kwargs needs to know how long the experiment takes",
            "give StoppingCriterion(max_wallclock_time=…), or max_wallclock_time among these arguments",
        )
    common = (options.max_num_checkpoints, limit, scheduler.metric_names()[0], scheduler.resource_attr)
    mode = scheduler.metric_mode()
    if options.baseline is not None:
        return HyperbandRemoveCheckpointsBaselineCallback(*common, mode, options.baseline)
    return HyperbandRemoveCheckpointsCallback(
        *common, mode, options.approx_steps, options.prior_beta_mean, options.prior_beta_size, options.min_data_at_rung
    )
