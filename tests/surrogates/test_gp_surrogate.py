"""Fitting: what is handed on, when it is learned again, and that what is kept from before changes nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from cloudtune.surrogates.fitting import most_likely
from cloudtune.surrogates.gp_surrogate import GaussianProcessOptions, GaussianProcessSurrogate, subset
from cloudtune.surrogates.likelihood import MarginalLikelihood
from cloudtune.surrogates.prediction import Array, Fit
from tests.surrogates.problems import PLAIN, data

NOTHING = np.empty((0, 5))
WHERE, _ = data(6, seed=42)


def surrogate(**options: Any) -> GaussianProcessSurrogate:
    return GaussianProcessSurrogate(PLAIN, 3, GaussianProcessOptions(**options))


def fitted(
    model: GaussianProcessSurrogate,
    count: int,
    carried: Mapping[str, Any] | None = None,
    pending: Array = NOTHING,
    shift: float = 0.0,
) -> Fit:
    points, targets = data(60)
    return model.fit(points[:count], targets[:count] + shift, pending, carried, np.random.default_rng(0))


def test_what_is_kept_from_earlier_fits_changes_no_digit() -> None:
    options: dict[str, Any] = {"opt_skip_init_length": 0, "opt_skip_period": 20}
    used, fresh = surrogate(**options), surrogate(**options)
    carried = fitted(used, 20).carried
    for count in (21, 24, 30):
        before = fitted(used, count, carried).predictor.predict(WHERE)
    after = fitted(fresh, 30, carried).predictor.predict(WHERE)
    np.testing.assert_array_equal(before.mean, after.mean)
    np.testing.assert_array_equal(before.std, after.std)


def test_hyperparameters_are_learned_again_when_their_time_has_come() -> None:
    model = surrogate(opt_skip_init_length=0, opt_skip_period=5)
    carried = fitted(model, 20).carried
    assert json.loads(json.dumps(carried)) == carried
    assert carried is not None
    assert [fitted(model, count, carried).carried is None for count in (19, 20, 24, 25)] == [False, True, True, False]


@pytest.mark.parametrize("count", [100, 200])
def test_a_first_fit_of_many_observations_is_nearly_as_good_as_a_long_search(count: int) -> None:
    points, targets = data(count, seed=3)
    model = surrogate()
    carried = model.fit(points, targets, NOTHING, None, np.random.default_rng(0)).carried
    assert carried is not None
    likelihood = MarginalLikelihood(points, targets, PLAIN, model.layout)
    best = most_likely(likelihood, [model.layout.mean], 1, 500, 1e-9)
    assert likelihood.value(np.array(carried["vectors"][0])) < likelihood.value(best) + 1.0


def test_what_another_model_carried_is_ignored() -> None:
    model = surrogate()
    for odd in ({}, {"fitted": 20}, {"vectors": [[1.0]], "fitted": 20}, {"vectors": [[0.0] * 4], "fitted": "x"}):
        assert fitted(model, 20, odd).carried is not None


@pytest.mark.parametrize("hyperparameters", ["map", "mcmc"])
def test_there_is_an_incumbent_for_every_member(hyperparameters: Any) -> None:
    model = surrogate(gp_hyperparameters=hyperparameters, num_fantasy_samples=3, mcmc_samples=4)
    samples = 4 if hyperparameters == "mcmc" else 1
    alone = fitted(model, 15)
    assert alone.incumbents.shape == (samples,)
    assert alone.predictor.predict(WHERE).mean.shape == (6, samples)
    with_pending = fitted(model, 15, pending=WHERE[:2])
    assert with_pending.incumbents.shape == (3 * samples,)
    assert with_pending.predictor.predict(WHERE).mean.shape == (6, 3 * samples)


def test_trials_at_work_are_ignored_if_asked_for() -> None:
    model = surrogate(no_fantasizing=True)
    ignoring = fitted(model, 15, pending=WHERE[:2]).predictor.predict(WHERE)
    np.testing.assert_array_equal(ignoring.std, fitted(model, 15).predictor.predict(WHERE).std)


def test_boxcox_needs_positive_targets_and_does_without_otherwise() -> None:
    model = surrogate(boxcox_transform=True)
    positive, other = fitted(model, 20, shift=5.0), fitted(model, 20)
    assert positive.carried is not None
    assert other.carried is not None
    assert len(positive.carried["vectors"][0]) == len(other.carried["vectors"][0]) + 1
    targets = data(20)[1] + 5.0
    np.testing.assert_allclose(positive.backward(positive.forward(targets)), targets)


def test_a_subset_has_the_best_and_some_others_in_their_order() -> None:
    targets = np.random.default_rng(0).permutation(50).astype(np.float64)
    chosen = subset(targets, 20, 0.25, np.random.default_rng(1))
    assert isinstance(chosen, np.ndarray)
    assert len(set(chosen.tolist())) == 20
    assert (np.diff(chosen) > 0).all()
    assert set(range(5)) <= set(targets[chosen.astype(int)].tolist())
    assert subset(targets, 50, 0.25, np.random.default_rng(1)) == slice(None)
    assert subset(targets, None, 0.25, np.random.default_rng(1)) == slice(None)
