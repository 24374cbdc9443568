"""Check that modules keep their contract: directories, or archives whose root is the module.

Usage: slimhub-check [flags] MODULE...    (or: python -m slimhub.signatures)
       slimhub-check --list [--json]

Each is held to what its own provenance says that it is, or to what --like names: a handle, for a
module that is to be a drop-in for it, or the common image signatures alone.

A module may hold anything. Each is checked in a process of its own, with bounded time and memory,
and nothing in it is run before its operations are known to be harmless. An archive is unpacked into
a temporary directory (TMPDIR chooses where). Modules run on the CPU, on purpose: GPUs may compute
with fewer bits, and sum in any order.

--list prints all checks instead: the id of each, its stage (static: on what is on disk, load, or
run), the formats whose modules it belongs to, and what a module keeps that passes it.

--json prints an array with a report of each module, whose fields docs/conformance.md describes.

Exit codes: 0 all modules passed, 1 a check failed, or passed unexpectedly, 2 usage, 5 there is no
temporary directory.

Example: slimhub-check build/modules/google/imagenet/inception_v2/classification/3
"""

import dataclasses
import json
from pathlib import Path

from absl import flags
from rich.markup import escape
from rich.table import Table

from slimhub.signatures.checks import registry, report
from slimhub.signatures.checks.expectation import INTERFACES, Expectation
from slimhub.support import terminal

_LIST = flags.DEFINE_bool("list", False, "Print a table of all checks, and check nothing.")
_LIKE = flags.DEFINE_string(
    "like",
    None,
    f"What modules are held to: a handle, such as google/imagenet/inception_v1/classification/3, or "
    f"{' or '.join(INTERFACES)}. If left out, what their provenance says that they are.",
)
_CONTRACT = flags.DEFINE(
    terminal.PathParser(),
    "contract",
    None,
    "File of a network (JSON) that modules are held to. If left out, the one that belongs to the handle.",
)
_CLASSES = flags.DEFINE_integer(
    "classes",
    None,
    "Number of classes that modules are to have. If left out, that of the class names in the module, or the network's.",
    lower_bound=1,
)
_EXPECT_FAILURE = flags.DEFINE_multi_string(
    "expect-failure",
    [],
    "ID:REASON, a check that is known to fail, and why; it is an error if it passes. May be repeated.",
)
_TIMEOUT = flags.DEFINE_integer(
    "timeout",
    600,
    "Seconds that the checks of one module may take at most.",
    lower_bound=0,
    upper_bound=86_400,
)

_STYLES = {
    report.PASSED: "green",
    report.WARNING: "yellow",
    report.FAILED: "red",
    report.NOT_RUN: "yellow",
    report.NOT_APPLICABLE: "dim",
    report.EXPECTED_FAILURE: "yellow",
    report.UNEXPECTED_PASS: "red",
}


def main(modules: list[str]) -> int:
    if _LIST.value:
        return _list()
    if not modules:
        terminal.complain("No module given. Usage: python -m slimhub.signatures [--json] MODULE...")
        return terminal.USAGE
    try:
        path = None if _CONTRACT.value is None else Path(_CONTRACT.value)
        expectation = Expectation(like=_LIKE.value, contract=path, classes=_CLASSES.value)
        reasons = _expected_failures(_EXPECT_FAILURE.value)
    except (ValueError, OSError) as error:
        terminal.complain(str(error))
        return terminal.USAGE
    # Imports TensorFlow, which flags that make no sense need not wait for.
    with terminal.quiet_imports():
        from slimhub.signatures.isolation import isolated

    try:
        reports = [
            report.expecting(
                isolated.check(Path(module), expectation=expectation, timeout=_TIMEOUT.value),
                reasons,
            )
            for module in modules
        ]
    except OSError as error:
        terminal.complain(f"There is no temporary directory (TMPDIR chooses one): {error}")
        return terminal.UNWRITABLE
    if terminal.JSON.value:
        records = [json.loads(one.to_json()) for one in reports]
        terminal.show(json.dumps(records, indent=2))
    else:
        terminal.show(*map(_table, reports))
    return 0 if all(one.ok for one in reports) else 1


def _expected_failures(texts: list[str]) -> dict[str, str]:
    """Read the values of `--expect-failure`. Raise `ValueError`."""
    reasons = {}
    for text in texts:
        id, _, reason = text.partition(":")
        if not reason.strip():
            raise ValueError(f"--expect-failure={text}: expected ID:REASON")
        reasons[id] = reason.strip()
    report.require_known(reasons)
    return reasons


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


def _table(one: report.Report) -> Table:
    table = Table(title=escape(one.title), caption=one.weights, title_justify="left")
    table.add_column("check", no_wrap=True)
    table.add_column("result", no_wrap=True)
    table.add_column("details", overflow="fold")
    for result in one.results:
        reason = [result.reason] if result.reason else []
        details = "\n".join([*reason, *result.problems]) or result.description
        table.add_row(result.id, f"[{_STYLES[result.status]}]{result.status}[/]", escape(details))
    return table


def run() -> None:
    terminal.run(main, takes_json=True, takes_paths=True)


if __name__ == "__main__":
    run()
