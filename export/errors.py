"""The errors of an export, one type for each cause.

    ExportError                     exit code
    ├── CheckError                  1   a module was written and reloaded, and a check failed
    ├── UsageError                  2   the flags are wrong or contradict each other
    ├── CheckpointError             3   the weights or their source are wrong
    │   ├── SourceError                 there is no checkpoint, or it can't be read
    │   ├── DownloadError               the archive can't be downloaded or verified
    │   ├── ArchiveError                the archive doesn't hold the one expected member
    │   └── RestoreError                the checkpoint's variables don't fit the network
    ├── VersionExistsError          4   the version is already published
    └── OutputError                 5   the module can't be written

A message says where the error is, what was expected, what was found, and what to do. The entry point
prints the message without a traceback and exits with the code.
"""

import dataclasses
import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from slimhub.support.printable import printable

# Most problems of a kind that a message lists, unless it is verbose.
_MAX_LISTED = 10
# Kinds of problems in the order of messages, each with its sign and its words after a count.
_KINDS = {
    "missing": ("-", "missing"),
    "shape": ("!", "of another shape"),
    "dtype": ("!", "of another dtype"),
    "value": ("!", "with bad values"),
    "unused": ("+", "unused"),
}


class ExportError(Exception):
    """The base class of all expected errors; the process exits with `exit_code`."""

    exit_code = 1

    def record(self) -> dict:
        """Return the error's part of a JSON report."""
        return {"type": type(self).__name__, "message": str(self), "exit_code": self.exit_code}

    def describe(self, *, verbose: bool = False) -> str:
        """Return the message; if verbose, with everything that it leaves out otherwise."""
        del verbose
        return str(self)


class CheckError(ExportError):
    """A module that was written and reloaded, and failed a check.

    Attributes:
      failed: ids of the failed checks.
      differing: outputs that differ from the Slim graph, `{train} default:default`.
    """

    exit_code = 1

    def __init__(self, message: str, *, failed: Sequence[str] = (), differing: Sequence[str] = ()):
        super().__init__(message)
        self.failed, self.differing = tuple(failed), tuple(differing)


class UsageError(ExportError):
    """Flags that are wrong or contradict each other."""

    exit_code = 2


class CheckpointError(ExportError):
    """The base class of errors of the weights and their source."""

    exit_code = 3


class SourceError(CheckpointError):
    """A checkpoint that doesn't exist or can't be read.

    Attributes:
      reason: `absent`, `incomplete`, `ambiguous`, `other format`, `other file`, `damaged`, `changed`, or
        `unusable` for a flag that can't name a checkpoint.
      path: the file, prefix or directory; None for an unusable flag.
      expected: names or a SHA-256; None where there is only one possibility.
      found: what is there instead: names, a SHA-256, or an error.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str = "unusable",
        path: Path | None = None,
        expected: str | Sequence[str] | None = None,
        found: str | Sequence[str] = (),
    ):
        super().__init__(message)
        self.reason, self.path, self.expected, self.found = reason, path, expected, found


class DownloadError(CheckpointError):
    """An archive that can't be downloaded or verified.

    Attributes:
      path: where the archive should be in the cache; None if there is no cache.
      expected: its size and SHA-256, in words.
      failures: what is wrong with each file or URL that was tried, in order.
    """

    def __init__(
        self,
        summary: str = "",
        *,
        path: Path | None = None,
        expected: str = "",
        failures: Mapping[str, str] = types.MappingProxyType({}),
    ):
        """Store the attributes. `summary` replaces the sentences that are made from them."""
        super().__init__(summary)
        self.path, self.expected, self.failures = path, expected, dict(failures)

    def __str__(self) -> str:
        if self.path is None:
            return self.args[0]
        return "\n".join(
            [
                f"{self.path.name} could not be fetched. Tried:",
                *(f"  {where}: {failure}" for where, failure in self.failures.items()),
                f"Expected {self.expected}.",
                f"To bring it by hand, download it elsewhere, then put it at {self.path}",
                f"or pass --checkpoint=/path/to/{self.path.name}",
            ]
        )


class ArchiveError(CheckpointError):
    """An archive that doesn't hold the one expected member."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Problem:
    """A variable that is not as the network needs it.

    Attributes:
      kind: `missing`, `shape`, `dtype`, `value` or `unused`.
      name: name of the variable in the checkpoint.
      found: what the checkpoint has; None if the variable is missing.
      expected: what the network needs; None if the variable is unused.
    """

    kind: str
    name: str
    found: str | None = None
    expected: str | None = None

    @property
    def details(self) -> str:
        """Return what was found, or expected, in words for a list of problems."""
        if self.kind in ("shape", "dtype"):
            return f"checkpoint {self.found}, model {self.expected}"
        return self.found or self.expected or ""


class RestoreError(CheckpointError):
    """A checkpoint whose variables don't fit the network.

    Attributes:
      checkpoint: name of the checkpoint.
      model: name of the expected network; None if any network was accepted.
      num_variables: number of variables that the network needs.
      problems: every variable that is not as the network needs it.
      causes: likely causes and remedies, one sentence each.
    """

    def __init__(
        self,
        summary: str = "",
        *,
        checkpoint: str | None = None,
        model: str | None = None,
        num_variables: int = 0,
        problems: Sequence[Problem] = (),
        causes: Sequence[str] = (),
    ):
        """Store the attributes. `summary` replaces the sentence that is made from them."""
        super().__init__(summary)
        self.checkpoint, self.model, self.num_variables = checkpoint, model, num_variables
        self.problems, self.causes = tuple(problems), tuple(causes)

    def __str__(self) -> str:
        return self.describe()

    def record(self) -> dict:
        return {
            **super().record(),
            "checkpoint": self.checkpoint,
            "model": self.model,
            "num_variables": self.num_variables,
            "problems": [dataclasses.asdict(problem) for problem in self.problems],
            "causes": list(self.causes),
        }

    def describe(self, *, verbose: bool = False) -> str:
        """Return a line with what is wrong, why, and what to do, then ten variables of each kind, or all."""
        first = " ".join([self.args[0] or self._counts(), *self.causes])
        return "\n".join([first, *self._lines(len(self.problems) if verbose else _MAX_LISTED)])

    def _of_kind(self, kind: str) -> list[Problem]:
        return [problem for problem in self.problems if problem.kind == kind]

    def _counts(self) -> str:
        counts = [
            f"{number} {words}"
            for kind, (_, words) in _KINDS.items()
            if (number := len(self._of_kind(kind)))
        ]
        return (
            f"{self.checkpoint} does not fit {self.model}, which has {self.num_variables} variables: "
            f"{', '.join(counts)}."
        )

    def _lines(self, limit: int) -> Iterator[str]:
        listed = {kind: self._of_kind(kind)[:limit] for kind in _KINDS}
        width = max((len(printable(p.name)) for ps in listed.values() for p in ps), default=0)
        for kind, (sign, _) in _KINDS.items():
            for problem in listed[kind]:
                name = printable(problem.name)
                yield f"  {sign} {kind:<8}  {name:<{width}}  {problem.details}"
            more = len(self._of_kind(kind)) - len(listed[kind])
            if more:
                yield f"  {sign} {kind:<8}  and {more} more (all with --verbosity=1 or --json)"


class VersionExistsError(ExportError):
    """A version that is already published."""

    exit_code = 4


class OutputError(ExportError):
    """A module that can't be written."""

    exit_code = 5
