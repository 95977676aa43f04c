"""Ask and tell without a tuner: any order, any searcher, and a state as text that goes on as the original would."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudtune.errors import ConfigSpaceError, MetricError, OptionError
from cloudtune.searchers import RandomSearcher, Searcher
from cloudtune.searchers.ask_tell import AskedTrial, AskTell
from cloudtune.searchers.factory import MODULES
from cloudtune.searchers.problem import SearchProblem
from cloudtune.space import choice, config_to_match_string, finrange, loguniform, randint, uniform
from cloudtune.trial import Config, Metrics, Status

SPACE: dict[str, Any] = {
    "lr": loguniform(1e-5, 1e-1),
    "layers": randint(1, 8),
    "activation": choice(["relu", "tanh", "gelu"]),
    "limits": {"epochs": 9},
}
FINITE: dict[str, Any] = {"a": randint(0, 3), "b": choice(["x", "y", "z"]), "c": finrange(0.1, 0.3, 3), "epochs": 9}
FINITE_SIZE = 36


class Counting(Searcher):
    """Hands on a number from fit to fit, and lets everything it is told decide over what it proposes."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.handed_on = 0.0
        self.fits = 0
        self.problem: SearchProblem | None = None

    def check_fits(self, problem: SearchProblem) -> None:
        self.problem = problem

    def suggest(self, trial_id: int) -> Config | None:
        self.fits += 1
        text = json.dumps([self.told, self.handed_on, trial_id])
        return {"x": sum(map(ord, text)) % 997 / 997}

    def carried(self, trial_id: int) -> Mapping[str, Any] | None:
        return {"number": (self.handed_on + math.pi, trial_id)} if trial_id % 2 else None

    def on_carried(self, trial_id: int, carried: Mapping[str, Any]) -> None:
        assert carried["number"][1] == trial_id
        assert isinstance(carried["number"], list), "as JSON has it, live as well"
        self.handed_on = carried["number"][0]

    def on_trial_add(self, trial_id: int, config: Config) -> None:
        self.told.append(["added", trial_id, dict(config)])

    def register_pending(self, trial_id: int, resource: int | None = None) -> None:
        self.told.append(["pending", trial_id, resource])

    def on_result(self, trial_id: int, config: Config, result: Metrics, update: bool) -> None:
        self.told.append(["result", trial_id, dict(config), dict(result), update])

    def cleanup_pending(self, trial_id: int) -> None:
        self.told.append(["no longer pending", trial_id])

    def on_trial_error(self, trial_id: int) -> None:
        self.told.append(["failed", trial_id])


def random_search(space: Mapping[str, Any] = SPACE, **options: Any) -> AskTell:
    return AskTell(space, metric="loss", **{"searcher": "random", "random_seed": 1, **options})


def asked(experiment: AskTell) -> AskedTrial:
    trial = experiment.ask()
    assert trial is not None
    return trial


# -- asking --------------------------------------------------------------------------------------------------------


def test_trials_are_numbered_and_complete() -> None:
    experiment = random_search()
    trials = [asked(experiment) for _ in range(5)]
    assert [trial.trial_id for trial in trials] == [0, 1, 2, 3, 4]
    assert all(list(trial.config) == list(SPACE) for trial in trials)
    assert experiment.trials == tuple(trials)


def test_points_come_first() -> None:
    points = [{"layers": 2}, {"layers": 5}]
    assert [trial.config["layers"] for trial in random_search(points_to_evaluate=points).ask(2)] == [2, 5]


def test_a_batch_is_as_many_single_asks() -> None:
    one_by_one = random_search()
    assert random_search().ask(4) == [asked(one_by_one) for _ in range(4)]


@pytest.mark.parametrize("n", [0, -1, 2.0, True, "3"])
def test_a_batch_is_a_number_of_trials(n: Any) -> None:
    with pytest.raises(OptionError, match="n="):
        random_search().ask(n)


def test_a_finite_space_ends_with_none_and_with_a_short_batch() -> None:
    experiment = random_search(FINITE)
    batch = experiment.ask(FINITE_SIZE + 3)
    assert len({config_to_match_string(trial.config, FINITE) for trial in batch}) == FINITE_SIZE
    assert experiment.ask() is None
    assert experiment.ask(2) == []


def test_same_seed_same_proposals_and_a_drawn_seed_can_be_read() -> None:
    drawn = random_search(random_seed=None)
    assert random_search(random_seed=drawn.random_seed).ask(3) == drawn.ask(3)


# -- telling -------------------------------------------------------------------------------------------------------


def test_a_searcher_learns_what_happened_in_its_order() -> None:
    searcher = Counting()
    experiment = AskTell({"x": uniform(0, 1)}, "loss", searcher=searcher)
    first, second = experiment.ask(2)
    experiment.tell(second.trial_id, {"loss": 0.5, "seconds": 3})
    experiment.tell_failed(first.trial_id)
    assert searcher.told == [
        ["added", 0, first.config],
        ["pending", 0, None],
        ["added", 1, second.config],
        ["pending", 1, None],
        ["result", 1, second.config, {"loss": 0.5, "seconds": 3}, True],
        ["no longer pending", 1],
        ["failed", 0],
    ]


