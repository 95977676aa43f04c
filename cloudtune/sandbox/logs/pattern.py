"""CloudWatch Logs' filter patterns for unstructured text: terms, "phrases", ?optional, -excluded, %regex%."""

from __future__ import annotations

import re
from collections.abc import Callable

from cloudtune.sandbox.aws_error import AwsError

_TOKEN = re.compile(r'([-?]?)(?:"((?:[^"\\]|\\.)*)"|(\S+))')


def compile_filter(pattern: str) -> Callable[[str], bool]:
    """Whether a message passes ``pattern``; an empty one lets everything through."""
    pattern = pattern.strip()
    if not pattern:
        return lambda message: True
    if pattern.startswith(("{", "[")):
        raise AwsError(
            "InvalidParameterException",
            f"Invalid filter pattern: {pattern!r}. This sandbox reads patterns for unstructured text, not for JSON or "
            "space-delimited events.",
        )
    if len(pattern) > 1 and pattern.startswith("%") and pattern.endswith("%"):
        try:
            expression = re.compile(pattern[1:-1])
        except re.error as error:
            raise AwsError("InvalidParameterException", f"Invalid filter pattern: {pattern!r}: {error}") from error
        return lambda message: expression.search(message) is not None
    return _terms(pattern)


def _terms(pattern: str) -> Callable[[str], bool]:
    required: list[str] = []
    optional: list[str] = []
    excluded: list[str] = []
    for sign, phrase, word in _TOKEN.findall(pattern):
        if word and not re.fullmatch(r"\w+", word):
            # such terms want quotes, as in the service
            raise AwsError("InvalidParameterException", f"Invalid character(s) in term '{word}'")
        term = re.sub(r"\\(.)", r"\1", phrase) if phrase else word
        if term:
            {"": required, "?": optional, "-": excluded}[sign].append(term)
    # next to a required term, the service ignores optional ones
    if required:
        optional = []

    def passes(message: str) -> bool:
        return (
            all(term in message for term in required)
            and not any(term in message for term in excluded)
            and (not optional or any(term in message for term in optional))
        )

    return passes
