"""Checkpoints that are whole or not there, and the 120 seconds that a stopped training job has left.

This file travels into trials' containers beside ``report.py``: Python 3.8 and later, standard library only.

A checkpoint is a folder of its own plus a manifest (files, sizes, SHA-256, resource) that is written last and by a
rename, which is the commit::

    {st_checkpoint_dir}/checkpoint-00000012-5f0c1e9a/…      what the user's function wrote
    {st_checkpoint_dir}/checkpoint-00000012-5f0c1e9a.json   the manifest

Only what a manifest names, byte for byte, is ever loaded; otherwise the one before. That also holds for what comes
back from S3, into which SageMaker copies single files, in any order, while they are being written. Names are never
used twice, so files of two versions can't mix unnoticed. Other files in the folder are left alone.
"""

import argparse
import fcntl
import hashlib
import json
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, NoReturn, Optional, Tuple, Type

from cloudtune.report import flush, undisturbed

ST_CHECKPOINT_DIR = "st_checkpoint_dir"
"""Key of a configuration and argument of a script: folder of the trial's checkpoints; absent or None: none are kept."""
ST_CONFIG_JSON_FNAME_ARG = "st_config_json_filename"
"""Key of a configuration and argument of a script: JSON file that holds the configuration."""

SETTLE_SECONDS = 60.0
"""A copy of the folder that takes less than this finds a checkpoint in it that lasts as long as the copy."""
SIGTERM_EXIT_CODE = 128 + signal.SIGTERM

_FORMAT = 1
_NAME = "checkpoint-"
_MANIFEST = ".json"
_UNCOMMITTED = ".json.tmp"


class CheckpointError(RuntimeError):
    """A checkpoint can't be written or used as asked; the ones before it are untouched."""


class Checkpoint(NamedTuple):
    """A committed checkpoint: the folder with the files that were written, and the resource they were written at."""

    path: str
    resource: int


# ---- the helpers for training scripts --------------------------------------------------------------------------------


def add_checkpointing_to_argparse(parser: argparse.ArgumentParser) -> None:
    """Add the optional argument ``--st_checkpoint_dir``, which the tuner passes where checkpoints are kept."""
    parser.add_argument(f"--{ST_CHECKPOINT_DIR}", type=str, default=None, help="folder of this trial's checkpoints")


def resume_from_checkpointed_model(config: Mapping[str, Any], load_model_fn: Callable[[str], Optional[int]]) -> int:
    """Load the newest whole checkpoint; the resource it was written at, 0 if there is none: go on at that plus 1.

    ``load_model_fn(local_path)`` loads from the folder ``local_path`` what ``save_model_fn`` wrote there, and returns
    the resource, or 0 if it could not use it. If it returns None, the recorded resource counts.
    Without ``config["st_checkpoint_dir"]``, and with an empty folder, it is not called.
    """
    directory = config.get(ST_CHECKPOINT_DIR)
    checkpoint = latest_checkpoint(directory) if directory else None
    if checkpoint is None:
        return 0
    resource = load_model_fn(checkpoint.path)
    return checkpoint.resource if resource is None else int(resource)


def checkpoint_model_at_rung_level(
    config: Mapping[str, Any], save_model_fn: Callable[[str, int], object], resource: int, keep: int = 2
) -> None:
    """Write a checkpoint if ``config["st_checkpoint_dir"]`` is set. Call it after each epoch, before the report.

    ``save_model_fn(local_path, resource)`` writes any files below the folder ``local_path``, which exists and is empty.
    ``resource`` is the number of units done, from 1; ``keep`` and errors as of ``save_checkpoint``.
    """
    directory = config.get(ST_CHECKPOINT_DIR)
    if directory:
        save_checkpoint(directory, lambda path: save_model_fn(path, resource), resource, keep)


def pytorch_load_save_functions(
    state_dict_objects: Mapping[str, Any],
    mutable_state: Optional[Dict[str, Any]] = None,
    fname: str = "checkpoint.json",
) -> Tuple[Callable[[str], int], Callable[[str, int], None]]:
    """``(load_model_fn, save_model_fn)`` for PyTorch objects: model, optimizer, learning rate scheduler …

    ``state_dict_objects``: by name, what has ``state_dict`` and ``load_state_dict``. ``mutable_state``: a dict of plain
    values, updated in place when loading. ``fname``: the file, written by ``torch.save``. Loading goes through the CPU;
    ``load_state_dict`` moves tensors to where their objects live. Raises ``CheckpointError`` if names don't fit.
    """

    def save_model_fn(local_path: str, resource: int) -> None:
        import torch

        states = {name: item.state_dict() for name, item in state_dict_objects.items()}
        content = {"resource": resource, "states": states, "mutable_state": dict(mutable_state or {})}
        torch.save(content, str(Path(local_path, fname)))

    def load_model_fn(local_path: str) -> int:
        import inspect

        import torch

        # numpy scalars in mutable_state and some schedulers' states are more than weights; old versions only know False
        full = {"weights_only": False} if "weights_only" in inspect.signature(torch.load).parameters else {}
        content = torch.load(str(Path(local_path, fname)), map_location="cpu", **full)
        states = content["states"]
        if set(states) != set(state_dict_objects):
            raise CheckpointError(
                f"The checkpoint {local_path} holds the states of {sorted(states)}, the script has "
                f"{sorted(state_dict_objects)}. Use the same names in state_dict_objects, or another checkpoint folder."
            )
        for name, item in state_dict_objects.items():
            item.load_state_dict(states[name])
        if mutable_state is not None:
            mutable_state.update(content["mutable_state"])
        return int(content["resource"])

    return load_model_fn, save_model_fn


