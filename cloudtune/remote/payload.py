"""The tuner as bytes, and what these bytes need where they are loaded."""

from __future__ import annotations

import hashlib
import pickle
import pickletools
import sys
import types
from dataclasses import dataclass

import dill

from cloudtune.errors import IntegrityError, OptionError, UserError
from cloudtune.tuner import Tuner

_UNSERIALIZABLE = (TypeError, AttributeError, ValueError, RecursionError, pickle.PicklingError)


@dataclass(frozen=True)
class Payload:
    """``modules``: imported modules it may refer to by name, a few more than it does.

    ``python``: the version (such as "3.11") it is bound to, because it holds functions or classes of the launcher's
    own as code; "" if any will do.
    """

    content: bytes
    sha256: str
    modules: frozenset[str]
    python: str


def pack_tuner(tuner: Tuner) -> Payload:
    """Raises ``OptionError`` if part of the tuner can't travel, and says which part."""
    _refuse_lambda(tuner)
    try:
        content: bytes = dill.dumps(tuner, recurse=True)
    except _UNSERIALIZABLE as error:
        raise OptionError(
            f"{_culprit(tuner)} can't be serialized: {error}",
            "what holds open files, locks, connections or processes can't travel to another machine: make it there, "
            "for instance in on_tuning_start",
        ) from error
    strings = _strings(content)
    bound = bool({"_create_code", "_create_type"} & strings)
    python = f"{sys.version_info.major}.{sys.version_info.minor}" if bound else ""
    return Payload(content, sha256(content), frozenset(strings & set(sys.modules)), python)


def load_tuner(content: bytes, expected_sha256: str, python: str) -> Tuner:
    """The tuner. Nothing is loaded unless the digest is right.

    Raises ``IntegrityError`` if it isn't, ``UserError`` if it needs another Python or a module that is missing.
    """
    if sha256(content) != expected_sha256:
        raise IntegrityError(
            f"the tuner's payload has SHA-256 {sha256(content)}, its job's request says {expected_sha256}",
            "the payload was damaged or replaced after the launch; launch it again",
        )
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if python and python != here:
        raise UserError(
            f"the tuner was packed by Python {python} and holds functions or classes of the launcher script, but this "
            f"image has Python {here}",
            "choose an image_uri with the same Python, or move them into a module next to the launcher script",
        )
    try:
        tuner = dill.loads(content)
    except ImportError as error:
        raise UserError(
            f"the tuner can't be loaded: {error}",
            "pass the folder that holds this module in dependencies, or name its package in a requirements.txt next "
            "to the launcher script",
        ) from error
    if not isinstance(tuner, Tuner):
        raise IntegrityError(f"the payload is a {type(tuner).__name__}, no tuner", "launch it again")
    return tuner


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _refuse_lambda(tuner: Tuner) -> None:
    criterion = tuner.stop_criterion
    if isinstance(criterion, types.LambdaType) and criterion.__name__ == "<lambda>":
        raise OptionError(
            "stop_criterion is a lambda, which a remote tuner can't be resumed with on another machine",
            "use StoppingCriterion(...), or a function or class with a name",
        )


def _culprit(tuner: Tuner) -> str:
    """The first attribute that fails by itself."""
    parts: list[tuple[str, object]] = []
    for name, value in vars(tuner).items():
        if name == "callbacks":
            parts.extend((f"callback {type(callback).__name__}", callback) for callback in tuner.callbacks)
        elif name != "_session":
            parts.append((f"the tuner's {name}", value))
    for name, part in parts:
        try:
            dill.dumps(part, recurse=True)
        except _UNSERIALIZABLE:
            return name
    return "the tuner"


def _strings(content: bytes) -> set[str]:
    """Everything that may be the name of a module or of something in one."""
    found: set[str] = set()
    for _, argument, _ in pickletools.genops(content):
        if isinstance(argument, str) and len(argument) < 200:
            found.update(argument.split(" "))
    return found
