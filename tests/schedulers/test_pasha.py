"""PASHA, worked by hand: how far trials may go, and when two results count as equally good."""

from __future__ import annotations

import logging
import math
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtune.errors import OptionError
from cloudtune.schedulers import Action, HyperbandScheduler, Resume
from cloudtune.schedulers.pasha import Noise, PashaOptions, PashaRule, Ranking
from cloudtune.space import loguniform, uniform
from cloudtune.testing.mini_tuner import MiniTuner
from cloudtune.trial import Config
from tests.schedulers.bench import Bench

SPACE: dict[str, Any] = {"x": uniform(0, 1), "epochs": 27}


def pasha(**options: Any) -> Bench:
    options = {"max_resource_attr": "epochs", "random_seed": 0, **options}
    return Bench(HyperbandScheduler(SPACE, "loss", type="pasha", **options))


def fixed(epsilon: float) -> Bench:
    return pasha(rung_system_kwargs={"ranking_criterion": "soft_ranking", "epsilon": epsilon})


def next_up(bench: Bench) -> int | None:
    suggestion = bench.scheduler.suggest(len(bench.trials))
    return suggestion.trial_id if isinstance(suggestion, Resume) else None


def top(bench: Bench) -> int:
    rule = bench.scheduler.rung_rule()
    assert isinstance(rule, PashaRule)
    return rule.top_level


# -- how far -----------------------------------------------------------------------------------------------------------


def at_rung_3(bench: Bench, *losses: float) -> None:
    """Seven trials at rung 1 with 1, 2, … 7, of which a third goes on; these come to rung 3."""
    bench.run(1, *[float(n) for n in range(1, 8)])
    assert [bench.resume() for _ in range(3)] == [0, 1, 2]  # within 3
    for trial_id, loss in enumerate(losses):
        assert bench.action(trial_id, 3, loss) is Action.PAUSE


def test_a_worked_sequence(caplog: pytest.LogCaptureFixture) -> None:
    bench = fixed(0.5)
    at_rung_3(bench, 0.9, 1.8)
    # at rung 1: 1 2; at rung 3: 0.9 1.8. The same order: 3 epochs are enough
    assert top(bench) == 3
    assert next_up(bench) is None  # successive halving would resume trial 0: 0.9 is within 1.2
    with caplog.at_level(logging.INFO, "cloudtune.schedulers"):
        assert bench.action(2, 3, 0.5) is Action.PAUSE
    # by rung 3 the order is 2 0 1, with 3 1 2 at rung 1 where 1 2 3 was expected: they differ by 2 1 1
    assert top(bench) == 9
    assert "trials rank differently at 3 than at 1 (ε 0.5): going on to 9" in caplog.text
    # [0.5 0.9 1.8]: two thirds of the way from 0.5 to 0.9
    assert bench.resume() == 2
    assert bench.trials[2].config["epochs"] == 9
    assert next_up(bench) is None


def test_differences_of_epsilon_are_none() -> None:
    bench = fixed(2.0)
    at_rung_3(bench, 0.9, 1.8, 0.5)
    assert top(bench) == 3
    assert next_up(bench) is None
    stricter = fixed(1.99)
    at_rung_3(stricter, 0.9, 1.8, 0.5)
    assert top(stricter) == 9


def test_a_tie_contradicts_no_order() -> None:
    bench = fixed(0.0)
    at_rung_3(bench, 0.7, 0.7, 0.7)
    assert top(bench) == 3


def test_it_grows_up_to_the_maximum_and_then_is_successive_halving() -> None:
    bench = fixed(0.0)
    at_rung_3(bench, 3.0, 2.0, 1.0)
    assert top(bench) == 9
    assert bench.resume() == 2  # [1 2 3]: 1 is within 1.667
    assert bench.action(2, 9, 1.0) is Action.PAUSE
    bench.run(1, 0.1)
    assert bench.resume() == 7
    assert bench.action(7, 3, 0.5) is Action.PAUSE
    assert bench.resume() == 7  # [0.5 1 2 3]: within 1
    assert bench.action(7, 9, 2.0) is Action.PAUSE
    # trial 7 is ahead of trial 2 at rung 3, and behind at rung 9
    assert top(bench) == 27
    assert bench.resume() == 2
    assert bench.trials[2].config["epochs"] == 27
    assert bench.action(2, 27, 1.0) is Action.CONTINUE


