"""The rules of policies, against tables computed by hand; minimizing mirrors maximizing."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudtune.errors import OptionError
from cloudtune.schedulers.base import Reason
from cloudtune.schedulers.median_stopping import MedianRule
from cloudtune.schedulers.objective import Objective
from cloudtune.schedulers.order_statistics import quantile, standard_deviation
from cloudtune.schedulers.termination_policies import (
    BanditPolicy,
    MedianStoppingPolicy,
    StoppingPolicy,
    TruncationSelectionPolicy,
)
from cloudtune.schedulers.trial_plateau import TrialPlateauPolicy
from cloudtune.trial import Mode

NAN = math.nan


class Court:
    """Reports of trials, and what a policy makes of each; resources count reports."""

    def __init__(self, policy: StoppingPolicy, mode: Mode) -> None:
        self.judge = policy.judge(Objective("score", mode))
        self._reports: dict[int, int] = {}

    def report(self, trial_id: int, value: float) -> Reason | None:
        number = self._reports[trial_id] = self._reports.get(trial_id, 0) + 1
        return self.judge.report(trial_id, number, value)

    def stopped(self, trial_id: int, *values: float) -> list[int]:
        """After which of these reports the trial should stop."""
        verdicts = [self.report(trial_id, value) for value in values]
        return [number for number, verdict in enumerate(verdicts, 1) if verdict is not None]


# -- intervals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "evaluated"),
    [
        ({}, [1, 2, 3, 4, 5, 6, 7]),
        ({"evaluation_interval": 2}, [2, 4, 6]),
        ({"delay_evaluation": 5}, [5, 6, 7]),
        ({"evaluation_interval": 3, "delay_evaluation": 3}, [3, 6]),
        ({"evaluation_interval": 3, "delay_evaluation": 4}, [6]),
        ({"evaluation_interval": 4, "delay_evaluation": 1}, [4]),
    ],
)
def test_policies_apply_at_multiples_of_the_interval_from_the_delay_on(
    options: dict[str, Any], evaluated: list[int]
) -> None:
    for policy in (
        BanditPolicy(slack_amount=0.0, **options),
        MedianStoppingPolicy(**options),
        TruncationSelectionPolicy(truncation_percentage=50, **options),
    ):
        court = Court(policy, "max")
        assert court.stopped(0, *[1.0] * 7) == []
        assert court.stopped(1, *[0.0] * 7) == evaluated


# -- bandit ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "mode", "best", "just_good_enough", "too_bad"),
    [
        # Azure's example: 0.8 / (1 + 0.2) = 0.6667
        (BanditPolicy(slack_factor=0.2), "max", 0.8, 0.67, 0.66),
        (BanditPolicy(slack_factor=0.2), "min", 0.5, 0.6, 0.61),
        (BanditPolicy(slack_factor=0.0), "max", 0.8, 0.8, 0.79),
        (BanditPolicy(slack_amount=0.2), "max", 0.8, 0.61, 0.59),
        (BanditPolicy(slack_amount=0.2), "min", 0.5, 0.69, 0.71),
        # negative values: -0.8 · 1.2 = -0.96 when maximized; -0.6 / 1.2 = -0.5 when minimized
        (BanditPolicy(slack_factor=0.2), "max", -0.8, -0.95, -0.97),
        (BanditPolicy(slack_factor=0.2), "min", -0.6, -0.51, -0.49),
        (BanditPolicy(slack_factor=0.2), "min", 0.0, 0.0, 1e-9),
        (BanditPolicy(slack_factor=0.2), "max", 1.0, 0.9, NAN),
        (BanditPolicy(slack_factor=0.2), "min", 1.0, 1.1, math.inf),
        (BanditPolicy(slack_factor=0.2), "min", 1.0, 1.1, -math.inf),
    ],
)
def test_bandit(policy: BanditPolicy, mode: Mode, best: float, just_good_enough: float, too_bad: float) -> None:
    court = Court(policy, mode)
    assert court.stopped(0, best) == []
    assert court.stopped(1, just_good_enough) == []
    assert court.stopped(2, too_bad) == [1]


def test_bandit_compares_the_best_so_far_at_the_same_report() -> None:
    court = Court(BanditPolicy(slack_amount=0.1), "max")
    #          best so far: 0.5  0.7  0.7  0.9
    assert court.stopped(0, 0.5, 0.7, 0.2, 0.9) == []
    #               allowed: 0.4  0.6  0.6  0.8
    assert court.stopped(1, 0.45, 0.65, 0.1, 0.7) == [4]
    # what trial 0 had later does not count against one that has reported less
    assert court.stopped(2, 0.45) == []


def test_bandit_says_why() -> None:
    court = Court(BanditPolicy(slack_factor=0.25), "max")
    court.report(0, 1.0)
    assert court.report(1, 0.5) == Reason(
        "too far from the best", {"best score": 0.5, "best of all": 1.0, "reports": 1}, 0.8
    )


# -- median ------------------------------------------------------------------------------------------------------------


def test_median_of_running_averages() -> None:
    """
    ======  =======================  =================  ==========================================
    trial   reports                  running averages   best so far, against the median of averages
    ======  =======================  =================  ==========================================
    0       0.2  0.4  0.6            0.2  0.3  0.4      never below: alone
    1       0.4  0.6  0.8            0.4  0.5  0.6      0.4 ≥ 0.3   0.6 ≥ 0.4    0.8 ≥ 0.5
    2       0.6  0.8  1.0            0.6  0.7  0.8      0.6 ≥ 0.4   0.8 ≥ 0.5    1.0 ≥ 0.6
    3       0.45 0.45 0.1            0.45 0.45 0.333    0.45 ≥ 0.425 0.45 < 0.475  0.45 < 0.5
    4       0.1  0.5  0.5            0.1  0.3  0.367    0.1 < 0.4   0.5 ≥ 0.45   0.5 ≥ 0.4
    ======  =======================  =================  ==========================================
    """
    court = Court(MedianStoppingPolicy(), "max")
    assert court.stopped(0, 0.2, 0.4, 0.6) == []
    assert court.stopped(1, 0.4, 0.6, 0.8) == []
    assert court.stopped(2, 0.6, 0.8, 1.0) == []
    assert court.stopped(3, 0.45, 0.45, 0.1) == [2, 3]
    assert court.stopped(4, 0.1, 0.5, 0.5) == [1]


def test_median_says_why() -> None:
    court = Court(MedianStoppingPolicy(), "min")
    court.report(0, 1.0)
    court.report(1, 2.0)
    assert court.report(2, 3.0) == Reason(
        "worse than the median of averages", {"best score": 3.0, "trials": 3, "reports": 1}, 2.0
    )


def test_median_of_trials_that_diverged() -> None:
    court = Court(MedianStoppingPolicy(), "min")
    assert court.stopped(0, NAN) == []
    assert court.stopped(1, NAN) == []
    assert court.stopped(2, 1.0) == [], "the median is no number"
    court = Court(MedianStoppingPolicy(), "min")
    assert court.stopped(0, 1.0) == []
    assert court.stopped(1, NAN) == [1], "between 1 and nothing, the median is 1"


# -- the median rule at resources --------------------------------------------------------------------------------------


def ranked(rule: MedianRule, mode: Mode, *reports: tuple[int, float, float]) -> list[int]:
    """Which of the reports (trial, resource, value), from 0, would stop their trials."""
    judge = rule.judge(Objective("score", mode))
    return [number for number, each in enumerate(reports) if judge.report(*each) is not None]


def test_the_rule_needs_a_population_and_counts_the_judged_trial() -> None:
    at_two = [(trial, 2.0, value) for trial, value in enumerate((1.0, 5.0, 3.0, 4.0, 2.0, 3.1, 2.9))]
    # the fifth is the first to be judged, and it is second of five; then 3.1 against the median 3.05 of six
    assert ranked(MedianRule(running_average=False), "min", *at_two) == [5]
    assert ranked(MedianRule(running_average=False, grace_population=2), "min", *at_two) == [1, 3, 5]
    assert ranked(MedianRule(running_average=False, grace_population=8), "min", *at_two) == []


def test_resources_up_to_the_grace_time_are_not_judged() -> None:
    rule = MedianRule(grace_time=2, grace_population=2)
    reports = [(trial, resource, value) for trial, value in ((0, 1.0), (1, 2.0)) for resource in (1.0, 2.0, 3.0)]
    assert ranked(rule, "min", *reports) == [5]


def test_running_averages_take_in_what_was_not_judged() -> None:
    reports = [(0, 1.0, 0.0), (0, 2.0, 4.0), (1, 1.0, 3.0), (1, 2.0, 3.0)]
    # averages at 2: 2 and 3; single results: 4 and 3
    assert ranked(MedianRule(grace_population=2), "min", *reports) == [3]
    assert ranked(MedianRule(grace_population=2, running_average=False), "min", *reports) == []
    assert ranked(MedianRule(grace_population=2, running_average=False), "max", *reports) == [3]


@pytest.mark.parametrize("odd", [NAN, math.inf, -math.inf])
def test_one_odd_result_is_the_worst_where_it_is_and_no_part_of_later_averages(odd: float) -> None:
    rule = MedianRule(grace_time=0, grace_population=2)
    others = [(trial, float(resource), 2.0) for trial in (0, 1) for resource in (1, 2, 3)]
    assert ranked(rule, "max", *others, (2, 1.0, 2.5), (2, 2.0, odd), (2, 3.0, 2.5)) == [7]
    assert ranked(rule, "max", *others, (2, 1.0, odd), (2, 2.0, 1.9), (2, 3.0, 2.3)) == [6, 7]


def test_averages_of_the_policy_leave_out_odd_results_too() -> None:
    court = Court(MedianStoppingPolicy(delay_evaluation=2), "min")
    court.stopped(0, NAN, 1.0)
    court.stopped(1, NAN, 3.0)
    assert court.stopped(2, 4.0, 4.0) == [2], "the median of 1, 3 and 4 is 3"


@pytest.mark.parametrize(("cutoff", "stopped"), [(0.25, {5}), (0.5, {4, 5}), (0.75, {3, 4, 5})])
def test_the_cutoff_is_the_share_of_the_worst_that_is_stopped(cutoff: float, stopped: set[int]) -> None:
    """Of 1 to 5 the quantile 1 - cutoff is 4, 3 or 2; only the last to come sees all five."""
    for last in range(1, 6):
        others = [value for value in range(1, 6) if value != last]
        reports = [(value, 2.0, float(value)) for value in [*others, last]]
        assert bool(ranked(MedianRule(rank_cutoff=cutoff), "min", *reports)) == (last in stopped)


def test_the_rule_says_why() -> None:
    judge = MedianRule(grace_population=2).judge(Objective("score", "max"))
    judge.report(0, 2, 0.9)
    assert judge.report(1, 2, 0.5) == Reason(
        "worse than the median at its resource", {"average score": 0.5, "trials": 2}, 0.7
    )
    quarter = MedianRule(grace_population=2, rank_cutoff=0.25).judge(Objective("score", "max"))
    quarter.report(0, 2, 0.9)
    reason = quarter.report(1, 2, 0.5)
    assert reason is not None
    assert reason.rule == "worse than all but 0.25 of the trials at its resource"


# -- truncation --------------------------------------------------------------------------------------------------------


def test_truncation_stops_the_worst_percent_rounded_down() -> None:
    court = Court(TruncationSelectionPolicy(truncation_percentage=40), "max")
    # of 1 and 2 trials: none (0.4, 0.8); of 3 and 4: one (1.2, 1.6); of 5: two
    assert [court.stopped(trial, value) for trial, value in enumerate((0.5, 0.1, 0.3, 0.05, 0.2))] == [
        [],
        [],
        [],
        [1],
        [],
    ]
    # of six, 0.05, 0.1 and none else are the worst two; 0.1 again is equal to the third worst
    assert court.stopped(5, 0.1) == []
    assert court.stopped(6, 0.09) == [1]


def test_truncation_looks_at_the_result_of_that_report_alone() -> None:
    court = Court(TruncationSelectionPolicy(truncation_percentage=50), "max")
    court.stopped(0, 0.5, 0.5)
    assert court.stopped(1, 0.9, 0.4) == [2]


def test_equal_results_are_all_good_enough() -> None:
    court = Court(TruncationSelectionPolicy(truncation_percentage=99), "min")
    assert [court.stopped(trial, 1.0) for trial in range(20)] == [[]] * 20
    court = Court(TruncationSelectionPolicy(truncation_percentage=99), "min")
    assert [court.stopped(trial, NAN) for trial in range(20)] == [[]] * 20


def test_finished_trials_count_unless_excluded() -> None:
    for excluded, stopped in ((False, [1]), (True, [])):
        policy = TruncationSelectionPolicy(truncation_percentage=50, exclude_finished_jobs=excluded)
        court = Court(policy, "max")
        court.stopped(0, 0.9, 0.9)
        court.judge.ended(0)
        assert court.stopped(1, 0.5) == stopped
        court.stopped(2, 0.9)
        assert court.stopped(3, 0.4) == [1]


def test_truncation_says_why() -> None:
    court = Court(TruncationSelectionPolicy(truncation_percentage=50), "max")
    court.report(0, 0.9)
    assert court.report(1, 0.5) == Reason(
        "among the worst", {"score": 0.5, "stopped of them": 1, "trials": 2, "reports": 1}, 0.9
    )


# -- plateau -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "values", "stopped"),
    [
        ({}, (1.0, 1.0, 1.0, 1.0, 1.0), [4, 5]),
        ({"num_results": 2, "grace_period": 0}, (1.0, 0.5, 0.5), [3]),
        ({"num_results": 2, "grace_period": 5}, (1.0, 1.0, 1.0, 1.0, 1.0), [5]),
        # the standard deviation of 0 and 1 is 0.5
        ({"num_results": 2, "grace_period": 0, "std": 0.5}, (0.0, 1.0), [2]),
        ({"num_results": 2, "grace_period": 0, "std": 0.49}, (0.0, 1.0), []),
        ({"num_results": 2, "grace_period": 0}, (NAN, NAN, math.inf, math.inf), []),
    ],
)
def test_a_trial_on_a_plateau(options: dict[str, Any], values: tuple[float, ...], stopped: list[int]) -> None:
    for mode in ("min", "max"):
        assert Court(TrialPlateauPolicy(**options), mode).stopped(0, *values) == stopped


def test_a_plateau_says_why() -> None:
    court = Court(TrialPlateauPolicy(num_results=2, grace_period=2, std=0.6), "min")
    court.report(0, 0.0)
    assert court.report(0, 1.0) == Reason("has come to a plateau", {"std": 0.5, "results": 2}, 0.6)


# -- of all of them ----------------------------------------------------------------------------------------------------

ALL: list[StoppingPolicy] = [
    BanditPolicy(slack_factor=0.2),
    BanditPolicy(slack_amount=0.5, evaluation_interval=2),
    MedianStoppingPolicy(delay_evaluation=2),
    TruncationSelectionPolicy(truncation_percentage=34),
    TruncationSelectionPolicy(truncation_percentage=50, exclude_finished_jobs=True),
    MedianRule(grace_population=2),
    MedianRule(running_average=False, grace_population=1, rank_cutoff=0.25),
    TrialPlateauPolicy(std=0.5, num_results=2, grace_period=0),
]
VALUES = st.one_of(
    st.sampled_from([0.0, 1.0, -1.0, NAN, math.inf, -math.inf, 1e308, -1e308]), st.floats(-10, 10).map(float)
)


@pytest.mark.parametrize("policy", ALL, ids=str)
@settings(max_examples=50)
@given(reports=st.lists(st.tuples(st.integers(0, 5), VALUES), max_size=40))
def test_minimizing_mirrors_maximizing(policy: StoppingPolicy, reports: list[tuple[int, float]]) -> None:
    least, most = Court(policy, "min"), Court(policy, "max")
    for trial, value in reports:
        one, other = least.report(trial, value), most.report(trial, -value)
        assert (one is None) == (other is None)
        if one is not None and other is not None and not isinstance(policy, TrialPlateauPolicy):
            assert one.threshold is not None and other.threshold is not None
            assert one.threshold == -other.threshold
            assert one.rule == other.rule


@pytest.mark.parametrize("policy", [each for each in ALL if not isinstance(each, TrialPlateauPolicy)], ids=str)
@settings(max_examples=50)
@given(reports=st.lists(st.tuples(st.integers(0, 5), VALUES), max_size=40))
def test_the_best_report_of_all_stops_nobody(policy: StoppingPolicy, reports: list[tuple[int, float]]) -> None:
    court, best = Court(policy, "min"), math.inf
    averages = isinstance(policy, MedianRule) and policy.running_average
    for trial, value in reports:
        key = value if math.isfinite(value) else math.inf
        verdict = court.report(trial, value)
        if key <= best and not averages:
            assert verdict is None
        best = min(best, key)


@pytest.mark.parametrize("policy", [each for each in ALL if not isinstance(each, TrialPlateauPolicy)], ids=str)
@settings(max_examples=50)
@given(value=VALUES, trials=st.lists(st.integers(0, 5), max_size=40))
def test_nobody_is_stopped_who_is_as_good_as_all(policy: StoppingPolicy, value: float, trials: list[int]) -> None:
    court = Court(policy, "max")
    assert not any(court.report(trial, value) for trial in trials)


@pytest.mark.parametrize(
    ("make", "options", "said"),
    [
        (BanditPolicy, {}, "give one of the two"),
        (BanditPolicy, {"slack_factor": 0.1, "slack_amount": 0.1}, "give one of the two"),
        (BanditPolicy, {"slack_factor": -0.1}, "slack_factor=-0.1"),
        (BanditPolicy, {"slack_amount": NAN}, "slack_amount=nan"),
        (BanditPolicy, {"slack_factor": True}, "slack_factor=True"),
        (BanditPolicy, {"slack_factr": 0.1}, "did you mean 'slack_factor'"),
        (BanditPolicy, {"slack_factor": 0.1, "evaluation_interval": 0}, "evaluation_interval=0"),
        (MedianStoppingPolicy, {"delay_evaluation": -1}, "delay_evaluation=-1"),
        (MedianStoppingPolicy, {"evaluation_interval": 1.5}, "evaluation_interval=1.5"),
        (TruncationSelectionPolicy, {"truncation_percentage": 0}, "truncation_percentage=0"),
        (TruncationSelectionPolicy, {"truncation_percentage": 100}, "truncation_percentage=100"),
        (TruncationSelectionPolicy, {"truncation_percentage": 0.2}, "truncation_percentage=0.2"),
        (TruncationSelectionPolicy, {"truncation_percentage": 20, "exclude_finished_jobs": 1}, "exclude_finished_jobs"),
        (MedianRule, {"rank_cutoff": 1.0}, "rank_cutoff=1.0"),
        (MedianRule, {"rank_cutoff": 0}, "rank_cutoff=0"),
        (MedianRule, {"grace_time": -1}, "grace_time=-1"),
        (MedianRule, {"grace_population": 0}, "grace_population=0"),
        (MedianRule, {"running_average": "yes"}, "running_average='yes'"),
        (TrialPlateauPolicy, {"std": -1}, "std=-1"),
        (TrialPlateauPolicy, {"num_results": 1}, "num_results=1"),
        (TrialPlateauPolicy, {"grace_period": -1}, "grace_period=-1"),
    ],
)
def test_bad_options_are_refused(make: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        make(**options)


def test_quantiles_and_deviations_of_what_may_be_no_number() -> None:
    assert quantile([1.0, 2.0, 4.0], 0.5) == 2.0
    assert quantile([1.0, 2.0, 4.0, 8.0], 0.5) == 3.0
    assert quantile([1.0, math.inf], 0.5) == 1.0
    assert quantile([math.inf, math.inf], 0.5) == math.inf
    assert quantile([1.0], 0.9) == 1.0
    assert quantile([float(n) for n in range(11)], 1 - 0.9) == 1.0
    assert standard_deviation([2.0, 4.0]) == 1.0
    assert math.isnan(standard_deviation([1.0, math.inf]))
    assert standard_deviation([1e308, -1e308]) == 1e308
    numbers = [random.Random(1).gauss(0, 1) for _ in range(100)]
    assert standard_deviation(numbers) == pytest.approx(
        math.sqrt(sum((each - sum(numbers) / 100) ** 2 for each in numbers) / 100)
    )
