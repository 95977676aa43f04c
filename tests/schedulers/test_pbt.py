"""Population-based training: who is behind, who takes whose place, and from where."""

from __future__ import annotations

import json
import logging
import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from cloudtune.errors import ConfigSpaceError, OptionError
from cloudtune.schedulers import NOT_NOW, Action, Start
from cloudtune.schedulers.base import Reason
from cloudtune.schedulers.pbt import PopulationBasedTraining
from cloudtune.schedulers.population import Member, Population
from cloudtune.space import choice, loguniform, randint, uniform
from tests.schedulers.told import Told

SPACE: dict[str, Any] = {"lr": loguniform(1e-4, 1e-1), "momentum": uniform(0, 1), "epochs": 100}


def population(size: int = 4, interval: float = 10, **options: Any) -> Told[PopulationBasedTraining]:
    """As many trials at work as it has places."""
    space = options.pop("config_space", SPACE)
    told = Told(
        PopulationBasedTraining(
            space,
            "loss",
            "epoch",
            population_size=size,
            perturbation_interval=interval,
            random_seed=options.pop("random_seed", 1),
            **options,
        )
    )
    told.start(size)
    return told


def lead(told: Told[PopulationBasedTraining], epoch: float, *losses: float) -> list[Action]:
    """Trials 0, 1, 2, … come to this epoch, in this order."""
    return [told.report(trial_id, epoch, loss).action for trial_id, loss in enumerate(losses)]


CONTINUE, STOP = Action.CONTINUE, Action.STOP


# -- who is behind -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "fraction", "upper", "behind"),
    [
        # one in four; rounded up; half of them at most
        ((0.1, 0.2, 0.3, 0.4), 0.25, [0], {3}),
        ((0.4, 0.3, 0.2, 0.1), 0.25, [3], {0}),
        ((0.1, 0.2, 0.3, 0.4, 0.5), 0.25, [0, 1], {3, 4}),
        ((0.1, 0.2, 0.3, 0.4, 0.5), 0.2, [0], {4}),
        ((0.1, 0.2, 0.3), 0.5, [0], {2}),
        ((0.1, 0.2, 0.3, 0.4), 0.5, [0, 1], {2, 3}),
        ((0.1, 0.2), 0.1, [0], {1}),
        ((0.1,), 0.5, [], set()),
        ((), 0.5, [], set()),
        ((0.1, 0.2, 0.3, 0.4), 0.0, [], set()),
        # as long as somebody has reported nothing: rounded down
        ((0.1, None, 0.3, None), 0.25, [], set()),
        ((0.1, None, 0.3, None), 0.5, [0], {2}),
        ((0.1, 0.2, 0.3, 0.4, None), 0.25, [0], {3}),
        ((0.1, 0.2, 0.3, None), 0.25, [], set()),
        # equal ones are not behind each other
        ((0.1, 0.1, 0.1, 0.1), 0.25, [0], set()),
        ((0.1, 0.1, 0.1, 0.2), 0.5, [0, 1], {3}),
        # nobody goes on from what has diverged
        ((0.1, 0.2, math.inf, math.inf), 0.5, [0, 1], {2, 3}),
        ((0.1, math.inf, math.inf, math.inf), 0.5, [0], {2, 3}),
        ((math.inf, math.inf), 0.5, [], set()),
    ],
)
def test_quantiles(keys: tuple[float | None, ...], fraction: float, upper: list[int], behind: set[int]) -> None:
    group = Population(fraction)
    for trial_id, key in enumerate(keys):
        group.members[trial_id] = Member({}, 1, 0, None, key)
    assert group.upper() == upper
    assert {trial_id for trial_id in group.members if group.is_behind(trial_id)} == behind


def test_a_vacant_place_keeps_its_rank_until_its_new_member_reports() -> None:
    group = Population(0.25)
    for trial_id, key in enumerate((0.1, 0.2, 0.3, 0.4)):
        group.members[trial_id] = Member({}, 1, 0, None, key)
    group.vacate(3)
    assert not group.is_behind(2)
    group.enter(4, {}, parent_id=0, replaces=3)
    assert not group.is_behind(2)
    assert group.members[4] == Member({}, 1, 1, 0.4)
    assert group.upper() == [0], "nobody goes on from where nothing was reported"
    group.members[4].report(2, 0.05)
    assert group.is_behind(2)
    assert group.upper() == [4]


