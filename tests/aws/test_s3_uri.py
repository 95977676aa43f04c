from __future__ import annotations

import pytest

from cloudtune.aws import S3Uri
from cloudtune.errors import OptionError


def test_a_uri_is_built_with_slashes_only() -> None:
    uri = S3Uri.parse("s3://bucket/base") / "exp" / "trials/"
    assert str(uri) == "s3://bucket/base/exp/trials/"
    assert str(uri / "00001") == "s3://bucket/base/exp/trials/00001"
    assert str(S3Uri("bucket") / "a") == "s3://bucket/a"


def test_a_prefix_ends_in_a_slash_so_that_a_1_is_not_a_10() -> None:
    assert not str(S3Uri("b", "a-10")).startswith(str(S3Uri("b", "a-1").as_prefix))
    assert S3Uri("b", "a/").as_prefix == S3Uri("b", "a/")
    assert S3Uri("b").as_prefix.key == ""


def test_the_name_is_the_last_component() -> None:
    assert S3Uri.parse("s3://bkt/x/y/").name == "y"
    assert S3Uri.parse("s3://bkt").name == ""


@pytest.mark.parametrize("text", ["bucket/key", "s3:/bucket", "s3://", "https://s3.amazonaws.com/b", "s3://-"])
def test_other_text_is_refused_by_its_value(text: str) -> None:
    with pytest.raises(OptionError, match="not an S3 URI"):
        S3Uri.parse(text)


def test_a_backslash_is_a_character_like_any_other() -> None:
    assert (S3Uri.parse("s3://bkt/x") / "y\\z").key == "x/y\\z"
