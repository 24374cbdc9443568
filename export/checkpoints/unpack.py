"""Unpack the one checkpoint of a .tar.gz that may be damaged or hostile."""

import shlex
import tarfile
from collections.abc import Mapping
from pathlib import Path

from slimhub.export.errors import ArchiveError
from slimhub.support import tar_gz


def extract(archive: Path, *, members: Mapping[str, int], into: Path, cached: bool = False) -> Path:
    """Unpack the one file of a .tar.gz that has an expected name, and nothing else.

    Args:
      archive: path of the .tar.gz, which may unpack to at most twice the largest size in `members`.
      members: names that the file may have, `inception_v2.ckpt`, each with its largest size in bytes.
        Members with other names, a README or a graph, are skipped.
      into: an existing directory without such a file; it may have one after an error.
      cached: whether the archive is in the cache, so that deleting it makes the next run download it.

    Returns:
      The path of the new file in `into`.

    Raises:
      ArchiveError: the archive is damaged or has not exactly one such file, or the file can't be
        written.
    """
    max_bytes = 2 * max(members.values()) + tarfile.RECORDSIZE
    try:
        [path] = tar_gz.unpack(archive, into=into, max_bytes=max_bytes, only=members)
        return path
    except (OSError, tar_gz.BadArchiveError) as error:
        if getattr(error, "errno", None) in tar_gz.NO_ROOM:
            advice = "There must be room for it: TMPDIR chooses another directory."
        elif cached:
            advice = f"To download it anew, delete it: rm {shlex.quote(str(archive))}"
        else:
            advice = (
                "Get the archive anew from where it is published, or unpack it by hand\n"
                f"and pass --checkpoint=/path/to/{next(iter(members))}"
            )
        sizes = [f"{name}, of at most {size} bytes" for name, size in members.items()]
        raise ArchiveError(
            f"{archive} can't be unpacked into {into}: {error}\n"
            f"Expected a .tar.gz with one file {' or '.join(sizes)}.\n{advice}"
        ) from error