def test_members_are_compared_at_their_interval_only() -> None:
    told = population(interval=10)
    assert lead(told, 9, 0.1, 0.2, 0.3, 0.9) == [CONTINUE] * 4
    assert told.report(3, 10, 0.9) == STOP
    told = population(interval=10)
    lead(told, 9, 0.1, 0.2, 0.3, 0.9)
    assert told.report(3, 10, 0.25) == CONTINUE
    assert told.report(3, 11, 0.9) == CONTINUE, "compared at 10, and then at 20"
    assert told.report(3, 19, 0.9) == CONTINUE
    assert told.report(3, 23, 0.9) == STOP
    told = population(interval=2.5)
    assert lead(told, 2.4, 0.1, 0.2, 0.3, 0.9) == [CONTINUE] * 4
    assert told.report(3, 2.6, 0.9) == STOP, "seconds will do as well"


def test_the_first_to_report_are_not_sorted_out_among_themselves() -> None:
    assert lead(population(), 10, 0.1, 0.2, 0.3, 0.4) == [CONTINUE, CONTINUE, CONTINUE, STOP]
    assert lead(population(), 10, 0.1, 0.4, 0.3, 0.2) == [CONTINUE] * 4, "the others have not come to 20 yet"


def test_the_decision_says_why() -> None:
    told = population(mode="max")
    lead(told, 9, 0.9, 0.8, 0.7, 0.6)
    assert told.report(1, 10, 0.8).reason == Reason(
        "is not behind its population", {"loss": 0.8, "epoch": 10, "members": 4}, 0.9
    )
    assert told.report(3, 10, 0.6).reason == Reason(
        "in the lower quantile of its population", {"loss": 0.6, "epoch": 10, "members": 4}, 0.9
    )


def test_at_the_maximum_trials_end_and_nobody_goes_on_from_them() -> None:
    told = population(size=2, max_t=20)
    lead(told, 9, 0.1, 0.9)
    decision = told.report(0, 20, 0.1, its_job_ends=False)
    assert decision == STOP
    assert decision.reason == Reason("has reached the maximum", {"epoch": 20}, 20)
    assert told.report(1, 10, 0.9) == CONTINUE, "it is alone now"
    told.start()
    assert told.starts[-1].checkpoint_trial_id is None
    told = population(size=2, max_resource_attr="epochs")
    assert told.scheduler.max_resource_level == 100
    assert told.report(0, 100, 0.1) == CONTINUE, "its script ends by itself"


# -- who takes whose place ---------------------------------------------------------------------------------------------


def test_a_successor_goes_on_from_one_that_is_ahead() -> None:
    told = population()
    assert lead(told, 10, 0.1, 0.2, 0.3, 0.9)[3] == STOP
    told.start()
    start = told.starts[-1]
    assert start.checkpoint_trial_id == 0
    assert start.carried == {"pbt_parent": 0, "pbt_replaces": 3}
    assert json.loads(json.dumps(start.carried)) == start.carried
    parent = told.trials[0].config
    assert start.config != parent
    for name in ("lr", "momentum"):
        assert SPACE[name].is_valid(start.config[name])
    assert start.config["epochs"] == 100
    assert told.scheduler.suggest(5) is NOT_NOW, "all places are taken again"


def test_all_of_the_upper_quantile_are_gone_on_from() -> None:
    told = population(size=8, quantile_fraction=0.5)
    for trial_id, loss in enumerate((0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8)):
        told.report(trial_id, 9, loss)
    assert told.report(7, 10, 0.9) == STOP
    suggestions = [told.scheduler.suggest(trial_id) for trial_id in range(8, 400)]
    parents = [each.checkpoint_trial_id for each in suggestions if isinstance(each, Start)]
    assert len(parents) == 392
    # one place is vacant: of eight, half
    assert all(70 < parents.count(trial_id) < 130 for trial_id in range(4))


