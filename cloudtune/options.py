"""Arguments: a misspelled name is an error that names the right one, and so is a value that makes no sense."""

from __future__ import annotations

import difflib
import functools
import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeGuard, TypeVar, cast

from cloudtune.errors import OptionError

Class = TypeVar("Class", bound=type)
Function = TypeVar("Function", bound=Callable[..., Any])


def nearest_name(name: str, names: Iterable[str]) -> str:
    """A hint with the known name most like ``name``, or with all of them."""
    known = list(names)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known names: {', '.join(map(repr, known))}"


def named_options(elsewhere: Mapping[str, str] | None = None) -> Callable[[Class], Class]:
    """Of a class: its constructor raises ``OptionError``, with the nearest name, for an argument it doesn't have.

    ``elsewhere``: hints for arguments that users may look for here, and that are given in another way.
    """

    def decorated(cls: Class) -> Class:
        init: Callable[..., None] = vars(cls)["__init__"]
        type.__setattr__(cls, "__init__", _checking(init, lambda args: type(args[0]).__name__, elsewhere or {}))
        return cls

    return decorated


def named_arguments(function: Function) -> Function:
    """The same for a function or method."""
    return cast(Function, _checking(function, lambda args: f"{function.__name__}()", {}))


def _checking(
    function: Callable[..., Any], title: Callable[[tuple[Any, ...]], str], elsewhere: Mapping[str, str]
) -> Callable[..., Any]:
    known = [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]

    @functools.wraps(function)
    def checked(*args: Any, **options: Any) -> Any:
        for name in options:
            if name not in known:
                hint = elsewhere.get(name) or nearest_name(name, known)
                raise OptionError(f"{title(args)} has no argument {name}={options[name]!r}", hint)
        return function(*args, **options)

    return checked


def check_seconds(name: str, value: object, hint: str = "give 0 or more, 5.0 for example") -> None:
    """Raises ``OptionError`` for what is no finite number of at least 0."""
    if not _is_number(value) or not 0 <= value < math.inf:
        raise OptionError(f"{name}={value!r} is no number of seconds", hint)


def check_count(name: str, value: object, least: int = 0, hint: str = "") -> None:
    """Raises ``OptionError`` for what is no whole number of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise OptionError(f"{name}={value!r} is no whole number of at least {least}", hint or f"give {least} or more")


def check_flag(name: str, value: object) -> None:
    """Raises ``OptionError`` for what is neither True nor False: of a string nobody knows what was meant."""
    if not isinstance(value, bool):
        raise OptionError(f"{name}={value!r} is neither True nor False", "give one of them")


def check_texts(name: str, value: object) -> None:
    """Raises ``OptionError`` for what is no dict of strings by strings."""
    texts = isinstance(value, Mapping) and all(isinstance(each, str) for entry in value.items() for each in entry)
    if not texts:
        raise OptionError(f"{name}={value!r} is no dict of strings", 'for example {"NAME": "value"}')


def check_kind(name: str, value: object, kind: type, example: str) -> None:
    """Raises ``OptionError`` for what is no object of this class."""
    if not isinstance(value, kind):
        raise OptionError(f"{name}={value!r} is no {kind.__name__}", f"write {example}")


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
