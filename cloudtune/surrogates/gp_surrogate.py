"""Gaussian-process regression as a ``Surrogate``: learns its hyperparameters now and then, conditions on all data."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from cloudtune.surrogates.fitting import most_likely
from cloudtune.surrogates.gaussian_process import Factor, GaussianProcess
from cloudtune.surrogates.hyperparameters import Hyperparameters, Layout, named
from cloudtune.surrogates.inputs import Dimensions
from cloudtune.surrogates.likelihood import IMPOSSIBLE, MarginalLikelihood
from cloudtune.surrogates.mixture import Mixture
from cloudtune.surrogates.prediction import Array, Fit
from cloudtune.surrogates.slice_sampling import slice_samples
from cloudtune.surrogates.targets import ORDINARY_SHARE, BoxCox, Scale, Standard

logger = logging.getLogger(__name__)

COARSE = 50
"""With twice as many observations or more, a search without an earlier result begins with so many."""
LAST_STEPS, ROUGHLY = 5, 1e-3
"""It makes so many iterations with all observations, and ends when the log posterior gains less than this part of
itself: the next search begins where it ended."""


@dataclass(frozen=True)
class GaussianProcessOptions:
    """How a Gaussian process is fitted; the names are those of ``search_options``, which says what they mean."""

    boxcox_transform: bool = False
    boxcox_shift: float = 0.0
    """What is added to targets before that."""
    ordinary_share: float = ORDINARY_SHARE
    """As at ``Standard.of``."""
    num_fantasy_samples: int = 20
    no_fantasizing: bool = False
    gp_hyperparameters: Literal["map", "mcmc"] = "map"
    opt_nstarts: int = 2
    opt_maxiter: int = 50
    opt_warmstart: bool = True
    opt_verbose: bool = False
    opt_skip_init_length: int = 100
    opt_skip_period: int | None = None
    opt_max_size: int | None = 200
    max_size_data_for_model: int | None = 1000
    max_size_top_fraction: float = 0.25
    mcmc_samples: int = 8
    mcmc_burn_in: int = 4
    mcmc_thinning: int = 1


class GaussianProcessSurrogate:
    """A ``Surrogate``. It keeps the latest kernel matrix's factor, which spares work and changes nothing."""

    def __init__(self, dimensions: Dimensions, names: int, options: GaussianProcessOptions) -> None:
        self.dimensions = dimensions
        self.options = options
        self.layout = Layout(dimensions.scales, len(dimensions.warped), options.boxcox_transform, names)
        self._plain = replace(self.layout, boxcox=False)
        self._factors: list[_Kept] = []

    def fit(
        self,
        points: Array,
        targets: Array,
        pending: Array,
        carried: Mapping[str, Any] | None,
        random_state: np.random.Generator,
    ) -> Fit:
        kept = subset(targets, self.options.max_size_data_for_model, self.options.max_size_top_fraction, random_state)
        points, targets, count = points[kept], targets[kept], len(targets)
        shift = self.options.boxcox_shift
        positive = self.options.boxcox_transform and bool(targets.min() + shift > 0)
        layout = self.layout if positive else self._plain
        scale: Scale = BoxCox.of(targets, shift) if positive else Standard.of(targets, self.options.ordinary_share)
        vectors, fitted = self._known(layout, carried, count)
        new = None
        if not vectors:
            earlier, _ = self._any(layout, carried)
            vectors = self._learn(layout, scale, points, targets, earlier, random_state)
            fitted = count
            if self.options.opt_verbose:
                logger.info("learned from %d observations: %s", count, [dict(named(layout, each)) for each in vectors])
            new = {"fitted": count, "vectors": [layout.to_json(vector) for vector in vectors]}
        learned = [layout.unpack(vector) for vector in vectors]
        if isinstance(scale, BoxCox):
            # with several samples of lambda, incumbents and thresholds need one scale: the first's
            scale = replace(scale, exponent=learned[0].boxcox)
        values = scale.forward(targets)
        parts, incumbents, noises = [], [], []
        factors = self._conditioned(points, learned, min(fitted, len(points)) if len(targets) == count else None)
        for factor in factors:
            process = GaussianProcess.given(factor, values)
            least = process.incumbents(values[:, None])
            if len(pending) and not self.options.no_fantasizing:
                samples = self.options.num_fantasy_samples
                fantasies = process.fantasize(pending, values, samples, random_state)
                process = fantasies.process
                least = process.incumbents(fantasies.values)
            parts.append(process)
            noises.append(process.noise)
            incumbents.append(least)
        predictor = parts[0] if len(parts) == 1 else Mixture(parts)
        return Fit(predictor, np.concatenate(incumbents), scale.forward, scale.backward, new, float(np.mean(noises)))

    # -- hyperparameters -----------------------------------------------------------------------------------------------

    def _any(self, layout: Layout, carried: Mapping[str, Any] | None) -> tuple[list[Array], int]:
        """What an earlier fit learned, from how many observations."""
        if not carried:
            return [], 0
        found = [layout.from_json(numbers) for numbers in carried.get("vectors", ())]
        vectors = [vector for vector in found if vector is not None]
        fitted = carried.get("fitted")
        return (vectors, fitted) if len(vectors) == len(found) and isinstance(fitted, int) else ([], 0)

    def _known(self, layout: Layout, carried: Mapping[str, Any] | None, count: int) -> tuple[list[Array], int]:
        """What was learned, if that is recent enough."""
        vectors, fitted = self._any(layout, carried)
        return (vectors, fitted) if fitted <= count < fitted + self._period(fitted) else ([], count)

    def _period(self, fitted: int) -> int:
        """After how many more observations hyperparameters are learned again."""
        if fitted < self.options.opt_skip_init_length:
            return 1
        return self.options.opt_skip_period or math.ceil(fitted / 20)

    def _learn(
        self,
        layout: Layout,
        scale: Scale,
        points: Array,
        targets: Array,
        earlier: list[Array],
        random_state: np.random.Generator,
    ) -> list[Array]:
        options = self.options
        # few observations say as much about length scales as all of them
        kept = subset(targets, options.opt_max_size, 0.5, random_state)
        likelihood = self._likelihood(layout, scale, points[kept], targets[kept])
        lower, upper = layout.bounds
        starts = [layout.mean]
        if earlier and options.opt_warmstart:
            best = most_likely(likelihood, [earlier[-1], *starts], 1, options.opt_maxiter)
        else:
            for _ in range(options.opt_nstarts - 1):
                drawn = layout.mean + layout.std * random_state.standard_normal(layout.size)
                starts.append(np.clip(drawn, lower, upper))
            best = self._climbed(likelihood, starts, points, targets, scale, random_state)
        if options.gp_hyperparameters == "map":
            return [best]
        return self._sample(likelihood, best, random_state)

    def _climbed(
        self,
        likelihood: MarginalLikelihood,
        starts: list[Array],
        points: Array,
        targets: Array,
        scale: Scale,
        random_state: np.random.Generator,
    ) -> Array:
        """The most likely hyperparameters, with nothing known but the usual starts.

        From many observations: first from few of them, then from ever twice as many, each time from where the last
        search ended. The last one, which takes longest, has little left to do.
        """
        nstarts, most = self.options.opt_nstarts, self.options.opt_maxiter
        size = COARSE
        if len(likelihood.points) < 2 * size:
            return most_likely(likelihood, starts, nstarts, most)
        while 2 * size <= len(likelihood.points):
            few = subset(targets, size, 0.5, random_state)
            coarse = self._likelihood(likelihood.layout, scale, points[few], targets[few])
            starts = [most_likely(coarse, starts, 1, most, ROUGHLY)]
            size *= 2
        return most_likely(likelihood, starts, 1, min(most, LAST_STEPS), ROUGHLY)

    def _likelihood(self, layout: Layout, scale: Scale, points: Array, targets: Array) -> MarginalLikelihood:
        if isinstance(scale, BoxCox):
            return MarginalLikelihood(points, scale.logs(targets), self.dimensions, layout, scale.scale)
        return MarginalLikelihood(points, scale.forward(targets), self.dimensions, layout)

    def _sample(self, likelihood: MarginalLikelihood, start: Array, random_state: np.random.Generator) -> list[Array]:
        lower, upper = likelihood.layout.bounds

        def log_density(vector: Array) -> float:
            if (vector < lower).any() or (vector > upper).any():
                return -math.inf
            objective = likelihood.value(vector)
            return -objective if objective < IMPOSSIBLE else -math.inf

        if not math.isfinite(log_density(start)):
            return [start]
        options = self.options
        widths = 0.5 * likelihood.layout.std
        return list(
            slice_samples(
                log_density,
                start,
                widths,
                random_state,
                options.mcmc_samples,
                options.mcmc_burn_in,
                options.mcmc_thinning,
            )
        )

    # -- factors -------------------------------------------------------------------------------------------------------

    def _conditioned(self, points: Array, learned: list[Hyperparameters], block: int | None) -> list[Factor]:
        """One factor each: of the first ``block`` points at once, of the others one after the other.

        Always in these steps, whatever was kept from before, so that the digits are always the same.
        """
        factors: list[Factor] = []
        for place, each in enumerate(learned):
            first = len(points) if block is None else block
            kept = self._factors[place] if place < len(self._factors) else None
            factor = kept.factor if kept is not None and kept.begins(points, each, first) else None
            if factor is None:
                factor = Factor.of(points[:first], each, self.dimensions)
            for row in range(len(factor), len(points)):
                factor = factor.append(points[row : row + 1])
            factors.append(factor)
        if block is not None:
            self._factors = [_Kept(factor, points, block) for factor in factors]
        return factors


@dataclass(frozen=True)
class _Kept:
    factor: Factor
    points: Array
    block: int

    def begins(self, points: Array, learned: Hyperparameters, block: int) -> bool:
        """Whether this is where the factor of ``points`` begins."""
        mine = self.factor.learned
        return (
            block == self.block
            and len(self.points) <= len(points)
            and mine.noise == learned.noise
            and np.array_equal(mine.length_scales, learned.length_scales)
            and np.array_equal(mine.warp_a, learned.warp_a)
            and np.array_equal(mine.warp_b, learned.warp_b)
            and np.array_equal(self.points, points[: len(self.points)])
        )


def subset(targets: Array, most: int | None, top_fraction: float, random_state: np.random.Generator) -> Array | slice:
    """Which of n observations are used: the best ``top_fraction * most`` and others at random; in their order."""
    n = len(targets)
    if most is None or n <= most:
        return slice(None)
    order = np.argsort(targets, kind="stable")
    top = min(max(round(top_fraction * most), 1), most)
    others = random_state.choice(order[top:], most - top, replace=False)
    return np.sort(np.concatenate([order[:top], others]))
