"""The URL that an archive in the cache was downloaded from, in `<archive>.origin` beside it.

Only the download writes that file, with the archive's SHA-256. An archive that somebody copied into the
cache has no such file, or one with another SHA-256.
"""

from pathlib import Path

from slimhub.signatures.module.provenance import sha256


def write(path: Path, *, url: str, content: Path) -> None:
    """Record that the archive at `path` came from `url`; `content` is its file now. Raise `OSError`."""
    _record(path).write_text(f"{sha256(content)} {url}\n")


def read(path: Path, *, sha256: str) -> str | None:
    """Return the URL that the archive with this SHA-256 was downloaded from; None if unknown."""
    try:
        recorded, _, url = _record(path).read_text().strip().partition(" ")
    except (OSError, UnicodeDecodeError):
        return None
    return url if recorded == sha256 else None


def _record(path: Path) -> Path:
    return path.with_name(f"{path.name}.origin")