def test_diverged_trials_rank_last_at_both_rungs() -> None:
    bench = fixed(0.0)
    bench.run(1, 1.0, 2.0, 3.0, *[9.0] * 4)
    assert [bench.resume(), bench.resume()] == [0, 1]  # within 3
    bench.action(0, 3, 1.0)
    bench.action(1, 3, math.nan)
    assert top(bench) == 3
    assert bench.resume() == 2
    bench.action(2, 3, 2.0)  # 0 2 1: trial 1 was second, and is last now
    assert top(bench) == 9


def test_separate_brackets_grow_by_themselves() -> None:
    bench = pasha(brackets=2, rung_system_per_bracket=True)
    rules = [bench.scheduler.rung_rule(bracket) for bracket in (0, 1)]
    assert [rule.top_level for rule in rules if isinstance(rule, PashaRule)] == [3, 9]


# -- epsilon -----------------------------------------------------------------------------------------------------------


def test_noise_is_what_trials_that_criss_cross_differ_by() -> None:
    noise = Noise()
    # epoch 1 2, and 3, the rung
    noise.add({1: 1.0, 2: 3.0}, 1.0)
    assert noise.level() == 0.0
    noise.add({1: 2.0, 2: 2.0}, 2.0)
    # the first is ahead, behind, ahead: they differ by 1 at the rung
    assert noise.level() == 1.0
    noise.add({1: 0.0, 2: 0.0}, 0.0)  # ahead of both all the time
    noise.add({1: 9.0, 2: 9.0}, 0.5)  # behind, then ahead: crosses once
    assert noise.level() == 1.0
    # against the first: behind, ahead, behind by 3; the second: behind, ahead, behind by 2; others: never ahead twice
    noise.add({1: 5.0, 2: 1.0}, 4.0)
    # nine tenths of the way through 1 2 3: 2.8; and against the fourth: ahead, ahead, behind
    assert noise.level() == pytest.approx(2.8)


def test_resources_that_only_one_has_reported_tell_nothing() -> None:
    noise = Noise()
    noise.add({1: 1.0}, 1.0)
    noise.add({1: 2.0, 2: 0.0}, 2.0)
    noise.add({}, 3.0)
    noise.add({1: math.inf, 2: 0.0}, math.inf)
    assert noise.level() == 0.0


CURVES = st.lists(st.lists(st.integers(-3, 3), min_size=4, max_size=4), max_size=12)


@given(CURVES)
def test_noise_against_all_pairs_and_triples(curves: list[list[int]]) -> None:
    noise = Noise()
    for curve in curves:
        noise.add({epoch: float(key) for epoch, key in enumerate(curve[:-1], 1)}, float(curve[-1]))
    distances = []
    for one, other in combinations(curves, 2):
        signs = [np.sign(a - b) for a, b in zip(one, other, strict=True)]
        j = len(signs) - 1
        if signs[j] and any(signs[k] == -signs[j] and signs[i] == signs[j] for k in range(j) for i in range(k)):
            distances.append(abs(one[j] - other[j]))
    expected = float(np.percentile(distances, 90)) if distances else 0.0
    assert noise.level() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("criterion", "expected"),
    [
        # results 1 2 4 8: mean 3.75, squares of deviations 7.5625 + 3.0625 + 0.0625 + 18.0625 = 28.75
        ("soft_ranking_std", math.sqrt(28.75 / 4)),
        # distances 1 3 7 2 6 4
        ("soft_ranking_mean_dst", 23 / 6),
        ("soft_ranking_median_dst", 3.5),
    ],
)
def test_other_estimates_look_at_the_rung_below(criterion: Any, expected: float) -> None:
    ranking = Ranking(PashaOptions(criterion, epsilon_scaling=2.0))
    for below in (1.0, 2.0, 4.0, math.inf, 8.0):
        ranking.add(below, 0.0, {})
    ranking.is_stable()
    assert ranking.epsilon == pytest.approx(2 * expected)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12), st.integers(0, 4))
