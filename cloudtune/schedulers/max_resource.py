"""How long trials run at most, and who tells their scripts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cloudtune.errors import OptionError
from cloudtune.options import nearest_name
from cloudtune.schedulers.rung_levels import positive_integer
from cloudtune.space import Domain, FiniteDomain
from cloudtune.trial import Config

USUAL_NAMES = ("epochs", "max_t", "max_epochs")


@dataclass(frozen=True)
class MaxResource:
    """``max_t`` units of resource; ``told_by`` is the entry of a configuration that tells the script its limit."""

    max_t: int
    told_by: str | None

    def told(self, config: Config) -> float | None:
        """The limit this script was told, if any."""
        limit = config.get(self.told_by) if self.told_by is not None else None
        return limit if isinstance(limit, (int, float)) else None


def infer_max_resource(
    config_space: Mapping[str, Any], max_t: int | None, max_resource_attr: str | None
) -> MaxResource | None:
    """``max_t`` if given, else the entry ``max_resource_attr``, else the entry "epochs", "max_t" or "max_epochs".

    None if there is none of them. Of an entry that is tuned, the largest value counts. Raises OptionError if
    ``max_resource_attr`` is not in the space, or a limit is not an integer of at least 1.
    """
    if max_resource_attr is not None and max_resource_attr not in config_space:
        raise OptionError(
            f"max_resource_attr={max_resource_attr!r} is not in the configuration space",
            f"add it, for example {max_resource_attr!r}: 81; {nearest_name(str(max_resource_attr), config_space)}",
        )
    if max_t is not None:
        return MaxResource(positive_integer(max_t, "max_t"), max_resource_attr)
    told_by = max_resource_attr or next((name for name in USUAL_NAMES if name in config_space), None)
    if told_by is None:
        return None
    return MaxResource(positive_integer(_largest(config_space[told_by]), f"config_space[{told_by!r}]"), told_by)


def check_not_tuned(config_space: Mapping[str, Any], max_resource_attr: str | None) -> None:
    """Raises OptionError if the entry by which a scheduler tells scripts when to end is tuned itself."""
    if max_resource_attr is not None and isinstance(config_space[max_resource_attr], Domain):
        raise OptionError(
            f"max_resource_attr={max_resource_attr!r} is tuned in the configuration space, and this scheduler sets it",
            "make it a constant: the most a trial may use",
        )


def _largest(entry: Any) -> Any:
    if isinstance(entry, FiniteDomain):
        return max(entry.values)
    return getattr(entry, "upper", entry) if isinstance(entry, Domain) else entry
