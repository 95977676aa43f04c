"""Names of experiments and jobs."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtune.errors import OptionError
from cloudtune.names import check_tuner_name, default_base, job_name, parse_job_name, suffixed

AWS_JOB_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")


@pytest.mark.parametrize("name", ["with_underscore", "", "-leading", "trailing-", "a b", "ü", "a.b", "x" * 41])
def test_impossible_names_are_refused_with_the_way_out(name: str) -> None:
    with pytest.raises(OptionError) as caught:
        check_tuner_name(name)
    assert repr(name) in caught.value.message
    assert caught.value.hint


def test_the_hint_proposes_a_name_that_works() -> None:
    with pytest.raises(OptionError, match="use 'my-first-run'"):
        check_tuner_name("my_first_run")


def test_the_moment_is_appended_to_the_millisecond() -> None:
    assert suffixed("train-height", 1641985720.971) == "train-height-2022-01-12-11-08-40-971"


@given(st.text(), st.floats(0, 4e9), st.integers(0, 10**7), st.integers(0, 99))
def test_every_job_name_is_legal_and_is_read_back(stem: str, now: float, trial_id: int, attempt: int) -> None:
    name = check_tuner_name(suffixed(default_base(stem), now))
    job = job_name(name, trial_id, attempt)
    assert AWS_JOB_NAME.fullmatch(job)
    assert parse_job_name(name, job) == (trial_id, attempt)


@pytest.mark.parametrize(
    "job", ["a-10-00000-0", "a-1-00000", "a-1-00000-0-x", "b-a-1-00000-0", "tuner-1-a-1", "a-1-7-0"]
)
def test_jobs_of_other_experiments_are_not_ours(job: str) -> None:
    assert parse_job_name("a-1", job) is None
