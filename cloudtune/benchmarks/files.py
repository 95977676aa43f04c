"""Tables on disk: parquet, and a page of JSON that says what is in them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cloudtune.benchmarks.blackbox import Blackbox
from cloudtune.benchmarks.optional import needed
from cloudtune.benchmarks.tabular import BlackboxTabular
from cloudtune.errors import OptionError
from cloudtune.space import config_space_from_json_dict, config_space_to_json_dict

if TYPE_CHECKING:
    import pandas as pd

INDEX_FILE = "blackbox.json"
"""Written last: a folder with it is complete."""

_FORMAT = 1


def serialize(
    blackboxes: Mapping[str, BlackboxTabular], path: str | Path, metadata: Mapping[str, Any] | None = None
) -> None:
    """Write tables, by the name of their data set, into a folder.

    Two parquet files each: a row per configuration, and a row per (configuration, seed, fidelity) with a column per
    objective. ``metadata``: JSON about all of them. Needs pyarrow: ``pip install 'cloudtune[blackboxes]'``.
    """
    needed("pyarrow", "parquet files")
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / INDEX_FILE).unlink(missing_ok=True)
    entries = [_written(folder, number, name, table) for number, (name, table) in enumerate(blackboxes.items())]
    index = {"format": _FORMAT, "metadata": dict(metadata or {}), "blackboxes": entries}
    draft = folder / f".{INDEX_FILE}"
    draft.write_text(json.dumps(index, indent=1))
    draft.replace(folder / INDEX_FILE)


def _written(folder: Path, number: int, name: str, table: BlackboxTabular) -> dict[str, Any]:
    import pandas as pd

    stem = f"{number:03d}"
    values = table.objectives_evaluations
    table.hyperparameters.to_parquet(folder / f"{stem}.hyperparameters.parquet", engine="pyarrow", index=False)
    frame = pd.DataFrame(values.reshape(-1, values.shape[-1]), columns=table.objectives_names)
    frame.to_parquet(folder / f"{stem}.objectives.parquet", engine="pyarrow", index=False)
    return {
        "name": name,
        "files": stem,
        "shape": list(values.shape),
        "configuration_space": config_space_to_json_dict(table.configuration_space),
        "fidelity_space": config_space_to_json_dict(table.fidelity_space) if table.fidelity_space else None,
        "fidelity_values": None if table.fidelity_values is None else table.fidelity_values.tolist(),
        "objectives_names": table.objectives_names,
    }


def deserialize(path: str | Path, dataset: str | None = None) -> dict[str, BlackboxTabular]:
    """The tables of a folder by the name of their data set; ``dataset``: only that one.

    Raises ``OptionError`` for a folder without them, or a data set that it doesn't have.
    """
    folder = Path(path)
    entries = index_of(folder)["blackboxes"]
    names = [entry["name"] for entry in entries]
    if dataset is not None and dataset not in names:
        raise unknown_dataset(folder.name, dataset, names)
    return {entry["name"]: _read(folder, entry) for entry in entries if dataset in (None, entry["name"])}


def index_of(folder: Path) -> dict[str, Any]:
    """What the folder says about its tables."""
    try:
        index: dict[str, Any] = json.loads((folder / INDEX_FILE).read_text())
    except (OSError, ValueError) as error:
        raise OptionError(f"{folder} has no tables: {error}", "serialize(…) writes them") from error
    if index.get("format") != _FORMAT:
        raise OptionError(f"{folder} has tables of format {index.get('format')!r}", "upgrade cloudtune, or delete it")
    return index


def _read(folder: Path, entry: Mapping[str, Any]) -> BlackboxTabular:
    import pandas as pd

    needed("pyarrow", "parquet files")
    frames: list[pd.DataFrame] = [
        pd.read_parquet(folder / f"{entry['files']}.{part}.parquet", engine="pyarrow")
        for part in ("hyperparameters", "objectives")
    ]
    hyperparameters, objectives = frames
    fidelity_space = entry["fidelity_space"]
    return BlackboxTabular(
        hyperparameters,
        config_space_from_json_dict(entry["configuration_space"]),
        None if fidelity_space is None else config_space_from_json_dict(fidelity_space),
        np.ascontiguousarray(objectives.to_numpy()).reshape(entry["shape"]),
        entry["fidelity_values"],
        entry["objectives_names"],
    )


def unknown_dataset(blackbox: str, dataset: str, names: list[str]) -> OptionError:
    from cloudtune.options import nearest_name

    return OptionError(f"the blackbox {blackbox!r} has no dataset {dataset!r}", nearest_name(dataset, names))


def chosen(blackboxes: Mapping[str, Blackbox], blackbox: str, dataset: str | None) -> Blackbox:
    """The one of that name; without a name, the only one there is."""
    if dataset is None:
        if len(blackboxes) > 1:
            raise OptionError(
                f"the blackbox {blackbox!r} has several data sets", f"give dataset: one of {', '.join(blackboxes)}"
            )
        return next(iter(blackboxes.values()))
    if dataset not in blackboxes:
        raise unknown_dataset(blackbox, dataset, list(blackboxes))
    return blackboxes[dataset]
