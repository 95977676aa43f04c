"""A job's own view of the file system: namespaces and mounts, by the kernel's calls.

What a job gets: its directory at ``/opt/ml``, its ``/etc/hosts``, an empty ``/dev/shm`` and, with a process namespace,
a ``/proc`` of its own. Everything else is the host's. Linux only; needs root or user namespaces.
"""

from __future__ import annotations

import ctypes
import os

NEW_MOUNTS = 0x00020000
NEW_USER = 0x10000000
NEW_PROCESSES = 0x20000000

_NO_SUID = 0x2
_NO_DEVICES = 0x4
_NO_EXECUTION = 0x8
_BIND = 0x1000
_RECURSIVE = 0x4000
_SLAVE = 0x80000

_SET_PARENT_DEATH_SIGNAL = 1
_SET_SUBREAPER = 36


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def die_with_parent(signal_number: int) -> None:
    """Have the kernel send ``signal_number`` to this process when its parent ends; nothing where it can't."""
    libc = _libc()
    if hasattr(libc, "prctl"):
        libc.prctl(_SET_PARENT_DEATH_SIGNAL, signal_number, 0, 0, 0)


def adopt_orphans() -> None:
    """Become the parent of descendants whose parent ends; nothing where the system can't."""
    libc = _libc()
    if hasattr(libc, "prctl"):
        libc.prctl(_SET_SUBREAPER, 1, 0, 0, 0)


def enter_namespaces(flags: int) -> None:
    """Leave the host's namespaces; as another user than root by way of a user namespace, with the same user in it.

    A process namespace holds from the next child on. Raises OSError where the system forbids it.
    """
    libc = _libc()
    if not hasattr(libc, "unshare"):
        raise OSError("unshare: no namespaces on this system")
    user, group = os.getuid(), os.getgid()
    if user == 0 and libc.unshare(flags) == 0:
        own_user = False
    else:
        _check(libc.unshare(flags | NEW_USER), "unshare")
        own_user = True
    if own_user:
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{user} {user} 1")
        _write("/proc/self/gid_map", f"{group} {group} 1")
    _mount("none", "/", None, _SLAVE | _RECURSIVE)


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def _mount(source: str, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    result = _libc().mount(
        os.fsencode(source),
        os.fsencode(target),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        options.encode() if options else None,
    )
    _check(result, f"mount {source} on {target}")


def mount_processes() -> None:
    """Show this process namespace in ``/proc``; to be called inside it."""
    _mount("proc", "/proc", "proc", _NO_SUID | _NO_DEVICES | _NO_EXECUTION)


def mount_shared_memory() -> None:
    """An empty ``/dev/shm``: what a killed job leaves in it goes with it."""
    if os.path.isdir("/dev/shm"):
        _mount("tmpfs", "/dev/shm", "tmpfs", _NO_SUID | _NO_DEVICES, "mode=1777")


def bind_all(binds: dict[str, str]) -> None:
    """Mount each source (file or directory) at its target, making targets that don't exist without a trace outside.

    Sources are opened first, so that no mount hides the source of a later one.
    """
    opened = [(os.open(source, os.O_PATH), target) for target, source in sorted(binds.items())]
    for descriptor, target in opened:
        if not os.path.exists(target):
            _make_room(target)
        _mount(f"/proc/self/fd/{descriptor}", target, None, _BIND | _RECURSIVE)
        os.close(descriptor)


def _make_room(target: str) -> None:
    """Make the directory ``target`` in a tmpfs that replaces its nearest existing parent, all else there kept."""
    parent = os.path.dirname(os.path.realpath(target))
    while not os.path.isdir(parent):
        parent = os.path.dirname(parent)
    if parent == "/":
        raise OSError(f"{target}: / can't be replaced, and nothing is to be made in it")
    working = os.getcwd()
    os.chdir("/")
    children = [(name, os.path.join(parent, name)) for name in os.listdir(parent)]
    links = [(path, os.readlink(path)) for _, path in children if os.path.islink(path)]
    kept = [(path, os.path.isdir(path), os.open(path, os.O_PATH)) for _, path in children if not os.path.islink(path)]
    mode = os.stat(parent).st_mode & 0o7777
    _mount("tmpfs", parent, "tmpfs", _NO_SUID | _NO_DEVICES, f"mode={mode:o}")
    for path, destination in links:
        os.symlink(destination, path)
    for path, is_directory, descriptor in kept:
        if is_directory:
            os.mkdir(path)
        else:
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        _mount(f"/proc/self/fd/{descriptor}", path, None, _BIND | _RECURSIVE)
        os.close(descriptor)
    os.makedirs(target)
    os.chdir(working)