def add_config_json_to_argparse(parser: argparse.ArgumentParser) -> None:
    """Add the optional argument ``--st_config_json_filename``, by which the tuner passes a configuration as a file."""
    parser.add_argument(
        f"--{ST_CONFIG_JSON_FNAME_ARG}", type=str, default=None, help="JSON file with the configuration"
    )


def load_config_json(args: Mapping[str, Any]) -> Dict[str, Any]:
    """``args``, typically ``vars(parser.parse_args())``, united with the configuration in the file that they name.

    What the file says wins: the same name in ``args`` is the script's default. Without a file, ``args`` itself.
    Raises ``FileNotFoundError`` if there is no such file, ``ValueError`` if it doesn't hold a JSON object.
    """
    path = args.get(ST_CONFIG_JSON_FNAME_ARG)
    if path is None:
        return dict(args)
    text = Path(path).read_text(encoding="utf-8")
    try:
        config = json.loads(text)
    except ValueError as error:
        raise ValueError(f"The configuration in {path!r} is not JSON: {error}") from error
    if not isinstance(config, dict):
        raise ValueError(f"The configuration in {path!r} is a {type(config).__name__}, not an object with names.")
    return {**args, **config}


# ---- checkpoints -----------------------------------------------------------------------------------------------------


class Manifest(NamedTuple):
    """What one checkpoint consists of. ``name``: of its folder. ``written_at``: seconds since the epoch."""

    name: str
    sequence: int
    resource: int
    written_at: float
    files: Dict[str, Tuple[int, str]]
    """Size in bytes and SHA-256 by path relative to the checkpoint's folder."""

    @property
    def file_name(self) -> str:
        return self.name + _MANIFEST

    @property
    def order(self) -> Tuple[int, float, str]:
        """The greatest is the newest."""
        return self.sequence, self.written_at, self.name


def save_checkpoint(
    directory: "os.PathLike[str] | str", write_fn: Callable[[str], object], resource: int, keep: int = 2
) -> Checkpoint:
    """Write a checkpoint below ``directory`` (made if missing) and commit it, or raise and leave all as it was.

    ``write_fn(path)`` writes regular files below the new, empty folder ``path``, closed when it returns. ``resource``
    is the number of units done. Superseded checkpoints are removed after the commit: the newest ``keep`` stay, and up
    to two more while checkpoints follow each other faster than ``SETTLE_SECONDS``. Processes that share ``directory``
    take turns; a SIGTERM hook (``on_sigterm``) waits until the checkpoint is committed.
    Raises ``CheckpointError`` if nothing was written, or a symbolic link, which S3 could not keep, or ``keep`` is below
    2: a copy to S3 that is cut short while the newest is on its way needs the one before.
    """
    if keep < 2:
        raise CheckpointError(f"keep={keep!r} checkpoints are too few: a copy cut short needs the one before. Use 2.")
    root = Path(directory).absolute()
    root.mkdir(parents=True, exist_ok=True)
    with undisturbed, _exclusive(root):
        _remove_uncommitted(root)
        sequence = 1 + max((_sequence(name) for name in _names(root)), default=0)
        name = f"{_NAME}{sequence:08d}-{os.urandom(4).hex()}"
        path = root / name
        path.mkdir()
        try:
            write_fn(str(path))
            manifest = Manifest(name, sequence, int(resource), time.time(), _sealed_files(path))
            _commit(root, manifest)
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)  # best effort: without a manifest it is no checkpoint
            raise
        _remove_superseded(root, keep)
    return Checkpoint(str(path), manifest.resource)


def latest_checkpoint(directory: "os.PathLike[str] | str") -> Optional[Checkpoint]:
    """The newest checkpoint below ``directory`` that is there byte for byte; None if there is none, or no folder."""
    root = Path(directory).absolute()
    before: Optional[List[str]] = None
    while True:
        names = _names(root) if root.is_dir() else []
        if names == before:
            return None
        for manifest in _manifests(root, names):
            if _is_whole(root, manifest):
                return Checkpoint(str(root / manifest.name), manifest.resource)
        before = names  # look again only if another process went on meanwhile


