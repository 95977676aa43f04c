"""What a tuner leaves of itself in its experiment's folder."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dill

from cloudtune.errors import TransientError
from cloudtune.space import config_space_to_json_dict
from cloudtune.storage import ExperimentStorage
from cloudtune.version import __version__

if TYPE_CHECKING:
    from cloudtune.tuner import Tuner

logger = logging.getLogger("cloudtune.tuner")


def metadata_of(tuner: Tuner, n_workers: int) -> dict[str, Any]:
    """``metadata.json``: the user's, the scheduler's, and what is known of the rest."""
    script = tuner.trial_backend.entry_point
    return {
        **tuner.metadata,
        **tuner.scheduler.metadata(),
        "st_tuner_creation_timestamp": tuner.clock.now(),
        "tuner_name": tuner.name,
        "entrypoint": script.stem if script else None,
        "entrypoint_path": str(script) if script else None,
        "backend": type(tuner.trial_backend).__name__,
        "n_workers": n_workers,
        "config_space": config_space_to_json_dict(tuner.scheduler.config_space),
        "resource_attr": tuner.scheduler.resource_attr,
        "cloudtune_version": __version__,
    }


def serialized(tuner: Tuner) -> bytes | None:
    """``tuner.dill``; None, with a warning, for a tuner that can't travel."""
    try:
        payload: bytes = dill.dumps(tuner, recurse=True)
    except (TypeError, AttributeError, ValueError, dill.PickleError) as error:
        logger.warning(
            "the tuner can't be serialized (%s): `cloudtune resume` will not work; running the script "
            "again under the same tuner_name with suffix_tuner_name=False will",
            error,
        )
        return None
    return payload


def keep(storage: ExperimentStorage, path: Path, content: bytes) -> None:
    """On this machine, and wherever else the experiment is to be found."""
    path.write_bytes(content)
    try:
        storage.publish(path)
    except TransientError as error:
        logger.warning("%s is kept on this machine only: %s", path, error)
