"""The comparison of quality: its problems are the known ones, its ranks and verdicts those counted by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from tests.performance.methods import MethodError, Process, interpreter
from tests.performance.problems import LATENCY_SPACES, PROBLEMS, in_unit_cube
from tests.performance.quality import Cache, make_runs
from tests.performance.quality_tables import EVALUATIONS, Results, Run, Verdict, in_words, verdicts

BEST: dict[str, dict[str, Any]] = {
    "branin": {"x0": math.pi, "x1": 2.275},
    "hartmann6": dict(
        zip([f"x{i}" for i in range(6)], [0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573], strict=True)
    ),
    "rosenbrock6": {f"x{i}": 1.0 for i in range(6)},
    "ackley10": {f"x{i}": 0.0 for i in range(10)},
    "mixed8": {
        "lr": 3e-3, "wd": 1e-4, "mom": 0.9, "width": 128, "depth": 4, "act": "gelu", "opt": "adam", "norm": "layer"
    },
}  # fmt: skip


@pytest.mark.parametrize("name", BEST)
def test_a_synthetic_problem_has_its_least_value_where_the_literature_says(name: str) -> None:
    objective, optimum = PROBLEMS[name].make(), PROBLEMS[name].optimum
    assert optimum is not None
    assert objective(BEST[name]) == pytest.approx(optimum, abs=1e-5)
    for key in BEST[name]:
        if isinstance(BEST[name][key], float):
            assert objective({**BEST[name], key: BEST[name][key] * 1.1 + 0.01}) > optimum + 1e-5


def test_any_space_is_scaled_to_the_unit_cube() -> None:
    config = {
        **{f"x{i}": 0.25 for i in range(8)},
        **{f"l{i}": 1e-3 for i in range(4)},
        **{f"i{i}": 20 for i in range(2)},
        **{f"j{i}": 32 for i in range(2)},
        **{f"c{i}": "b" for i in range(4)},
    }
    at = in_unit_cube(LATENCY_SPACES["mix20"], config)
    assert at.tolist() == pytest.approx([0.25] * 8 + [0.5] * 4 + [1.0] * 2 + [0.5] * 2 + [0.5] * 4)


# -- tables --------------------------------------------------------------------------------------------------------


def runs(method: str, *best: float, problem: str = "ackley10") -> list[Run]:
    """One per seed, whose best value is found at once."""
    return [Run(method, problem, seed, [value] * EVALUATIONS, 0.0) for seed, value in enumerate(best)]


def test_a_regret_is_the_best_so_far_above_the_optimum() -> None:
    values = [5.0, 3.0, *[4.0] * 28, 1.0, *[2.0] * 69]
    results = Results([Run("ours", "ackley10", 0, values, 0.0)])
    assert [results.mean("ackley10", "ours", look)[0] for look in (20, 50, 100)] == [3.0, 1.0, 1.0]


def test_where_no_optimum_is_known_it_is_the_best_value_of_all() -> None:
    results = Results([*runs("ours", 3.0, problem="svc_digits"), *runs("optuna-gp", 2.0, problem="svc_digits")])
    assert results.mean("svc_digits", "ours", 20)[0] == 1.0


def test_a_rank_counts_the_others_chances_to_be_better() -> None:
    methods = ("ours", "optuna-gp", "st13-bo")
    results = Results([*runs("ours", 2.0, 4.0), *runs("optuna-gp", 1.0, 3.0), *runs("st13-bo", 2.0, 9.0)])
    # of 4 pairs: optuna-gp is better in 3; st13-bo in 1, and equal in 1
    assert results.rank("ackley10", "ours", methods, 50) == pytest.approx(1 + 3 / 4 + 1 / 4 + 1 / 8)
    assert sum(results.rank("ackley10", each, methods, 50) for each in methods) == pytest.approx(1 + 2 + 3)
    assert [results.place("ackley10", each, methods, 50) for each in methods] == [2.0, 1.0, 3.0]


@pytest.mark.parametrize(
    ("mine", "theirs", "worse"),
    [
        ((1.0, 0.3), (0.0, 0.4), False),  # two standard errors of 0.5
        ((1.01, 0.3), (0.0, 0.4), True),
        ((0.0, 0.1), (1.0, 0.1), False),
        ((1.0, 0.0), (0.0, 0.0), True),
        ((1.0 + 1e-15, 0.0), (1.0, 0.0), False),
    ],
)
def test_worse_is_more_than_two_standard_errors_of_the_difference(
    mine: tuple[float, float], theirs: tuple[float, float], worse: bool
) -> None:
    assert Verdict("branin", 50, mine, "optuna-gp", theirs).is_worse is worse


def test_the_best_peer_is_who_has_the_least_mean_and_two_runs() -> None:
    results = Results(
        [*runs("ours", 2.0, 2.2), *runs("optuna-gp", 3.0, 4.0), *runs("st13-bo", 1.0, 2.0), *runs("st13-kde", 0.1)]
    )
    assert {each.peer for each in verdicts(results, "ours", ["optuna-gp", "st13-bo", "st13-kde"])} == {"st13-bo"}


def test_missed_targets_are_said_in_words() -> None:
    results = Results([*runs("ours", 5.0, 5.1), *runs("optuna-gp", 1.0, 1.1), *runs("random", 0.1, 0.2)])
    lines = list(in_words(results, "ours", ["ours", "optuna-gp", "random"], verdicts(results, "ours", ["optuna-gp"])))
    assert lines[0] == "ours: mean rank after 20, 1 problems: 2.00 of 2, MISSED: optuna-gp has 1.00"
    assert "MISSED in 3 of 3 cells: ackley10 after 20" in lines[-1]


def test_a_run_that_broke_off_counts_for_nothing() -> None:
    assert Results([Run("ours", "branin", 0, [1.0] * (EVALUATIONS - 1), 0.0, "RuntimeError")]).problems == []


# -- runs ----------------------------------------------------------------------------------------------------------


def test_a_finished_run_is_not_made_again(tmp_path: Path) -> None:
    wanted = [("random", "branin", 0), ("random", "branin", 1)]
    make_runs(wanted[:1], Cache([tmp_path]), {}, jobs=1)
    kept = (tmp_path / "random.jsonl").read_text()
    make_runs(wanted, Cache([tmp_path]), {}, jobs=2)
    assert (tmp_path / "random.jsonl").read_text().startswith(kept)
    cache = Cache([tmp_path])
    assert [len(cache.runs[key].values) for key in wanted] == [EVALUATIONS] * 2
    assert cache.runs[wanted[0]].values != cache.runs[wanted[1]].values


def test_a_library_s_error_is_told_and_the_next_start_begins_anew() -> None:
    python = interpreter("random", {})
    assert python is not None
    process = Process(python)
    space = PROBLEMS["branin"].space
    with pytest.raises(MethodError, match="no_such_searcher"):
        process.start("no_such_searcher", space, 0)
    process.start("random", space, 0)
    assert set(process.ask()[0]) == set(space)
    process.process.kill()
    with pytest.raises(MethodError, match="ended"):
        process.ask()
    process.close()


def test_what_was_known_before_is_known_to_the_searcher() -> None:
    python = interpreter("random", {})
    assert python is not None
    process = Process(python)
    space = {"a": ["cat", ["u", "v", "w"]]}
    process.start("random", space, 0, [({"a": "u"}, 1.0), ({"a": "w"}, 2.0)])
    assert process.ask()[0] == {"a": "v"}
    process.close()


def test_options_of_ours_are_part_of_its_name() -> None:
    python = interpreter("random", {})
    assert python is not None
    process = Process(python)
    space = {"a": ["cat", ["u", "v", "w"]]}
    process.start('random+restrict_configurations=[{"a":"w"}]+allow_duplicates=true', space, 0)
    assert [process.ask()[0] for _ in range(3)] == [{"a": "w"}] * 3
    process.close()
