"""A module as one file, `<version>.tar.gz`: what `hub.load` fetches, and what is easy to hand on.

Its bytes depend on nothing but the files of the module, not on who owns them, when they were written
or which version of a library packs them. Knows nothing of TensorFlow.
"""

import dataclasses
import hashlib
import tarfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from slimhub.export import stored_gzip
from slimhub.export.errors import CheckError
from slimhub.signatures import formats
from slimhub.signatures.directory import Directory, UnreadableError, differences
from slimhub.signatures.provenance import File


@dataclasses.dataclass(frozen=True, kw_only=True)
class Packed:
    """An archive that was written.

    Attributes:
      num_bytes, sha256: of the archive.
      provenance_sha256: of the provenance in it, which tells which module it is.
    """

    num_bytes: int
    sha256: str
    provenance_sha256: str

    def record(self, path: Path) -> dict:
        """The archive for machines, in a report that says where it is."""
        return {"path": str(path), "num_bytes": self.num_bytes, "sha256": self.sha256}


def path_of(directory: Path) -> Path:
    """Where the archive of a module is: beside it."""
    return directory.parent / f"{directory.name}.tar.gz"


def pack(directory: Path, *, into: Path) -> Packed:
    """Writes the archive of a module, each file of which is read once, and held to its provenance.

    So an archive holds one module even if another takes the directory's place meanwhile. The root of
    the archive is that of the module. Members are sorted; the files have the mode 0644, the
    directories 0755, and all of them the owner 0, the group 0 and the time 0. Nothing is compressed:
    weights would get smaller by 7 % only.

    Args:
      directory: the module.
      into: a file that isn't there yet. It is removed again if this fails.

    Raises:
      CheckError: files are missing, added, changed, or can't be read; it names all of them.
      OSError: `into` can't be written.
    """
    module = Directory(directory)
    try:
        recorded = {file.name: file for file in module.provenance.files}
        names = set(module.files) - {formats.PROVENANCE}
    except UnreadableError as error:
        raise _error(directory, [str(error)]) from error
    problems = list(differences("file", set(recorded), names))
    if problems:
        raise _error(directory, problems)
    with into.open("xb") as file:
        try:
            return _write(file, module, recorded)
        except BaseException:
            into.unlink()
            raise


def _write(file: BinaryIO, module: Directory, recorded: dict[str, File]) -> Packed:
    summed, problems = _Summed(file), []
    # As it was read: no other text has this record.
    provenance = module.provenance.to_json().encode()
    with stored_gzip.Writer(summed) as unzipped:
        for name in _members(module.files):
            try:
                if name in recorded:
                    _add_file(unzipped, module, recorded[name])
                elif name == formats.PROVENANCE:
                    _add(unzipped, name, [provenance], num_bytes=len(provenance))
                else:
                    unzipped.write(_header(name, kind=tarfile.DIRTYPE, mode=0o755))
            except UnreadableError as error:
                problems.append(str(error))
        # The end of a tar.
        unzipped.write(bytes(2 * tarfile.BLOCKSIZE))
    if problems:
        raise _error(module.directory, problems)
    return Packed(
        num_bytes=summed.num_bytes,
        sha256=summed.digest.hexdigest(),
        provenance_sha256=hashlib.sha256(provenance).hexdigest(),
    )


def _members(files: Iterable[str]) -> list[str]:
    """The files and, with a slash behind, all directories; a directory before what is in it."""
    parents = {parent for name in files for parent in PurePosixPath(name).parents}
    return sorted([*files, *("" if str(one) == "." else f"{one}/" for one in parents)])


def _add_file(unzipped: stored_gzip.Writer, module: Directory, record: File) -> None:
    """Raises `UnreadableError` if the file is not as it was recorded."""
    digest, num_bytes = hashlib.sha256(), 0

    def content():
        nonlocal num_bytes
        for chunk in module.chunks(record.name, most=record.num_bytes):
            digest.update(chunk)
            num_bytes += len(chunk)
            yield chunk

    _add(unzipped, record.name, content(), num_bytes=record.num_bytes)
    if (num_bytes, digest.hexdigest()) != (record.num_bytes, record.sha256):
        raise UnreadableError(
            f"{record.name}: expected {record.num_bytes} bytes with the SHA-256 {record.sha256}, "
            f"got {num_bytes} bytes with {digest.hexdigest()}"
        )


def _add(
    unzipped: stored_gzip.Writer, name: str, content: Iterable[bytes], *, num_bytes: int
) -> None:
    unzipped.write(_header(name, kind=tarfile.REGTYPE, mode=0o644, num_bytes=num_bytes))
    for chunk in content:
        unzipped.write(chunk)
    unzipped.write(bytes(-num_bytes % tarfile.BLOCKSIZE))


def _header(name: str, *, kind: bytes, mode: int, num_bytes: int = 0) -> bytes:
    info = tarfile.TarInfo(f"./{name}")
    info.type, info.mode, info.size = kind, mode, num_bytes
    try:
        return info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "surrogateescape")
    except ValueError as error:
        raise UnreadableError(f"{name} can't be in an archive: {error}") from error


class _Summed:
    """A file to write into, and what was written."""

    def __init__(self, file: BinaryIO):
        self._file = file
        self.num_bytes = 0
        self.digest = hashlib.sha256()

    def write(self, content: bytes) -> None:
        self._file.write(content)
        self.num_bytes += len(content)
        self.digest.update(content)


def _error(directory: Path, problems: list[str]) -> CheckError:
    lines = "\n".join(f"  {problem}" for problem in problems)
    return CheckError(f"{directory} is not as it was published, and was not packed:\n{lines}")
