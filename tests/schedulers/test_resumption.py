"""What a paused trial's checkpoint is worth: probabilities against simulated rungs, estimators against counting."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cloudtune.errors import OptionError
from cloudtune.schedulers.resumption import BetaBinomialEstimator, compute_probabilities_of_getting_resumed
from cloudtune.schedulers.rungs import Rung, is_within


def simulated(rank: int, length: int, quantile: float, better: float, arrivals: int, games: int = 4000) -> float:
    """Share of ``games`` in which the trial comes within the quantile, looked at after every arrival."""
    flips = np.random.default_rng(0).random((games, arrivals)) < better
    ahead = rank - 1 + np.concatenate([np.zeros((games, 1)), np.cumsum(flips, axis=1)], axis=1)
    within = ahead <= quantile * (length - 1 + np.arange(arrivals + 1)) + 1e-9
    return float(within.any(axis=1).mean())


CASES = [
    (2, 3, 1 / 3, 0.33, 10),
    (3, 6, 1 / 3, 0.33, 20),
    (5, 9, 1 / 3, 0.2, 25),
    (12, 30, 1 / 3, 0.3, 60),
    (14, 30, 1 / 3, 0.33, 150),
    (20, 30, 1 / 3, 0.2, 150),
    (10, 27, 1 / 3, 0.4, 300),
    (40, 90, 1 / 3, 0.3, 900),
    (45, 90, 1 / 2, 0.45, 2000),
]


@pytest.mark.parametrize(("rank", "length", "quantile", "better", "arrivals"), CASES)
def test_it_is_what_happens_at_rungs(rank: int, length: int, quantile: float, better: float, arrivals: int) -> None:
    ours = compute_probabilities_of_getting_resumed([rank], [length], [quantile], [better], arrivals / length, 25)
    happens = simulated(rank, length, quantile, better, arrivals)
    assert ours[0] == pytest.approx(happens, abs=0.03 if arrivals <= 25 else 0.1)


def test_more_steps_come_closer() -> None:
    def error(steps: int) -> float:
        errors = []
        for rank, length, quantile, better, arrivals in CASES:
            ours = compute_probabilities_of_getting_resumed(rank, length, quantile, better, arrivals / length, steps)
            errors.append(abs(ours[0] - simulated(rank, length, quantile, better, arrivals)))
        return float(np.mean(errors))

    assert error(200) < error(25) < 0.05 < error(3)
    assert error(200) < 0.03


def test_the_condition_is_the_rung_s_own() -> None:
    """Without time left, a trial is resumed iff its rung lets it pass now."""
    for length in range(2, 30):
        rung = Rung(3, 9)
        for trial in range(length):
            rung.record(trial, float(trial))
        cutoff = rung.cutoff()
        assert cutoff is not None
        passes = [float(is_within(float(trial), cutoff)) for trial in range(length)]
        ranks = [1 + rung.rank(trial) for trial in range(length)]
        ours = compute_probabilities_of_getting_resumed(ranks, [length] * length, 1 / 3, 0.33, 0.0, 25)
        assert ours.tolist() == passes


def test_it_falls_with_the_rank_and_grows_with_the_time_left_and_bad_company() -> None:
    by_rank = compute_probabilities_of_getting_resumed(range(1, 21), 20, 1 / 3, 0.33, 2.0, 25)
    assert by_rank.shape == (20,)
    assert (np.diff(by_rank) <= 1e-12).all()
    assert by_rank[0] == 1.0
    assert by_rank[-1] < 0.2
    by_time = [compute_probabilities_of_getting_resumed(10, 20, 1 / 3, 0.2, beta, 25)[0] for beta in (0, 0.5, 1, 4)]
    assert by_time == sorted(by_time)
    assert by_time[0] == 0.0
    by_company = compute_probabilities_of_getting_resumed(10, 20, 1 / 3, [0.5, 0.33, 0.1], 2.0, 25)
    assert by_company.tolist() == sorted(by_company)


def test_a_lonely_trial_is_not_sure_to_go_on_but_likely() -> None:
    (alone,) = compute_probabilities_of_getting_resumed(1, 1, 1 / 3, 0.33, 20.0, 25)
    assert 0.6 < alone < 1.0


@pytest.mark.parametrize("beta", [0.0, 1.0, 1e6, -1.0])
def test_any_time_ratio_gives_a_probability(beta: float) -> None:
    found = compute_probabilities_of_getting_resumed([1, 5, 500], [1, 9, 1000], 1 / 3, 0.33, beta, 25)
    assert ((found >= 0) & (found <= 1)).all()


def test_steps_below_one_are_refused() -> None:
    with pytest.raises(OptionError, match="approx_steps is 0"):
        compute_probabilities_of_getting_resumed(1, 1, 0.3, 0.3, 1.0, 0)


# -- the estimator -----------------------------------------------------------------------------------------------------


def test_an_estimate_begins_at_its_prior_and_ends_at_the_data() -> None:
    estimator = BetaBinomialEstimator(beta_mean=0.25, beta_size=4)
    assert estimator.posterior_mean() == 0.25
    estimator.update([1, 0, 1, 1])
    assert (estimator.num_one, estimator.num_total) == (3, 4)
    assert estimator.posterior_mean() == (1 + 3) / (4 + 4)
    estimator.update([])
    estimator.update([1] * 10_000)
    assert estimator.posterior_mean() == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize(("mean", "size"), [(0.0, 2), (1.0, 2), (0.5, 0), (0.5, -1), ("a", 2), (0.5, float("inf"))])
def test_a_prior_that_is_none_is_refused(mean: Any, size: Any) -> None:
    with pytest.raises(OptionError, match="the prior's"):
        BetaBinomialEstimator(mean, size)
