"""Published benchmarks, from the files that their authors published, where the user has them."""

from functools import partial

from cloudtune.benchmarks.readers.fcnet import read_fcnet
from cloudtune.benchmarks.readers.lcbench import read_lcbench
from cloudtune.benchmarks.readers.nasbench201 import read_nasbench201
from cloudtune.benchmarks.readers.pd1 import read_pd1
from cloudtune.benchmarks.readers.yahpo import SCENARIOS, read_yahpo
from cloudtune.benchmarks.recipes.recipe import FunctionRecipe, TableRecipe

READER_RECIPES: list[TableRecipe | FunctionRecipe] = [
    TableRecipe(
        "fcnet",
        "fully connected networks on four regression data sets: 62,208 configurations, 100 epochs, 4 seeds",
        read_fcnet,
        "Klein and Hutter: Tabular benchmarks for joint architecture and hyperparameter optimization, 2019",
    ),
    TableRecipe(
        "nasbench201",
        "cells of convolutional networks on three data sets: 15,625 architectures, 200 epochs, up to 3 seeds",
        read_nasbench201,
        "Dong and Yang: NAS-Bench-201: extending the scope of reproducible neural architecture search, ICLR 2020",
    ),
    TableRecipe(
        "lcbench",
        "MLPs on 35 data sets: 2,000 configurations, 50 epochs; needs a surrogate or restrict_configurations",
        read_lcbench,
        "Zimmer, Lindauer and Hutter: Auto-PyTorch tabular, IEEE TPAMI 2021",
    ),
    TableRecipe(
        "pd1",
        "optimizers of deep networks on 24 tasks; needs a surrogate or restrict_configurations",
        read_pd1,
        "Wang et al.: Pre-trained Gaussian processes for Bayesian optimization, 2021",
    ),
    *(
        FunctionRecipe(
            f"yahpo-{scenario}",
            f"YAHPO Gym's {scenario}: a network that predicts, by instance",
            partial(read_yahpo, scenario),
            "Pfisterer et al.: YAHPO Gym, AutoML 2022",
        )
        for scenario in SCENARIOS
    ),
]
