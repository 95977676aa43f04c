"""The contract of a domain: the values one hyperparameter may take."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from cloudtune.space.codec import Codec

    RandomState = np.random.Generator | np.random.RandomState


class Domain(ABC):
    """The values one hyperparameter may take, how they are drawn, and where they lie in the unit cube.

    Domains are immutable, comparable and hashable. A vector drawn uniformly from the unit cube decodes to a value drawn
    as ``sample`` draws it. ``from_unit(to_unit(x)) == x`` for every value of a finite domain, for every
    sample, and for every float that has no more digits than the cube can carry (``cloudtune.space.precision``).
    """

    @property
    @abstractmethod
    def value_type(self) -> type:
        """``float``, ``int``, ``str`` or ``bool``."""

    @property
    @abstractmethod
    def size(self) -> int | None:
        """Number of distinct values; None if there are (practically) infinitely many."""

    @property
    def encoded_size(self) -> int:
        """Number of dimensions in the unit cube."""
        return 1

    @property
    @abstractmethod
    def midpoint(self) -> Any:
        """The value tried first when the user names none: the middle of the range on its own scale."""

    @abstractmethod
    def cast(self, value: Any) -> Any:
        """``value`` or its text as a value of this type; finite domains round to their nearest value.

        Raises ConfigSpaceError if it can't be converted. Bounds of infinite domains are not enforced: see ``is_valid``.
        """

    @abstractmethod
    def is_valid(self, value: Any) -> bool:
        """Is ``value`` of the right type and inside?"""

    @abstractmethod
    def match_string(self, value: Any) -> str:
        """Text that is equal for values that count as the same one: floats agree in 12 significant digits."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: ``{"domain": name of the factory, **its arguments}``."""

    @overload
    def sample(self, random_state: RandomState | None = None, size: None = None) -> Any: ...
    @overload
    def sample(self, random_state: RandomState | None, size: int) -> list[Any]: ...
    @overload
    def sample(self, *, size: int) -> list[Any]: ...

    def sample(self, random_state: RandomState | None = None, size: int | None = None) -> Any:
        """One value, or a list of ``size``. Without ``random_state`` the draw is not reproducible."""
        import numpy as np

        random = np.random.default_rng() if random_state is None else random_state
        values = self.codec.decode(random.random((1 if size is None else size, self.encoded_size)))
        return values[0] if size is None else values

    def to_unit(self, value: Any) -> NDArray[np.float64]:
        """``(encoded_size,)`` in [0, 1]. Raises ConfigSpaceError if ``value`` is not in the domain."""
        return self.codec.encode([value]).reshape(-1)

    def from_unit(self, vector: ArrayLike) -> Any:
        """The value at a point of the unit cube; every point has one."""
        import numpy as np

        row = np.asarray(vector, dtype=np.float64).reshape(1, -1)
        return self.codec.decode(row)[0]

    @cached_property
    def codec(self) -> Codec:
        """Encodes and decodes many values at once."""
        from cloudtune.space.codec import codec_of

        return codec_of(self)

    def __eq__(self, other: object) -> bool:
        # by the call that makes it: choice([1, 0]) is not choice([True, False])
        return repr(self) == repr(other) if isinstance(other, Domain) else NotImplemented

    def __hash__(self) -> int:
        return hash(repr(self))

    def __repr__(self) -> str:
        arguments = self.to_dict()
        name = arguments.pop("domain")
        return f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"
