"""The archive of a module, `<version>.tar.gz`: one file, which `hub.load` fetches.

Its bytes depend only on the module's files, not on their owners, their times, or the versions of
libraries. This file doesn't import TensorFlow.
"""

import dataclasses
import hashlib
import io
import tarfile
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from slimhub.signatures.contract import formats
from slimhub.signatures.module.directory import Directory, UnreadableError
from slimhub.signatures.module.provenance import File
from slimhub.support import tar_gz


class ChangedModuleError(Exception):
    """An error for a published module whose files are missing, added, changed, or unreadable.

    Attributes:
      directory: path of the module.
      problems: one line for each file, or for what kept them from being compared.
    """

    def __init__(self, directory: Path, problems: tuple[str, ...]):
        super().__init__(directory, problems)
        self.directory, self.problems = directory, problems

    def __str__(self) -> str:
        return "\n  ".join(
            [f"{self.directory} is not as it was published, and was not packed:", *self.problems]
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Packed:
    """An archive that was written.

    Attributes:
      num_bytes, sha256: size and SHA-256 (hex) of the archive.
      provenance_sha256: SHA-256 (hex) of the provenance in it, which identifies the module.
    """

    num_bytes: int
    sha256: str
    provenance_sha256: str

    def record(self, path: Path) -> dict:
        """Return the archive's part of a JSON report, with its path."""
        return {"path": str(path), "num_bytes": self.num_bytes, "sha256": self.sha256}


def path_of(directory: Path) -> Path:
    """Return the path of a module's archive, beside the module directory."""
    return directory.parent / f"{directory.name}.tar.gz"


def pack(directory: Path, *, into: Path) -> Packed:
    """Write the archive of a module, each file of which is compared with the provenance as it is read.

    So the archive holds one module, even if another module replaces the directory meanwhile. The
    archive's root is the module's root. Members are sorted; files have the mode 0644, directories 0755,
    and all members have the owner 0, the group 0 and the time 0.

    Args:
      directory: the module directory.
      into: path of the archive, which must not exist. It is removed again on failure.

    Raises:
      ChangedModuleError: files are missing, added, changed, or unreadable; the message names all of them.
      OSError: `into` can't be written.
    """
    module = Directory(directory)
    try:
        problems = tuple(module.changed_files())
        if not problems:
            return _write(module, into)
    except UnreadableError as error:
        problems = (str(error),)
    raise ChangedModuleError(directory, problems)


def _write(module: Directory, into: Path) -> Packed:
    recorded = {file.name: file for file in module.provenance.files}
    provenance = module.provenance_bytes
    parents = {str(parent) for name in module.files for parent in PurePosixPath(name).parents}
    with tar_gz.create(into) as tar:
        for name in sorted({*module.files, *parents}):
            info = tarfile.TarInfo("./" if name == "." else f"./{name}")
            content: BinaryIO | _Content | None = None
            if name in recorded:
                info.size, content = recorded[name].num_bytes, _Content(module, recorded[name])
            elif name == formats.PROVENANCE:
                info.size, content = len(provenance), io.BytesIO(provenance)
            else:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(info, content)
    archive = File.read(into)
    return Packed(
        num_bytes=archive.num_bytes,
        sha256=archive.sha256,
        provenance_sha256=hashlib.sha256(provenance).hexdigest(),
    )


class _Content:
    """A file of a module to read once. Its end raises `UnreadableError` if it is not as recorded."""

    def __init__(self, module: Directory, record: File):
        self._record, self._digest = record, hashlib.sha256()
        self._chunks = module.chunks(record.name, most=record.num_bytes)
        self._held, self._left = b"", record.num_bytes

    def read(self, size: int = tar_gz.CHUNK) -> bytes:
        while len(self._held) < size and (chunk := next(self._chunks, b"")):
            self._held += chunk
        content, self._held = self._held[:size], self._held[size:]
        self._digest.update(content)
        self._left -= size
        if len(content) < size or (
            not self._left and self._digest.hexdigest() != self._record.sha256
        ):
            raise UnreadableError(f"{self._record.name} changed while it was packed")
        return content
