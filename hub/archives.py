"""The archives that are served: each packed when it is first asked for, then kept while the server runs."""

import dataclasses
import itertools
import os
from pathlib import Path

from slimhub.hub.index import LOG, ModuleIndex, UnavailableError
from slimhub.signatures.module import module_archive

# Attempts to pack a module that is replaced meanwhile.
_ATTEMPTS = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Archive:
    """An open `.tar.gz` of a module.

    Attributes:
      descriptor: descriptor of the file, for the caller to close; the file may be removed meanwhile.
      sha256: SHA-256 of its content (hex).
    """

    descriptor: int
    sha256: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class _PackedArchive:
    """A file with the archive of the module that has this key."""

    key: str
    path: Path
    sha256: str


class Archives:
    """The archives of the modules of an index, in a directory of their own."""

    def __init__(self, index: ModuleIndex, directory: Path):
        self._index, self._directory = index, directory
        self._numbers = itertools.count()
        # By handle. When one is replaced, whoever has it open can still read it to its end.
        self._packed: dict[str, _PackedArchive] = {}

    def open(self, handle: str) -> Archive:
        """Open the archive of the module that has a handle now.

        For one handle, call it from one thread at a time.

        Raises:
          UnknownHandleError, DamagedModuleError: the module is not served; see `ModuleIndex.entry`.
          UnavailableError: the module can't be read now, or its archive can't be written.
        """
        for _ in range(_ATTEMPTS):
            entry = self._index.entry(handle)
            packed = self._packed.get(handle)
            try:
                if packed is None or packed.key != entry.key:
                    packed = self._pack(entry.directory, handle)
                return Archive(descriptor=os.open(packed.path, os.O_RDONLY), sha256=packed.sha256)
            except FileNotFoundError:
                # Somebody tidied up temporary directories.
                self._packed.pop(handle, None)
            except module_archive.ChangedModuleError as error:
                # The index has just checked it, so it was replaced since.
                LOG.warning("%s", error)
            except OSError as error:
                LOG.error("The archive of %s can't be kept: %s", handle, error)
                raise UnavailableError(f"The archive of {handle} can't be kept now.") from error
        raise UnavailableError(f"{handle} can't be kept, or is being replaced, again and again.")

    def _pack(self, directory: Path, handle: str) -> _PackedArchive:
        path = self._directory / f"{next(self._numbers)}.tar.gz"
        archive = module_archive.pack(directory, into=path)
        previous = self._packed.get(handle)
        # The key is that of what was packed, which may have replaced the module that was asked for.
        self._packed[handle] = _PackedArchive(
            key=archive.provenance_sha256, path=path, sha256=archive.sha256
        )
        if previous is not None:
            previous.path.unlink(missing_ok=True)
        return self._packed[handle]
