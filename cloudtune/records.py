"""Values that are made by the hundred thousand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_options):
        return lambda function: function


Class = TypeVar("Class")


@dataclass_transform(frozen_default=True)
def record(cls: type[Class]) -> type[Class]:
    """A dataclass with slots that nobody changes: the type checker sees to it.

    At run time it is not frozen, for that makes making one five times as expensive. It has no hash.
    """
    return dataclass(slots=True)(cls)
