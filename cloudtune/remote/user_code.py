"""Which of the modules that are loaded here are the user's own, and have to travel with the tuner."""

from __future__ import annotations

import site
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from cloudtune.remote.bundle import Bundle

OUR_PACKAGE = "cloudtune"


def add_user_code(bundle: Bundle, modules: Iterable[str]) -> None:
    """Add the launcher script, what is loaded from its folder, and the packages of the user's ``modules``.

    Everything keeps its import name; of a package, all files go along, for it may load more of itself later.
    """
    script = launcher_script()
    folder = script.parent if script else None
    if script is not None:
        bundle.add(script.name, script)
    wanted = set(modules)
    for name, module in list(sys.modules.items()):
        path = _source(module)
        if path is None or not _is_users(name, path):
            continue
        if name in wanted or (folder is not None and folder in path.parents):
            _add(bundle, name, path)


def launcher_script() -> Path | None:
    """The script that runs here; None in an interactive session, or if it is part of an installed package."""
    path = _source(sys.modules["__main__"])
    return None if path is None or _is_installed(path) else path


def _add(bundle: Bundle, name: str, path: Path) -> None:
    top = name.partition(".")[0]
    top_path = _source(sys.modules.get(top))
    if top_path is not None and top_path.name == "__init__.py":
        bundle.add_tree(top, top_path.parent)
    elif path.name == "__init__.py":
        bundle.add_tree(name.replace(".", "/"), path.parent)
    else:
        bundle.add(name.replace(".", "/") + path.suffix, path)


def _source(module: ModuleType | None) -> Path | None:
    file = getattr(module, "__file__", None)
    if not isinstance(file, str):
        return None
    path = Path(file).resolve()
    return path if path.suffix == ".py" and path.is_file() else None


def _is_users(name: str, path: Path) -> bool:
    if name.partition(".")[0] in (OUR_PACKAGE, "__main__", "__mp_main__"):
        return False
    return not _is_installed(path)


def _is_installed(path: Path) -> bool:
    """Whether it came with Python, or is what a requirements.txt brings."""
    paths = sysconfig.get_paths()
    roots = [paths["stdlib"], paths["platstdlib"], paths["purelib"], paths["platlib"], *site.getsitepackages()]
    roots.append(site.getusersitepackages())
    return any(Path(root).resolve() in path.parents for root in roots)
