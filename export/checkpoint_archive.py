"""Takes the one checkpoint out of a .tar.gz, and believes nothing that the archive says.

The archive is read twice: to its very end before the first byte is written, checksum of
the gzip included, and once more for the copy. Names in it are compared, never used.
"""

import errno
import gzip
import itertools
import tarfile
import zlib
from pathlib import Path

from slimhub.export.errors import ArchiveError

_CHUNK = 1 << 20
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# What `tarfile` and `gzip` raise, between them, for bytes that are not what they should be.
_DAMAGE = (tarfile.TarError, zlib.error, EOFError, ValueError, RecursionError)
# An archive with more members is not the expected one; its message need not name them all.
_MAX_MEMBERS = 10
_KINDS = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.DIRTYPE: "directory",
    tarfile.SYMTYPE: "symbolic link",
    tarfile.LNKTYPE: "hard link",
}


class _Stream(gzip.GzipFile):
    """Keeps memory bounded: `tarfile` reads an extended header whole, whatever its size."""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= _CHUNK:
            raise tarfile.ReadError(f"it has a header of {size} bytes")
        return super().read(size)


def extract(archive: Path, *, member: str, max_bytes: int, into: Path) -> Path:
    """Unpacks the one file that a .tar.gz is expected to hold.

    Beside it the archive may hold an entry for its root (`./`), nothing else.

    Args:
      archive: path of the .tar.gz.
      member: name of the file, `inception_v2.ckpt`; `./inception_v2.ckpt` is the same.
      max_bytes: what it may unpack to at most.
      into: an existing directory without such a file.

    Returns:
      The path of the new file, `into / member`.

    Raises:
      ArchiveError: the archive is damaged or holds something else, or the file can't be
        written. Nothing is left in `into`.
    """
    try:
        with _Stream(archive) as stream:
            info = _only_member(stream, member=member, max_bytes=max_bytes)
            stream.seek(info.offset_data)
            return _copy(stream, path=into / member, num_bytes=info.size)
    except (OSError, *_DAMAGE) as error:
        advice = (
            "There must be room for it: TMPDIR chooses another directory."
            if getattr(error, "errno", None) in _NO_ROOM
            else "Get the archive anew from where it is published, or unpack it by hand\n"
            f"and pass --checkpoint=/path/to/{member}"
        )
        raise ArchiveError(
            f"{archive} can't be unpacked into {into}: {error}\n"
            f"Expected a .tar.gz of one file, {member}, of at most {max_bytes} bytes.\n{advice}"
        ) from error


def _only_member(stream: _Stream, *, member: str, max_bytes: int) -> tarfile.TarInfo:
    """Reads the archive to its end. Raises one of `_DAMAGE` unless it is as expected."""
    infos = _infos(stream, max_bytes=max_bytes)
    content = infos[1:] if infos and infos[0].isdir() and infos[0].name == "." else infos
    if len(content) != 1 or not _fits(content[0], member=member, max_bytes=max_bytes):
        found = ", ".join(map(_describe, infos)) or "nothing"
        more = ", ..." if len(infos) == _MAX_MEMBERS else ""
        raise tarfile.ReadError(f"it holds {found}{more}")
    (info,) = content
    stream.seek(info.offset_data + info.size)
    # Zeros up to the next block, then blocks of zeros. `tarfile` would take anything that
    # is not a header for the end, and leave the checksum of the gzip unread.
    rest = stream.read(_CHUNK)
    if len(rest) == _CHUNK or any(rest):
        raise tarfile.ReadError(f"it holds {_describe(info)}, and other data behind it")
    return info


def _infos(stream: _Stream, *, max_bytes: int) -> list[tarfile.TarInfo]:
    infos = []
    with tarfile.open(fileobj=stream, mode="r:") as tar:
        for info in itertools.islice(tar, _MAX_MEMBERS):
            infos.append(info)
            # To go on would unpack it.
            if info.size > max_bytes:
                break
    return infos


def _fits(info: tarfile.TarInfo, *, member: str, max_bytes: int) -> bool:
    return (
        info.name in (member, f"./{member}")
        and info.type in (tarfile.REGTYPE, tarfile.AREGTYPE)
        and not info.issparse()
        and 0 <= info.size <= max_bytes
    )


def _describe(info: tarfile.TarInfo) -> str:
    kind = "sparse file" if info.issparse() else _KINDS.get(info.type, "special file")
    return f"{info.name[:100]!r} ({kind}, {info.size} bytes)"


def _copy(stream: _Stream, *, path: Path, num_bytes: int) -> Path:
    with path.open("xb") as file:
        try:
            while left := num_bytes - file.tell():
                chunk = stream.read(min(left, _CHUNK))
                if not chunk:
                    raise EOFError("it changed while it was read")
                file.write(chunk)
        except BaseException:
            path.unlink()
            raise
    return path
