"""The archives that are served: each packed when it is first asked for, then kept while the server runs."""

import dataclasses
import itertools
import os
from pathlib import Path

from slimhub.export import module_archive
from slimhub.export.errors import CheckError
from slimhub.export.hub.shelf import LOG, OutOfOrderError, Shelf

# How often one is packed whose module is replaced meanwhile.
_ATTEMPTS = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Archive:
    """A `.tar.gz` of a module that was opened.

    Attributes:
      descriptor: of the file, to be closed; the file itself may be gone.
      sha256: of its content, in hexadecimal.
    """

    descriptor: int
    sha256: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Kept:
    """The archive of the module that has this key."""

    key: str
    path: Path
    sha256: str


class Archives:
    """Keeps the archive of each module, in a directory of its own."""

    def __init__(self, shelf: Shelf, directory: Path):
        self._shelf, self._directory = shelf, directory
        self._numbers = itertools.count()
        # By handle. Who has one open that is replaced may read it to its end.
        self._kept: dict[str, _Kept] = {}

    def open(self, handle: str) -> Archive:
        """Opens the archive of the module that has that handle now.

        For one handle, it may be called from one thread at a time.

        Raises:
          UnknownHandleError, DamagedModuleError, OutOfOrderError: as `Shelf.entry`; the last one also
            if it can't be kept.
        """
        for _ in range(_ATTEMPTS):
            entry = self._shelf.entry(handle)
            kept = self._kept.get(handle)
            try:
                if kept is None or kept.key != entry.key:
                    kept = self._pack(entry.directory, handle)
                return Archive(descriptor=os.open(kept.path, os.O_RDONLY), sha256=kept.sha256)
            except FileNotFoundError:
                # Somebody tidied up temporary directories.
                self._kept.pop(handle, None)
            except CheckError as error:
                # As the module was just looked at, it was replaced.
                LOG.warning("%s", error)
            except OSError as error:
                LOG.error("The archive of %s can't be kept: %s", handle, error)
                raise OutOfOrderError(f"The archive of {handle} can't be kept now.") from error
        raise OutOfOrderError(f"{handle} can't be kept, or is being replaced, again and again.")

    def _pack(self, directory: Path, handle: str) -> _Kept:
        path = self._directory / f"{next(self._numbers)}.tar.gz"
        packed = module_archive.pack(directory, into=path)
        before = self._kept.get(handle)
        # It may be that of a module which took the place of the one that was asked for.
        self._kept[handle] = _Kept(key=packed.provenance_sha256, path=path, sha256=packed.sha256)
        if before is not None:
            before.path.unlink(missing_ok=True)
        return self._kept[handle]