def _names(folder: Path) -> List[str]:
    return sorted(path.name for path in folder.iterdir())


def _commit(root: Path, manifest: Manifest) -> None:
    content = {
        "format": _FORMAT,
        "sequence": manifest.sequence,
        "resource": manifest.resource,
        "written_at": manifest.written_at,
        "files": {path: {"size": size, "sha256": digest} for path, (size, digest) in manifest.files.items()},
    }
    draft = root / (manifest.name + _UNCOMMITTED)
    with draft.open("w", encoding="ascii") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    _sync_folder(root)
    draft.replace(root / (manifest.name + _MANIFEST))
    _sync_folder(root)


def _sealed_files(path: Path) -> Dict[str, Tuple[int, str]]:
    """All files below ``path``, brought to the disk and measured."""
    files = {}
    for folder, folders, names in os.walk(path, onerror=_raise):
        for name in folders + names:
            if Path(folder, name).is_symlink():
                raise CheckpointError(
                    f"The checkpoint holds the symbolic link {Path(folder, name)}, lost in a copy to S3. "
                    f"Write a file there, or the name of the target into a file."
                )
        for name in names:
            file = Path(folder, name)
            files[file.relative_to(path).as_posix()] = _measured(file, to_disk=True)
        _sync_folder(Path(folder))
    if not files:
        raise CheckpointError(
            f"The function that saves a checkpoint has written no file into {path}. "
            f"Write to the folder that it is given, e.g. os.path.join(local_path, 'model.pt')."
        )
    return files


def _measured(path: Path, to_disk: bool = False) -> Tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        if to_disk:
            os.fsync(file.fileno())
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
            size += len(block)
    return size, digest.hexdigest()


def _manifests(root: Path, names: List[str]) -> List[Manifest]:
    """The manifests that can be read, newest first."""
    found = [_read_manifest(root, name) for name in names if is_manifest(name)]
    return sorted((one for one in found if one), key=lambda one: one.order, reverse=True)


def _read_manifest(root: Path, file_name: str) -> Optional[Manifest]:
    try:
        return parse_manifest(file_name, (root / file_name).read_bytes())
    except OSError:
        return None  # removed meanwhile


def parse_manifest(file_name: str, text: bytes) -> Optional[Manifest]:
    """The manifest that a file of this name holds; None if it commits nothing, because it was cut short for example."""
    try:
        content = json.loads(text.decode("ascii"))
        if content["format"] != _FORMAT:
            return None
        files = {str(path): (int(entry["size"]), str(entry["sha256"])) for path, entry in content["files"].items()}
        name = file_name[: -len(_MANIFEST)]
        return Manifest(name, int(content["sequence"]), int(content["resource"]), float(content["written_at"]), files)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _is_whole(root: Path, manifest: Manifest, read: bool = True) -> bool:
    """Whether all that ``manifest`` names is there: by size, and by content if ``read``."""
    for name, (size, digest) in manifest.files.items():
        path = root / manifest.name / name
        try:
            if path.stat().st_size != size or (read and _measured(path) != (size, digest)):
                return False
        except OSError:
            return False
    return bool(manifest.files)


def _remove_superseded(root: Path, keep: int) -> None:
    """Keep the newest ones, and what a copy that is under way can rely on.

    That is the newest that has been there for ``SETTLE_SECONDS``, and the oldest of the younger ones, which will be it
    next. At least one of them neither changes nor goes for as long, however fast checkpoints follow each other.
    """
    whole = [manifest for manifest in _manifests(root, _names(root)) if _is_whole(root, manifest, read=False)]
    now = time.time()
    kept = {manifest.name for manifest in whole[:keep]}
    settled = [manifest for manifest in whole if now - manifest.written_at >= SETTLE_SECONDS]
    younger = [manifest for manifest in whole if now - manifest.written_at < SETTLE_SECONDS]
    kept.update(manifest.name for manifest in settled[:1] + younger[-1:])
    for name in _names(root):
        if is_manifest(name) and name[: -len(_MANIFEST)] not in kept:
            (root / name).unlink()
    _remove_uncommitted(root)


def _remove_uncommitted(root: Path) -> None:
    """Remove folders and drafts without a manifest: nobody writes them, for we hold the lock."""
    names = _names(root)
    for name in names:
        path = root / name
        if not _sequence(name) or name.endswith(_MANIFEST):
            continue
        if name.endswith(_UNCOMMITTED):
            path.unlink()
        elif name + _MANIFEST not in names:
            shutil.rmtree(path)


def is_manifest(name: str) -> bool:
    """Whether a file of this name commits a checkpoint."""
    return bool(_sequence(name)) and name.endswith(_MANIFEST)


