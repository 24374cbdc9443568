"""A module in a .tar.gz, which is unpacked to be checked. Nothing that the archive says is believed."""

import dataclasses
import functools
import posixpath
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from slimhub.signatures import conformance, tar_gz
from slimhub.signatures.directory import UnreadableError
from slimhub.signatures.module import Module
from slimhub.signatures.printable import printable

# All that it unpacks to.
_MOST_BYTES = 4 << 30
# Files and directories; a module has less than ten.
_MOST_MEMBERS = 100


class Archived(Module):
    """A module in an archive, unpacked into an empty directory when its files are asked for."""

    def __init__(self, archive: Path, *, into: Path):
        super().__init__(into)
        self._archive = archive

    @functools.cached_property
    def files(self) -> tuple[str, ...]:
        unpack(self._archive, into=self.directory)
        return super().files


def check(archive: Path, *, into: Path, note: conformance.Note) -> conformance.Report:
    """As `conformance.check`, of an archive, which is unpacked into an empty directory."""
    return conformance.check_module(Archived(archive, into=into), note=note)


def named(report: conformance.Report, archive: Path, *, into: Path) -> conformance.Report:
    """A report that names the archive wherever it named the directory that it was unpacked into."""

    def renamed(problem: str) -> str:
        return problem.replace(printable(str(into)), printable(str(archive)))

    results = (
        dataclasses.replace(result, problems=tuple(map(renamed, result.problems)))
        for result in report.results
    )
    return dataclasses.replace(report, directory=str(archive), results=tuple(results))


def unpack(archive: Path, *, into: Path) -> None:
    """Unpacks an archive whose root is that of a module, as `hub.load` does.

    It is read twice: to its very end before the first byte is written, and once more for the files.

    Args:
      archive: any file.
      into: an empty directory that nobody else writes into; not empty after an error.

    Raises:
      UnreadableError: it is no gzip, or another follows; the tar is damaged, or has other data behind
        it; a member is no file and no directory, has no plain relative name, one that was there
        before, or no directory before it; there are too many or too large ones; or there is no room.
    """
    try:
        with archive.open("rb") as file:
            _read_through(file)
            file.seek(0)
            with tar_gz.Stream(fileobj=file) as stream:
                _unpack(stream, into)
    except (OSError, *tar_gz.DAMAGE) as error:
        no_room = getattr(error, "errno", None) in tar_gz.NO_ROOM
        advice = " (TMPDIR chooses another directory)" if no_room else ""
        raise UnreadableError(f"{archive} can't be unpacked: {error}{advice}") from error


def _read_through(file: BinaryIO) -> None:
    """Reads one gzip to its end. Raises one of `DAMAGE`."""
    # Unlike `gzip`, it does not go on with another gzip, which some would read and `hub.load` would not.
    unzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    num_bytes = 0
    while not unzip.eof:
        chunk = unzip.unconsumed_tail or file.read(tar_gz.CHUNK)
        content = unzip.decompress(chunk, tar_gz.CHUNK)
        num_bytes += len(content)
        if num_bytes > _MOST_BYTES:
            raise tarfile.ReadError(f"it holds more than {_MOST_BYTES} bytes")
        if not (chunk or content or unzip.eof):
            raise EOFError("it ends before its gzip does")
    behind = unzip.unused_data
    while behind:
        if behind.strip(b"\0"):
            raise tarfile.ReadError("there is other data behind its gzip")
        behind = file.read(tar_gz.CHUNK)


def _unpack(stream: tar_gz.Stream, into: Path) -> None:
    # Whether each is a directory.
    members: dict[str, bool] = {}
    end = 0
    with tarfile.open(fileobj=stream, mode="r:") as tar:
        for info in tar:
            name = _name(info, members)
            if info.isdir():
                (into / name).mkdir(exist_ok=not name)
            else:
                tar_gz.copy(stream, info, path=into / name)
            members[name] = info.isdir()
            end = info.offset_data + info.size
    stream.seek(end)
    if not tar_gz.at_end(stream):
        raise tarfile.ReadError("there is other data behind its last file")


def _name(info: tarfile.TarInfo, members: Mapping[str, bool]) -> str:
    """Relative to the root, which has none; raises `ReadError` for what may not be in an archive."""
    # Python's `add(..., arcname="")` calls the root `/`, which is the empty name here.
    root = info.isdir() and info.name in ("", ".")
    name = "" if root else info.name.removeprefix("./")
    parent = posixpath.dirname(name)
    problem = None
    if not tar_gz.is_file(info) and not (info.isdir() and info.size == 0):
        problem = "where only files and directories may be"
    elif not root and {"", ".", ".."} & set(name.split("/")):
        problem = "which is no plain relative name"
    elif name in members:
        problem = "twice"
    elif parent and not members.get(parent):
        problem = "without its directory before it, which hub.load wants"
    elif len(members) == _MOST_MEMBERS:
        problem = f"beyond the {_MOST_MEMBERS} members that it may have"
    if problem:
        raise tarfile.ReadError(f"it holds {tar_gz.describe(info)} {problem}")
    return name
