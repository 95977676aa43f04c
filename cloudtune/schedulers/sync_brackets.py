"""Brackets of synchronous successive halving: slots that are free, pending or occupied, and who goes on.

Jamieson & Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization" (2016); Li et al.,
"Hyperband" (2018), algorithm 1. A bracket is a ladder of rungs; only its lowest rung with an empty slot is at work.
When that one is full, the best of it fill the next. A job never waits: if all empty slots of a bracket are pending,
it goes to the next bracket.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from cloudtune.schedulers.rungs import WORST


class Size(NamedTuple):
    """A rung: so many trials are evaluated at ``level``."""

    size: int
    level: int


class Ascent(Enum):
    """How slots above the lowest rung are filled."""

    RESUMED = "resumed"
    """The best trials of the rung below go on, from where they paused."""
    RESTARTED = "restarted"
    """The configurations of the best trials of the rung below are evaluated by new trials, from scratch."""
    EVOLVED = "evolved"
    """By new configurations: the rung below only says how good others were."""


@dataclass(slots=True)
class Slot:
    """Occupied if it has a key; pending if it has none and is not among the free ones of its bracket."""

    trial_id: int | None = None
    """Who is evaluated here, or is to be resumed for it. None for a slot that nobody can fill any more, too."""
    source: int | None = None
    """Trial whose configuration a new trial is to be started with."""
    key: float | None = None


class Place(NamedTuple):
    """A free slot. ``trial_id``: to be resumed for it, ``source``: to be started anew; else a new configuration."""

    bracket: Bracket
    slot: int
    level: int
    trial_id: int | None
    source: int | None


class Filled(NamedTuple):
    """A slot that has become occupied by a trial's result."""

    level: int
    slot: int
    trial_id: int
    key: float


class Step(NamedTuple):
    """What a result has led to. ``left``: trials that will not go on, as their rung is full and others were better.
    ``back``: those of them that will after all, in place of one that has ended before its turn came."""

    filled: list[Filled]
    left: list[int]
    back: list[int]


Outlook = Callable[[int, int], "float | None"]
"""Of (trial, level): its key there if that is known, ``WORST`` if it will never come there, None if it still may."""


