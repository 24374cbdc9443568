"""The table of consumers: what each was seen to do, and how far it was from Slim."""

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from clients.consumer import Result
from rich.console import Console
from rich.table import Table

from slimhub.export.parity import difference

# The weights are the same and the operations are, but kernels of other releases and runtimes sum
# in another order: TensorFlow 1.15 was seen to differ from 2.21 by 1.5e-5.
TOLERANCE = 1e-4

HEADER = ("consumer", "version", "module versions", "what was exercised", "largest difference")


def of(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """The arrays whose names begin so, by the rest of their names."""
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }


@dataclasses.dataclass
class Row:
    """What one test saw of a consumer.

    Attributes:
      consumer: its name, as people know it.
      environment: where it ran.
      exercised: what the test is about, in a few words.
      version: of the consumer, as it said itself.
      modules: versions of the modules that it was given.
      largest: relative difference, of all comparisons; None if there was none.
    """

    consumer: str
    environment: str
    exercised: str
    version: str | None = None
    modules: list[int] = dataclasses.field(default_factory=list)
    largest: float | None = None

    def saw(self, result: Result) -> None:
        """Takes what a program says of itself, and which module it was given."""
        self.version = result.facts["version"]
        self.modules.append(result.module)

    def compare(
        self,
        actual: Mapping[str, np.ndarray],
        expected: Mapping[str, np.ndarray],
        *,
        tolerance: float = TOLERANCE,
    ) -> None:
        """Asserts that there are the same arrays, none of which differs by more than `tolerance`.

        The difference is the largest absolute one over the largest magnitude of what is expected.
        """
        assert set(actual) == set(expected) != set()
        differences = {name: difference(actual[name], expected[name]) for name in expected}
        self.largest = max(self.largest or 0.0, *differences.values())
        wrong = {name: found for name, found in differences.items() if found > tolerance}
        assert not wrong, f"above {tolerance}: {wrong}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """A row, and how its test ended: `passed`, `failed`, or `skipped` with the reason."""

    row: Row
    outcome: str
    reason: str = ""


def merge(outcomes: Iterable[Outcome]) -> list[tuple[str, ...]]:
    """One line for each consumer and environment, of all that was seen of it; skipped tests apart."""
    lines: dict[tuple[str, ...], list[Outcome]] = {}
    for one in outcomes:
        key = (one.row.consumer, one.row.environment, one.reason)
        lines.setdefault(key, []).append(one)
    return sorted(_line(group) for group in lines.values())


def _line(group: list[Outcome]) -> tuple[str, ...]:
    rows = [one.row for one in group]
    failed = {one.row.exercised for one in group if one.outcome == "failed"}
    exercised = [
        name + " FAILED" * (name in failed) for name in sorted({row.exercised for row in rows})
    ]
    versions = [row.version for row in rows if row.version]
    largest = [row.largest for row in rows if row.largest is not None]
    reason = f"skipped: {group[0].reason}; " if group[0].reason else ""
    return (
        rows[0].consumer,
        versions[0] if versions else rows[0].environment,
        ", ".join(map(str, sorted({module for row in rows for module in row.modules}))),
        reason + ", ".join(exercised),
        f"{max(largest):.1e}" if any(largest) else "0" if largest else "",
    )


def show(lines: Iterable[tuple[str, ...]], *, width: int) -> str:
    """The table for a terminal; a narrow one wraps its lines."""
    table = Table(*HEADER)
    for line in lines:
        table.add_row(*line)
    console = Console(width=max(width, 120), no_color=True)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def write(lines: Iterable[tuple[str, ...]], path: Path) -> None:
    """Writes the table in Markdown."""
    rows = [HEADER, ("---",) * len(HEADER), *lines]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"| {' | '.join(row)} |\n" for row in rows))