def test_a_successor_is_compared_one_interval_after_where_it_began() -> None:
    told = population()
    lead(told, 10, 0.1, 0.2, 0.3, 0.9)
    told.report(0, 13, 0.1)
    told.start()
    assert told.report(4, 14, 0.9) == CONTINUE
    assert told.report(4, 22, 0.9) == CONTINUE
    assert told.report(4, 23, 0.9) == STOP


def test_without_its_checkpoint_it_is_compared_after_an_interval_too() -> None:
    told = population()
    lead(told, 10, 0.1, 0.2, 0.3, 0.9)
    told.start()
    assert told.report(4, 1, 0.9) == CONTINUE
    assert told.report(4, 10, 0.9) == CONTINUE
    assert told.report(4, 11, 0.9) == STOP


def test_work_that_is_done_once_more_changes_nothing() -> None:
    told = population()
    lead(told, 9, 0.1, 0.2, 0.3, 0.4)
    assert told.report(3, 5, 99.0) == CONTINUE
    assert told.report(3, 9, 99.0) == CONTINUE
    assert told.report(2, 10, 0.35) == CONTINUE, "trial 3 still stands at 0.4"
    assert told.report(3, math.nan, 0.0) == CONTINUE


def test_two_that_are_behind_are_replaced_one_by_one() -> None:
    told = population(quantile_fraction=0.5)
    lead(told, 9, 0.1, 0.2, 0.8, 0.9)
    assert lead(told, 10, 0.1, 0.2, 0.8, 0.9) == [CONTINUE, CONTINUE, STOP, STOP]
    told.start(2)
    assert [start.carried["pbt_replaces"] for start in told.starts[4:] if start.carried] == [2, 3]
    assert {start.checkpoint_trial_id for start in told.starts[4:]} <= {0, 1}
    assert told.scheduler.suggest(6) is NOT_NOW


def test_if_nobody_is_left_to_go_on_from_a_new_one_starts_from_scratch() -> None:
    told = population(size=2)
    lead(told, 9, 0.1, 0.9)
    assert told.report(1, 10, 0.9) == STOP
    told.scheduler.on_trial_error(told.trials[0])
    told.start(2)
    assert [start.checkpoint_trial_id for start in told.starts] == [None] * 4
    assert told.scheduler.suggest(4) is NOT_NOW


@pytest.mark.parametrize("how", ["on_trial_error", "on_trial_remove", "on_trial_complete"])
def test_a_member_that_leaves_makes_room(how: str) -> None:
    told = population()
    method: Callable[..., None] = getattr(told.scheduler, how)
    method(told.trials[1], *([{}] if how == "on_trial_complete" else []))
    told.start()
    assert told.starts[-1] == Start(told.starts[-1].config)
    assert told.scheduler.suggest(5) is NOT_NOW


def test_late_reports_count_as_long_as_the_trial_is_a_member() -> None:
    told = population(size=2)
    lead(told, 9, 0.5, 0.4)
    told.late(1, 9.5, 0.9)
    assert told.report(0, 10, 0.5) == CONTINUE
    assert told.report(1, 10, 0.9) == STOP
    told.late(1, 11, 0.0)
    told.start()
    assert told.starts[-1].checkpoint_trial_id == 0


def test_a_place_is_filled_though_what_was_proposed_never_came() -> None:
    told = population()
    lead(told, 10, 0.1, 0.2, 0.3, 0.9)
    for _ in range(3):
        told.scheduler.suggest(4)
    # a tuner that was killed before its journal: another launch took place instead
    told.launch(Start({"lr": 1e-3, "momentum": 0.5, "epochs": 100}))
    assert told.scheduler.suggest(5) is NOT_NOW


