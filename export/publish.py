"""From a staging directory to a version directory: all of it, or nothing."""

import contextlib
import ctypes
import errno
import fcntl
import itertools
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from slimhub.export.errors import OutputError, VersionExistsError

# Of Linux's renameat2(2).
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def refuse_unpublishable(target: Path, *, overwrite: bool) -> None:
    """Tells before any work is done what would keep `target` from being published.

    Raises:
      VersionExistsError: it is there and not to be overwritten.
      OutputError: it is there and no directory, or no directory can be made for it.
    """
    # Unlike those of `Path`, these never raise: what can't be looked at can't be written either.
    if not os.path.lexists(target):
        parent = next(parent for parent in target.absolute().parents if os.path.lexists(parent))
        if not os.path.isdir(parent) or not os.access(parent, os.W_OK):
            raise OutputError(f"{target} can't be written: {parent} is no directory to write into.")
        return
    if os.path.islink(target) or not os.path.isdir(target):
        raise OutputError(f"{target} is no directory, and was left as it is.")
    if not overwrite:
        raise VersionExistsError(
            f"{target} exists and was left as it is: --overwrite replaces it, --output writes elsewhere."
        )


@contextlib.contextmanager
def staging(target: Path, *, overwrite: bool) -> Iterator[Path]:
    """A new directory beside `target` that takes its place when the block ends well.

    Args:
      target: the version directory. Its parents are created, and removed again on failure.
        What a run left beside it that was killed is removed.
      overwrite: whether a `target` that exists is replaced; until then it stays.

    Yields:
      An empty directory on the same file system.

    Raises:
      VersionExistsError: `target` exists, or came to be meanwhile, and `overwrite` is false.
      OutputError: it can't be written.
    """
    refuse_unpublishable(target, overwrite=overwrite)
    created: list[Path] = []
    directory = _beside(target, "staging")
    try:
        _make_parents(target, created)
        with contextlib.ExitStack() as stack:
            with _locked(target.parent):
                _clear_up(target)
                # Not with `tempfile`: a published module has the modes of any new directory.
                directory.mkdir()
                # Says until the end, however that comes, that somebody is writing there.
                stack.enter_context(_locked(directory))
            yield directory
            _sync(directory)
            _publish(directory, target, overwrite=overwrite)
            _sync_entries(target.parent)
    except OSError as error:
        raise OutputError(f"{target} can't be written: {error}") from error
    finally:
        # After an exchange, this is the version that was replaced.
        shutil.rmtree(directory, ignore_errors=True)
        for parent in reversed(created):
            # One that holds a version stays.
            with contextlib.suppress(OSError):
                parent.rmdir()


def _beside(target: Path, role: str) -> Path:
    return target.with_name(f".{target.name}.{role}-{secrets.token_hex(4)}")


def _make_parents(target: Path, created: list[Path]) -> None:
    """Creates the missing parents, and notes each, the outermost first."""
    missing = list(itertools.takewhile(lambda parent: not parent.exists(), target.parents))
    for parent in reversed(missing):
        parent.mkdir(exist_ok=True)
        created.append(parent)


@contextlib.contextmanager
def _locked(directory: Path, *, wait: bool = True) -> Iterator[None]:
    """Holds a directory's lock. Raises `BlockingIOError` if another has it and we don't wait."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _clear_up(target: Path) -> None:
    """Removes what a run left that was killed: nobody holds its lock. Puts a version back in place."""
    for old in target.parent.glob(f".{target.name}.old-*"):
        if not target.exists():
            old.rename(target)
    for role in ("staging", "old"):
        for left in sorted(target.parent.glob(f".{target.name}.{role}-*")):
            with contextlib.suppress(BlockingIOError), _locked(left, wait=False):
                shutil.rmtree(left)


def _sync(directory: Path) -> None:
    """Has the disk hold every file before the version is there."""
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    for path in (directory, *filter(Path.is_dir, directory.rglob("*"))):
        _sync_entries(path)


def _sync_entries(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _publish(directory: Path, target: Path, *, overwrite: bool) -> None:
    try:
        # In one step; refuses to replace a directory that isn't empty.
        directory.rename(target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        refuse_unpublishable(target, overwrite=overwrite)
        if not _exchange(directory, target):
            _replace(directory, target)


def _replace(directory: Path, target: Path) -> None:
    """Without an exchange: the version is missing for a moment, and put back if that fails."""
    old = _beside(target, "old")
    target.rename(old)
    try:
        directory.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Swaps two directories in one step; false where the system or the file system can't."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    paths = os.fsencode(one), os.fsencode(other)
    if renameat2(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        return False
    raise OSError(number, os.strerror(number), str(other))
