"""Random numbers that depend on (seed, purpose, number) and on nothing else: not on the order of calls."""

from __future__ import annotations

import numbers
from zlib import crc32

import numpy as np

from cloudtune.errors import OptionError

BLOCK = 256
"""Trials whose numbers are drawn together: making a generator costs as much as drawing this many."""


def generator(seed: int, purpose: str, number: int) -> np.random.Generator:
    """A generator of its own for every (seed, purpose, number)."""
    entropy = (seed, crc32(purpose.encode()), number)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))


def checked_seed(random_seed: object) -> int:
    """The seed itself, or one drawn now. Raises OptionError if it is not an integer of at least 0."""
    if random_seed is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    if isinstance(random_seed, bool) or not isinstance(random_seed, numbers.Integral) or random_seed < 0:
        raise OptionError(f"random_seed is {random_seed!r}", "give an integer of at least 0, or None to have one drawn")
    return int(random_seed)


class Uniforms:
    """One number of [0, 1) per trial."""

    def __init__(self, seed: int, purpose: str) -> None:
        self._seed, self._purpose = seed, purpose
        self._block: int | None = None
        self._values: list[float] = []

    def of(self, trial_id: int) -> float:
        block, position = divmod(trial_id, BLOCK)
        if block != self._block:
            self._values = generator(self._seed, self._purpose, block).random(BLOCK).tolist()
            self._block = block
        return self._values[position]
