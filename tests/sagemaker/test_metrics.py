"""Reading metrics from printed lines."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtune.errors import MetricError
from cloudtune.report import parse_report_line
from cloudtune.sagemaker import FLOAT, MetricDefinition
from cloudtune.sagemaker.lines import LogLine, RegexReader, ReporterReader
from cloudtune.sagemaker.metrics import reporter_definitions

LOSS = MetricDefinition("loss", rf"loss={FLOAT}")
ACC = MetricDefinition("acc", rf"acc={FLOAT}")
EPOCH = MetricDefinition("epoch", r"epoch (\d+)")


def values(definition: MetricDefinition, line: str) -> list[float]:
    return [value for _, value in definition.values(line)]


def read(reader: RegexReader, *texts: str) -> list[dict[str, object]]:
    parser = reader.parser(None)
    reports = []
    for number, text in enumerate(texts):
        for report in parser.read(LogLine(f"event-{number}", 1000.0 + number, text)):
            reports.append({name: value for name, value in report.metrics.items() if not name.startswith("st_")})
    return reports


# -- numbers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12.34", 12.34),
        ("123.4", 123.4),
        ("1e-05", 1e-05),
        ("1E+3", 1000.0),
        ("-0", -0.0),
        ("+3", 3.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("inf", math.inf),
        ("-inf", -math.inf),
        ("Infinity", math.inf),
        ("7", 7.0),
    ],
)
def test_a_number_in_every_notation(text: str, value: float) -> None:
    assert values(LOSS, f"loss={text}, done") == [value]
    assert math.copysign(1, values(LOSS, f"loss={text}")[0]) == math.copysign(1, value)


@pytest.mark.parametrize("text", ["nan", "NaN"])
def test_nan_is_a_value(text: str) -> None:
    assert math.isnan(values(LOSS, f"loss={text}")[0])


@given(st.floats())
def test_whatever_float_python_prints_comes_back(value: float) -> None:
    for text in (repr(value), f"{value:e}"):
        (read_back,) = values(LOSS, f"step 3: loss={text} lr=0.1")
        assert read_back == float(text) or (math.isnan(read_back) and math.isnan(value))


@pytest.mark.parametrize("text", ["1,234.5", "1_000", "high", "", "0x10", "12%"])
def test_what_is_no_number_is_no_value(text: str) -> None:
    assert values(MetricDefinition("loss", r"loss=(\S*)"), f"loss={text}") == []


def test_an_optional_group_that_did_not_take_part_is_no_value() -> None:
    assert values(MetricDefinition("loss", r"loss(?:=(\d+))?"), "loss") == []


@pytest.mark.parametrize(
    ("name", "regex", "complaint"),
    [
        ("acc", "acc=[0-9.]+", "has no group"),
        ("acc", "acc=([0-9.]+", "is none"),
        ("", "(.*)", "characters"),
        ("acc", "", "characters"),
        ("acc", "(" + "x" * 500 + ")", "502 characters"),
        ("x" * 256, "(.*)", "256 characters"),
    ],
)
def test_a_definition_that_cannot_work_is_an_error_at_once(name: str, regex: str, complaint: str) -> None:
    with pytest.raises(MetricError, match=re.escape(complaint)):
        MetricDefinition(name, regex)


# -- reports out of lines --------------------------------------------------------------------------


def test_one_report_per_match_of_the_objective_with_the_latest_value_of_the_others() -> None:
    reader = RegexReader([LOSS, ACC, EPOCH], "acc", "epoch")
    assert read(
        reader,
        "epoch 1 starts",
        "loss=0.9",
        "loss=0.8",
        "acc=0.5",
        "epoch 2 starts",
        "acc=0.6",
        "noise",
    ) == [{"epoch": 1, "loss": 0.8, "acc": 0.5}, {"epoch": 2, "loss": 0.8, "acc": 0.6}]


def test_what_a_line_prints_after_the_objective_belongs_to_it() -> None:
    reader = RegexReader([LOSS, ACC, EPOCH], "acc", "epoch")
    assert read(reader, "acc=0.5 loss=0.1 epoch 1 | acc=0.6 loss=0.2 epoch 2") == [
        {"acc": 0.5, "loss": 0.1, "epoch": 1},
        {"acc": 0.6, "loss": 0.2, "epoch": 2},
    ]


def test_without_a_definition_of_its_own_the_resource_is_counted() -> None:
    reader = RegexReader([ACC], "acc", "epoch")
    assert read(reader, "acc=0.5", "acc=nan", "acc=0.7")[0::2] == [{"acc": 0.5, "epoch": 1}, {"acc": 0.7, "epoch": 3}]


def test_a_resource_is_whole_and_one_not_printed_yet_is_missing() -> None:
    reader = RegexReader([ACC, MetricDefinition("epoch", rf"epoch={FLOAT}")], "acc", "epoch")
    reports = read(reader, "acc=0.1", "epoch=3.0", "acc=0.2")
    assert reports == [{"acc": 0.1}, {"acc": 0.2, "epoch": 3}]
    assert isinstance(reports[1]["epoch"], int)


def test_attempts_are_read_independently() -> None:
    reader = RegexReader([ACC], "acc", "epoch")
    assert read(reader, "acc=0.5") == read(reader, "acc=0.5")


def test_reports_have_the_automatic_fields_of_the_reporter() -> None:
    parser = RegexReader([ACC], "acc").parser(dollars_per_hour=3.6)
    assert list(parser.read(LogLine("a", 100.0, "starting"))) == []
    (report,) = parser.read(LogLine("b", 110.0, "acc=1"))
    assert report.metrics == {
        "acc": 1.0,
        "st_worker_timestamp": 110.0,
        "st_worker_time": 10.0,
        "st_worker_iter": 0,
        "st_worker_cost": pytest.approx(0.01),
    }


def test_keys_are_the_same_whenever_the_log_is_read() -> None:
    def keys() -> list[str]:
        parser = RegexReader([ACC], "acc").parser(None)
        return [
            report.key for n in range(2) for report in parser.read(LogLine(f"event-{n}", 1.0 + n, "acc=0.1 acc=0.2"))
        ]

    assert keys() == keys() == ["event-0/0", "event-0/1", "event-1/0", "event-1/1"]


def test_an_objective_without_a_definition_is_an_error_that_lists_what_there_is() -> None:
    with pytest.raises(MetricError, match=r"no metric definition for 'auc'.*loss, acc"):
        RegexReader([LOSS, ACC], "auc")


def test_lines_of_the_reporter_carry_their_own_time() -> None:
    line = '[tune-metric]: {"acc": NaN, "epoch": 3, "st_worker_timestamp": 55.5}'
    (report,) = ReporterReader().parser(None).read(LogLine("id", 99.0, line))
    assert (report.key, report.at, report.metrics["epoch"]) == ("id", 55.5, 3)
    assert list(ReporterReader().parser(None).read(LogLine("id", 99.0, "acc=0.3"))) == []


# -- what SageMaker itself reads -------------------------------------------------------------------


@pytest.mark.parametrize(("value", "text"), [(0.5, "0.5"), (-1e-05, "-1e-05"), (3, "3"), (1e22, "1e+22")])
def test_sagemaker_finds_the_reporter_s_metrics_by_our_definitions(value: float, text: str) -> None:
    line = f'[tune-metric]: {{"epoch": 2, "val.acc": {text}, "st_worker_iter": 0}}'
    assert parse_report_line(line) is not None
    (definition,) = reporter_definitions(["val.acc"])
    match = re.search(definition.regex, line)
    assert match is not None
    assert float(match[1]) == value
    assert re.search(definition.regex, line.replace("val.acc", "valXacc")) is None
