"""The archives that are served: each packed when it is first asked for, then kept while the server runs."""

import dataclasses
import itertools
from pathlib import Path

from slimhub.export import module_archive
from slimhub.export.errors import CheckError
from slimhub.export.hub.shelf import LOG, OutOfOrderError, Shelf

# How often one is packed whose module is replaced meanwhile.
_ATTEMPTS = 5
# Of each handle: somebody may be about to open the one before. Who has it open may read it to its end.
_MOST_KEPT = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Archive:
    """A `.tar.gz` of a module: where it is kept, and its SHA-256 in hexadecimal."""

    path: Path
    sha256: str


class Archives:
    """Keeps archives in a directory of its own."""

    def __init__(self, shelf: Shelf, directory: Path):
        self._shelf, self._directory = shelf, directory
        self._numbers = itertools.count()
        # By handle, then by the key of the module, the one that was asked for last at the end.
        self._kept: dict[str, dict[str, Archive]] = {}

    def get(self, handle: str) -> Archive:
        """The archive of the module that has that handle now; for one handle, from one thread at a time.

        Raises:
          UnknownHandleError, DamagedModuleError, OutOfOrderError: as `Shelf.entry`; the last one also
            if it can't be kept.
        """
        for _ in range(_ATTEMPTS):
            entry = self._shelf.entry(handle)
            kept = self._kept.setdefault(handle, {})
            archive = kept.pop(entry.key, None)
            # Somebody may tidy up temporary directories.
            if archive is not None and archive.path.exists():
                kept[entry.key] = archive
                return archive
            try:
                return self._pack(entry.directory, kept)
            except CheckError as error:
                # As the module was just looked at, it was replaced.
                LOG.warning("%s", error)
            except OSError as error:
                LOG.error("The archive of %s can't be kept: %s", handle, error)
                raise OutOfOrderError(f"The archive of {handle} can't be kept now.") from error
        raise OutOfOrderError(f"{handle} is being replaced, again and again.")

    def _pack(self, directory: Path, kept: dict[str, Archive]) -> Archive:
        path = self._directory / f"{next(self._numbers)}.tar.gz"
        packed = module_archive.pack(directory, into=path)
        # It may be that of a module which took another's place just now, and is kept already.
        replaced = kept.pop(packed.provenance_sha256, None)
        archive = kept[packed.provenance_sha256] = Archive(path=path, sha256=packed.sha256)
        unwanted = [kept.pop(key) for key in list(kept)[:-_MOST_KEPT]]
        for one in filter(None, (replaced, *unwanted)):
            one.path.unlink(missing_ok=True)
        return archive
