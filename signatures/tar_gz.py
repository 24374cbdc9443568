"""What reading a .tar.gz takes of which nothing is believed.

Knows nothing of TensorFlow.
"""

import errno
import gzip
import tarfile
import zlib
from pathlib import Path

CHUNK = 1 << 20
# What `tarfile` and `gzip` raise, between them, for bytes that are not what they should be.
DAMAGE = (tarfile.TarError, zlib.error, EOFError, ValueError, RecursionError)
# What systems say, when there is no room for what comes out.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_KINDS = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.DIRTYPE: "directory",
    tarfile.SYMTYPE: "symbolic link",
    tarfile.LNKTYPE: "hard link",
}


class Stream(gzip.GzipFile):
    """Keeps memory bounded: `tarfile` reads an extended header whole, whatever its size."""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= CHUNK:
            raise tarfile.ReadError(f"it has a header of {size} bytes")
        return super().read(size)


def is_file(info: tarfile.TarInfo) -> bool:
    """Whether it is one with all its bytes in the archive."""
    return (
        info.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not info.issparse() and info.size >= 0
    )


def describe(info: tarfile.TarInfo) -> str:
    kind = "sparse file" if info.issparse() else _KINDS.get(info.type, "special file")
    return f"{info.name[:100]!r} ({kind}, {info.size} bytes)"


def copy(stream: Stream, info: tarfile.TarInfo, *, path: Path) -> None:
    """Writes a file of the archive to a path where there is none; it is removed again on failure.

    Raises one of `DAMAGE`, or `OSError`.
    """
    stream.seek(info.offset_data)
    with path.open("xb") as file:
        try:
            while left := info.size - file.tell():
                chunk = stream.read(min(left, CHUNK))
                if not chunk:
                    raise EOFError("it ends in the midst of a file")
                file.write(chunk)
        except BaseException:
            path.unlink()
            raise


def at_end(stream: Stream) -> bool:
    """Reads to the end, checksum of the gzip included, and tells whether there is nothing but its zeros.

    `tarfile` takes anything that is not a header for the end.
    """
    rest = stream.read(CHUNK)
    return len(rest) < CHUNK and not any(rest)
