"""Whether a file is an archive of the catalog, as far as its size and its SHA-256 are known."""

import zlib
from pathlib import Path

from slimhub.models.catalog import Archive
from slimhub.signatures import tar_gz
from slimhub.signatures.provenance import sha256


def expected(archive: Archive) -> str:
    """What is known of the archive, in words."""
    size = "a whole .tar.gz" if archive.num_bytes is None else f"{archive.num_bytes} bytes"
    return f"{size}, SHA-256 {archive.sha256 or 'not known'}"


def mismatch(path: Path, archive: Archive) -> str | None:
    """In which way the file is not the archive, or None if it is, as far as that is known."""
    try:
        num_bytes = path.stat().st_size
    except FileNotFoundError:
        return "not there"
    if archive.num_bytes not in (None, num_bytes):
        return f"{num_bytes} bytes, expected {archive.num_bytes}"
    if archive.sha256 is None:
        return None
    found = sha256(path)
    if found != archive.sha256:
        return f"SHA-256 {found}, expected {archive.sha256}"
    return None


def damage(path: Path) -> str | None:
    """In which way the file is no whole gzip, which holds a sum of its own; None if it is one."""
    try:
        with tar_gz.Stream(path) as stream:
            while stream.read(tar_gz.CHUNK):
                pass
    except (OSError, EOFError, zlib.error) as error:
        return f"no whole .tar.gz: {error}"
    return None
