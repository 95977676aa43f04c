"""One library's searchers behind a line protocol: run by that library's own interpreter, never imported.

A line of JSON in, one out:

    {"do": "start", "method": m, "space": s, "seed": n, "preload": [[config, value], ...]}  ->  {"seconds": t}
    {"do": "ask"}                                                       ->  {"seconds": t, "config": c}
    {"do": "tell", "value": v}                                          ->  {"seconds": t}

``tell`` answers the last ``ask``; values are minimized. Seconds are those of the library's own calls. Whatever the
library prints goes to the standard error. An exception comes back as {"error": ...}; the next "start" begins anew.
Needs numpy and the library. Spaces: see problems.py.
"""

from __future__ import annotations

import json
import logging
import os
import random
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib import import_module
from typing import Any, ClassVar, Protocol

Values = Mapping[str, Any]
Told = Sequence[tuple[Values, float]]


class Method(Protocol):
    def ask(self) -> Values: ...

    def tell(self, value: float) -> None: ...


class Optuna:
    """Optuna 5's samplers with their defaults, by ask and tell."""

    def __init__(self, method: str, space: Values, seed: int, preload: Told) -> None:
        optuna: Any = import_module("optuna")
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        kinds = {"float": "FloatDistribution", "int": "IntDistribution", "cat": "CategoricalDistribution"}
        self.space: dict[str, Any] = {}
        for name, (kind, *domain) in space.items():
            make = getattr(optuna.distributions, kinds[kind])
            self.space[name] = make(domain[0]) if kind == "cat" else make(domain[0], domain[1], log=domain[2])
        sampler = {"tpe": "TPESampler", "gp": "GPSampler", "cma": "CmaEsSampler"}[method]
        quiet = {"warn_independent_sampling": False} if method == "cma" else {}
        self.study = optuna.create_study(sampler=getattr(optuna.samplers, sampler)(seed=seed, **quiet))
        for config, value in preload:
            known = optuna.trial.create_trial(params=dict(config), distributions=self.space, values=[value])
            self.study.add_trial(known)
        self.trial: Any = None

    def ask(self) -> Values:
        self.trial = self.study.ask(self.space)
        return dict(self.trial.params)

    def tell(self, value: float) -> None:
        self.study.tell(self.trial, value)


class SyneTune:
    """Schedulers of Syne Tune's baselines, told of every trial's completion. 0.13 and 0.16 differ in small things."""

    NAMES: ClassVar = {
        "st13": {"bo": "BayesianOptimization", "kde": "KDE", "bore": "BORE"},
        "st16": {"botorch": "BOTorch", "tpe": "TPE", "cqr": "CQR", "bore": "BORE"},
    }

    def __init__(self, method: str, space: Values, seed: int, preload: Told) -> None:
        version, name = method.split("-")
        numpy: Any = import_module("numpy")
        numpy.random.seed(seed)  # 0.16 draws its initial points from the global generator
        random.seed(seed)
        domains: Any = import_module("syne_tune.config_space")
        makers = {("float", False): "uniform", ("float", True): "loguniform"}
        makers |= {("int", False): "randint", ("int", True): "lograndint"}
        config_space = {
            key: domains.choice(domain[0])
            if kind == "cat"
            else getattr(domains, makers[kind, domain[2]])(domain[0], domain[1])
            for key, (kind, *domain) in space.items()
        }
        options: dict[str, Any] = {"metric": "y", "random_seed": seed}
        self.numbered = version == "st13"
        options |= {"mode": "min", "search_options": {"debug_log": False}} if self.numbered else {"do_minimize": True}
        if preload:
            options["points_to_evaluate"] = [dict(config) for config, _ in preload]
        baseline = getattr(import_module("syne_tune.optimizer.baselines"), self.NAMES[version][name])
        self.make_trial = import_module("syne_tune.backend.trial_status").Trial
        self.scheduler: Any = baseline(config_space, **options)
        self.count = 0
        self.trial: Any = None
        for _, value in preload:
            self.ask()
            self.tell(value)

    def ask(self) -> Values:
        suggestion = self.scheduler.suggest(self.count) if self.numbered else self.scheduler.suggest()
        self.trial = self.make_trial(self.count, suggestion.config, datetime.now())
        self.count += 1
        self.scheduler.on_trial_add(self.trial)
        config: Values = suggestion.config
        return config

    def tell(self, value: float) -> None:
        self.scheduler.on_trial_complete(self.trial, {"y": value})


class Cloudtune:
    """This library's searchers by ask and tell: a name, or "name+option=value+...", values as in JSON."""

    def __init__(self, method: str, space: Values, seed: int, preload: Told) -> None:
        domains: Any = import_module("cloudtune.space")
        makers = {("float", False): "uniform", ("float", True): "loguniform"}
        makers |= {("int", False): "randint", ("int", True): "lograndint"}
        config_space = {
            key: domains.choice(domain[0])
            if kind == "cat"
            else getattr(domains, makers[kind, domain[2]])(domain[0], domain[1])
            for key, (kind, *domain) in space.items()
        }
        points = [dict(config) for config, _ in preload] or None
        name, *given = method.split("+")
        options = {option: json.loads(value) for option, _, value in (each.partition("=") for each in given)}
        make: Any = import_module("cloudtune.searchers.ask_tell").AskTell
        self.experiment = make(config_space, "y", "min", name, options, points_to_evaluate=points, random_seed=seed)
        self.trial: Any = None
        for _, value in preload:
            self.ask()
            self.tell(value)

    def ask(self) -> Values:
        self.trial = self.experiment.ask()
        config: Values = self.trial.config
        return config

    def tell(self, value: float) -> None:
        self.experiment.tell(self.trial.trial_id, value)


def make(method: str, space: Values, seed: int, preload: Told) -> Method:
    library, _, name = method.partition("-")
    if library == "optuna":
        return Optuna(name, space, seed, preload)
    if library in SyneTune.NAMES:
        return SyneTune(method, space, seed, preload)
    return Cloudtune(method, space, seed, preload)


def plain(value: Any) -> Any:
    """A number of numpy as Python's."""
    return value.item() if hasattr(value, "item") else value


class Worker:
    """The method in use, and what its calls took."""

    def __init__(self) -> None:
        self.method: Method | None = None
        self.space: Values = {}

    def answer(self, request: Values) -> dict[str, Any]:
        before = time.perf_counter()
        if request["do"] == "start":
            self.space = request["space"]
            self.method = make(request["method"], self.space, request["seed"], request.get("preload", []))
            return {"seconds": time.perf_counter() - before}
        assert self.method is not None, "ask before start"
        if request["do"] == "ask":
            config = self.method.ask()
            seconds = time.perf_counter() - before
            return {"seconds": seconds, "config": {name: plain(config[name]) for name in self.space}}
        self.method.tell(request["value"])
        return {"seconds": time.perf_counter() - before}


def main() -> None:
    sys.path.pop(0)  # this folder: no library shall find our neighbours
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the library's own output
    worker = Worker()
    for line in sys.stdin:
        try:
            reply = worker.answer(json.loads(line))
        except Exception as error:  # noqa: BLE001  (any library may raise anything: the table says so)
            reply = {"error": repr(error)[:300]}
        answers.write(json.dumps(reply) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
