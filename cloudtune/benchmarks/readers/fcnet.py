"""FCNet: fully connected networks on four regression data sets (Klein and Hutter 2019, arXiv:1905.04970).

One HDF5 file per data set. A group per configuration, named by its JSON; arrays ``valid_loss``, ``train_loss``,
``valid_mse``, ``train_mse`` of (seeds, epochs), and ``runtime``, ``n_params``, ``final_test_error`` of (seeds,).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from cloudtune.benchmarks.optional import needed
from cloudtune.benchmarks.readers.raw import raw_files
from cloudtune.benchmarks.readers.spaces import observed_domain
from cloudtune.benchmarks.tabular import BlackboxTabular
from cloudtune.errors import UserError
from cloudtune.space import randint

WHERE_FROM = "http://ml4aad.org/wp-content/uploads/2019/01/fcnet_tabular_benchmarks.tar.gz (750 MB)"

OBJECTIVES = (
    "metric_valid_loss",
    "metric_train_loss",
    "metric_final_test_error",
    "metric_n_params",
    "metric_elapsed_time",
)


def read_fcnet() -> dict[str, BlackboxTabular]:
    """All files that are there, by data set: ``protein_structure`` and so on."""
    files = raw_files("fcnet", ("fcnet_*_data.hdf5",), WHERE_FROM)
    return {path.name[len("fcnet_") : -len("_data.hdf5")]: read_fcnet_file(path) for path in files}


def read_fcnet_file(path: Path) -> BlackboxTabular:
    """Hyperparameters are called ``hp_…`` and the fidelity ``hp_epoch``. The time of a run is shared by its epochs."""
    import pandas as pd

    h5py = needed("h5py", "fcnet's files", "h5py")
    configurations: list[dict[str, Any]] = []
    values: list[np.ndarray[Any, Any]] = []
    with h5py.File(path, "r") as data:
        for key in data:
            try:
                config = json.loads(key)
            except ValueError as error:
                raise UserError(f"{path} has a group {key!r} that is no configuration", "get the file again") from error
            configurations.append({f"hp_{name}": value for name, value in config.items()})
            values.append(_values(data[key]))
    frame = pd.DataFrame(configurations)
    space = {str(name): observed_domain(frame[name].tolist()) for name in frame}
    array = np.stack(values)
    fidelity_space = {"hp_epoch": randint(1, array.shape[2])}
    return BlackboxTabular(frame, space, fidelity_space, array, objectives_names=OBJECTIVES)


def _values(group: Any) -> np.ndarray[Any, Any]:
    """(seeds, epochs, objectives)"""
    valid, trained = np.asarray(group["valid_loss"]), np.asarray(group["train_loss"])
    seeds, epochs = valid.shape
    runtime = np.asarray(group["runtime"])[:, None] * np.arange(1, epochs + 1) / epochs
    constant = [
        np.broadcast_to(np.asarray(group[name])[:, None], (seeds, epochs)) for name in ("final_test_error", "n_params")
    ]
    return np.stack([valid, trained, *constant, runtime], axis=-1).astype(np.float64)
