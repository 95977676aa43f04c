"""A table small enough to know by heart."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cloudtune.benchmarks import BlackboxTabular
from cloudtune.space import choice, ordinal, randint

SPACE = {"kind": choice(["a", "b"]), "size": ordinal([1, 2, 4])}


def value(row: int, seed: int, epoch: int) -> float:
    return 100.0 * row + 10.0 * seed + epoch


def small_table() -> BlackboxTabular:
    """Six configurations, two seeds, three epochs; ``loss`` is 100 row + 10 seed + epoch, an epoch takes 1 + row s."""
    frame = pd.DataFrame([(kind, size) for kind in "ab" for size in (1, 2, 4)], columns=["kind", "size"])
    values = np.array(
        [
            [[[value(row, seed, epoch), (1.0 + row) * epoch] for epoch in (1, 2, 3)] for seed in range(2)]
            for row in range(6)
        ]
    )
    return BlackboxTabular(frame, SPACE, {"epoch": randint(1, 3)}, values, objectives_names=["loss", "seconds"])


def single_table() -> BlackboxTabular:
    """The same after the last epoch, without fidelities."""
    table = small_table()
    return BlackboxTabular(
        table.hyperparameters,
        SPACE,
        None,
        table.objectives_evaluations[:, :, -1:],
        objectives_names=["loss", "seconds"],
    )
