"""Packages that not everybody needs."""

from __future__ import annotations

import importlib
from types import ModuleType

from cloudtune.errors import UserError


def needed(module: str, what: str, install: str = "cloudtune[blackboxes]") -> ModuleType:
    """The module. Raises ``UserError`` that says how to install it for ``what``."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(f"{what} need {module.split('.')[0]}: {error}", f"pip install '{install}'") from error
