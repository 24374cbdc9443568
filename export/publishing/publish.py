"""From a staging area to a version: its directory, and its archive if it has one. All of it, or nothing."""

import contextlib
import glob
import itertools
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from slimhub.export.errors import CheckError, OutputError, VersionExistsError
from slimhub.signatures.module import module_archive
from slimhub.signatures.module.provenance import sha256
from slimhub.support import temporary


def check_publishable(target: Path, *, overwrite: bool) -> None:
    """Fail early with what would keep `target` from being published.

    Raises:
      VersionExistsError: it is there, or its archive is, and not to be overwritten.
      OutputError: what is there is no directory, or its archive no file, or none can be put there.
    """
    for path, is_kind, kind in (
        (target, stat.S_ISDIR, "directory"),
        (module_archive.path_of(target), stat.S_ISREG, "file"),
    ):
        try:
            # One call, not two: a version that others overwrite is gone for a moment.
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


def remove_stale_staging(target: Path) -> None:
    """Remove what killed runs left beside `target`, where that is allowed."""
    temporary.clear(target.parent, prefix=_staging_prefix(target))


@contextlib.contextmanager
def staging(target: Path, *, overwrite: bool) -> Iterator[Path]:
    """Make a new directory for a version beside `target`, and remove it unless `publish` moved it there.

    Args:
      target: the version directory. Its parents are created, and removed again on failure.
        What a run left beside it that was killed is removed.
      overwrite: whether a `target` that exists may be replaced.

    Yields:
      An empty directory on the same file system.

    Raises:
      VersionExistsError: `target` exists, and `overwrite` is false.
      OutputError: it can't be written.
    """
    check_publishable(target, overwrite=overwrite)
    created: list[Path] = []
    try:
        with contextlib.ExitStack() as stack:
            area = _enter_beside(target, stack, created)
            with temporary.locked(target.parent):
                _put_back(target, area)
            check_publishable(target, overwrite=overwrite)
            directory = area / target.name
            # Not with `tempfile`: a published module has the modes of any new directory.
            directory.mkdir()
            yield directory
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


def publish(directory: Path, target: Path, *, overwrite: bool) -> None:
    """Move a staging directory to `target`, with the archive that is beside it, if there is one.

    While a version is overwritten, there is none at `target` for a moment: the old one is moved aside,
    then the new one takes its place. After a kill in between, the next `staging` of `target` puts the
    old one back. There is no archive for a moment either, and never that of another version.

    Args:
      directory: of `staging`; its archive is at `module_archive.path_of` it.
      target: the version directory.
      overwrite: whether a `target` that exists is replaced, and its archive; until then they stay.
        An archive that no new one replaces is removed.

    Raises:
      VersionExistsError: `target` exists, or came to be meanwhile, and `overwrite` is false.
      OutputError: it can't be written.
    """
    try:
        _sync(directory.parent)
        # Between two renames, others would find no version and put the old one back.
        with temporary.locked(target.parent):
            _move_into_place(directory, target, overwrite=overwrite)
        _sync_one(target.parent)
    except OSError as error:
        raise OutputError(f"{target} can't be written: {error}") from error


def write_archive(target: Path) -> module_archive.Packed:
    """Put the archive of a published version beside it, in place of an old one.

    Raises:
      CheckError: the version is not as it was published, or not there.
      OutputError: the archive can't be written.
    """
    archive = module_archive.path_of(target)
    if not os.path.isdir(target.parent):
        raise CheckError(f"{target} is not a directory")
    try:
        with (
            temporary.directory(target.parent, prefix=_staging_prefix(target)) as area,
            # No version takes the place of this one meanwhile.
            temporary.locked(target.parent),
        ):
            new = area / archive.name
            packed = pack(target, into=new)
            check_publishable(target, overwrite=True)
            if not archive.exists() or sha256(archive) != packed.sha256:
                _sync(area)
                new.rename(archive)
                _sync_one(archive.parent)
    except OSError as error:
        raise OutputError(f"{archive} can't be written: {error}") from error
    return packed


def pack(directory: Path, *, into: Path) -> module_archive.Packed:
    """Write the archive of a module. Raise `CheckError` if it was changed, `OSError` if `into` can't be written."""
    try:
        return module_archive.pack(directory, into=into)
    except module_archive.ChangedModuleError as error:
        raise CheckError(str(error)) from error


def _enter_beside(target: Path, stack: contextlib.ExitStack, created: list[Path]) -> Path:
    """Create a staging area that is there until `stack` ends, and its parents, and note those it made."""
    prefix, attempts = _staging_prefix(target), 100
    while True:
        try:
            _make_parents(target, created)
            return stack.enter_context(temporary.directory(target.parent, prefix=prefix))
        except (FileNotFoundError, FileExistsError):
            # Another run failed just now, and removed the parents that it had made. (One that was
            # there a moment ago, and is no directory now, is said to exist.)
            attempts -= 1
            if not attempts:
                raise


def _make_parents(target: Path, created: list[Path]) -> None:
    """Create the missing parents, the outermost first, and note each."""
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


def _put_back(target: Path, area: Path) -> None:
    """Put back a version that a run moved aside before it was killed."""
    for old in sorted(target.parent.glob(f".{glob.escape(target.name)}.old-*")):
        # Into the area, which is removed later: if this is killed too, no part of it is put back.
        old.rename(area / old.name if os.path.lexists(target) else target)


def _staging_prefix(target: Path) -> str:
    return f".{target.name}.staging-"


def _sync(directory: Path) -> None:
    """Flush every file and directory to the disk before the version is put in place."""
    for path in (directory, *sorted(directory.rglob("*"))):
        _sync_one(path)


def _sync_one(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _move_into_place(directory: Path, target: Path, *, overwrite: bool) -> None:
    """Put a directory and its archive in place, and what was there into the area. All of it, or nothing."""
    check_publishable(target, overwrite=overwrite)
    area, archive, new_archive = directory.parent, *map(module_archive.path_of, (target, directory))
    aside = target.with_name(f".{target.name}.old-{area.name[-8:]}")
    moves = [(directory, target)]
    if os.path.lexists(target):
        # Aside first: after a kill, `_put_back` finds it there, but not in the area.
        moves = [(target, aside), *moves, (aside, area / aside.name)]
    if os.path.lexists(archive):
        # Before the version: after a kill, there is no archive rather than that of another version.
        moves.insert(0, (archive, area / f"{archive.name}.old"))
    if os.path.lexists(new_archive):
        moves.append((new_archive, archive))
    try:
        for source, destination in moves:
            source.rename(destination)
    except BaseException:
        for source, destination in reversed(moves):
            if os.path.lexists(destination) and not os.path.lexists(source):
                destination.rename(source)
        raise
