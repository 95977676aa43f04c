"""The members of a population, and who is ahead of whom."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cloudtune.schedulers.rungs import WORST
from cloudtune.trial import Config

_ROUNDING = 1e-9


@dataclass(slots=True)
class Member:
    """A trial of the population: ``resource`` is what it has come to, ``key`` its last result (smaller is better)."""

    config: Config
    resource: float
    perturbed_at: float
    """The resource at which it was compared with the others last; where it began, at first."""
    inherited: float | None = None
    """The last key of the member whose place it has taken, which counts as long as it has reported nothing itself."""
    key: float | None = None

    def report(self, resource: float, key: float) -> bool:
        """Whether that is news: not work that a script does once more."""
        if self.key is None:
            # the checkpoint may have been older than the last report, or not there at all
            self.perturbed_at = min(self.perturbed_at, resource)
        elif resource <= self.resource:
            return False
        self.resource, self.key = resource, key
        return True


class Population:
    """Places that are taken by trials at work, or vacant since a member was stopped for being behind.

    Of n places that have a result, ⌈n · ``fraction``⌉ are the lower quantile, and as many members the upper one, at
    most half of them; rounded down as long as there are places without a result, so that the first to report are not
    sorted out among themselves. A vacant place keeps the result of the member that left it until a new one has
    reported: that one member is replaced makes nobody else the last.
    """

    def __init__(self, fraction: float) -> None:
        self.members: dict[int, Member] = {}
        self.vacant: dict[int, float] = {}
        """Trials that are to be replaced, with their last keys; oldest first."""
        self._fraction = fraction

    def enter(self, trial_id: int, config: Config, parent_id: int | None, replaces: int | None) -> None:
        """A trial was launched: in place of ``replaces`` or else of the oldest who left, if there is any."""
        parent = None if parent_id is None else self.members.get(parent_id)
        began = 0.0 if parent is None else parent.resource
        inherited = None
        if self.vacant:
            left = replaces if replaces is not None and replaces in self.vacant else next(iter(self.vacant))
            inherited = self.vacant.pop(left)
        self.members[trial_id] = Member(config, began, began, inherited)

    def leave(self, trial_id: int) -> None:
        """A trial has ended, as far as it was a member; its place is gone."""
        self.members.pop(trial_id, None)

    def vacate(self, trial_id: int) -> None:
        """A member that has reported is to be replaced."""
        key = self.members.pop(trial_id).key
        self.vacant[trial_id] = WORST if key is None else key

    def upper(self) -> list[int]:
        """Members to go on from, best first; none whose result is no finite number."""
        reported = [(member.key, trial_id) for trial_id, member in self.members.items() if member.key is not None]
        return [trial_id for key, trial_id in sorted(reported)[: self._count(self._places())] if key < WORST]

    def is_behind(self, trial_id: int) -> bool:
        """Whether a member is in the lower quantile, and strictly worse than each of the upper one."""
        places, key = self._places(), self.members[trial_id].key
        count = self._count(places)
        if count == 0 or key is None or (key, trial_id) not in places[-count:]:
            return False
        cutoff = self.worst_of_upper()
        return cutoff is not None and key > cutoff

    def worst_of_upper(self) -> float | None:
        """A key; None if the upper quantile is empty."""
        upper = self.upper()
        return self.members[upper[-1]].key if upper else None

    def __len__(self) -> int:
        """Places."""
        return len(self.members) + len(self.vacant)

    def _places(self) -> list[tuple[float, int]]:
        """The key and the trial of each place that has a result, best first."""
        known = [
            (member.inherited if member.key is None else member.key, trial_id)
            for trial_id, member in self.members.items()
        ]
        left = [(key, trial_id) for trial_id, key in self.vacant.items()]
        return sorted([(key, trial_id) for key, trial_id in known if key is not None] + left)

    def _count(self, places: list[tuple[float, int]]) -> int:
        share = len(places) * self._fraction
        count = math.ceil(share - _ROUNDING) if len(places) == len(self) else math.floor(share + _ROUNDING)
        return min(count, len(places) // 2)
