"""How to make the blackboxes that ``load_blackbox`` knows by name."""

from __future__ import annotations

from functools import partial

from cloudtune.benchmarks.readers import READER_RECIPES
from cloudtune.benchmarks.recipes.mlp_digits import MlpDigits
from cloudtune.benchmarks.recipes.recipe import FunctionRecipe, TableRecipe
from cloudtune.benchmarks.recipes.synthetic import PROBLEMS, curve_blackboxes, function_blackboxes

__all__ = ["RECIPES", "FunctionRecipe", "TableRecipe", "MlpDigits"]

_OURS: list[TableRecipe | FunctionRecipe] = [
    TableRecipe(
        "mlp-digits",
        "a neural network on scikit-learn's digits: 648 configurations, 27 epochs, 3 seeds; trained here in minutes",
        lambda: {"digits": MlpDigits().blackbox()},
    ),
    *(
        FunctionRecipe(name, f"the function {name}, as it is and over 27 epochs", partial(function_blackboxes, name))
        for name in PROBLEMS
    ),
    FunctionRecipe(
        "curves", "families of learning curves: parallel, crossing, of different cost, noisy", curve_blackboxes
    ),
]

RECIPES: dict[str, TableRecipe | FunctionRecipe] = {recipe.name: recipe for recipe in [*_OURS, *READER_RECIPES]}
"""By name. Your own: ``RECIPES["mine"] = TableRecipe("mine", "…", make_tables)``."""
