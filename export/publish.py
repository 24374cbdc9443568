"""From a staging area to a version: its directory, and its archive if it has one. All of it, or nothing."""

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

from slimhub.export import module_archive
from slimhub.export.errors import CheckError, OutputError, VersionExistsError
from slimhub.signatures import scratch
from slimhub.signatures.provenance import sha256

# Of Linux's renameat2(2).
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def refuse_unpublishable(target: Path, *, overwrite: bool) -> None:
    """Tells before any work is done what would keep `target` from being published.

    Raises:
      VersionExistsError: it is there, or its archive is, and not to be overwritten.
      OutputError: what is there is no directory, or its archive no file, or none can be put there.
    """
    for path, is_kind, kind in (
        (target, stat.S_ISDIR, "directory"),
        (module_archive.path_of(target), stat.S_ISREG, "file"),
    ):
        try:
            # At one stroke: without an exchange, a version that others overwrite is gone for a moment.
            mode = os.lstat(path).st_mode
        except OSError:
            # What can't be looked at can't be written either, as the parents tell.
            continue
        if not is_kind(mode):
            raise OutputError(f"{path} is no {kind}, and was left as it is.")
        if not overwrite:
            raise VersionExistsError(
                f"{path} exists and was left as it is: --overwrite replaces it, --output writes elsewhere."
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
    """A new directory that takes the place of `target` when the block ends well.

    So does its archive, if the block writes one to `module_archive.path_of` that directory. There is
    none beside `target` for a moment, and never that of another version.

    Args:
      target: the version directory. Its parents are created, and removed again on failure.
        What a run left beside it that was killed is removed.
      overwrite: whether a `target` that exists is replaced, and its archive; until then they stay.
        An archive that no new one replaces is removed.

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
            area = _enter_beside(target, stack, created)
            with scratch.locked(target.parent):
                _put_back(target)
            refuse_unpublishable(target, overwrite=overwrite)
            directory = area / target.name
            # Not with `tempfile`: a published module has the modes of any new directory.
            directory.mkdir()
            yield directory
            _sync(area)
            # Alone: between two renames, others would find no version and put the old one back.
            with scratch.locked(target.parent):
                _publish(directory, target, overwrite=overwrite)
            _sync_entries(target.parent)
            # The area is removed, with the version that was replaced in it.
    except OSError as error:
        raise OutputError(f"{target} can't be written: {error}") from error
    finally:
        try:
            _remove_empty(created)
        except BaseException:
            # A signal came meanwhile.
            _remove_empty(created)
            raise


def write_archive(target: Path) -> module_archive.Packed:
    """Puts the archive of a version beside it that was published before, in place of another.

    Raises:
      CheckError: the version is not as it was published, or not there.
      OutputError: the archive can't be written.
    """
    archive = module_archive.path_of(target)
    if not os.path.isdir(target.parent):
        raise CheckError(f"{target} is not a directory")
    try:
        with (
            scratch.directory(target.parent, prefix=_staging_prefix(target)) as area,
            # No version takes the place of this one meanwhile.
            scratch.locked(target.parent),
        ):
            new = area / archive.name
            packed = module_archive.pack(target, into=new)
            refuse_unpublishable(target, overwrite=True)
            if not archive.exists() or sha256(archive) != packed.sha256:
                _sync(area)
                new.rename(archive)
                _sync_entries(archive.parent)
    except OSError as error:
        raise OutputError(f"{archive} can't be written: {error}") from error
    return packed


def _enter_beside(target: Path, stack: contextlib.ExitStack, created: list[Path]) -> Path:
    """A staging area that is there until `stack` ends, and its parents, of which it notes those it made."""
    prefix, attempts = _staging_prefix(target), 100
    while True:
        try:
            _make_parents(target, created)
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
    """Puts a directory in place, then its archive if there is one; what was there is in the area then."""
    refuse_unpublishable(target, overwrite=overwrite)
    archive, new = module_archive.path_of(target), module_archive.path_of(directory)
    old, ours = directory.with_name(f"{archive.name}.old"), os.lstat(directory)

    def placed() -> bool:
        return os.path.lexists(target) and os.path.samestat(os.lstat(target), ours)

    try:
        # First: after a kill at any moment, there is no archive rather than that of another version.
        if os.path.lexists(archive):
            archive.rename(old)
        _put_in_place(directory, target, overwrite=overwrite)
        if os.path.lexists(new):
            new.rename(archive)
    except BaseException:
        if placed() and os.path.lexists(new):
            _take_back(directory, target)
        if not placed() and os.path.lexists(old):
            old.rename(archive)
        raise


def _put_in_place(directory: Path, target: Path, *, overwrite: bool) -> None:
    try:
        # In one step; refuses to replace a directory that isn't empty.
        directory.rename(target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        refuse_unpublishable(target, overwrite=overwrite)
        _swap(directory, target)


def _take_back(directory: Path, target: Path) -> None:
    if os.path.lexists(directory):
        _swap(directory, target)
    else:
        target.rename(directory)


def _swap(directory: Path, target: Path) -> None:
    if not _exchange(directory, target):
        _replace(directory, target)


def _replace(directory: Path, target: Path) -> None:
    """Without an exchange: the version is missing for a moment, and put back if that fails."""
    old = target.with_name(f".{target.name}.old-{directory.parent.name[-8:]}")
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
