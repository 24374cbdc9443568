"""The archives that are served: each made when it is first asked for, then kept while the server runs."""

import dataclasses
import itertools
import threading
from pathlib import Path

from slimhub.export import module_archive
from slimhub.export.errors import CheckError
from slimhub.export.hub.shelf import DamagedModuleError, Entry, Shelf

# How often one is packed whose module is replaced meanwhile.
_ATTEMPTS = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Archive:
    """A `.tar.gz` of a module: where it is kept, and its SHA-256 in hexadecimal."""

    path: Path
    sha256: str


class Archives:
    """Keeps archives in a directory of its own. May be used from several threads at once."""

    def __init__(self, shelf: Shelf, directory: Path):
        self._shelf, self._directory = shelf, directory
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        # Of each handle, the archives that were made last, by the key of the module: of the one
        # before, somebody may be about to open the file. Whoever has it open may read on for ever.
        self._kept: dict[str, dict[str, Archive]] = {}

    def get(self, handle: str) -> Archive:
        """The archive of the module that has that handle now.

        Raises:
          UnknownHandleError, DamagedModuleError: as `Shelf.entry`.
          OSError: it can't be kept.
        """
        for _ in range(_ATTEMPTS):
            entry = self._shelf.entry(handle)
            kept = self._kept.get(handle, {}).get(entry.key)
            if kept is not None:
                return kept
            try:
                return self._make(entry)
            except CheckError as error:
                # As the module was just looked at, it was replaced.
                problem = error
        raise DamagedModuleError(f"{handle} is not as it was published: {problem}") from problem

    def _make(self, entry: Entry) -> Archive:
        # One at a time: whoever waits finds the archive that another made.
        with self._lock:
            kept = self._kept.setdefault(entry.handle, {})
            if entry.key in kept:
                return kept[entry.key]
            path = self._directory / f"{next(self._numbers)}.tar.gz"
            packed = module_archive.pack(entry.directory, into=path)
            # It may be that of a module which took the place of `entry`; it is whole then, too.
            made = kept[packed.provenance_sha256] = Archive(path=path, sha256=packed.sha256)
            for key in list(kept)[:-2]:
                kept.pop(key).path.unlink()
            return made
