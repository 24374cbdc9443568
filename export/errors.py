"""Everything that can go wrong in an export, one type a cause.

    ExportError                     exit code
    ├── CheckError                  1   a module was written, reloaded, and found wrong
    ├── UsageError                  2   the flags ask for something that can't be
    ├── CheckpointError             3   the weights, or where they come from
    │   ├── SourceError                 no checkpoint there, or not one that can be read
    │   ├── DownloadError               the archive could not be fetched whole and verified
    │   ├── ArchiveError                the archive does not hold the one expected member
    │   └── RestoreError                the checkpoint's variables are not the network's
    ├── VersionExistsError          4   the version is already published
    └── OutputError                 5   the module can't be written

A message says where, what was expected, what was found, and what to do; the
entry point prints it without a traceback and exits with the code.
"""


class ExportError(Exception):
    """Base of all errors that a caller can expect; `exit_code` is the process's."""

    exit_code = 1

    def record(self) -> dict:
        """The error for machines, in a report."""
        return {"type": type(self).__name__, "message": str(self), "exit_code": self.exit_code}


class CheckError(ExportError):
    exit_code = 1


class UsageError(ExportError):
    exit_code = 2


class CheckpointError(ExportError):
    exit_code = 3


class SourceError(CheckpointError):
    pass


class DownloadError(CheckpointError):
    pass


class ArchiveError(CheckpointError):
    pass


class RestoreError(CheckpointError):
    pass


class VersionExistsError(ExportError):
    exit_code = 4


class OutputError(ExportError):
    exit_code = 5
