"""Hyperparameters with the highest posterior density."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize

from cloudtune.surrogates.likelihood import MarginalLikelihood
from cloudtune.surrogates.prediction import Array

ENOUGH = 1e-4


def most_likely(
    likelihood: MarginalLikelihood, starts: Sequence[Array], searches: int, iterations: int, enough: float = ENOUGH
) -> Array:
    """The best end of L-BFGS searches from the best ``searches`` of ``starts``.

    They end when the log posterior gains less than the part ``enough`` of itself. Where the likelihood can be computed
    nowhere, the first start.
    """
    if len(starts) > searches:
        starts = sorted(starts, key=likelihood.value)[:searches]
    best, least = starts[0], np.inf
    bounds = list(zip(*(bound.tolist() for bound in likelihood.layout.bounds), strict=True))
    for start in starts:
        found = minimize(
            likelihood,
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": iterations, "ftol": enough, "gtol": 100 * enough},
        )
        if found.fun < least and np.isfinite(found.x).all():
            best, least = found.x, float(found.fun)
    return np.asarray(best, dtype=np.float64)
