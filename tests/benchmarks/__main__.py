"""Measures slimhub and its modules beside their peers, and prints one table of ratios.

Everything is also in build/bench.json, with every sample, and in build/bench.md. Goals that are
missed are shown, and change nothing: figures depend on the machine, and what else it does.

Exit codes: 0 done, 1 a group of measurements failed, 2 usage.
"""

import argparse
import shutil
import sys
import time
from pathlib import Path

from rich.console import Console

from benchmarks import report
from benchmarks.groups import (
    exporting,
    fine_tuning,
    inference,
    large,
    loading,
    serving,
    sizes,
)
from benchmarks.processes import ProgramError
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


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds, to try it")
    parser.add_argument("--only", action="append", choices=_GROUPS, help="May repeat.")
    arguments = parser.parse_args()
    console = Console(stderr=True)
    groups = {name: _GROUPS[name] for name in _GROUPS if name in (arguments.only or _GROUPS)}
    workshop = Workshop(_BUILD / "bench")
    for peer in dict.fromkeys(peer for group in groups.values() for peer in group.PEERS):
        with console.status(f"installing {peer}"):
            workshop.install(peer)
    started, figures, failed = time.monotonic(), [], {}
    for name, group in groups.items():
        try:
            with console.status(name):
                figures += group.measure(workshop, quick=arguments.quick)
        except ProgramError as error:
            # The others may tell something all the same.
            failed[name] = str(error)
            console.print(f"{name} failed: {error}", style="red", markup=False, highlight=False)
    shutil.rmtree(workshop.directory)
    facts = [
        *report.machine(),
        *(f"{peer}: {', '.join(made.packages)}" for peer, made in workshop.peers.items()),
        f"{(time.monotonic() - started) / 60:.1f} minutes; medians of interleaved rounds, whose ratios "
        "lie apart as shown",
        *(f"without {name}: {why}" for name, why in {**workshop.missing, **failed}.items()),
    ]
    (_BUILD / "bench.json").write_text(report.to_json(facts, figures))
    shown = report.to_markdown(facts, figures)
    (_BUILD / "bench.md").write_text(shown)
    print(shown, end="")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
