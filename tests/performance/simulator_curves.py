"""Learning curves for simulator.py and its peers: 10 x 10 x 10 configurations, 3 seeds, 50 epochs. Needs only numpy."""

from __future__ import annotations

from typing import Any

import numpy as np

EPOCHS = 50
SEEDS = 3
SIDE = 10
VALUES: dict[str, list[Any]] = {
    "lr": (10.0 ** np.linspace(-5, 0, SIDE)).tolist(),
    "momentum": np.linspace(0.0, 0.99, SIDE).round(3).tolist(),
    "width": (2 ** np.arange(3, 3 + SIDE)).tolist(),
}


def places() -> np.ndarray[Any, np.dtype[np.float64]]:
    """(1000, 3): where each configuration lies in the unit cube; the last name runs fastest."""
    return np.stack(np.meshgrid(*[np.linspace(0, 1, SIDE)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)


def curves() -> np.ndarray[Any, np.dtype[np.float64]]:
    """(1000, 3, 50, 2): validation error, and seconds since the training began, after each epoch."""
    random_state = np.random.default_rng(0)
    cube = places()[:, None, None, :]
    epochs = np.arange(1, EPOCHS + 1)
    best = 0.05 + 0.8 * ((cube - np.array([0.6, 0.7, 0.5])) ** 2).sum(-1)
    noise = 0.01 * random_state.standard_normal((SIDE**3, SEEDS, EPOCHS))
    error = np.clip(best + 0.5 * epochs ** -(0.3 + 0.7 * cube[..., 1]) + noise, 0.0, 1.0)
    seconds = (2 + 20 * cube[..., 2]) * (1 + 0.05 * random_state.random((SIDE**3, SEEDS, EPOCHS)))
    return np.stack([error, np.cumsum(seconds, axis=2)], axis=-1)
