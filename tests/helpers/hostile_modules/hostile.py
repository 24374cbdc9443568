"""The record of a hostile directory, and the command that checks it."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import program


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hostile:
    """A directory that must be reported.

    Attributes:
      id: name that says what is hostile.
      version: version of the good module that is changed.
      change: function that changes a copy; it gets the copy and the good module.
      check: id of a check that fails.
      says: text that one of the check's problems contains.
    """

    id: str
    version: int = 3
    change: Callable[[Path, Path], object]
    check: str = "readable"
    says: str


def check(directory: Path, *arguments: str, **how) -> program.Done:
    """Run the command line of the checks in a directory; `program.run` describes the other arguments."""
    return program.run(*arguments, command=program.CHECK, cwd=directory, **how)


def listing(directory: Path) -> dict[str, tuple[int, int]]:
    """Return all paths at any depth, with sizes and times, which change when something is written."""
    found = {str(path): path.lstat() for path in directory.rglob("*")}
    return {path: (status.st_size, status.st_mtime_ns) for path, status in found.items()}
