"""A user's function as bytes that need nothing of the place they come from."""

from __future__ import annotations

import builtins
import dis
import hashlib
import inspect
import pickle
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import dill

from cloudtune.errors import ConfigSpaceError, OptionError
from cloudtune.options import nearest_name

CHECKPOINT_PARAMETER = "st_checkpoint_dir"

_UNSERIALIZABLE = (TypeError, AttributeError, ValueError, RecursionError, pickle.PickleError)
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@dataclass(frozen=True)
class FunctionPayload:
    """``parameters``: names the function takes; ``required``: those without a default."""

    name: str
    content: bytes
    sha256: str
    parameters: tuple[str, ...]
    required: tuple[str, ...]

    def check_space(self, config_space: Mapping[str, Any]) -> None:
        """Raises ``ConfigSpaceError`` if the function needs an argument that the space does not have."""
        for name in self.required:
            if name not in config_space and name != CHECKPOINT_PARAMETER:
                raise ConfigSpaceError(
                    f"{self.name}() needs the argument {name!r}, which is not in the configuration space",
                    nearest_name(name, config_space),
                )


def pack_function(function: Callable[..., object]) -> FunctionPayload:
    """Raises ``OptionError``, with what is in the way, unless the function can travel alone."""
    if not inspect.isfunction(function):
        raise OptionError(
            f"tune_function={function!r} is a {type(function).__name__}, not a function",
            "write it with def, and import or make inside it what it needs",
        )
    _refuse_globals(function)
    parameters = inspect.signature(function).parameters.values()
    for parameter in parameters:
        if parameter.kind not in (*_BY_NAME, inspect.Parameter.VAR_KEYWORD):
            raise OptionError(
                f"the argument {parameter} of {function.__name__}() has no name to be passed by",
                "arguments are the names of the configuration space",
            )
    named = [parameter for parameter in parameters if parameter.kind in _BY_NAME]
    content = _serialized(function)
    return FunctionPayload(
        function.__name__,
        content,
        hashlib.sha256(content).hexdigest(),
        tuple(parameter.name for parameter in named),
        tuple(parameter.name for parameter in named if parameter.default is inspect.Parameter.empty),
    )


def _refuse_globals(function: types.FunctionType) -> None:
    used = sorted({name for name in _globals_in(function.__code__) if not hasattr(builtins, name)})
    if used:
        what = ", ".join(f"{name!r}{_kind(function.__globals__.get(name))}" for name in used)
        raise OptionError(
            f"{function.__name__}() uses {what} from outside, which is not there where it runs",
            "import modules and define helpers inside the function; pass values through the configuration space",
        )


def _kind(value: object) -> str:
    return " (a module)" if isinstance(value, types.ModuleType) else ""


def _globals_in(code: types.CodeType) -> Iterator[str]:
    """Names that the code and what is defined in it look up among the globals."""
    instructions = list(dis.get_instructions(code))
    made = {each.argval for each in instructions if each.opname == "STORE_GLOBAL"}
    of_class = {each.argval for each in instructions if each.opname == "STORE_NAME"} | _CLASS_BODY
    found = {each.argval for each in instructions if each.opname == "LOAD_GLOBAL"}
    found |= {each.argval for each in instructions if each.opname == "LOAD_NAME"} - of_class
    yield from found - made
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from (name for name in _globals_in(constant) if name not in made)


_CLASS_BODY = {"__name__", "__qualname__", "__module__", "__annotations__"}
"""Every class statement looks these up; the function brings its own."""


def _serialized(function: types.FunctionType) -> bytes:
    alone = types.FunctionType(
        function.__code__,
        {"__builtins__": builtins, "__name__": "tune_function"},
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    alone.__kwdefaults__ = function.__kwdefaults__
    # a module that nobody can import: dill then writes the code instead of a name to import it by
    alone.__module__ = "tune_function"
    try:
        content: bytes = dill.dumps(alone, recurse=True)
        dill.loads(content)
    except _UNSERIALIZABLE as error:
        outer = ", ".join(map(repr, function.__code__.co_freevars))
        holder = f"it holds {outer} of the function around it" if outer else "a default value of it may be the reason"
        raise OptionError(
            f"{function.__name__}() can't be serialized: {error}; {holder}",
            "make inside the function what can't travel: open files, locks, connections",
        ) from error
    return content
