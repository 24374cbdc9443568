"""Restrictions of a process before it exports: less room, fewer rights. Pass partials to `program.start`."""

import ctypes
import json
import os
import resource
from pathlib import Path

# Exit code of a process that may not mount.
NO_MOUNT = 77

# Of Linux's unshare(2), mount(2) and capset(2).
_CLONE_NEWNS = 0x20000
_MS_REC, _MS_PRIVATE = 0x4000, 1 << 18
_CAPABILITY_VERSION_3 = 0x20080522


def small_files(num_bytes: int) -> None:
    """Limit the size of every file."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, num_bytes))


def no_privileges() -> None:
    """Drop root's capabilities, so that modes of files and directories apply to root, too."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    _call("capset", header, (ctypes.c_uint32 * 6)())


def small_disk(directory: Path, options: str, *, left: Path) -> None:
    """Continue in a child with a small file system at `directory`, which no other process sees.

    When the child has ended, write into `left`, as JSON, the files on it.
    """
    try:
        _mount(directory, options)
    except OSError:
        os._exit(NO_MOUNT)
    child = os.fork()
    if child:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        names = sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))
        left.write_text(json.dumps(names))
        os._exit(code)


def _mount(directory: Path, options: str) -> None:
    _call("unshare", _CLONE_NEWNS)
    # Or whoever shares what is mounted would see it.
    _call("mount", b"none", b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None)
    where = os.fsencode(directory)
    _call("mount", b"none", where, b"tmpfs", ctypes.c_ulong(0), options.encode())


def _call(name: str, *arguments) -> None:
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)
