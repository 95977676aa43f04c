"""Checkpoints of trials in S3: copied and deleted inside S3, never through this machine.

SageMaker copies single files, in any order, while they are being written. What is whole among them says a manifest of
``cloudtune.checkpointing`` that names nothing which isn't there. It is copied last and deleted first, so that neither
a copy nor a deletion that was cut short leaves anything to resume from that isn't whole.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence

from cloudtune.aws import Aws, S3Uri, objects
from cloudtune.aws.copies import DEFAULT_LIMITS, Copy, CopyLimits, copy_all
from cloudtune.aws.objects import StoredObject
from cloudtune.checkpointing import Manifest, is_manifest, is_part_of_checkpoint, parse_manifest
from cloudtune.errors import AlreadyExistsError, NotFoundError, UnreachableError
from cloudtune.sagemaker.layout import ExperimentLayout

logger = logging.getLogger("cloudtune.sagemaker")

LOOKS = 5
"""So often a source that changes while it is copied is looked at again, before the copy is put off."""


def copy_checkpoint(
    aws: Aws,
    layout: ExperimentLayout,
    source_trial_id: int,
    target_trial_id: int,
    limits: CopyLimits = DEFAULT_LIMITS,
) -> int:
    """Make the target's checkpoint the newest whole one of the source, whatever it held; the number of objects copied.

    What the target has of it already is not copied again: a copy that was cut short is continued. Checkpoints that
    scripts write in ways of their own, without manifests, are copied as they are. Raises ``TransientError``, also if
    the source changes faster than it can be copied.
    """
    source, target = layout.checkpoints(source_trial_id), layout.checkpoints(target_trial_id)
    for _ in range(LOOKS):
        found = list(objects.listed(aws, source))
        there = {stored.uri: stored for stored in objects.listed(aws, target)}
        try:
            return _copy(aws, _newest_whole(aws, source, found), source, target, there, limits)
        except (NotFoundError, AlreadyExistsError) as error:
            changed = error
    raise UnreachableError(
        f"the checkpoint of trial {source_trial_id} changes faster than it can be copied to trial {target_trial_id}"
    ) from changed


def _copy(
    aws: Aws,
    wanted: Sequence[StoredObject],
    source: S3Uri,
    target: S3Uri,
    there: Mapping[S3Uri, StoredObject],
    limits: CopyLimits,
) -> int:
    copies = [Copy(stored, target / _name(stored, source)) for stored in wanted]
    targets = {copy.target for copy in copies}
    _remove(aws, target, [stored for stored in there.values() if stored.uri not in targets])
    last = [copy for copy in copies if is_manifest(_name(copy.original, source))]
    made = copy_all(aws, [copy for copy in copies if copy not in last], there, limits)
    return made + copy_all(aws, last, there, limits)


def delete_checkpoint(aws: Aws, layout: ExperimentLayout, trial_id: int) -> None:
    """No error if there is none. Raises ``TransientError``, ``AccessDeniedError``."""
    below = layout.checkpoints(trial_id)
    _remove(aws, below, objects.listed(aws, below))


def newest_commit(aws: Aws, layout: ExperimentLayout, trial_id: int) -> float | None:
    """When a checkpoint was last committed, by the clock of S3 (seconds since the epoch); None: never. One call.

    Of a script without manifests, when a file directly in its folder was last copied.
    """
    below = layout.checkpoints(trial_id)
    found = objects.listed_flat(aws, below)
    manifests = [stored for stored in found if is_manifest(_name(stored, below))]
    return max((stored.modified for stored in manifests or found), default=None)


def _name(stored: StoredObject, below: S3Uri) -> str:
    return stored.uri.key[len(below.as_prefix.key) :]


def _remove(aws: Aws, below: S3Uri, stored: Iterable[StoredObject]) -> None:
    """What is left when this is cut short names no file that has gone."""
    uris = [(is_manifest(_name(each, below)), each.uri) for each in stored]
    objects.delete(aws, [uri for manifest, uri in uris if manifest])
    objects.delete(aws, [uri for manifest, uri in uris if not manifest])


def _newest_whole(aws: Aws, below: S3Uri, found: Sequence[StoredObject]) -> list[StoredObject]:
    """The manifest of the newest checkpoint all of whose files are there in their sizes, and those files.

    All that was found, if nothing of it was made by ``save_checkpoint``.
    """
    by_name = {_name(stored, below): stored for stored in found}
    if not any(is_part_of_checkpoint(name.partition("/")[0]) for name in by_name):
        return list(found)
    manifests = filter(None, (_manifest(aws, name, stored) for name, stored in by_name.items() if is_manifest(name)))
    for manifest in sorted(manifests, key=lambda each: each.order, reverse=True):
        names = {f"{manifest.name}/{name}": size for name, (size, _) in manifest.files.items()}
        if names and all(name in by_name and by_name[name].size == size for name, size in names.items()):
            return [by_name[name] for name in (*names, manifest.file_name)]
    logger.warning("%s holds parts of checkpoints, and none that is whole: nothing to copy", below)
    return []


def _manifest(aws: Aws, name: str, stored: StoredObject) -> Manifest | None:
    return parse_manifest(name, objects.get(aws, stored.uri))
