"""From a staging directory to a version directory: all of it, or nothing."""

import contextlib
import ctypes
import errno
import glob
import itertools
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from slimhub.export import scratch
from slimhub.export.errors import OutputError, VersionExistsError

# Of Linux's renameat2(2).
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def refuse_unpublishable(target: Path, *, overwrite: bool) -> None:
    """Tells before any work is done what would keep `target` from being published.

    Raises:
      VersionExistsError: it is there and not to be overwritten.
      OutputError: it is there and no directory, or none can be put there.
    """
    try:
        # At one stroke: without an exchange, a version that others overwrite is gone for a moment.
        mode = os.lstat(target).st_mode
    except OSError:
        # What can't be looked at can't be written either, as the parents tell.
        mode = None
    if mode is not None and not stat.S_ISDIR(mode):
        raise OutputError(f"{target} is no directory, and was left as it is.")
    if mode is not None and not overwrite:
        raise VersionExistsError(
            f"{target} exists and was left as it is: --overwrite replaces it, --output writes elsewhere."
        )
    # More than once: a run that fails removes parents that it had made, even while they are looked at.
    for _ in range(10):
        parent = next(parent for parent in target.absolute().parents if os.path.lexists(parent))
        if os.path.isdir(parent) and os.access(parent, os.W_OK | os.X_OK):
            return
    raise OutputError(f"{target} can't be written: {parent} is no directory to write into.")


def clear_up(target: Path) -> None:
    """Removes what a run left beside `target` that was killed, where we may."""
    scratch.clear(target.parent, prefix=_staging_prefix(target))


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
    try:
        with contextlib.ExitStack() as stack:
            directory = _enter_beside(target, stack, created)
            with scratch.locked(target.parent):
                _put_back(target)
            refuse_unpublishable(target, overwrite=overwrite)
            yield directory
            _sync(directory)
            # Alone: between two renames, others would find no version and put the old one back.
            with scratch.locked(target.parent):
                _publish(directory, target, overwrite=overwrite)
            _sync_entries(target.parent)
            # After an exchange, the directory is the version that was replaced, and is removed.
    except OSError as error:
        raise OutputError(f"{target} can't be written: {error}") from error
    finally:
        try:
            _remove_empty(created)
        except BaseException:
            # A signal came meanwhile.
            _remove_empty(created)
            raise


def _enter_beside(target: Path, stack: contextlib.ExitStack, created: list[Path]) -> Path:
    """A directory that is there until `stack` ends, and its parents, of which it notes those it made."""
    prefix, attempts = _staging_prefix(target), 100
    while True:
        try:
            _make_parents(target, created)
            # Not with `tempfile`: a published module has the modes of any new directory.
            return stack.enter_context(scratch.directory(target.parent, prefix=prefix))
        except (FileNotFoundError, FileExistsError):
            # Another run failed just now, and removed the parents that it had made. (One that was
            # there a moment ago, and is no directory now, is said to exist.)
            attempts -= 1
            if not attempts:
                raise


def _make_parents(target: Path, created: list[Path]) -> None:
    """Creates the missing parents, and notes each, the outermost first."""
    missing = list(itertools.takewhile(lambda parent: not parent.exists(), target.parents))
    for parent in reversed(missing):
        # First: if a signal comes in between, one that is not there is not missed.
        created.append(parent)
        parent.mkdir(exist_ok=True)


def _remove_empty(created: list[Path]) -> None:
    for parent in reversed(created):
        # One that holds a version stays.
        with contextlib.suppress(OSError):
            parent.rmdir()


def _put_back(target: Path) -> None:
    """Puts a version back in place that a run moved aside which was killed before the next move."""
    for old in sorted(target.parent.glob(f".{glob.escape(target.name)}.old-*")):
        if not os.path.lexists(target):
            old.rename(target)
        else:
            # Not under its name: half of it must not be put back, should this be killed too.
            staging = target.with_name(f"{_staging_prefix(target)}{old.name[-8:]}")
            shutil.rmtree(old.rename(staging), ignore_errors=True)


def _staging_prefix(target: Path) -> str:
    return f".{target.name}.staging-"


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
    old = target.with_name(f".{target.name}.old-{directory.name[-8:]}")
    try:
        target.rename(old)
        directory.rename(target)
        # As after an exchange.
        old.rename(directory)
    except BaseException:
        if old.exists():
            old.rename(directory if target.exists() else target)
        raise


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
