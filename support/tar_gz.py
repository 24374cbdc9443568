"""Unpack a .tar.gz that may be damaged or hostile, and write one whose bytes depend only on its members."""

import contextlib
import errno
import gzip
import posixpath
import shutil
import struct
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

# Exceptions of the standard library for damaged bytes.
DAMAGE = (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, ValueError, RecursionError)
# Error numbers of systems that have no room for the unpacked file.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# What a `BadArchiveError` says of each problem.
PROBLEMS = {
    "no_gzip": "Not a gzipped file",
    "damaged": "{}",
    "data_behind": "there is other data behind its {}",
    "too_many_bytes": "it unpacks to more than {} bytes",
    "large_header": "it has a header of {} bytes",
    "too_many_members": "it holds more than {} members",
    "kind": "it holds {} in place of a regular file",
    "large_member": "it holds {}, which is too large",
    "name": "it holds {}, which is no plain relative name",
    "twice": "it holds {} twice",
    "no_directory": "it holds {} without its directory before it, which hub.load wants",
    "not_one": "it holds {}",
}
CHUNK = 1 << 20
# Archives of modules and of checkpoints have less than ten. Messages name at most ten.
_MAX_MEMBERS = 100
_MAX_NAMED = 10
# The header of a gzip without a name and a time.
_HEADER = b"\x1f\x8b\x08\x00" + bytes(4) + b"\x00\xff"
# Most bytes of a stored block.
_BLOCK = 0xFFFF


class BadArchiveError(Exception):
    """An archive that is damaged, or holds what it may not.

    Attributes:
      problem: key of `PROBLEMS`.
      found: what the sentence there is about: a member, a number, or the error of a library.
    """

    def __init__(self, problem: str, found: object = None):
        super().__init__(problem, found)
        self.problem, self.found = problem, found

    def __str__(self) -> str:
        return PROBLEMS[self.problem].format(self.found)


def unpack(
    archive: Path, *, into: Path, max_bytes: int, only: Mapping[str, int] | None = None
) -> list[Path]:
    """Unpack all files of a .tar.gz, or the one file that has an expected name.

    The gzip is read to its very end, which verifies its checksum, before anything is written.

    Args:
      archive: any file.
      into: an empty directory that nobody else writes into; not empty after an error.
      max_bytes: bytes that the archive may unpack to.
      only: names that the one file may have, each with its largest size in bytes; members with other
        names are ignored, whatever they are. None for all files, as `hub.load` unpacks them. In the
        archive, a name may begin with `./`.

    Returns:
      The paths of the files and directories that were written.

    Raises:
      BadArchiveError: it is no gzip, or other data follows; the tar is damaged, has too many or too large
        members, or other data behind it. With `only`: there is not exactly one such file. Without: a
        member is no file and no directory, has no plain relative name, one that was there before, or no
        directory before it.
      OSError: the archive can't be read, or a file can't be written.
    """
    try:
        with archive.open("rb") as file:
            _verify(file, max_bytes)
            file.seek(0)
            with (
                _Unzipped(fileobj=file) as unzipped,
                tarfile.open(fileobj=unzipped, mode="r:") as tar,
            ):
                paths = _unpack(tar, into, only)
                # `tarfile` takes anything that isn't a header for the end of the archive.
                unzipped.seek(tar.offset)
                rest = unzipped.read(CHUNK)
                if len(rest) == CHUNK or any(rest):
                    raise BadArchiveError("data_behind", "last member")
                return paths
    except DAMAGE as error:
        raise BadArchiveError("damaged", error) from error


class _Unzipped(gzip.GzipFile):
    """A gzip file that bounds memory: `tarfile` would read an extended header of any size at once."""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= CHUNK:
            raise BadArchiveError("large_header", size)
        return super().read(size)


def _verify(file: BinaryIO, max_bytes: int) -> None:
    """Read one gzip to its end, and the file. Raise `BadArchiveError` or one of `DAMAGE`."""
    chunk = file.read(CHUNK)
    if not chunk.startswith(_HEADER[:2]):
        raise BadArchiveError("no_gzip")
    # Unlike `gzip`, it doesn't go on with another gzip, which `hub.load` doesn't read.
    unzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    num_bytes = 0
    while not unzip.eof:
        content = unzip.decompress(chunk, CHUNK)
        num_bytes += len(content)
        if num_bytes > max_bytes:
            raise BadArchiveError("too_many_bytes", max_bytes)
        chunk = unzip.unconsumed_tail or file.read(CHUNK)
        if not (chunk or content or unzip.eof):
            raise EOFError("it ends before its gzip does")
    chunk = unzip.unused_data + chunk
    while chunk:
        if chunk.strip(b"\0"):
            raise BadArchiveError("data_behind", "gzip")
        chunk = file.read(CHUNK)


