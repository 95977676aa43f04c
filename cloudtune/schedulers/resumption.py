"""How likely a paused trial is to be resumed: what its checkpoint is worth.

A trial is paused at a rung of ``n`` trials with rank ``k`` (1: the best). It is resumed as soon as it is within the
quantile ``α`` of its rung, that is while ``k - 1 <= α · (n - 1)`` (``rungs.Rung.cutoff``). The rung grows: after ``j``
more trials have come to it, ``B_j`` of them better than ours, the condition is

    k - 1 + B_j  <=  α · (n - 1 + j)                                                                            (1)

Trials come to a rung at an even pace. ``n`` of them came in the time spent, so ``N = β · n`` come in the time left, if
``β`` is the one divided by the other. We take arrivals as independent of each other, and each as better than ours with
the same probability ``p``; then ``B_j`` is a sum of coin flips, and the probability sought is that of (1) holding for
some ``j`` of 0 … N: a random walk that meets a line. That others in front are resumed first is left out: they free
their places in no time compared with the rest of the experiment.

The walk is followed by the distribution of ``B`` among the cases not resumed so far; (1) is looked at ``approx_steps``
times, after every arrival at first, where most walks meet the line, and then at growing distances. Up to
``approx_steps`` arrivals that is exact. What has not met the line after ``64 · approx_steps`` arrivals is taken as
never to meet it. The cost grows with the square of ``approx_steps``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cloudtune.errors import OptionError

_ARRIVALS_PER_STEP = 64
_ROUNDING = 1e-9


@dataclass(frozen=True)
class TrialInformation:
    """A paused trial, and where it stands at its rung. ``rank`` counts from 1, the best; ``score_val``: lowest goes."""

    trial_id: int
    level: int
    rank: int
    rung_len: int
    score_val: float | None = None


class BetaBinomialEstimator:
    """Estimates the probability of a yes from yeses and noes, beginning with a Beta prior.

    ``beta_mean``: the prior's mean, between 0 and 1; ``beta_size``: it counts as much as so many answers.
    Raises ``OptionError``.
    """

    def __init__(self, beta_mean: float, beta_size: float) -> None:
        if not _is_number(beta_mean) or not 0 < beta_mean < 1:
            raise OptionError(f"the prior's mean is {beta_mean!r}", "give a probability between 0 and 1, 0.33 say")
        if not _is_number(beta_size) or not 0 < beta_size < math.inf:
            raise OptionError(f"the prior's size is {beta_size!r}", "give a positive number of observations, 2 say")
        self._prior_ones = beta_mean * beta_size
        self._prior_size = beta_size
        self._ones = 0
        self._total = 0

    @property
    def num_one(self) -> int:
        """Yeses."""
        return self._ones

    @property
    def num_total(self) -> int:
        """Answers."""
        return self._total

    def update(self, data: Sequence[int]) -> None:
        """Take in answers: 1 is a yes, 0 a no."""
        self._ones += sum(data)
        self._total += len(data)

    def posterior_mean(self) -> float:
        return (self._prior_ones + self._ones) / (self._prior_size + self._total)


def compute_probabilities_of_getting_resumed(
    ranks: Any, rung_lens: Any, prom_quants: Any, p_vals: Any, time_ratio: float, approx_steps: int
) -> NDArray[np.float64]:
    """Probability for each of several paused trials of being resumed in the time left, as derived above: ``(n,)``.

    ``ranks``: k, from 1, the best; ``rung_lens``: n; ``prom_quants``: α; ``p_vals``: p: each ``(n,)`` or a number.
    ``time_ratio``: β, time left divided by time spent. ``approx_steps``: steps of the approximation, at least 1.
    """
    if approx_steps < 1:
        raise OptionError(f"approx_steps is {approx_steps!r}", "give at least 1; 25 is usual")
    given = (np.atleast_1d(np.asarray(each, float)) for each in (ranks, rung_lens, prom_quants, p_vals))
    rows = np.stack(np.broadcast_arrays(*given), axis=1).tolist()
    known: dict[tuple[float, ...], float] = {}
    for rank, length, quantile, better in rows:
        row = (rank, length, quantile, better)
        if row not in known:
            known[row] = _probability(rank, length, quantile, better, max(0.0, time_ratio), approx_steps)
    return np.array([known[tuple(row)] for row in rows])


def _probability(rank: float, length: float, quantile: float, better: float, time_ratio: float, steps: int) -> float:
    slack = quantile * (length - 1) - (rank - 1)
    if slack >= 0 and length >= 2:
        return 1.0
    waiting, resumed, come = np.ones(1), 0.0, 0
    for moment in _moments(min(time_ratio * length, _ARRIVALS_PER_STEP * steps), steps):
        waiting = np.convolve(waiting, _binomial(moment - come, better))
        come = moment
        meets = np.arange(len(waiting)) <= slack + quantile * come + _ROUNDING
        resumed += float(waiting[meets].sum())
        waiting[meets] = 0.0
    return min(1.0, resumed)


def _moments(arrivals: float, steps: int) -> list[int]:
    """Numbers of arrivals after which to look."""
    last = round(arrivals)
    if last <= steps:
        return list(range(1, last + 1))
    # each distance the larger of 1 and a fixed share of what has come: as many as ``steps`` in all
    low, high = 1.0, float(last)
    for _ in range(30):
        factor = math.sqrt(low * high)
        low, high = (factor, high) if len(_growing(last, factor)) > steps else (low, factor)
    return _growing(last, high)


def _growing(last: int, factor: float) -> list[int]:
    moments, at = [], 0
    while at < last:
        at = min(last, max(at + 1, int(at * factor)))
        moments.append(at)
    return moments


def _binomial(count: int, p: float) -> NDArray[np.float64]:
    """Probabilities of 0 … ``count`` yeses, by their ratios: stable for any count."""
    if p <= 0 or p >= 1:
        certain = np.zeros(count + 1)
        certain[0 if p <= 0 else count] = 1.0
        return certain
    yeses = np.arange(1, count + 1)
    logs = np.concatenate([[0.0], np.cumsum(np.log((count - yeses + 1) / yeses * (p / (1 - p))))])
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    return np.asarray(weights, np.float64)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
