"""PASHA: successive halving whose maximum resource grows only while that changes who is best.

Bohdal et al., "PASHA: Efficient HPO and NAS with Progressive Resource Allocation" (2023), algorithm 1 and section 4.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from cloudtune.errors import OptionError
from cloudtune.options import nearest_name
from cloudtune.schedulers.halving_rules import best_within, comes_to
from cloudtune.schedulers.quantile import RunningQuantile
from cloudtune.schedulers.rung_systems import Promotion, ReportListener, RungSetting, Verdict
from cloudtune.schedulers.rungs import Rung
from cloudtune.trial import Metrics

logger = logging.getLogger("cloudtune.schedulers")

Array = NDArray[np.float64]
RankingCriterion = Literal[
    "soft_ranking_auto", "soft_ranking", "soft_ranking_std", "soft_ranking_mean_dst", "soft_ranking_median_dst"
]

LATEST = 200
"""ε is estimated from this many trials, the latest at their rung: what a report costs does not grow with all trials."""


@dataclass(frozen=True)
class PashaOptions:
    """When two results count as equally good: if they differ by at most ε.

    :param ranking_criterion: where ε comes from. "soft_ranking_auto": from noise, as in the paper (see ``Noise``).
        "soft_ranking": ``epsilon``. The others from results one rung below the top: their standard deviation, or the
        mean or median distance of any two.
    :param epsilon: for "soft_ranking", in units of the objective. 0: rankings must agree exactly.
    :param epsilon_scaling: a factor for any ε that is estimated.
    """

    pauses: ClassVar[bool] = True

    ranking_criterion: RankingCriterion = "soft_ranking_auto"
    epsilon: float | None = None
    epsilon_scaling: float = 1.0

    def __post_init__(self) -> None:
        known = ("soft_ranking", "soft_ranking_auto", *_SPREADS)
        if self.ranking_criterion not in known:
            raise OptionError(
                f"ranking_criterion {self.ranking_criterion!r} is not known",
                nearest_name(str(self.ranking_criterion), known),
            )
        if (self.ranking_criterion == "soft_ranking") != (self.epsilon is not None):
            raise OptionError(
                f"ranking_criterion={self.ranking_criterion!r} with epsilon={self.epsilon!r}",
                'give epsilon with ranking_criterion="soft_ranking", and only with that: all others estimate it',
            )
        for name, value in (("epsilon", self.epsilon), ("epsilon_scaling", self.epsilon_scaling)):
            number = math.nan if isinstance(value, bool) or not isinstance(value, (int, float)) else float(value)
            if value is not None and not 0 <= number < math.inf:
                raise OptionError(f"{name} is {value!r}", "give a finite number of at least 0")

    def check(self, setting: RungSetting) -> None:
        if len(setting.levels) < 2:
            raise OptionError(
                f'type="pasha" has nothing to unlock: rung levels {list(setting.levels)} below {setting.max_t}',
                'it needs two levels below the maximum: lower grace_period, or use type="promotion"',
            )
        if setting.num_brackets > 1 and not setting.rung_system_per_bracket:
            raise OptionError(
                f'type="pasha" with brackets={setting.num_brackets} that share their rungs: trials of higher brackets '
                "would start above what has been unlocked",
                "use brackets=1, or rung_system_per_bracket=True",
            )

    def rule(self, levels: Sequence[int], max_t: int) -> PashaRule:
        return PashaRule(levels, max_t, self)


class PashaRule:
    """As in "promotion", but nobody goes beyond the top level, which starts at the second one.

    Whenever a trial comes to the rung of the top level, the trials there are ranked twice: by their results at this
    rung and at the one below. If at some rank the results *below* of the two trials that have this rank differ by more
    than ε, the order has changed by more than noise, and the next level becomes the top. Once that is the maximum
    resource, this is "promotion".
    """

    def __init__(self, levels: Sequence[int], max_t: int, options: PashaOptions) -> None:
        self._levels = [*levels, max_t]
        self._top = min(1, len(levels))
        self._options = options
        self._curves: Curves | None = Curves() if options.ranking_criterion == "soft_ranking_auto" else None
        self._below: Rung | None = None
        self._ranking = Ranking(options)

    @property
    def listener(self) -> ReportListener | None:
        return self._curves

    @property
    def top_level(self) -> int:
        """What trials may use at most, so far."""
        return self._levels[self._top]

    @property
    def epsilon(self) -> float:
        """The latest estimate, from the trials at the present top level; 0 before there is any."""
        return self._ranking.epsilon

    def arrived(self, rung: Rung, trial_id: int, key: float) -> Verdict:
        if rung.level == self._levels[self._top - 1]:
            self._below = rung
        elif rung.level == self.top_level and self._below is not None:
            self._compare(self._below, rung)
        return comes_to(rung)

    def _compare(self, below: Rung, rung: Rung) -> None:
        for trial_id in islice(rung.keys, len(self._ranking), None):
            curve = {} if self._curves is None else self._curves.of(trial_id)
            self._ranking.add(below.keys[trial_id], rung.keys[trial_id], _before(curve, rung.level))
        if self._ranking.is_stable():
            return
        logger.info(
            "pasha: trials rank differently at %d than at %d (ε %g): going on to %d",
            rung.level,
            below.level,
            self.epsilon,
            self._levels[self._top + 1],
        )
        self._top += 1
        self._below, self._ranking = rung, Ranking(self._options)

    def promotable(self, rung: Rung) -> Promotion | None:
        return best_within(rung) if rung.level < self.top_level else None


class Curves:
    """The key of every trial at every resource it has reported, seen first."""

    def __init__(self) -> None:
        self._keys: dict[int, dict[float, float]] = {}

    def of(self, trial_id: int) -> Mapping[float, float]:
        return self._keys.get(trial_id, {})

    def hear(self, trial_id: int, resource: float, key: float, result: Metrics) -> None:
        self._keys.setdefault(trial_id, {}).setdefault(resource, key)

    def relaunched(self, trial_id: int) -> None:
        """What it repeats is known already."""


def _before(curve: Mapping[float, float], level: int) -> dict[float, float]:
    return {resource: key for resource, key in curve.items() if resource < level}


class Ranking:
    """Trials at one rung and the one below, and the ε of their soft ranking."""

    def __init__(self, options: PashaOptions) -> None:
        self._options = options
        self._below: list[float] = []
        self._here: list[float] = []
        self._noise = Noise()
        self.epsilon = options.epsilon or 0.0

    def __len__(self) -> int:
        return len(self._here)

    def add(self, below: float, here: float, earlier: Mapping[float, float]) -> None:
        """A trial with its keys at both rungs, and at all resources before this rung."""
        self._below.append(below)
        self._here.append(here)
        if self._options.ranking_criterion == "soft_ranking_auto":
            self._noise.add(earlier, here)

    def is_stable(self) -> bool:
        """Whether the order at both rungs is the same but for differences of at most ε. Always so for one trial."""
        self.epsilon = self._estimate()
        below = np.array(self._below)
        # of trials that tie here, those come first that are ahead below: a tie contradicts no order
        ranked = below[np.lexsort((below, np.array(self._here)))]
        expected = np.sort(below)
        with np.errstate(invalid="ignore"):
            return bool(np.all((ranked == expected) | (np.abs(ranked - expected) <= self.epsilon)))

    def _estimate(self) -> float:
        criterion = self._options.ranking_criterion
        if criterion == "soft_ranking":
            return self.epsilon
        if criterion == "soft_ranking_auto":
            return self._options.epsilon_scaling * self._noise.level()
        results = np.array([key for key in self._below[-LATEST:] if math.isfinite(key)])
        return self._options.epsilon_scaling * (_SPREADS[criterion](results) if len(results) > 1 else 0.0)


class Noise:
    """How much results differ of trials that keep overtaking each other.

    Two trials criss-cross if one is ahead at a resource, behind at a later one, and ahead again at the rung where both
    are now (section 4.3). Nine in ten of such pairs differ by no more than the noise level at that rung. Pairs are made
    of a trial with the ``LATEST`` that came before it, at resources that both have reported.
    """

    def __init__(self) -> None:
        self._earlier: list[Mapping[float, float]] = []
        self._here: list[float] = []
        self._distance = RunningQuantile(9, 10)

    def level(self) -> float:
        """0 while no two trials have criss-crossed."""
        return self._distance.value or 0.0

    def add(self, earlier: Mapping[float, float], here: float) -> None:
        if math.isfinite(here) and self._here:
            self._meet(earlier, here)
        if math.isfinite(here):
            self._earlier.append(earlier)
            self._here.append(here)
            del self._earlier[:-LATEST], self._here[:-LATEST]

    def _meet(self, earlier: Mapping[float, float], here: float) -> None:
        resources = sorted(earlier)
        mine = np.array([earlier[resource] for resource in resources] + [here])
        theirs = np.array(
            [[other.get(resource, math.nan) for resource in resources] for other in self._earlier]
        ).reshape(len(self._here), len(resources))
        theirs = np.column_stack([theirs, self._here])
        with np.errstate(invalid="ignore"):
            ahead = np.nan_to_num(np.sign(theirs - mine))
        for distance in np.abs(theirs[:, -1] - here)[criss_crossed(ahead)].tolist():
            self._distance.add(distance)


def criss_crossed(ahead: Array) -> NDArray[np.bool_]:
    """For each row of signs ``(n, m)`` over increasing resources whether its last sign occurs, then the opposite one,
    then the last again; 0 where two are equal."""
    same = ahead * ahead[:, -1:]
    places = np.arange(ahead.shape[1])
    first_same = np.where(same > 0, places, ahead.shape[1]).min(axis=1)
    last_opposite = np.where(same < 0, places, -1).max(axis=1)
    crossed: NDArray[np.bool_] = first_same < last_opposite
    return crossed


def _std(results: Array) -> float:
    return float(np.std(results))


def _mean_distance(results: Array) -> float:
    return float(np.mean(_distances(results)))


def _median_distance(results: Array) -> float:
    return float(np.median(_distances(results)))


def _distances(results: Array) -> Array:
    """Of every two of them."""
    first, second = np.triu_indices(len(results), k=1)
    return np.abs(results[first] - results[second])


_SPREADS: Mapping[str, Callable[[Array], float]] = {
    "soft_ranking_std": _std,
    "soft_ranking_mean_dst": _mean_distance,
    "soft_ranking_median_dst": _median_distance,
}
