"""Temporary directories. If a run is killed, the next run removes the ones that it left.

A run holds the lock of its directory until it ends in any way. So a directory whose lock is free was
left by a run that was killed.
"""

import contextlib
import errno
import fcntl
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

# Errors of file systems, for example NFS, whose directories can't be locked.
_NO_LOCKS = (errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextlib.contextmanager
def directory(parent: Path, *, prefix: str, mode: int = 0o777) -> Iterator[Path]:
    """Create a directory in `parent` and remove it when the block ends, unless it was renamed.

    Args:
      parent: an existing directory. Directories there that killed runs left under this prefix are
        removed first.
      prefix: prefix of the name, which nothing else in `parent` may have.
      mode: permissions of the directory, before the umask.

    Raises:
      OSError: the directory can't be created.
    """
    clear(parent, prefix=prefix)
    path, descriptor = _new(parent, prefix), None
    try:
        path.mkdir(mode)
        while (descriptor := _lock(path)) is None:
            # Before it was locked, another run took it for a leftover and removed it.
            path = _new(parent, prefix)
            path.mkdir(mode)
        yield path
    finally:
        try:
            shutil.rmtree(path, ignore_errors=True)
        except BaseException:
            # A signal interrupted the removal; the directory must not stay behind.
            shutil.rmtree(path, ignore_errors=True)
            raise
        finally:
            if descriptor is not None:
                os.close(descriptor)


def temporary() -> contextlib.AbstractContextManager[Path]:
    """Create a directory in TMPDIR that only its owner may read; see `directory`."""
    # `tempfile` would ignore an unusable TMPDIR and fill a disk that the user didn't choose.
    parent = os.environ.get("TMPDIR") or tempfile.gettempdir()
    return directory(Path(parent), prefix=".slimhub-scratch-", mode=0o700)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a directory's lock in the block, and wait for it first. Do nothing if it can't be locked."""
    descriptor = _lock(path.resolve())
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _new(parent: Path, prefix: str) -> Path:
    return parent / f"{prefix}{secrets.token_hex(4)}"


def _lock(path: Path, *, left: bool = False) -> int | None:
    """Lock a directory and return the descriptor that holds the lock. Raise `OSError`.

    Return None if the directory is gone. With `left`, for a directory that a killed run may have left,
    return None also if a run works in it, or if that can't be known.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (fcntl.LOCK_NB if left else 0))
        if os.path.samestat(os.fstat(descriptor), os.lstat(path)):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            os.close(descriptor)
            raise
        if not left:
            return descriptor
    os.close(descriptor)
    return None


def clear(parent: Path, *, prefix: str) -> None:
    """Remove the directories with this prefix that killed runs left in `parent`, as far as permitted."""
    name = re.compile(re.escape(prefix) + "[0-9a-f]{8}")
    # Directories of other users, files and links stay; nothing here may keep a run from starting.
    with contextlib.suppress(OSError):
        for path in sorted(path for path in parent.iterdir() if name.fullmatch(path.name)):
            with contextlib.suppress(OSError):
                _remove_left(path)


def _remove_left(path: Path) -> None:
    descriptor = _lock(path, left=True)
    if descriptor is not None:
        try:
            shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(descriptor)