def test_failed_configurations_are_not_explored_again() -> None:
    space = {"n": randint(1, 3), "kind": choice(["a", "b"])}
    told = population(size=2, config_space=space, points_to_evaluate=[{"n": 2, "kind": "a"}, {"n": 2, "kind": "b"}])
    lead(told, 9, 0.1, 0.9)
    assert told.report(1, 10, 0.9) == STOP
    failed: set[tuple[int, str]] = set()
    for _ in range(3):
        trial_id = told.start()
        config = told.trials[trial_id].config
        assert (config["n"], config["kind"]) not in failed
        failed.add((config["n"], config["kind"]))
        told.scheduler.on_trial_error(told.trials[trial_id])


def test_when_everything_has_failed_it_is_exhausted() -> None:
    told = population(size=2, config_space={"n": randint(1, 2)}, points_to_evaluate=[{"n": 1}, {"n": 2}])
    told.scheduler.on_trial_error(told.trials[0])
    assert isinstance(told.scheduler.suggest(2), Start)
    told.scheduler.on_trial_error(told.trials[1])
    assert told.scheduler.suggest(2) is None


def test_points_to_evaluate_are_the_first_members_whatever_the_numbers_of_trials() -> None:
    points = [{"momentum": (n + 1) / 10} for n in range(6)]
    told = population(points_to_evaluate=points)
    lead(told, 10, 0.1, 0.2, 0.3, 0.9)
    told.start()
    for trial_id in (1, 2):
        told.ends(trial_id, 11, 0.1)
    told.start(2)
    fresh = [start.config["momentum"] for start in told.starts if start.checkpoint_trial_id is None]
    assert fresh == [pytest.approx(point["momentum"]) for point in points]


# -- exploring ---------------------------------------------------------------------------------------------------------


def test_a_function_of_ones_own_explores() -> None:
    def double(config: dict[str, Any]) -> dict[str, Any]:
        config["lr"] *= 2
        return {**config, "momentum": config["momentum"] + 1}

    told = population(custom_explore_fn=double)
    before = dict(told.trials[0].config)
    lead(told, 10, 0.1, 0.2, 0.3, 0.9)
    told.start()
    assert told.trials[0].config == before
    assert told.starts[-1].config["lr"] == pytest.approx(min(0.1, 2 * before["lr"]))
    assert told.starts[-1].config["momentum"] == 1.0


def test_a_function_that_leaves_something_out_is_named() -> None:
    told = population(custom_explore_fn=lambda config: {"lr": config["lr"]})
    lead(told, 10, 0.1, 0.2, 0.3, 0.9)
    with pytest.raises(OptionError, match="custom_explore_fn returned a configuration without 'momentum'"):
        told.scheduler.suggest(4)


def test_without_resampling_a_successor_is_a_step_away() -> None:
    told = population(resample_probability=0.0)
    lead(told, 10, 0.1, 0.2, 0.3, 0.9)
    parent = told.trials[0].config
    for trial_id in range(4, 50):
        start = told.scheduler.suggest(trial_id)
        assert isinstance(start, Start)
        assert start.config["lr"] / parent["lr"] in (pytest.approx(0.8), pytest.approx(1.2))


def test_it_logs_how_a_configuration_came_about(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "cloudtune.schedulers"):
        told = population(size=2)
        lead(told, 10, 0.1, 0.9)
        told.start()
        told = population(size=2, log_config=False)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 3
    assert said[0].startswith("trial 0 starts from scratch: {'lr'")
    assert said[2].startswith("trial 2 goes on from trial 0, in place of trial 1: {'lr'")


# -- what it is good for -----------------------------------------------------------------------------------------------


@dataclass
class Weights:
    """What a checkpoint holds: the error, and how many steps were done."""

    error: float = 100.0
    steps: int = 0

    def step(self, lr: float) -> None:
        """Gradient descent on a quadratic with noise, in expectation: large steps end early on a high floor."""
        self.error = (1 - lr) ** 2 * self.error + lr**2
        self.steps += 1


