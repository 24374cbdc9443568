"""Takes the one checkpoint out of a .tar.gz, and believes nothing that the archive says.

The archive is read twice: to its very end before the first byte is written, checksum of
the gzip included, and once more for the copy. Names in it are only compared with the expected ones.
"""

import itertools
import tarfile
from collections.abc import Mapping
from pathlib import Path

from slimhub.export.errors import ArchiveError
from slimhub.signatures import tar_gz

# An archive with more members is not the expected one; its message need not name them all.
_MAX_MEMBERS = 10


def extract(archive: Path, *, members: Mapping[str, int], into: Path) -> Path:
    """Unpacks the one file that a .tar.gz is expected to hold.

    Beside it the archive may hold an entry for its root (`./`), nothing else.

    Args:
      archive: path of the .tar.gz.
      members: names that the file may have, `inception_v2.ckpt`, each with the number of bytes that
        it may unpack to at most; `./inception_v2.ckpt` is the same.
      into: an existing directory without such a file.

    Returns:
      The path of the new file, in `into`.

    Raises:
      ArchiveError: the archive is damaged or holds something else, or the file can't be
        written. Nothing is left in `into`.
    """
    try:
        with tar_gz.Stream(archive) as stream:
            info = _only_member(stream, members)
            path = into / _name(info)
            tar_gz.copy(stream, info, path=path)
        return path
    except (OSError, *tar_gz.DAMAGE) as error:
        advice = (
            "There must be room for it: TMPDIR chooses another directory."
            if getattr(error, "errno", None) in tar_gz.NO_ROOM
            else "Get the archive anew from where it is published, or unpack it by hand\n"
            f"and pass --checkpoint=/path/to/{next(iter(members))}"
        )
        raise ArchiveError(
            f"{archive} can't be unpacked into {into}: {error}\n"
            f"Expected a .tar.gz of one file, {_listed(members)}.\n{advice}"
        ) from error


def _only_member(stream: tar_gz.Stream, members: Mapping[str, int]) -> tarfile.TarInfo:
    """Reads the archive to its end. Raises one of `tar_gz.DAMAGE` unless it is as expected."""
    infos = _infos(stream, max_bytes=max(members.values()))
    content = infos[1:] if infos and infos[0].isdir() and infos[0].name == "." else infos
    if len(content) != 1 or not _fits(content[0], members):
        found = ", ".join(map(tar_gz.describe, infos)) or "nothing"
        more = ", ..." if len(infos) == _MAX_MEMBERS else ""
        raise tarfile.ReadError(f"it holds {found}{more}")
    (info,) = content
    stream.seek(info.offset_data + info.size)
    if not tar_gz.at_end(stream):
        raise tarfile.ReadError(f"it holds {tar_gz.describe(info)}, and other data behind it")
    return info


def _infos(stream: tar_gz.Stream, *, max_bytes: int) -> list[tarfile.TarInfo]:
    infos = []
    with tarfile.open(fileobj=stream, mode="r:") as tar:
        for info in itertools.islice(tar, _MAX_MEMBERS):
            infos.append(info)
            # To go on would unpack it.
            if info.size > max_bytes:
                break
    return infos


def _fits(info: tarfile.TarInfo, members: Mapping[str, int]) -> bool:
    return tar_gz.is_file(info) and info.size <= members.get(_name(info), -1)


def _name(info: tarfile.TarInfo) -> str:
    return info.name.removeprefix("./")


def _listed(members: Mapping[str, int]) -> str:
    sizes = [f"{name}, of at most {max_bytes} bytes" for name, max_bytes in members.items()]
    return " or ".join(sizes)
