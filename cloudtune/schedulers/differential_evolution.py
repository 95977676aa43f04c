"""Differential evolution in the unit cube: the operators, and the populations of DEHB.

Storn & Price, "Differential evolution" (1997); Awad et al., "DEHB" (2021), section 3. Vectors have shape ``(d,)``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cloudtune.schedulers.rungs import WORST

Array = NDArray[np.float64]

PARENTS = 3
"""That mutation "rand/1" needs."""


def mutant(parents: Sequence[Array], factor: float, random_state: np.random.Generator) -> Array:
    """ "rand/1": ``p0 + factor · (p1 - p2)``; what leaves [0, 1] is drawn anew, uniformly."""
    base, plus, minus = parents
    vector = base + factor * (plus - minus)
    outside = (vector < 0) | (vector > 1)
    return np.where(outside, random_state.random(len(vector)), vector)


def crossed(target: Array, mutated: Array, probability: float, random_state: np.random.Generator) -> Array:
    """ "bin": each entry is the mutant's with this probability, else the target's; one at least is the mutant's."""
    taken = random_state.random(len(target)) < probability
    if len(target):
        taken[random_state.integers(len(target))] = True
    return np.where(taken, mutated, target)


@dataclass(frozen=True, eq=False)
class Member:
    """A configuration with its result at one level. Key: smaller is better."""

    trial_id: int
    vector: Array
    key: float


class Populations:
    """One per level, ``sizes`` slots each; a slot has the best that was evaluated for it."""

    def __init__(self, sizes: Mapping[int, int]) -> None:
        self._slots: dict[int, list[Member | None]] = {level: [None] * size for level, size in sizes.items()}

    def member(self, level: int, slot: int) -> Member | None:
        return self._slots[level][slot]

    def select(self, level: int, slot: int, candidate: Member) -> None:
        """The candidate takes the slot unless who has it is better."""
        present = self._slots[level][slot]
        if present is None or candidate.key <= present.key:
            self._slots[level][slot] = candidate

    def ranked(self, level: int) -> list[Member]:
        """Those with a finite result, best first; of equal ones the one that was launched first."""
        finite = (member for member in self._slots[level] if member is not None and member.key < WORST)
        return sorted(finite, key=lambda member: (member.key, member.trial_id))

    def parents(self, pool: Sequence[Member], target: Member | None, random_state: np.random.Generator) -> list[Member]:
        """``pool`` without the target, filled up to three from the members of all levels, drawn at random.

        Fewer than three if there are no more.
        """
        avoided = None if target is None else target.trial_id
        parents = [member for member in pool if member.trial_id != avoided]
        if len(parents) >= PARENTS:
            return parents
        known = {avoided, *(member.trial_id for member in parents)}
        others = {member.trial_id: member for level in self._slots for member in self.ranked(level)}
        rest = [member for trial_id, member in others.items() if trial_id not in known]
        order = random_state.permutation(len(rest)).tolist()
        return parents + [rest[index] for index in order[: PARENTS - len(parents)]]