def _unpack(tar: tarfile.TarFile, into: Path, only: Mapping[str, int] | None) -> list[Path]:
    members: dict[str, tarfile.TarInfo] = {}
    ignored = []
    for number, info in enumerate(tar):
        if number == _MAX_MEMBERS:
            raise BadArchiveError("too_many_members", _MAX_MEMBERS)
        # Python's `add(..., arcname="")` calls the root `/`, which is the empty name here.
        name = "" if info.isdir() and info.name == "." else info.name.removeprefix("./")
        # A negative size, which would lead back, is nothing to ignore.
        if only is not None and name not in only and info.size >= 0:
            ignored.append(info)
            continue
        if problem := _problem(info, name, members, only):
            raise BadArchiveError(problem, _describe(info))
        members[name] = info
        if info.isdir():
            (into / name).mkdir(exist_ok=not name)
        else:
            with (into / name).open("xb") as file:
                # Only of other kinds there is no content, None.
                shutil.copyfileobj(tar.extractfile(info), file)  # type: ignore[arg-type]
    if only is not None and len(members) != 1:
        named = [*members.values(), *ignored][:_MAX_NAMED]
        raise BadArchiveError("not_one", ", ".join(map(_describe, named)) or "nothing")
    return [into / name for name in members]


def _problem(
    info: tarfile.TarInfo,
    name: str,
    members: Mapping[str, tarfile.TarInfo],
    only: Mapping[str, int] | None,
) -> str | None:
    """Return the key of what forbids to unpack a member after these others; None if nothing does."""
    is_directory = info.isdir() and info.size == 0 and only is None
    parent = posixpath.dirname(name)
    if not (_is_file(info) or is_directory):
        return "kind"
    if only is not None and info.size > only[name]:
        return "large_member"
    if {"", ".", ".."} & set(name.split("/")) and not (is_directory and name == ""):
        return "name"
    if name in members:
        return "twice"
    if parent and not (parent in members and members[parent].isdir()):
        return "no_directory"
    return None


def _is_file(info: tarfile.TarInfo) -> bool:
    """Return whether a member is a regular file with all its bytes in the archive."""
    return (
        info.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not info.issparse() and info.size >= 0
    )


def _describe(info: tarfile.TarInfo) -> str:
    kind = "file" if _is_file(info) else "directory" if info.isdir() else "link or special file"
    return f"{info.name[:100]!r} ({kind}, {info.size} bytes)"


@contextlib.contextmanager
def create(path: Path) -> Iterator[tarfile.TarFile]:
    """Open a new .tar.gz to add members to, and remove it again if the block fails.

    Nothing is compressed: compressed bytes would depend on the library, and it would save only 7 % of
    the weights.
    """
    with path.open("xb") as file:
        try:
            zipped = _StoredGzip(file)
            # The stubs ask for all methods of a file, and don't know `copybufsize`.
            with tarfile.open(  # type: ignore[call-overload]
                fileobj=zipped,
                mode="w|",
                format=tarfile.PAX_FORMAT,
                bufsize=CHUNK,
                copybufsize=CHUNK,
            ) as tar:
                yield tar
            zipped.finish()
        except BaseException:
            path.unlink()
            raise


class _StoredGzip:
    """A file to write into that writes a gzip (RFC 1952) in stored blocks (RFC 1951) to another."""

    def __init__(self, file: BinaryIO):
        self._file = file
        self._held = bytearray()
        self._crc = 0
        self._num_bytes = 0
        file.write(_HEADER)

    def write(self, content: bytes) -> None:
        self._crc = zlib.crc32(content, self._crc)
        self._num_bytes += len(content)
        self._held += content
        # The last block is marked as the last one, so one block is held back until more bytes come.
        while len(self._held) > _BLOCK:
            self._put(last=False)

    def finish(self) -> None:
        self._put(last=True)
        self._file.write(struct.pack("<II", self._crc, self._num_bytes % 2**32))

    def _put(self, *, last: bool) -> None:
        block = bytes(self._held[:_BLOCK])
        del self._held[:_BLOCK]
        self._file.write(struct.pack("<BHH", last, len(block), len(block) ^ 0xFFFF) + block)
