"""Arguments by name, where a misspelled one is an error that names the right one."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from cloudtune.errors import OptionError

Class = TypeVar("Class", bound=type)


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
        known = [name for name in inspect.signature(init).parameters if name != "self"]

        @functools.wraps(init)
        def checked(self: Any, *args: Any, **options: Any) -> None:
            for name in options:
                if name not in known:
                    hint = (elsewhere or {}).get(name) or nearest_name(name, known)
                    raise OptionError(f"{cls.__name__} has no argument {name}={options[name]!r}", hint)
            init(self, *args, **options)

        type.__setattr__(cls, "__init__", checked)
        return cls

    return decorated