def is_part_of_checkpoint(name: str) -> bool:
    """Whether a file or folder of this name, directly in the folder of checkpoints, was made by ``save_checkpoint``."""
    return bool(_sequence(name))


def _sequence(name: str) -> int:
    """The number in the name of a checkpoint, its manifest or its draft; 0 for all other names."""
    stem = name.split(".", 1)[0]
    parts = stem.split("-")
    known = name[len(stem) :] in ("", _MANIFEST, _UNCOMMITTED)
    if known and len(parts) == 3 and parts[0] + "-" == _NAME and len(parts[2]) == 8 and parts[1].isdigit():
        return int(parts[1])
    return 0


@contextmanager
def _exclusive(root: Path) -> Iterator[None]:
    """One writer at a time, among threads and processes of this machine, where the file system has locks."""
    descriptor = os.open(root, os.O_RDONLY)
    try:
        _try_flock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _try_flock(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        print(f"checkpoints are written without a lock, which this file system lacks: {error}", file=sys.stderr)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _raise(error: OSError) -> None:
    raise error


# ---- SIGTERM ---------------------------------------------------------------------------------------------------------


def on_sigterm(hook: Callable[[], object]) -> "SigtermHook":
    """Run ``hook()`` when the job is stopped, then leave with exit code 143. Installed at once; main thread only.

    ::

        with on_sigterm(lambda: save_checkpoint(directory, write, epoch)):
            train()

    A stopped training job gets SIGTERM and has 120 seconds until SIGKILL. The hook runs once, in the main thread,
    between two of its bytecodes: a long call into C holds it up, and what the main thread was changing may be
    half-changed. A checkpoint or report that the main thread is writing is finished first. Then standard output is
    flushed and ``SystemExit`` raised, so that ``finally`` and ``atexit`` do their work; if the script catches that, the
    next SIGTERM raises it again. If the hook raises, its traceback is printed and the process leaves all the same; if
    it calls ``sys.exit``, with its code.

    Hooks nest, and the innermost runs first. A handler that was there before runs after them. At the end of the
    ``with`` block, or with ``.close()``, the former handler is back. Forked children don't inherit the hook: they die
    of SIGTERM as if it were not there.

    The signal has to reach the script: the sandbox passes it on, and so does a container whose entry point is the
    script or ``exec``s it; the ``sagemaker-training`` toolkit, which runs scripts in the prebuilt images, does not.
    """
    return SigtermHook(hook)


class SigtermHook:
    """What ``on_sigterm`` returns: a context manager that puts the former handler back."""

    def __init__(self, hook: Callable[[], object]) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise CheckpointError("on_sigterm was called in a thread, and Python handles signals in the main one only.")
        self._hook: Optional[Callable[[], object]] = hook
        self._state = "waiting"
        # None stands for a handler that isn't Python's, which can't be put back
        self.former_handler = signal.getsignal(signal.SIGTERM) or signal.SIG_DFL
        signal.signal(signal.SIGTERM, self._on_signal)

    def close(self) -> None:
        """Put the former handler back; the hook will not run."""
        self._hook = None
        if signal.getsignal(signal.SIGTERM) == self._on_signal:
            signal.signal(signal.SIGTERM, self.former_handler)

    def __enter__(self) -> "SigtermHook":
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    def _on_signal(self, number: int, frame: Optional[FrameType]) -> None:
        if self._state == "waiting":
            self._state = "called"
            undisturbed.run_or_defer(lambda: self._run(number, frame))
        elif self._state == "done":
            raise SystemExit(SIGTERM_EXIT_CODE)

    def _run(self, number: int, frame: Optional[FrameType]) -> None:
        outcome = "raised"
        try:
            if self._hook is not None:
                self._hook()
            outcome = "returned"
        except SystemExit:
            outcome = "left"
            raise
        finally:
            self._state = "done"
            if outcome == "raised":
                traceback.print_exc()
            flush(sys.stdout)
            flush(sys.stderr)
            if outcome != "left":
                self._leave(number, frame)

    def _leave(self, number: int, frame: Optional[FrameType]) -> NoReturn:
        if callable(self.former_handler):
            self.former_handler(number, frame)
        raise SystemExit(SIGTERM_EXIT_CODE)


def _installed() -> Optional[SigtermHook]:
    """The innermost hook, if the handler is ours."""
    owner = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return owner if isinstance(owner, SigtermHook) else None


_fork = threading.local()


def _before_fork() -> None:
    # a signal that comes to the child before its handler is reset would be lost: Python drops what is pending there
    _fork.mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]) if _installed() else None


def _after_fork() -> None:
    if _fork.mask is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, _fork.mask)


def _after_fork_in_child() -> None:
    hook = _installed()
    while hook:
        signal.signal(signal.SIGTERM, hook.former_handler)
        hook = _installed()
    _after_fork()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child)