class Bracket:
    """One run through ``rungs``, lowest first."""

    def __init__(self, number: int, rungs: Sequence[Size], ascent: Ascent, outlook: Outlook) -> None:
        self.number = number
        """Of all brackets, in the order of their start."""
        self.rungs = tuple(rungs)
        self.ascent = ascent
        self.records: list[dict[int, float]] = [{} for _ in rungs]
        """Keys by trial, for every rung. Read only."""
        self._outlook = outlook
        self._current = 0
        self._enter([Slot() for _ in range(rungs[0].size)])

    def _enter(self, slots: list[Slot]) -> None:
        self._slots = slots
        self._free = dict.fromkeys(index for index, slot in enumerate(slots) if slot.key is None)
        self._empty = len(self._free)
        self._slot_of = {slot.trial_id: index for index, slot in enumerate(slots) if slot.trial_id is not None}

    # -- what it looks like ----------------------------------------------------------------------------------------

    @property
    def rung(self) -> Size:
        """The one that is being filled; the last one if the bracket is complete."""
        return self.rungs[self._current]

    @property
    def levels(self) -> tuple[int, ...]:
        return tuple(level for _, level in self.rungs)

    @property
    def occupied(self) -> int:
        """Slots of the present rung that have a result."""
        return len(self._slots) - self._empty

    @property
    def is_complete(self) -> bool:
        return self._empty == 0 and self._current == len(self.rungs) - 1

    def free(self) -> Iterator[Place]:
        """Slots that wait for a job, in order."""
        return map(self._place, self._free)

    def place_of(self, trial_id: int) -> Place | None:
        """The free slot for which this trial is to be resumed."""
        index = self._slot_of.get(trial_id)
        return None if index is None or index not in self._free else self._place(index)

    def _place(self, index: int) -> Place:
        slot = self._slots[index]
        return Place(self, index, self.rung.level, slot.trial_id, slot.source)

    # -- what happens to it ----------------------------------------------------------------------------------------

    def take(self, index: int, trial_id: int) -> None:
        """A job for the slot was launched: it is pending now."""
        del self._free[index]
        self._slots[index].trial_id = trial_id
        self._slot_of[trial_id] = index

    def settle(self, trial_id: int) -> Step:
        """More is known of a trial than before. If that fills its slot, and the slot its rung, the next one opens."""
        step = Step([], [], [])
        index = self._slot_of.get(trial_id)
        if index is not None and self._slots[index].key is None:
            self._look_at(index, self._next_best(index, trial_id, step), step)
            self._climb(step)
        return step

    def _next_best(self, index: int, trial_id: int, step: Step) -> int:
        """Who is to fill the slot: another, if this trial was among the best below and has ended before it went on."""
        level = self.rung.level
        promoted = index in self._free and self._current > 0 and self.ascent is Ascent.RESUMED
        if not promoted or self._outlook(trial_id, level) != WORST:
            return trial_id
        other = next((each for each in self._able(level, self._current - 1) if each not in self._slot_of), None)
        if other is None:
            return trial_id
        del self._slot_of[trial_id]
        self._slots[index].trial_id, self._slot_of[other] = other, index
        step.back.append(other)
        return other

    def _look_at(self, index: int, trial_id: int, step: Step) -> None:
        key = self._outlook(trial_id, self.rung.level)
        if key is None:
            return
        self._slots[index].key = key
        self._empty -= 1
        self._free.pop(index, None)
        self.records[self._current][trial_id] = key
        step.filled.append(Filled(self.rung.level, index, trial_id, key))

    def _climb(self, step: Step) -> None:
        while self._empty == 0 and self._current + 1 < len(self.rungs):
            size, level = self.rungs[self._current + 1]
            if self.ascent is Ascent.EVOLVED:
                self._current += 1
                self._enter([Slot() for _ in range(size)])
                continue
            best = self._able(level, self._current)[:size]
            chosen = set(best)
            step.left.extend(each for each in self._ranked(self._current) if each not in chosen)
            self._current += 1
            self._enter(self._promoted(best, size))
            for index, slot in enumerate(self._slots):
                if slot.trial_id is not None:
                    self._look_at(index, slot.trial_id, step)

    def _ranked(self, rung: int) -> list[int]:
        """Trials of a rung, best first; of equal ones the one that was launched first."""
        record = self.records[rung]
        return sorted(record, key=lambda trial_id: (record[trial_id], trial_id))

    def _able(self, level: int, rung: int) -> list[int]:
        """Those of a rung with a finite result that can go on to ``level``, best first. In place of others the next
        best ones go on."""
        finite = [each for each in self._ranked(rung) if self.records[rung][each] < WORST]
        if self.ascent is Ascent.RESTARTED:
            return finite
        return [trial_id for trial_id in finite if self._outlook(trial_id, level) != WORST]

    def _promoted(self, best: Sequence[int], size: int) -> list[Slot]:
        if self.ascent is Ascent.RESTARTED:
            slots = [Slot(source=trial_id) for trial_id in best]
        else:
            slots = [Slot(trial_id) for trial_id in best]
        return slots + [Slot(key=WORST) for _ in range(size - len(slots))]

    # -- when there is nothing new to start --------------------------------------------------------------------------

    @property
    def may_close(self) -> bool:
        """Whether only new configurations are missing at the lowest rung, for those there to go on."""
        waiting = self._empty == len(self._free) > 0 and self.occupied > 0
        return waiting and self._current == 0 and len(self.rungs) > 1 and self.ascent is Ascent.RESUMED

    def close(self) -> Step:
        """No new configuration will come: the rung is full with what it has, and those above shrink in proportion."""
        share = self.occupied, len(self._slots)
        self._slots = [slot for slot in self._slots if slot.key is not None]
        self._free, self._empty = {}, 0
        first, *others = self.rungs
        shrunk = (Size(max(1, size * share[0] // share[1]), level) for size, level in others)
        self.rungs = (Size(share[0], first.level), *shrunk)
        step = Step([], [], [])
        self._climb(step)
        return step

    def closed(self) -> Bracket:
        """A copy that was closed."""
        other = copy.copy(self)
        other.records = [dict(record) for record in self.records]
        other.close()
        return other


class Brackets:
    """All brackets: those at work, and the next one, which is there as soon as somebody takes a place in it."""

    def __init__(self, make: Callable[[int], Bracket]) -> None:
        self._make = make
        self._next = make(0)
        self.active: list[Bracket] = []

    def places(self) -> Iterator[Place]:
        """Free slots in the order in which they are to be filled; the last is the first of a new bracket."""
        for bracket in self.active:
            yield from bracket.free()
        yield next(self._next.free())

    def take(self, place: Place, trial_id: int) -> None:
        place.bracket.take(place.slot, trial_id)
        if place.bracket is self._next:
            self.active.append(self._next)
            self._next = self._make(self._next.number + 1)

    def drop(self, bracket: Bracket) -> None:
        """Once it is complete."""
        if bracket in self.active:
            self.active.remove(bracket)
