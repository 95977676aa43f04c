"""Large sets in random order, without writing the order down."""

from __future__ import annotations

from hashlib import blake2b

_ROUNDS = 4


class Permutation:
    """A permutation of 0 … size - 1 that depends on the seed, computed one number at a time.

    A Feistel network permutes the numbers of 2k bits (Luby and Rackoff 1988); from a number beyond ``size`` it is
    followed until it is back below (cycle walking, Black and Rogaway 2002): four steps at most on average.
    """

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        self._half = max(1, ((size - 1).bit_length() + 1) // 2)
        self._mask = (1 << self._half) - 1
        self._bytes = (self._half + 7) // 8
        self._keys = [f"{seed}:{index}".encode() for index in range(_ROUNDS)]

    def of(self, position: int) -> int:
        """The number at ``position``."""
        while True:
            left, right = position >> self._half, position & self._mask
            for key in self._keys:
                left, right = right, left ^ self._mix(key, right)
            position = left << self._half | right
            if position < self.size:
                return position

    def position(self, number: int) -> int:
        """Where ``number`` stands: the inverse."""
        while True:
            left, right = number >> self._half, number & self._mask
            for key in reversed(self._keys):
                left, right = right ^ self._mix(key, left), left
            number = left << self._half | right
            if number < self.size:
                return number

    def _mix(self, key: bytes, half: int) -> int:
        digest = blake2b(half.to_bytes(self._bytes, "little"), digest_size=self._bytes, salt=b"cloudtune", key=key)
        return int.from_bytes(digest.digest(), "little") & self._mask
