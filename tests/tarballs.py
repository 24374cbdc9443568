"""Archives made piece by piece, so that every piece can be wrong."""

import tarfile


def entry(name: str, content: bytes, kind: bytes = tarfile.REGTYPE, **fields) -> bytes:
    """A header and its data, padded to whole blocks."""
    info = tarfile.TarInfo(name)
    info.type = kind
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info.tobuf(tarfile.PAX_FORMAT) + content + b"\0" * (-len(content) % tarfile.BLOCKSIZE)


def tar(*entries: bytes) -> bytes:
    """Entries, and the two empty blocks that end an archive."""
    return b"".join(entries) + b"\0" * 2 * tarfile.BLOCKSIZE
