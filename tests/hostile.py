"""What a hostile directory is, in tests."""

import contextlib
import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import program


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hostile:
    """A directory that must be reported.

    Attributes:
      id: says what it is.
      version: of the good module that it is made from.
      change: makes it of a copy; gets that, and the good module.
      check: one that fails.
      says: what one of its problems contains.
    """

    id: str
    version: int = 3
    change: Callable[[Path, Path], object]
    check: str = "readable"
    says: str


def check(directory: Path, *arguments: str, **how) -> program.Done:
    """Runs the command line of checks in a directory; arguments as for `program.run`."""
    return program.run(*arguments, command=program.CHECK, cwd=directory, **how)


def listing(directory: Path) -> dict[str, tuple[int, int]]:
    """Everything that is there and below, and what shows that it was written."""
    found, waiting = {}, [str(directory)]
    while waiting:
        for entry in os.scandir(waiting.pop()):
            # No deeper than a path may be long.
            with contextlib.suppress(OSError):
                stat = entry.stat(follow_symlinks=False)
                found[entry.path] = (stat.st_size, stat.st_mtime_ns)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
    return found
