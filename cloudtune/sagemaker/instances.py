"""Instance types: what is in them, and what a training hour on them costs."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True)
class InstanceInfo:
    """An instance type. ``cost_per_hour`` in dollars: SageMaker training, on demand, us-east-1."""

    name: str
    num_cpu: int
    num_gpu: int
    cost_per_hour: float
    memory_gib: float = 0.0
    gpu_memory_gib: float = 0.0


class InstanceInfos(Mapping[str, InstanceInfo]):
    """All instance types whose price is known, by name. The table carries the date and source of its prices."""

    def __init__(self) -> None:
        self._infos = {info.name: info for info in _read()}

    def __call__(self, name: str) -> InstanceInfo:
        return self._infos[name]

    def __getitem__(self, name: str) -> InstanceInfo:
        return self._infos[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._infos)

    def __len__(self) -> int:
        return len(self._infos)


@lru_cache(maxsize=1)
def instance_infos() -> InstanceInfos:
    """The table, read once."""
    return InstanceInfos()


def select_instance_type(
    min_gpu: int = 0,
    max_gpu: int = 16,
    min_cost_per_hour: float | None = None,
    max_cost_per_hour: float | None = None,
) -> list[str]:
    """Names of the types within all bounds (dollars per hour; bounds included), cheapest first."""
    low = 0.0 if min_cost_per_hour is None else min_cost_per_hour
    high = float("inf") if max_cost_per_hour is None else max_cost_per_hour
    chosen = [
        info
        for info in instance_infos().values()
        if min_gpu <= info.num_gpu <= max_gpu and low <= info.cost_per_hour <= high
    ]
    return [info.name for info in sorted(chosen, key=lambda info: (info.cost_per_hour, info.name))]


def dollars_per_hour(instance_type: str | None, instance_count: int = 1) -> float | None:
    """What a job on these instances costs; None if the type's price is not in the table."""
    info = instance_infos().get(instance_type or "")
    return None if info is None else info.cost_per_hour * instance_count


def price_of_resources(resources: Mapping[str, Any]) -> float | None:
    """Dollars per hour of a request's or description's ResourceConfig: groups together, of preferences the dearest,
    or the one that was selected. None if a price is unknown."""
    if selected := resources.get("SelectedInstanceType"):
        return dollars_per_hour(selected, int(resources.get("SelectedInstanceCount") or 1))
    if groups := resources.get("InstanceGroups"):
        return _known(sum, [_price(group) for group in groups])
    if preferences := resources.get("InstancePreferences"):
        common = {"InstanceCount": resources.get("InstanceCount")}
        return _known(max, [_price({**common, **preference}) for preference in preferences])
    return _price(resources)


def _price(resources: Mapping[str, Any]) -> float | None:
    return dollars_per_hour(resources.get("InstanceType"), int(resources.get("InstanceCount") or 1))


def _known(combine: Callable[[list[float]], float], prices: list[float | None]) -> float | None:
    known = [price for price in prices if price is not None]
    return combine(known) if len(known) == len(prices) else None


def _read() -> Iterator[InstanceInfo]:
    text = files("cloudtune.sagemaker").joinpath("prices.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(line for line in text.splitlines() if not line.startswith("#")):
        yield InstanceInfo(
            name=row["instance"],
            num_cpu=int(row["vcpus"]),
            num_gpu=int(row["gpus"]),
            cost_per_hour=float(row["usd_per_hour"]),
            memory_gib=float(row["memory_gib"] or 0),
            gpu_memory_gib=float(row["gpu_memory_gib"] or 0),
        )
