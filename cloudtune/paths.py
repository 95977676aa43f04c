"""Where experiments lie on this machine."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER_VARIABLES = ("CLOUDTUNE_FOLDER", "SYNETUNE_FOLDER")
DEFAULT_FOLDER = "cloudtune"

JOURNAL_FOLDER = "journal"
METADATA_FILE = "metadata.json"
RESULTS_FILE = "results.csv.zip"
TUNER_FILE = "tuner.dill"


def experiment_path(tuner_name: str | None = None, local_path: str | Path | None = None) -> Path:
    """The folder of an experiment, or of all of them.

    ``local_path`` if given, else the folder that CLOUDTUNE_FOLDER (or SYNETUNE_FOLDER) names, else ``~/cloudtune``.
    """
    root = local_path or next((os.environ[name] for name in FOLDER_VARIABLES if os.environ.get(name)), None)
    folder = Path(root).expanduser() if root else Path.home() / DEFAULT_FOLDER
    return folder / tuner_name if tuner_name else folder
