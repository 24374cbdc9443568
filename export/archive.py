"""Write the archives of modules that were published without one.

Usage: python -m slimhub.export.archive [flags] DIRECTORY...

The archive of a module is <version>.tar.gz, beside the directory <version>. An archive that exists
is replaced unless it is right.

Exit codes: 0 done, 1 a module differs from what was published, 2 usage, 5 an archive can't be
written. If several modules fail, the others are archived, and the first failure counts.

Example: python -m slimhub.export.archive build/modules/google/imagenet/*/*/3
"""

import json
from collections.abc import Iterable
from pathlib import Path

from rich import filesize
from rich.markup import escape
from rich.table import Table

from slimhub.export.errors import ExportError
from slimhub.export.publishing import publish
from slimhub.signatures.module import module_archive
from slimhub.support import terminal
from slimhub.support.printable import printable


def main(directories: list[str]) -> int:
    if not directories:
        terminal.complain(
            "No directory given. Usage: python -m slimhub.export.archive [--json] DIRECTORY..."
        )
        return terminal.USAGE
    records = [_archive(directory) for directory in directories]
    errors = [record["error"] for record in records if record["error"]]
    code = errors[0]["exit_code"] if errors else 0
    if terminal.JSON.value:
        terminal.show(json.dumps({"archives": records, "exit_code": code}, indent=2))
    elif len(errors) < len(records):
        terminal.show(_table(record["archive"] for record in records if record["archive"]))
    for error in errors:
        terminal.complain(error["message"])
    return code


def _archive(directory: str) -> dict:
    """Write the archive of one module; return its part of the JSON report."""
    version = Path(directory)
    # The archive belongs beside the real directory, not beside a link, and `..` is not its name.
    if version.name in ("", "..") or version.is_symlink():
        version = version.resolve()
    archive = error = None
    try:
        archive = publish.write_archive(version).record(module_archive.path_of(version))
    except ExportError as failure:
        error = failure.record()
    return {"directory": directory, "archive": archive, "error": error}


def _table(archives: Iterable[dict]) -> Table:
    table = Table()
    table.add_column("archive", overflow="fold")
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("SHA-256", overflow="fold")
    for archive in archives:
        path = escape(printable(archive["path"]))
        table.add_row(path, filesize.decimal(archive["num_bytes"]), archive["sha256"])
    return table


def run() -> None:
    terminal.run(main, takes_json=True, takes_paths=True)


if __name__ == "__main__":
    run()
