"""Writes the archives of modules that were published without.

Usage: python -m slimhub.export.archive [--json] DIR...

Each goes beside its module, as <version>.tar.gz. One that is there is replaced unless it is right.

Exit codes: 0 done, 1 a module is not as it was published, 2 usage, 5 an archive can't be written. If
several fail, the others are archived, and the first counts.
"""

import dataclasses
import json
from pathlib import Path

from rich import filesize
from rich.markup import escape
from rich.table import Table

from slimhub.export import module_archive, publish
from slimhub.export.errors import ExportError
from slimhub.signatures import command_line
from slimhub.signatures.printable import printable


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """Of one module: the archive, where it is and what it is, or the error."""

    directory: str
    path: Path | None = None
    packed: module_archive.Packed | None = None
    error: ExportError | None = None


def main(directories: list[str]) -> int:
    if not directories:
        command_line.complain(
            "No directory given. Usage: python -m slimhub.export.archive [--json] DIR..."
        )
        return command_line.USAGE
    outcomes = [_archive(directory) for directory in directories]
    failed = [outcome.error for outcome in outcomes if outcome.error]
    code = failed[0].exit_code if failed else 0
    if command_line.JSON.value:
        report = {"archives": list(map(_record, outcomes)), "exit_code": code}
        command_line.show(json.dumps(report, indent=2))
    elif len(failed) < len(outcomes):
        command_line.show(_table(outcome for outcome in outcomes if not outcome.error))
    for error in failed:
        command_line.complain(str(error))
    return code


def _archive(directory: str) -> Outcome:
    version = Path(directory)
    # A link is not where the version is, and `..` not what it is called.
    if version.name in ("", "..") or version.is_symlink():
        version = version.resolve()
    try:
        packed = publish.write_archive(version)
    except ExportError as error:
        return Outcome(directory=directory, error=error)
    return Outcome(directory=directory, path=module_archive.path_of(version), packed=packed)


def _record(outcome: Outcome) -> dict:
    return {
        "directory": outcome.directory,
        "archive": outcome.packed and outcome.packed.record(outcome.path),
        "error": outcome.error and outcome.error.record(),
    }


def _table(outcomes) -> Table:
    table = Table()
    table.add_column("archive", overflow="fold")
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("SHA-256", overflow="fold")
    for outcome in outcomes:
        packed = outcome.packed
        path = escape(printable(str(outcome.path)))
        table.add_row(path, filesize.decimal(packed.num_bytes), packed.sha256)
    return table


def run() -> None:
    command_line.run(main)


if __name__ == "__main__":
    run()
