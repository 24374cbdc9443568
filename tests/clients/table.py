"""The table of consumers: what each was seen to do, and how far it was from Slim."""

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np
from clients.consumer import Result

from slimhub.signatures.checks.bounds import difference

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
    """The findings of one test about a consumer.

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
    """A row, and how its test ended; `reason` is why it was skipped."""

    row: Row
    failed: bool
    reason: str


def merge(outcomes: Iterable[Outcome]) -> list[tuple[str, ...]]:
    """One line for each consumer and environment, of all that was seen of it; skipped tests apart."""
    lines: dict[tuple[str, ...], list[Outcome]] = {}
    for one in outcomes:
        key = (one.row.consumer, one.row.environment, one.reason)
        lines.setdefault(key, []).append(one)
    return sorted(_line(group) for group in lines.values())


def _line(group: list[Outcome]) -> tuple[str, ...]:
    rows = [one.row for one in group]
    failed = {one.row.exercised for one in group if one.failed}
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


def to_markdown(outcomes: Iterable[Outcome]) -> str:
    """Return the table of all that was seen."""
    rows = [HEADER, ("---",) * len(HEADER), *merge(outcomes)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
