"""Directories to work in: gone when the work ends, or, after a kill, when the next such work begins.

Whoever works in one holds its lock until the end, however that comes. So one whose lock is free was
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

# What file systems say, NFS among them, whose directories can't be locked.
_NO_LOCKS = (errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextlib.contextmanager
def directory(parent: Path, *, prefix: str, mode: int = 0o777) -> Iterator[Path]:
    """A new directory in `parent`, removed when the block ends, unless it was renamed.

    Args:
      parent: an existing directory. What is there with the same prefix, and nobody works in, is
        removed first.
      prefix: of the name, such that nothing else has names which begin like that.
      mode: of the directory, before the umask.

    Raises:
      OSError: it can't be made.
    """
    clear(parent, prefix=prefix)
    path, descriptor = _new(parent, prefix), None
    try:
        path.mkdir(mode)
        while (descriptor := _lock(path)) is None:
            # Before it was locked, another run took it for one that was left.
            path = _new(parent, prefix)
            path.mkdir(mode)
        yield path
    finally:
        try:
            shutil.rmtree(path, ignore_errors=True)
        except BaseException:
            # A signal came meanwhile; what it stops must not stay behind either.
            shutil.rmtree(path, ignore_errors=True)
            raise
        finally:
            if descriptor is not None:
                os.close(descriptor)


def temporary() -> contextlib.AbstractContextManager[Path]:
    """As `directory`, one that nobody else may read, where TMPDIR says."""
    # `tempfile` would pass over a TMPDIR that can't be used, and fill another disk than was chosen.
    parent = os.environ.get("TMPDIR") or tempfile.gettempdir()
    return directory(Path(parent), prefix=".slimhub-scratch-", mode=0o700)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds a directory's lock, where directories can be locked. Waits for it."""
    descriptor = _lock(path.resolve())
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _new(parent: Path, prefix: str) -> Path:
    return parent / f"{prefix}{secrets.token_hex(4)}"


def _lock(path: Path, *, left: bool = False) -> int | None:
    """Locks a directory, and gives the descriptor that holds the lock.

    None if the directory is gone; of one that may have been `left`, also if somebody works in it, or
    that can't be known. Raises `OSError`.
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
    """Removes what runs left that were killed, where we may."""
    name = re.compile(re.escape(prefix) + "[0-9a-f]{8}")
    # Another's, a file, a link: nothing that is there is a reason not to begin.
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
