"""Measures slimhub and its modules beside their peers, and prints one table of ratios.

Everything is also in build/bench.json, with every sample, and in build/bench.md. Goals that are
missed are shown, and change nothing: figures depend on the machine, and what else it does.

Exit codes: 0 done, 1 a group of measurements failed, 2 usage.
"""

import argparse
import contextlib
import sys
import time
from pathlib import Path

from rich.console import Console

from benchmarks import (
    exporting,
    fine_tuning,
    inference,
    large,
    loading,
    machine,
    report,
    serving,
    sizes,
)
from benchmarks.errors import BenchmarkError, MissingPeerError
from benchmarks.workshop import Workshop

_BUILD = Path("build")
_GROUPS = {
    "exporting": exporting,
    "large": large,
    "size": sizes,
    "loading": loading,
    "inference": inference,
    "fine-tuning": fine_tuning,
    "serving": serving,
}


def bench(groups: list[str], *, quick: bool, console: Console) -> report.Report:
    """Installs what is missing, and measures one group after the other."""
    workshop = Workshop(_BUILD / "bench")
    for environment in dict.fromkeys(
        name for group in groups for name in _GROUPS[group].ENVIRONMENTS
    ):
        # Minutes, but only once.
        with console.status(f"installing {environment}"), contextlib.suppress(MissingPeerError):
            workshop.python(environment)
    started = time.monotonic()
    measured, failed = [], {}
    for group in groups:
        try:
            with console.status(group):
                measured.append(_GROUPS[group].measure(workshop, quick=quick))
        except BenchmarkError as error:
            # The others may tell something all the same.
            failed[group] = str(error)
    workshop.remove()
    return report.Report(
        machine=machine.describe(),
        figures=tuple(figure for one in measured for figure in one.figures),
        stages={name: stages for one in measured for name, stages in one.stages.items()},
        versions={name: version for one in measured for name, version in one.versions.items()},
        missing=workshop.missing,
        failed=failed,
        seconds=time.monotonic() - started,
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds, to try it")
    parser.add_argument("--only", action="append", choices=_GROUPS, help="May repeat.")
    arguments = parser.parse_args()
    console = Console(stderr=True)
    groups = [group for group in _GROUPS if group in (arguments.only or _GROUPS)]
    found = bench(groups, quick=arguments.quick, console=console)
    (_BUILD / "bench.json").write_text(report.to_json(found))
    (_BUILD / "bench.md").write_text(report.to_markdown(found))
    # Not narrower than the table where nobody watches.
    output = Console() if Console().is_terminal else Console(width=160)
    for table in report.to_tables(found):
        output.print(table)
    for group, error in found.failed.items():
        console.print(f"{group} failed: {error}", style="red", markup=False, highlight=False)
    return 1 if found.failed else 0


if __name__ == "__main__":
    sys.exit(main())