def test_a_trial_shows_what_became_of_it() -> None:
    experiment = random_search()
    experiment.ask(3)
    experiment.tell(0, 2)
    experiment.tell_failed(1)
    assert [trial.status for trial in experiment.trials] == [Status.completed, Status.failed, Status.in_progress]
    assert [trial.metrics for trial in experiment.trials] == [{"loss": 2}, None, None]


@pytest.mark.parametrize("trial_id", [2, -1, "0", 0.0, True, None])
def test_an_unknown_trial_is_an_error(trial_id: Any) -> None:
    experiment = random_search()
    experiment.ask(2)
    with pytest.raises(OptionError, match="asked for so far: 0 to 1"):
        experiment.tell(trial_id, 1.0)
    with pytest.raises(OptionError, match="asked for so far: 0 to 1"):
        experiment.tell_failed(trial_id)


def test_every_trial_is_told_about_once() -> None:
    experiment = random_search()
    experiment.ask(2)
    experiment.tell(0, 1.0)
    experiment.tell_failed(1)
    for trial_id, state in ((0, "has its result"), (1, "has failed")):
        with pytest.raises(OptionError, match=state):
            experiment.tell(trial_id, 1.0)
        with pytest.raises(OptionError, match=state):
            experiment.tell_failed(trial_id)


@pytest.mark.parametrize("result", ["0.5", None, True, [0.5], {"loss": "low"}, {"loss": None}, {"lose": 1.0}, {}])
def test_a_result_without_a_number_is_an_error_that_changes_nothing(result: Any) -> None:
    experiment = random_search()
    experiment.ask()
    before = experiment.to_json()
    with pytest.raises(MetricError, match="loss"):
        experiment.tell(0, result)
    assert experiment.to_json() == before


def test_numbers_of_numpy_are_numbers() -> None:
    experiment = random_search()
    experiment.ask(2)
    number, value = np.array([0])[0], np.array([0.5], np.float32)[0]
    experiment.tell(number, value)
    experiment.tell(1, {"loss": np.float64(0.25), "epochs": np.int32(3)})
    assert [trial.metrics for trial in AskTell.from_json(experiment.to_json()).trials] == [
        {"loss": 0.5},
        {"loss": 0.25, "epochs": 3},
    ]


def test_what_is_told_beside_the_metric_must_fit_into_a_state() -> None:
    experiment = random_search()
    experiment.ask()
    with pytest.raises(MetricError, match="model"):
        experiment.tell(0, {"loss": 1.0, "model": object()})


# -- the best ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "best"), [("min", 3), ("max", 1)])
def test_the_best_is_finite_and_the_first_of_several(mode: str, best: int) -> None:
    experiment = random_search(mode=mode)
    experiment.ask(8)
    assert experiment.best() is None
    experiment.tell_failed(7)
    for trial_id, value in enumerate([math.nan, 2.0, 2.0, 1.0, 1.0, math.inf, -math.inf]):
        experiment.tell(trial_id, value)
    assert experiment.best() == experiment.trials[best]


# -- arguments -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"mode": "minimum"}, "mode"),
        ({"searcher": "randon"}, "random"),
        ({"searcher": 3}, "searcher"),
        ({"search_options": {"debug_logs": True}}, "debug_log"),
        ({"search_options": ["debug_log"]}, "search_options"),
        ({"random_seed": -1}, "random_seed"),
        ({"sercher": "random"}, "searcher"),
        ({"searcher": Counting(), "points_to_evaluate": [{}]}, "points_to_evaluate"),
        ({"searcher": Counting(), "search_options": {"debug_log": True}}, "search_options"),
    ],
)
def test_a_wrong_argument_is_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises(OptionError, match=named):
        random_search(**options)


def test_the_metric_has_a_name_and_the_space_is_checked() -> None:
    with pytest.raises(OptionError, match="metric"):
        AskTell(SPACE, metric="", searcher="random")
    with pytest.raises(ConfigSpaceError):
        AskTell({1: uniform(0, 1)}, searcher="random")  # type: ignore[dict-item]


def test_a_searcher_is_asked_whether_it_fits() -> None:
    searcher = Counting()
    AskTell({"x": uniform(0, 1)}, "loss", "max", searcher)
    assert searcher.problem is not None
    assert (searcher.problem.metric, searcher.problem.mode) == ("loss", "max")
    assert searcher.problem.resource_attr is None


# -- the state -----------------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.one_of(
        st.just(("ask", 0.0)),
        st.tuples(st.just("tell"), st.floats()),
        st.tuples(st.just("fail"), st.just(0.0)),
    ),
    max_size=25,
)


