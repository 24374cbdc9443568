"""Measures slimhub and its modules beside their peers, and prints one table of ratios.

Everything is also in build/bench.json, with every sample, and in build/bench.md. Goals that are
missed are shown, and change nothing: figures depend on the machine, and what else it does.
"""

import argparse
import time
from pathlib import Path

from rich.console import Console

from benchmarks import exporting, fine_tuning, inference, loading, machine, report, sizes
from benchmarks.workshop import Workshop

_BUILD = Path("build")
_GROUPS = {
    "exporting": exporting,
    "size": sizes,
    "loading": loading,
    "inference": inference,
    "fine-tuning": fine_tuning,
}


def bench(groups: list[str], *, quick: bool, console: Console) -> report.Report:
    """Measures one group after the other, each once its contenders are made."""
    started = time.monotonic()
    workshop = Workshop(_BUILD / "bench")
    measured = []
    for group in groups:
        with console.status(group):
            measured.append(_GROUPS[group].measure(workshop, quick=quick))
    workshop.remove()
    return report.Report(
        machine=machine.describe(),
        figures=tuple(figure for one in measured for figure in one.figures),
        stages={name: stages for one in measured for name, stages in one.stages.items()},
        versions={name: version for one in measured for name, version in one.versions.items()},
        missing=workshop.missing,
        seconds=time.monotonic() - started,
    )


def main() -> None:
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


if __name__ == "__main__":
    main()