def trained(scheduler: PopulationBasedTraining, steps: int, workers: int = 8) -> float:
    """The lowest error when each worker has done one training's work."""
    told = Told(scheduler)
    weights: list[Weights] = []
    running: deque[int] = deque()
    finished: list[int] = []
    for _ in range(steps * workers):
        while len(running) < workers:
            told.start()
            parent = told.starts[-1].checkpoint_trial_id
            weights.append(Weights() if parent is None else replace(weights[parent]))
            running.append(len(weights) - 1)
        trial_id = running.popleft()
        weights[trial_id].step(told.trials[trial_id].config["lr"])
        if told.report(trial_id, weights[trial_id].steps, weights[trial_id].error) == CONTINUE:
            running.append(trial_id)
        elif weights[trial_id].steps == steps:
            finished.append(trial_id)
    return min(weights[trial_id].error for trial_id in [*running, *finished])


def test_a_population_finds_a_schedule_that_no_constant_is_as_good_as() -> None:
    steps, space = 100, {"lr": loguniform(1e-3, 1.0)}

    def pbt(seed: int, fraction: float) -> float:
        scheduler = PopulationBasedTraining(
            space,
            "loss",
            "epoch",
            max_t=steps,
            population_size=8,
            perturbation_interval=5,
            quantile_fraction=fraction,
            random_seed=seed,
        )
        return trained(scheduler, steps)

    constant = []
    for lr in (10 ** (-3 + number / 100) for number in range(301)):
        weights = Weights()
        for _ in range(steps):
            weights.step(lr)
        constant.append(weights.error)
    for seed in range(5):
        random_search, population_based = pbt(seed, 0.0), pbt(seed, 0.25)
        assert population_based < 0.8 * min(constant)
        assert population_based < 0.8 * random_search


# -- arguments ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"population_size": 1}, "population_size=1"),
        ({"population_size": 2.5}, "population_size=2.5"),
        ({"perturbation_interval": 0}, "perturbation_interval is 0"),
        ({"perturbation_interval": -1}, "perturbation_interval=-1"),
        ({"perturbation_interval": math.inf}, "perturbation_interval=inf"),
        ({"max_t": 50}, "perturbation_interval=60, and trials end at 50"),
        ({"max_t": 5, "perturbation_interval": 5}, "perturbation_interval=5, and trials end at 5"),
        ({"quantile_fraction": 0.6}, "quantile_fraction=0.6"),
        ({"quantile_fraction": "half"}, "quantile_fraction='half'"),
        ({"resample_probability": 1.1}, "resample_probability=1.1"),
        ({"resample_probability": math.nan}, "resample_probability=nan"),
        ({"custom_explore_fn": 3}, "custom_explore_fn=3"),
        ({"log_config": 1}, "log_config=1"),
        ({"max_t": 0}, "max_t"),
        ({"max_resource_attr": "epoch"}, "did you mean 'epochs'"),
        ({"mode": "mix"}, "mode is 'mix'"),
        ({"metric": "epoch"}, "metric and resource_attr are both 'epoch'"),
        ({"resource_attr": ""}, "resource_attr is ''"),
        ({"searcher": "bayesopt"}, "a population begins with random configurations"),
        ({"perturbation_intervall": 5}, "did you mean 'perturbation_interval'"),
        ({"random_seed": -1}, "random_seed is -1"),
    ],
)
def test_bad_arguments_are_refused(arguments: Mapping[str, Any], said: str) -> None:
    given: dict[str, Any] = {"config_space": SPACE, "metric": "loss", "resource_attr": "epoch", **arguments}
    with pytest.raises(OptionError, match=said):
        PopulationBasedTraining(**given)


def test_an_impossible_space_is_refused() -> None:
    with pytest.raises(ConfigSpaceError):
        PopulationBasedTraining({"lr": object()}, "loss", "epoch")


def test_what_it_says_about_itself() -> None:
    said = PopulationBasedTraining(SPACE, "loss", "epoch", mode="max", random_seed=3).metadata()
    assert said == {
        "metric_names": ["loss"],
        "metric_mode": "max",
        "scheduler_name": "PopulationBasedTraining",
        "random_seed": 3,
        "resource_attr": "epoch",
        "max_resource_attr": None,
        "max_resource_level": 100,
        "population_size": 4,
        "perturbation_interval": 60,
        "quantile_fraction": 0.25,
        "resample_probability": 0.25,
    }
    assert json.loads(json.dumps(said)) == said
