"""A module directory as files: their names, their SHA-256, and the provenance.

This file doesn't import TensorFlow, so it is cheap to import.
"""

import contextlib
import functools
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from slimhub.signatures.contract import formats
from slimhub.signatures.contract.contract import Contract
from slimhub.signatures.contract.network import NetworkContract
from slimhub.signatures.module import provenance
from slimhub.signatures.module.provenance import File

# A module has fewer than ten files.
_MOST_FILES = 100
# Most bytes of a file that is read at once. The largest SavedModel has 3 MB, and takes many times as
# much memory when it is parsed.
_MOST_BYTES = 64 << 20
# Most bytes of the provenance. It has less than 20 kB.
_MOST_BYTES_OF_PROVENANCE = 1 << 20
_CHUNK = 1 << 20
_NEITHER = "is neither a file nor a directory, but a link or a device"


class UnreadableError(Exception):
    """An error for a directory that is no SavedModel, or has a file that can't be read or makes no sense."""


class Directory:
    """A directory that may be a module. Its content is read on demand.

    Attributes:
      directory: path of the directory.

    Raises:
      UnreadableError: from every other attribute and method; it names the file and what is wrong.
    """

    def __init__(self, directory: Path):
        self.directory = directory

    @functools.cached_property
    def files(self) -> tuple[str, ...]:
        """Return the relative paths of all files, sorted. Refuse links, pipes and devices."""
        # Unlike `Path.is_dir`, this accepts any name.
        if not os.path.isdir(self.directory):
            raise UnreadableError(f"{self.directory} is not a directory")
        files = []
        with _reading(str(self.directory)):
            for number, entry in enumerate(_below(self.directory)):
                name = Path(entry.path).relative_to(self.directory).as_posix()
                if number == _MOST_FILES:
                    raise UnreadableError(f"{self.directory} holds more than {_MOST_FILES} files")
                if entry.is_file(follow_symlinks=False):
                    files.append(name)
                # A link may lead anywhere, and reading a pipe or a device may never end.
                elif not entry.is_dir(follow_symlinks=False):
                    raise UnreadableError(f"{name} {_NEITHER}")
        return tuple(sorted(files))

    def file(self, name: str) -> File:
        """Return one of `files` with its size and its SHA-256."""
        with _reading(name):
            return File.read(self.directory / name, name=name)

    def size(self, name: str) -> int:
        """Return the number of bytes of one of `files`."""
        with _reading(name):
            return (self.directory / name).stat().st_size

    @functools.cached_property
    def provenance_bytes(self) -> bytes:
        """Return the content of the module's provenance."""
        if formats.PROVENANCE not in self.files:
            raise UnreadableError(
                f"there is no {formats.PROVENANCE}, which says what the module promises"
            )
        return self.read(formats.PROVENANCE, most=_MOST_BYTES_OF_PROVENANCE)

    @functools.cached_property
    def provenance(self) -> provenance.Provenance:
        """Return the module's provenance."""
        try:
            return provenance.from_json(self.provenance_bytes.decode())
        except ValueError as error:
            raise UnreadableError(f"{formats.PROVENANCE} is malformed: {error}") from error

    def promise(self, *, frozen: NetworkContract | None = None) -> Contract:
        """Return the contract of the module that this one claims to be; see `Provenance.promise`."""
        try:
            return self.provenance.promise(frozen=frozen)
        except ValueError as error:
            raise UnreadableError(f"{formats.PROVENANCE} makes no sense: {error}") from error

    def read(self, name: str, *, most: int = _MOST_BYTES) -> bytes:
        """Return the content of one of `files`, of at most `most` bytes. The variables are too large."""
        return b"".join(self.chunks(name, most=most))

    def chunks(self, name: str, *, most: int) -> Iterator[bytes]:
        """Yield the content of one of `files`, of at most `most` bytes, in pieces as it is read."""
        with _reading(name), open(self.directory / name, "rb", opener=_open) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise UnreadableError(f"{name} {_NEITHER}")
            if status.st_size > most:
                raise UnreadableError(f"{name} has more than {most} bytes")
            # The file may grow meanwhile.
            while chunk := file.read(min(_CHUNK, most)):
                most -= len(chunk)
                yield chunk

    def changed_files(self) -> Iterator[str]:
        """Yield a line for each file that differs from its record in the provenance."""
        recorded = {file.name: file for file in self.provenance.files}
        names = set(self.files) - {formats.PROVENANCE}
        yield from differences("file", set(recorded), names)
        for name in sorted(names & recorded.keys()):
            record, size = recorded[name], self.size(name)
            # A file of another size may be so large that its SHA-256 takes hours.
            sha256 = self.file(name).sha256 if size == record.num_bytes else None
            if sha256 != record.sha256:
                yield (
                    f"{name}: expected {record.num_bytes} bytes with the SHA-256 {record.sha256}, "
                    f"got {size} bytes" + (f" with {sha256}" if sha256 else "")
                )


def differences(what: str, expected: set[str], found: set[str]) -> Iterator[str]:
    """Yield a line for each name that is in only one of the sets; `what` says what the names are of."""
    for name in sorted(expected - found):
        yield f"{what} missing: {name}"
    for name in sorted(found - expected):
        yield f"{what} not expected: {name}"


def _open(path: str, flags: int) -> int:
    """Open a file. Refuse a link and don't wait for a pipe, which it may have become after the listing."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _below(directory: Path) -> Iterator[os.DirEntry]:
    """Yield all entries at any depth, as they are found: a hostile directory may have too many to list."""
    waiting = [os.fspath(directory)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                yield entry
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)


@contextlib.contextmanager
def _reading(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UnreadableError(f"{name} can't be read: {error}") from error
