"""Checks that modules keep their contract: directories, or archives of which each is the root.

Usage: python -m slimhub.signatures [--json] [--timeout=600] MODULE...

A module may hold anything. Each is checked in a process of its own, with bounded time and
memory, and nothing in it is run before its operations are known to be harmless. An archive is unpacked
into a temporary directory, where TMPDIR says.

Exits with 0 if all do, 1 if any check fails, 2 if no module is given, 5 if that can't be told.
"""

import json
from pathlib import Path

from absl import flags
from rich.markup import escape
from rich.table import Table

from slimhub.signatures import command_line

_TIMEOUT = flags.DEFINE_integer(
    "timeout",
    600,
    "Seconds that the checks of one module may take.",
    lower_bound=0,
    upper_bound=86_400,
)

_STYLES = {"passed": "green", "failed": "red", "not run": "yellow"}


def main(modules: list[str]) -> int:
    if not modules:
        command_line.complain(
            "No module given. Usage: python -m slimhub.signatures [--json] MODULE..."
        )
        return command_line.USAGE
    # Imports TensorFlow, which flags that make no sense need not wait for.
    with command_line.quiet_imports():
        from slimhub.signatures import isolated

    try:
        reports = [isolated.check(Path(module), timeout=_TIMEOUT.value) for module in modules]
    except OSError as error:
        command_line.complain(f"There is no temporary directory (TMPDIR chooses one): {error}")
        return command_line.UNWRITABLE
    if command_line.JSON.value:
        records = [json.loads(report.to_json()) for report in reports]
        command_line.show(json.dumps(records, indent=2))
    else:
        command_line.show(*map(_table, reports))
    return 0 if all(report.ok for report in reports) else 1


def _table(report) -> Table:
    table = Table(title=escape(report.title), caption=report.weights, title_justify="left")
    table.add_column("check", no_wrap=True)
    table.add_column("result", no_wrap=True)
    table.add_column("details", overflow="fold")
    for result in report.results:
        details = "\n".join(result.problems) or result.description
        table.add_row(result.id, f"[{_STYLES[result.status]}]{result.status}[/]", escape(details))
    return table


def run() -> None:
    command_line.run(main)


if __name__ == "__main__":
    run()
