"""Check that modules keep their contract: directories, or archives whose root is the module.

Usage: slimhub-check [flags] MODULE...    (or: python -m slimhub.signatures)
       slimhub-check --list [--json]

A module may hold anything. Each is checked in a process of its own, with bounded time and memory,
and nothing in it is run before its operations are known to be harmless. An archive is unpacked into
a temporary directory (TMPDIR chooses where). Modules run on the CPU, on purpose: GPUs may compute
with fewer bits, and sum in any order.

--list prints all checks instead: the id of each, its stage (static: on what is on disk, load, or
run), the formats whose modules it belongs to, and what a module keeps that passes it.

Exit codes: 0 all modules passed, 1 a check failed, 2 usage, 5 there is no temporary directory.

Example: slimhub-check build/modules/google/imagenet/inception_v2/classification/3
"""

import dataclasses
import json
from pathlib import Path

from absl import flags
from rich.markup import escape
from rich.table import Table

from slimhub.signatures.checks import registry
from slimhub.support import terminal

_LIST = flags.DEFINE_bool("list", False, "Print a table of all checks, and check nothing.")
_TIMEOUT = flags.DEFINE_integer(
    "timeout",
    600,
    "Seconds that the checks of one module may take at most.",
    lower_bound=0,
    upper_bound=86_400,
)

_STYLES = {"passed": "green", "failed": "red", "not run": "yellow"}


def main(modules: list[str]) -> int:
    if _LIST.value:
        return _list()
    if not modules:
        terminal.complain("No module given. Usage: python -m slimhub.signatures [--json] MODULE...")
        return terminal.USAGE
    # Imports TensorFlow, which flags that make no sense need not wait for.
    with terminal.quiet_imports():
        from slimhub.signatures.isolation import isolated

    try:
        reports = [isolated.check(Path(module), timeout=_TIMEOUT.value) for module in modules]
    except OSError as error:
        terminal.complain(f"There is no temporary directory (TMPDIR chooses one): {error}")
        return terminal.UNWRITABLE
    if terminal.JSON.value:
        records = [json.loads(report.to_json()) for report in reports]
        terminal.show(json.dumps(records, indent=2))
    else:
        terminal.show(*map(_table, reports))
    return 0 if all(report.ok for report in reports) else 1


def _list() -> int:
    if terminal.JSON.value:
        terminal.show(json.dumps(list(map(dataclasses.asdict, registry.CHECKS)), indent=2))
        return 0
    table = Table()
    for column in ("check", "stage", "formats"):
        table.add_column(column, no_wrap=True)
    table.add_column("description", overflow="fold")
    for check in registry.CHECKS:
        table.add_row(check.id, check.stage, ", ".join(check.formats), check.description)
    terminal.show(table)
    return 0


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
    terminal.run(main, takes_json=True, takes_paths=True)


if __name__ == "__main__":
    run()
