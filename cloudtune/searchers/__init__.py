"""Pure proposals of configurations."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cloudtune.searchers.base import Searcher

if TYPE_CHECKING:
    from cloudtune.searchers.ask_tell import AskedTrial, AskTell
    from cloudtune.searchers.bayesopt import BayesianOptimizationSearcher
    from cloudtune.searchers.bayesopt_options import BayesianOptimizationOptions
    from cloudtune.searchers.grid_searcher import GridSearcher
    from cloudtune.searchers.model_searcher import Model, ModelSearcher, ModelUse
    from cloudtune.searchers.own_surrogate import SKLearnSurrogateSearcher, bayesian_optimization
    from cloudtune.searchers.random_searcher import RandomSearcher
    from cloudtune.searchers.sobol_searcher import SobolSearcher

__all__ = [
    "Searcher",
    "RandomSearcher",
    "GridSearcher",
    "SobolSearcher",
    "BayesianOptimizationSearcher",
    "BayesianOptimizationOptions",
    # without a tuner
    "AskTell",
    "AskedTrial",
    "bayesian_optimization",
    # for one's own
    "SKLearnSurrogateSearcher",
    "ModelSearcher",
    "Model",
    "ModelUse",
]

_HOMES = {
    "RandomSearcher": "random_searcher",
    "GridSearcher": "grid_searcher",
    "SobolSearcher": "sobol_searcher",
    "BayesianOptimizationSearcher": "bayesopt",
    "BayesianOptimizationOptions": "bayesopt_options",
    "AskTell": "ask_tell",
    "AskedTrial": "ask_tell",
    "SKLearnSurrogateSearcher": "own_surrogate",
    "bayesian_optimization": "own_surrogate",
    "ModelSearcher": "model_searcher",
    "Model": "model_searcher",
    "ModelUse": "model_searcher",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'cloudtune.searchers' has no attribute {name!r}")
    return getattr(import_module(f"cloudtune.searchers.{_HOMES[name]}"), name)