def test_soft_ranking_against_lists_of_lists(results: list[tuple[int, int]], epsilon: int) -> None:
    """The paper's form: each rank has the set of trials that may have it."""
    ranking = Ranking(PashaOptions("soft_ranking", epsilon=float(epsilon)))
    for below, here in results:
        ranking.add(float(below), float(here), {})
    expected = [
        {trial for trial, (other, _) in enumerate(results) if abs(other - below) <= epsilon}
        for below, _ in sorted(results)
    ]
    order = sorted(range(len(results)), key=lambda trial: (results[trial][1], results[trial][0]))
    stable = all(trial in allowed for trial, allowed in zip(order, expected, strict=True))
    assert ranking.is_stable() is stable


# -- against successive halving ----------------------------------------------------------------------------------------


def distance(config: Config) -> float:
    return float((math.log10(config["a"]) + 2) ** 2 / 4 + (config["b"] - 0.4) ** 2)


def test_it_uses_fewer_resources_and_finds_as_good_a_configuration() -> None:
    """Noisy learning curves that end at their configuration's distance from the best one."""
    space = {"a": loguniform(1e-4, 1), "b": uniform(0, 1), "epochs": 81}
    units: dict[str, list[int]] = {"promotion": [], "pasha": []}
    found: dict[str, list[float]] = {"promotion": [], "pasha": []}
    for seed in range(6):

        def curve(trial_id: int, config: Config, epoch: int, seed: int = seed) -> float:
            noise = np.random.default_rng((seed, trial_id, epoch)).normal()
            return float(distance(config) + epoch**-0.6 + 0.01 * noise)

        for kind in units:
            scheduler = HyperbandScheduler(space, "loss", type=kind, max_resource_attr="epochs", random_seed=seed)
            tuner = MiniTuner(scheduler, curve, max_resource=81, n_workers=4)
            tuner.run(150)
            highest = next(rung for rung in reversed(scheduler.rungs()) if len(rung))
            best = min(highest.keys, key=lambda trial_id: highest.keys[trial_id])
            units[kind].append(tuner.units)
            found[kind].append(distance(tuner.trials[best].config))
    assert sum(units["pasha"]) < 0.8 * sum(units["promotion"])
    assert all(used <= more for used, more in zip(units["pasha"], units["promotion"], strict=True))
    assert np.mean(found["pasha"]) < np.mean(found["promotion"]) + 0.01


# -- what can't work ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says", "hint"),
    [
        ({"max_t": 3}, "nothing to unlock", "grace_period"),
        ({"brackets": 2}, "brackets=2", "rung_system_per_bracket=True"),
        ({"rung_system_kwargs": {"ranking_criterion": "soft_ranking"}}, "epsilon=None", "give epsilon"),
        ({"rung_system_kwargs": {"epsilon": 0.1}}, "epsilon=0.1", 'ranking_criterion="soft_ranking"'),
        ({"rung_system_kwargs": {"ranking_criterion": "soft_rankin"}}, "'soft_rankin'", "'soft_ranking'"),
        ({"rung_system_kwargs": {"ranking_criterion": "soft_ranking", "epsilon": -1}}, "-1", "at least 0"),
        ({"rung_system_kwargs": {"epsilon_scaling": "big"}}, "'big'", "finite"),
        ({"rung_system_kwargs": {"epsilon_scalin": 2}}, "'epsilon_scalin'", "'epsilon_scaling'"),
        ({"rung_system_kwargs": 7}, "7", "dict"),
    ],
)
def test_refused(options: Any, says: str, hint: str) -> None:
    with pytest.raises(OptionError) as caught:
        HyperbandScheduler(SPACE, "loss", **{"type": "pasha", "max_resource_attr": "epochs", **options})
    assert says in caught.value.message
    assert hint in caught.value.hint
