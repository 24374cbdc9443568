"""The modules below a root: found, looked up by handle, and vouched for by the sums they record.

A handle is only compared with those that were found, never used as a path. Only directories are
walked through, and only those whose names a handle may have: no links, nothing hidden.
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

from slimhub.export.request import NAME
from slimhub.signatures import formats
from slimhub.signatures.directory import Directory, UnreadableError
from slimhub.signatures.printable import printable
from slimhub.signatures.provenance import Provenance

LOG = logging.getLogger("slimhub.hub")

# Levels of directories above a version. A handle of `google/imagenet/...` has four.
_MOST_LEVELS = 12
# How often a module is read that is replaced meanwhile.
_ATTEMPTS = 10
# Longer than any path that names of 255 bytes make.
_LONGEST = 4096


class UnknownHandleError(LookupError):
    """No module is there; `nearest` are handles that may have been meant."""

    def __init__(self, handle: str, nearest: list[str]):
        super().__init__(f"There is no module {printable(handle[:200])!r} here.")
        self.nearest = nearest


class DamagedModuleError(Exception):
    """A module is there, and is not as its provenance records it."""


class OutOfOrderError(Exception):
    """Something can't be read or written now; nothing is wrong with any module."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """A module that is as its provenance records it.

    Attributes:
      handle: where it is below the root, `<...>/<version>`.
      directory: its files.
      record: its provenance.
      key: SHA-256 of its provenance, which holds those of all other files: equal for equal modules.
      num_bytes: of all its files.
    """

    handle: str
    directory: Path
    record: Provenance
    key: str
    num_bytes: int


class Shelf:
    """The modules below a root. May be used from several threads at once."""

    def __init__(self, root: Path):
        self._root = root
        # One thread reads a module, others wait and find what it found.
        self._locks = [threading.Lock() for _ in range(64)]
        # What was found of each module, an entry or what is wrong, and of which state of its files.
        self._found: dict[str, tuple[tuple, Entry | str]] = {}
        self._unreadable: set[str] = set()

    def handles(self) -> tuple[str, ...]:
        """Of all modules that are there now, damaged ones among them; versions by their numbers.

        Raises:
          OutOfOrderError: the root can't be read.
        """
        handles = tuple(sorted(self._walk(self._root, ""), key=_order))
        for handle in set(self._found) - set(handles):
            self._found.pop(handle, None)
        return handles

    def below(self, path: str) -> tuple[str, ...]:
        """Those handles that begin with a path of whole names; with the empty path, all."""
        return tuple(one for one in self.handles() if not path or one.startswith(f"{path}/"))

    def entry(self, handle: str) -> Entry:
        """The module of that handle, if it is as its provenance records it.

        Raises:
          UnknownHandleError: there is none.
          DamagedModuleError: it is not.
          OutOfOrderError: that can't be known now.
        """
        handles = self.handles()
        if handle not in handles:
            raise UnknownHandleError(handle, nearest(handle, handles))
        return self.known(handle)

    def known(self, handle: str) -> Entry:
        """As `entry`, of one of `handles`. It may have been removed since."""
        directory = self._root / handle
        for _ in range(_ATTEMPTS):
            state = _state(directory)
            found = self._found.get(handle)
            if found is None or found[0] != state:
                with self._locks[hash(handle) % len(self._locks)]:
                    found = self._found.get(handle)
                    if found is None or found[0] != state:
                        what = _read(handle, directory)
                        # Else it was replaced meanwhile, and this may be a mixture.
                        if state != _state(directory):
                            continue
                        if isinstance(what, OutOfOrderError):
                            raise what
                        if isinstance(what, str):
                            LOG.error("%s is not served: %s", handle, what)
                        found = self._found[handle] = state, what
            if isinstance(found[1], str):
                raise DamagedModuleError(f"{handle} is not as it was published: {found[1]}")
            return found[1]
        raise OutOfOrderError(f"{handle} is being replaced, again and again.")

    def _walk(self, directory: Path, prefix: str) -> Iterator[str]:
        if prefix.count("/") > _MOST_LEVELS:
            return
        for name in self._directories(directory):
            if re.fullmatch("[0-9]+", name) and _is_module(directory / name):
                yield prefix + name
            elif re.fullmatch(NAME, name):
                yield from self._walk(directory / name, f"{prefix}{name}/")

    def _directories(self, directory: Path) -> list[str]:
        try:
            with os.scandir(directory) as entries:
                return [one.name for one in entries if one.is_dir(follow_symlinks=False)]
        except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
            if directory == self._root:
                raise OutOfOrderError(f"The root can't be read: {error.strerror}") from error
            # Another's, or removed just now.
            if str(directory) not in self._unreadable:
                self._unreadable.add(str(directory))
                LOG.warning("%s can't be read: %s", directory, error.strerror)
            return []
        except OSError as error:
            # Too many open files, say: what is there is not to be taken for gone.
            raise OutOfOrderError(f"The modules can't be read: {error.strerror}") from error


def nearest(handle: str, handles: tuple[str, ...]) -> list[str]:
    """Up to three handles that are like it, or begin like it."""
    if len(handle) > _LONGEST:
        return []
    close = difflib.get_close_matches(handle, handles, n=3, cutoff=0.6)
    return close or [one for one in handles if handle and one.startswith(handle)][:3]


def _is_module(directory: Path) -> bool:
    return any(os.path.lexists(directory / name) for name in ("saved_model.pb", formats.PROVENANCE))


def _order(handle: str) -> tuple[str, int]:
    model, _, version = handle.rpartition("/")
    return model, int(version)


def _state(directory: Path) -> tuple:
    """What changes whenever a file in the directory does, or another directory takes its place."""
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


def _read(handle: str, directory: Path) -> Entry | str | OutOfOrderError:
    """The module, or what is wrong with it, or why that can't be known."""
    module = Directory(directory)
    try:
        problems = list(module.changed_files())
        if not problems:
            return Entry(
                handle=handle,
                directory=directory,
                record=module.provenance,
                key=hashlib.sha256(module.read(formats.PROVENANCE)).hexdigest(),
                num_bytes=sum(map(module.size, module.files)),
            )
    except UnreadableError as error:
        # Without the folders of this machine.
        problems = [str(error).replace(f"{directory}", handle)]
        if isinstance(error.__cause__, OSError):
            return OutOfOrderError(f"{handle} can't be read now: {printable(problems[0])}")
    return "; ".join(map(printable, problems))


def key_of(directory: Path) -> str | None:
    """The key of the module that is there now; None if none can be read."""
    try:
        return hashlib.sha256(Directory(directory).read(formats.PROVENANCE)).hexdigest()
    except UnreadableError:
        return None
