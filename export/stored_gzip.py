"""Writes a gzip (RFC 1952) in stored blocks (RFC 1951): compressed bytes would depend on the library."""

import struct
import zlib
from typing import BinaryIO

_HEADER = b"\x1f\x8b\x08\x00" + bytes(4) + b"\x00\xff"
# The most that a stored block takes.
_BLOCK = 0xFFFF


class Writer:
    """A file to write into, whose content goes to `file` as a gzip. Raises what that raises.

    It is whole when a `with` of it ended well.
    """

    def __init__(self, file: BinaryIO):
        self._file = file
        self._held = bytearray()
        self._crc = 0
        self._num_bytes = 0
        file.write(_HEADER)

    def write(self, content: bytes) -> int:
        self._crc = zlib.crc32(content, self._crc)
        self._num_bytes += len(content)
        self._held += content
        # The last block says that it is the last: one waits until more comes.
        while len(self._held) > _BLOCK:
            self._put(last=False)
        return len(content)

    def _put(self, *, last: bool) -> None:
        block = bytes(self._held[:_BLOCK])
        del self._held[:_BLOCK]
        self._file.write(struct.pack("<BHH", last, len(block), len(block) ^ 0xFFFF) + block)

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, kind, error, traceback) -> None:
        if kind is None:
            self._put(last=True)
            self._file.write(struct.pack("<II", self._crc, self._num_bytes % 2**32))
