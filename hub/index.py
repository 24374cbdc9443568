"""The index of the modules below a root: lists handles, and checks files against their recorded sums.

A handle is only compared with those in the index, never used as a path. The index follows no links,
and enters only directories whose names a handle may have, so none that are hidden.
"""

import dataclasses
import difflib
import hashlib
import logging
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

from slimhub.signatures.contract import formats, handles
from slimhub.signatures.contract.contract import Contract
from slimhub.signatures.module.directory import Directory, UnreadableError
from slimhub.signatures.module.provenance import Provenance
from slimhub.support.printable import printable

LOG = logging.getLogger("slimhub.hub")

# Directories above a version; `google/imagenet/inception_v1/feature_vector` are four.
_MOST_LEVELS = 12
# Attempts to read a module that is replaced meanwhile.
_ATTEMPTS = 10
# Longest path on Linux. To look for handles like a longer one would take long.
_LONGEST = 4096


class UnknownHandleError(LookupError):
    """There is no module of this handle; `nearest` are handles that may have been meant."""

    def __init__(self, handle: str, nearest: list[str]):
        super().__init__(f"There is no module {printable(handle[:200])!r} here.")
        self.nearest = nearest


class DamagedModuleError(Exception):
    """A module differs from what its provenance records."""


class UnavailableError(Exception):
    """Something can't be read or written now, though nothing is wrong with any module."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """A module whose files are those that its provenance records.

    Attributes:
      handle: its path below the root, `<...>/<version>`.
      directory: where its files are.
      record: its provenance.
      promise: its contract.
      key: SHA-256 of its provenance. Equal for equal modules, as the provenance has the sums of all
        other files.
      num_bytes: size of all its files.
    """

    handle: str
    directory: Path
    record: Provenance
    promise: Contract
    key: str
    num_bytes: int


class ModuleIndex:
    """The modules below a root. Safe to use from several threads."""

    def __init__(self, root: Path):
        self._root = root
        self._locks: dict[str, threading.Lock] = {}
        # By handle: the state of the module's files, and the entry, or what is wrong with them.
        self._results: dict[str, tuple[tuple, Entry | str]] = {}
        self._unreadable: set[str] = set()

    def handles(self) -> tuple[str, ...]:
        """Return the handles of all modules, damaged ones too; versions in order of their numbers.

        Raises:
          UnavailableError: the root can't be read.
        """
        handles = tuple(sorted(self._walk(), key=_order))
        for handle in set(self._locks) - set(handles):
            self._locks.pop(handle, None)
            self._results.pop(handle, None)
        return handles

    def below(self, path: str) -> tuple[str, ...]:
        """Return the handles that begin with a path of whole names; with the empty path, all."""
        return tuple(h for h in self.handles() if not path or h.startswith(f"{path}/"))

    def entry(self, handle: str) -> Entry:
        """Return the module of a handle.

        Raises:
          UnknownHandleError: there is none.
          DamagedModuleError: it differs from what its provenance records.
          UnavailableError: it can't be read now.
        """
        handles = self.handles()
        if handle not in handles:
            raise UnknownHandleError(handle, nearest(handle, handles))
        return self.known_entry(handle)

    def known_entry(self, handle: str) -> Entry:
        """Return what `entry` does for one of `handles`, without listing them again.

        Raises:
          DamagedModuleError: it differs from what its provenance records, or was removed.
          UnavailableError: it can't be read now.
        """
        directory = self._root / handle
        for _ in range(_ATTEMPTS):
            state = _state(directory)
            # Each module is read by one thread; others wait for its result.
            with self._locks.setdefault(handle, threading.Lock()):
                known_state, result = self._results.get(handle, (None, ""))
                if known_state != state:
                    try:
                        result = _read_entry(handle, directory)
                    except UnavailableError:
                        if state == _state(directory):
                            raise
                        continue
                    # The result may be of a mixture of two modules.
                    if state != _state(directory):
                        continue
                    if isinstance(result, str):
                        LOG.error("%s is not served: %s", handle, result)
                    self._results[handle] = state, result
            if isinstance(result, str):
                raise DamagedModuleError(f"{handle} is not as it was published: {result}")
            return result
        raise UnavailableError(f"{handle} is being replaced, again and again.")

    def _walk(self) -> Iterator[str]:
        for path, folders, _ in os.walk(self._root, onerror=self._on_unreadable):
            directory = Path(path)
            parts = directory.relative_to(self._root).parts
            if parts and re.fullmatch("[0-9]+", parts[-1]) and _is_module(directory):
                folders.clear()
                yield "/".join(parts)
            elif len(parts) > _MOST_LEVELS:
                folders.clear()
            folders[:] = [name for name in folders if re.fullmatch(handles.PART, name)]

    def _on_unreadable(self, error: OSError) -> None:
        if not isinstance(error, FileNotFoundError | PermissionError | NotADirectoryError):
            # As with too many open files: the modules are still there.
            raise UnavailableError(f"The modules can't be read: {error.strerror}") from error
        if error.filename == str(self._root):
            raise UnavailableError(f"The root can't be read: {error.strerror}") from error
        # It belongs to another user, or was removed just now.
        if error.filename not in self._unreadable:
            self._unreadable.add(error.filename)
            LOG.warning("%s can't be read: %s", error.filename, error.strerror)


def nearest(handle: str, handles: tuple[str, ...]) -> list[str]:
    """Return up to three handles that are like a handle, or begin with it."""
    if len(handle) > _LONGEST:
        return []
    close = difflib.get_close_matches(handle, handles, n=3, cutoff=0.6)
    return close or [h for h in handles if handle and h.startswith(handle)][:3]


def _is_module(directory: Path) -> bool:
    return any(os.path.lexists(directory / name) for name in ("saved_model.pb", formats.PROVENANCE))


def _order(handle: str) -> tuple[str, int]:
    model, _, version = handle.rpartition("/")
    return model, int(version)


def _state(directory: Path) -> tuple:
    """Return a value that changes when a file in the directory does, or the directory is replaced."""
    state = []
    for parent, folders, files in os.walk(directory):
        folders.sort()
        for name in ("", *sorted(files)):
            path = os.path.join(parent, name)
            try:
                stat = os.lstat(path)
            except OSError:
                continue
            state.append((path, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))
    return tuple(state)


def _read_entry(handle: str, directory: Path) -> Entry | str:
    """Return a module's entry, or what is wrong with it. Raise `UnavailableError`."""
    module = Directory(directory)
    try:
        problems = list(module.changed_files())
        if not problems:
            return Entry(
                handle=handle,
                directory=directory,
                record=module.provenance,
                promise=module.promise(),
                key=hashlib.sha256(module.read(formats.PROVENANCE)).hexdigest(),
                num_bytes=sum(map(module.size, module.files)),
            )
    except UnreadableError as error:
        # Without the folders of this machine.
        problems = [str(error).replace(f"{directory}", handle)]
        if isinstance(error.__cause__, OSError):
            message = f"{handle} can't be read now: {printable(problems[0])}"
            raise UnavailableError(message) from error
    return "; ".join(map(printable, problems))


def key_of(directory: Path) -> str | None:
    """Return the key of the module that is in a directory now; None if it can't be read."""
    try:
        return hashlib.sha256(Directory(directory).read(formats.PROVENANCE)).hexdigest()
    except UnreadableError:
        return None
