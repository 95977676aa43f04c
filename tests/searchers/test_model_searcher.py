"""When a model is asked, what it is told, and what becomes of its proposals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from cloudtune.errors import OptionError
from cloudtune.searchers.encoded_trials import EncodedTrials
from cloudtune.searchers.model_searcher import ModelSearcher, ModelUse, check_share
from cloudtune.searchers.observations import TrainingSet
from cloudtune.searchers.problem import SearchProblem
from cloudtune.searchers.random_searcher import RandomSearcher
from cloudtune.space import UnitCube, randint, uniform
from cloudtune.trial import Config
from tests.searchers.learning import problem
from tests.searchers.test_random_searcher import launch

SPACE: dict[str, Any] = {"x": uniform(0, 1), "n": randint(0, 9), "epochs": 9}


class Constant:
    """Proposes the same list over and over, and writes down what it was told."""

    def __init__(self, *values: int) -> None:
        self.values = values
        self.data: list[TrainingSet] = []
        self.pending: list[list[float]] = []

    def proposals(
        self, data: TrainingSet, pending: tuple[Config, ...], random_state: np.random.Generator
    ) -> Iterator[Config]:
        self.data.append(data)
        self.pending.append([config["n"] for config in pending])
        for value in self.values:
            yield {"x": 0.25, "n": value, "epochs": 9}


def made(model: Constant, use: ModelUse, resource: str | None = None, **options: Any) -> ModelSearcher:
    of = problem(SPACE, 5, resource=resource)
    return ModelSearcher(of, RandomSearcher(SPACE, [], 5, **options), model, use, "constant")


def report(searcher: ModelSearcher, trial_id: int, loss: float, epoch: int = 1) -> None:
    config = searcher.observations.config(trial_id)
    searcher.on_result(trial_id, config, {"loss": loss, "epoch": epoch}, update=True)


def test_until_there_is_enough_proposals_are_those_of_random_search() -> None:
    searcher = made(Constant(1), ModelUse(least=3))
    random = launch(RandomSearcher(SPACE, [], 5), 9)
    assert launch(searcher, 5) == random[:5]
    for trial_id in (4, 1):
        report(searcher, trial_id, 1.0)
        assert searcher.suggest(5) == random[5]
    report(searcher, 0, 1.0)
    assert searcher.suggest(5) == {"x": 0.25, "n": 1, "epochs": 9}


def test_points_and_the_first_trials_are_no_business_of_the_model() -> None:
    searcher = made(Constant(1), ModelUse(num_init_random=3))
    launch(searcher, 1)
    report(searcher, 0, 1.0)
    random = RandomSearcher(SPACE, [], 5)
    assert searcher.suggest(2) == random.suggest(2)
    assert searcher.suggest(3) != random.suggest(3)
    of = problem(SPACE, 5)
    points = RandomSearcher(SPACE, [{"n": 1}, {"n": 2}], 5)
    searcher = ModelSearcher(of, points, Constant(3), ModelUse(), "constant")
    launch(searcher, 1)
    report(searcher, 0, 1.0)
    assert [(searcher.suggest(trial_id) or {})["n"] for trial_id in (1, 2)] == [2, 3]


def test_the_first_proposal_that_was_not_launched_is_taken_and_else_a_random_one() -> None:
    searcher = made(Constant(3, 4), ModelUse())
    launch(searcher, 1)
    report(searcher, 0, 1.0)
    assert [config["n"] for config in launch(searcher, 2, start=1)] == [3, 4]
    assert searcher.suggest(3) == RandomSearcher(SPACE, [], 5).suggest(3)


def test_with_duplicates_the_model_may_repeat_itself_but_not_what_failed() -> None:
    searcher = made(Constant(3, 4), ModelUse(), allow_duplicates=True)
    launch(searcher, 1)
    report(searcher, 0, 1.0)
    assert [config["n"] for config in launch(searcher, 3, start=1)] == [3, 3, 3]
    searcher.on_trial_error(2)
    assert [config["n"] for config in launch(searcher, 2, start=4)] == [4, 4]


def test_a_share_of_the_proposals_is_random() -> None:
    searcher = made(Constant(3), ModelUse(random_fraction=0.25))
    launch(searcher, 1)
    report(searcher, 0, 1.0)
    proposals = [searcher.suggest(trial_id) for trial_id in range(1, 1001)]
    assert sum(proposal == {"x": 0.25, "n": 3, "epochs": 9} for proposal in proposals) == pytest.approx(750, abs=50)


def test_it_learns_at_the_highest_resource_with_enough_and_hears_who_is_still_to_report_there() -> None:
    model = Constant(3)
    searcher = made(model, ModelUse(least=2), "epoch")
    configs = launch(searcher, 4)
    for trial_id in range(4):
        searcher.register_pending(trial_id, 1)
    for trial_id in (0, 1, 2):
        report(searcher, trial_id, trial_id / 10)
        searcher.register_pending(trial_id, 3)
    searcher.suggest(4)
    assert (model.data[-1].resource, model.data[-1].trial_ids) == (1, (0, 1, 2))
    assert model.pending[-1] == [configs[3]["n"]]
    for trial_id in (0, 1):
        report(searcher, trial_id, trial_id / 10, epoch=3)
    searcher.suggest(4)
    assert (model.data[-1].resource, model.data[-1].trial_ids) == (3, (0, 1))
    assert model.pending[-1] == [configs[2]["n"], configs[3]["n"]]
    searcher.on_trial_error(3)
    searcher.suggest(4)
    assert model.pending[-1] == [configs[2]["n"]]


def test_maximizing_is_minimizing_the_negative() -> None:
    models = Constant(3), Constant(3)
    for model, mode, sign in zip(models, ("min", "max"), (1.0, -1.0), strict=True):
        of = SearchProblem(SPACE, [], 5, ("loss",), (mode,))  # type: ignore[arg-type]
        searcher = ModelSearcher(of, RandomSearcher(SPACE, [], 5), model, ModelUse(), "constant")
        launch(searcher, 1)
        report(searcher, 0, sign * 2.5)
        searcher.suggest(1)
    assert models[0].data[0].targets.tolist() == models[1].data[0].targets.tolist() == [2.5]


def test_a_searcher_for_another_problem_is_refused() -> None:
    searcher = made(Constant(3), ModelUse())
    searcher.check_fits(problem(SPACE))
    with pytest.raises(OptionError, match="mode is 'max', its constant's 'min'"):
        searcher.check_fits(problem(SPACE, mode="max"))
    with pytest.raises(OptionError, match="space"):
        searcher.check_fits(problem({"y": uniform(0, 1)}))
    with pytest.raises(OptionError, match="several metrics"):
        two = SearchProblem(SPACE, None, 0, ("loss", "time"), ("min", "min"))
        ModelSearcher(two, RandomSearcher(SPACE), Constant(3), ModelUse(), "constant")


@pytest.mark.parametrize("value", [-0.1, 1.5, True, "0.5", float("nan")])
def test_a_share_is_a_number_from_0_to_1(value: object) -> None:
    check_share("random_fraction", 0.5)
    with pytest.raises(OptionError, match="random_fraction"):
        check_share("random_fraction", value)


def test_trials_are_encoded_once_and_anew_if_they_are_others() -> None:
    cube = UnitCube(SPACE)
    trials = EncodedTrials(cube)
    configs = cube.sample(np.random.default_rng(0), 5)
    for numbers in ((0, 1, 2), (4, 1, 3), (), (3, 2, 1, 0)):
        data = TrainingSet(numbers, tuple(configs[number] for number in numbers), np.zeros(len(numbers)))
        assert trials.points(data).tolist() == cube.encode([configs[number] for number in numbers]).tolist()
    other = TrainingSet((0,), (configs[4],), np.zeros(1))
    assert trials.points(other).tolist() == cube.encode([configs[4]]).tolist()