def step(experiment: AskTell, kind: str, value: float, which: int) -> None:
    """Asks, or tells of one of the trials under way."""
    under_way = [trial.trial_id for trial in experiment.trials if trial.status is Status.in_progress]
    if kind == "ask" or not under_way:
        experiment.ask()
        return
    trial_id = under_way[which % len(under_way)]
    if kind == "tell":
        experiment.tell(trial_id, value)
    else:
        experiment.tell_failed(trial_id)


@settings(max_examples=60, deadline=None)
@given(STEPS, st.integers(0, 2**32), st.sampled_from(["min", "max"]), st.integers(0, 40))
def test_after_a_round_trip_at_every_step_it_goes_on_the_same(
    steps: list[tuple[str, float]], seed: int, mode: str, which: int
) -> None:
    kept = random_search(FINITE, random_seed=seed, mode=mode, search_options={"allow_duplicates": True})
    restored = AskTell.from_json(kept.to_json())
    for number, (kind, value) in enumerate(steps):
        restored = AskTell.from_json(restored.to_json())
        step(kept, kind, value, which + number)
        step(restored, kind, value, which + number)
        assert restored.to_json() == kept.to_json()
    assert repr(restored.best()) == repr(kept.best())
    assert restored.ask(3) == kept.ask(3)


@settings(max_examples=30, deadline=None)
@given(STEPS)
def test_what_a_model_hands_on_survives_and_nothing_is_computed_again(steps: list[tuple[str, float]]) -> None:
    kept = AskTell({"x": uniform(0, 1)}, searcher=Counting(), random_seed=0)
    for number, (kind, value) in enumerate(steps):
        step(kept, kind, value, number)
    fresh = Counting()
    restored = AskTell.from_json(kept.to_json(), searcher=fresh)
    assert fresh.fits == 0
    assert repr(fresh.told) == repr(kept.searcher.told)  # type: ignore[attr-defined]
    assert restored.ask(3) == kept.ask(3)


THERE = [name for name, module in MODULES.items() if find_spec(f"cloudtune.searchers.{module}") is not None]
NEEDS = {"bayesopt_constrained": {"constraint_attr": "size"}, "bayesopt_cost": {"cost_attr": "seconds"}}
"""Options that searchers don't do without."""


@pytest.mark.parametrize("name", THERE)
def test_every_searcher_goes_on_the_same_after_a_round_trip(name: str) -> None:
    """With two trials under way, a failed one, and one that diverged."""
    space = {"lr": loguniform(1e-5, 1e-1), "layers": randint(1, 8), "activation": choice(["relu", "tanh"])}
    kept = AskTell(space, "loss", searcher=name, search_options=NEEDS.get(name), random_seed=3)
    restored = AskTell.from_json(kept.to_json())
    for number in range(14):
        for experiment in (kept, restored):
            trial = asked(experiment)
            value = math.nan if number == 5 else abs(math.log10(trial.config["lr"]) + 3) + trial.config["layers"]
            if number == 4:
                experiment.tell_failed(number)
            elif number not in (9, 11):
                experiment.tell(number, {"loss": value, "seconds": 1.0 + number, "size": value - 5})
        assert restored.to_json() == kept.to_json()
        if number % 4 == 3:
            restored = AskTell.from_json(restored.to_json())
    assert restored.ask(2) == kept.ask(2)


def test_a_searcher_object_is_given_again() -> None:
    by_object = AskTell(SPACE, searcher=RandomSearcher(SPACE, random_seed=5), random_seed=0)
    with pytest.raises(OptionError, match="searcher"):
        AskTell.from_json(by_object.to_json())
    with pytest.raises(OptionError, match="searcher"):
        AskTell.from_json(random_search().to_json(), searcher=RandomSearcher(SPACE))


def test_a_state_is_copied_not_shared() -> None:
    experiment = random_search()
    trial = asked(experiment)
    before = experiment.to_json()
    assert isinstance(trial.config, dict)
    trial.config["lr"] = 7.0
    assert experiment.to_json() == before


def test_numbers_of_numpy_may_be_among_points_and_options() -> None:
    points = [{"layers": np.array([3])[0]}]
    options = {"restrict_configurations": [{"layers": np.array([n])[0]} for n in (2, 3)]}
    kept = random_search(points_to_evaluate=points, search_options=options)
    assert AskTell.from_json(kept.to_json()).ask(3) == kept.ask(3)


def test_an_option_that_is_no_json_is_named_when_the_state_is_written() -> None:
    experiment = random_search()
    experiment._search_options = {"surrogate": object()}
    with pytest.raises(OptionError, match="object"):
        experiment.to_json()


@pytest.mark.parametrize("text", ["", "[]", "{}", "3", '{"version": 2}', '{"version": 1}', None])
def test_a_text_that_is_no_state_is_refused(text: Any) -> None:
    with pytest.raises(OptionError, match="state"):
        AskTell.from_json(text)
