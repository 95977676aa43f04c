"""Chance without a sequence: each throw is a function of what is thrown for."""

from __future__ import annotations

import hashlib


def throw(seed: int, *about: str | int) -> float:
    """A number in [0, 1), the same each time one asks about the same."""
    text = "\0".join(map(str, (seed, *about)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest(), "big") / 2**56
