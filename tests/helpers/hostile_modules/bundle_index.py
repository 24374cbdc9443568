"""Read and write the index of a V2 checkpoint: a sorted table whose blocks have checksums.

TensorFlow refuses an index with a changed bit. Changed entries are only read if all checksums are right.
"""

import struct
from pathlib import Path

_FOOTER = 48
_MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)


def rewrite_index(path: Path, change) -> None:
    """Rewrite an index. `change` gets serialized `BundleEntryProto`s by key; that of "" is the header."""
    entries = read_index(path.read_bytes())
    change(entries)
    path.write_bytes(write_index(entries))


def read_index(table: bytes) -> dict[str, bytes]:
    footer = table[-_FOOTER:]
    position = 0
    handle = []
    for _ in range(4):
        number, position = _read_varint(footer, position)
        handle.append(number)
    entries = {}
    for _, block in _read_block(table, handle[2], handle[3]):
        offset, position = _read_varint(block, 0)
        size, _ = _read_varint(block, position)
        entries.update((key.decode(), value) for key, value in _read_block(table, offset, size))
    return entries


def write_index(entries: dict[str, bytes]) -> bytes:
    items = sorted((key.encode(), value) for key, value in entries.items())
    data = _block(items)
    index = _block([(items[-1][0], varint(0) + varint(len(data)))])
    empty = _block([])
    stored = b"".join(block + b"\0" + _checksum(block + b"\0") for block in (data, empty, index))
    # Each block is followed by its kind and its checksum.
    places = (len(data) + 5, len(empty), len(data) + len(empty) + 10, len(index))
    footer = b"".join(map(varint, places)).ljust(_FOOTER - len(_MAGIC), b"\0")
    return stored + footer + _MAGIC


def _read_block(table: bytes, offset: int, size: int):
    block = table[offset : offset + size]
    [num_restarts] = struct.unpack("<I", block[-4:])
    end = size - 4 * (num_restarts + 1)
    position, key = 0, b""
    while position < end:
        shared, position = _read_varint(block, position)
        unshared, position = _read_varint(block, position)
        length, position = _read_varint(block, position)
        key = key[:shared] + block[position : position + unshared]
        position += unshared
        yield key, block[position : position + length]
        position += length


def _block(items: list[tuple[bytes, bytes]]) -> bytes:
    # Every key is whole, and a place to start reading.
    entries = [
        varint(0) + varint(len(key)) + varint(len(value)) + key + value for key, value in items
    ]
    starts = [sum(map(len, entries[:index])) for index in range(len(entries))] or [0]
    return b"".join(entries) + struct.pack(f"<{len(starts) + 1}I", *starts, len(starts))


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[position]
        number |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return number, position


def varint(number: int) -> bytes:
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def _checksum(data: bytes) -> bytes:
    """Return the CRC-32C of `data`, masked as in TensorFlow's files."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
