"""A module directory as files: their names, their sums, and the record of where they came from.

Knows nothing of TensorFlow, so that it is cheap to import.
"""

import contextlib
import functools
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from slimhub.signatures import formats, provenance
from slimhub.signatures.provenance import File

# A module has less than ten.
_MOST_FILES = 100
# Of a file that is read at once. The largest SavedModel has 3 MB, and takes many times that in memory.
_MOST_BYTES = 64 << 20
# Of the provenance, which has less than 20 kB.
_MOST_BYTES_OF_PROVENANCE = 1 << 20
_CHUNK = 1 << 20
_NEITHER = "is neither a file nor a directory, but a link or a device"


class UnreadableError(Exception):
    """The directory is no SavedModel, a file in it can't be parsed, or what is in it makes no sense."""


class Directory:
    """A directory that may be a module. What it holds is read when it is asked for.

    Attributes:
      directory: where it is.

    Raises:
      UnreadableError: from every other attribute, saying which file is wrong and how.
    """

    def __init__(self, directory: Path):
        self.directory = directory

    @functools.cached_property
    def files(self) -> tuple[str, ...]:
        """Paths of all files, relative and sorted. A link, a pipe or a device is no file."""
        # Unlike `Path.is_dir`, it takes any name.
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
                # What it leads to may be anywhere, and reading it may never end.
                elif not entry.is_dir(follow_symlinks=False):
                    raise UnreadableError(f"{name} {_NEITHER}")
        return tuple(sorted(files))

    def file(self, name: str) -> File:
        """One of `files`, with its size and its sum."""
        with _reading(name):
            return File.read(self.directory / name, name=name)

    def size(self, name: str) -> int:
        """Bytes of one of `files`."""
        with _reading(name):
            return (self.directory / name).stat().st_size

    @functools.cached_property
    def provenance(self) -> provenance.Provenance:
        if formats.PROVENANCE not in self.files:
            raise UnreadableError(
                f"there is no {formats.PROVENANCE}, which says what the module promises"
            )
        try:
            text = self.read(formats.PROVENANCE, most=_MOST_BYTES_OF_PROVENANCE).decode()
            return provenance.from_json(text)
        except ValueError as error:
            raise UnreadableError(f"{formats.PROVENANCE} is malformed: {error}") from error

    def read(self, name: str, *, most: int = _MOST_BYTES) -> bytes:
        """Content of one of `files`, of so many bytes at most; not for the variables."""
        return b"".join(self.chunks(name, most=most))

    def chunks(self, name: str, *, most: int) -> Iterator[bytes]:
        """Content of one of `files`, of so many bytes at most, as it is read."""
        with _reading(name), open(self.directory / name, "rb", opener=_open) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise UnreadableError(f"{name} {_NEITHER}")
            if found.st_size > most:
                raise UnreadableError(f"{name} has more than {most} bytes")
            # It may grow meanwhile.
            while chunk := file.read(min(_CHUNK, most)):
                most -= len(chunk)
                yield chunk

    def changed_files(self) -> Iterator[str]:
        """Files that are not as the provenance records them, each in a line."""
        recorded = {file.name: file for file in self.provenance.files}
        names = set(self.files) - {formats.PROVENANCE}
        yield from differences("file", set(recorded), names)
        for name in sorted(names & recorded.keys()):
            record, size = recorded[name], self.size(name)
            # Of another size, it may be so large that its sum takes hours.
            found = self.file(name).sha256 if size == record.num_bytes else None
            if found != record.sha256:
                yield (
                    f"{name}: expected {record.num_bytes} bytes with the SHA-256 {record.sha256}, "
                    f"got {size} bytes" + (f" with {found}" if found else "")
                )


def differences(what: str, expected: set[str], found: set[str]) -> Iterator[str]:
    for name in sorted(expected - found):
        yield f"{what} missing: {name}"
    for name in sorted(found - expected):
        yield f"{what} not expected: {name}"


def _open(path: str, flags: int) -> int:
    """Opens what may have become a link or a pipe after its directory was listed."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _below(directory: Path) -> Iterator[os.DirEntry]:
    """Everything in a directory, however deep, and as it comes: there may be no end of it."""
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
