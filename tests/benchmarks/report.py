"""Shows what was measured: tables for a terminal, the same in Markdown, and everything as JSON."""

import dataclasses
import json
from collections.abc import Iterator, Mapping

from rich import filesize
from rich.table import Table

from benchmarks.figures import Figure, Series

_COLUMNS = ("", "ours", "beside", "", "ratio", "of rounds", "goal", "")
_NONE = "-"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """A run of the benchmarks.

    Attributes:
      machine: as from machine.describe.
      figures: the lines of the table.
      stages: medians of the seconds of each stage of an export, by contender.
      versions: of what wrote other modules and ran other networks, by contender.
      missing: environments that could not be made, and runtimes that don't work, and why.
      failed: groups without a result, and why.
      seconds: that everything took, but installing environments.
    """

    machine: Mapping
    figures: tuple[Figure, ...]
    stages: Mapping[str, Mapping[str, float | None]]
    versions: Mapping[str, str]
    missing: Mapping[str, str]
    failed: Mapping[str, str]
    seconds: float


def to_tables(report: Report) -> Iterator[Table]:
    """The tables for a terminal, under a description of the machine."""
    yield _table("\n".join(_facts(report)), _COLUMNS, _groups(report))
    if report.stages:
        yield _table("Where an export of one module spends its seconds", *_stages(report))


def to_markdown(report: Report) -> str:
    """The same, to be put into a document."""
    lines = [f"- {fact}" for fact in _facts(report)]
    lines += ["", *_markdown(_COLUMNS, _groups(report))]
    if report.stages:
        lines += ["", *_markdown(*_stages(report))]
    return "\n".join([*lines, ""])


def to_json(report: Report) -> str:
    """Everything, with every sample: seconds, and bytes."""
    content = dataclasses.asdict(report)
    content["figures"] = [_record(figure) for figure in report.figures]
    return json.dumps(content, indent=2)


def _record(figure: Figure) -> dict:
    def series(one: Series) -> dict:
        return {**dataclasses.asdict(one), "median": one.median}

    return {
        **dataclasses.asdict(figure),
        "ours": series(figure.ours),
        "peer": series(figure.peer),
        "ratio": figure.ratio,
        "ratios_of_rounds": figure.ratios,
        "met": figure.met,
    }


def _facts(report: Report) -> list[str]:
    machine = report.machine
    memory = filesize.decimal(machine["memory_bytes"])
    libraries = {**machine["libraries"], **report.versions}
    versions = dict.fromkeys(report.versions.values())
    facts = [
        f"{machine['processor']}, {machine['cores']} cores, {memory}; {machine['system']}",
        ", ".join(
            [
                f"Python {machine['python']}",
                *(f"{name} {version}" for name, version in machine["libraries"].items()),
                *(version for version in versions if version not in libraries),
            ]
        ),
        f"{report.seconds / 60:.1f} minutes; medians of interleaved rounds, whose ratios lie apart as shown",
    ]
    # All of it is in the JSON.
    reasons = {**report.missing, **report.failed}
    return facts + [f"without {name}: {reason.splitlines()[0]}" for name, reason in reasons.items()]


def _groups(report: Report) -> list[list[tuple[str, ...]]]:
    groups = {figure.group: [] for figure in report.figures}
    for figure in report.figures:
        groups[figure.group].append(row(figure))
    return list(groups.values())


def row(figure: Figure) -> tuple[str, ...]:
    """A figure in words."""
    ratios = figure.ratios
    return (
        f"{figure.group}: {figure.what}",
        amount(figure.ours.median, figure.ours.unit),
        amount(figure.peer.median, figure.peer.unit),
        figure.peer.name,
        _NONE if figure.ratio is None else f"{figure.ratio:.3f}",
        f"{len(ratios)}: {min(ratios):.2f} to {max(ratios):.2f}" if len(ratios) > 1 else "",
        _goal(figure),
        {True: "met", False: "missed", None: ""}[figure.met],
    )


def _goal(figure: Figure) -> str:
    if figure.most_ratio is not None:
        return f"at most {figure.most_ratio:g}"
    return "" if figure.most is None else f"at most {amount(figure.most, figure.ours.unit)}"


def amount(value: float | None, unit: str) -> str:
    """Seconds, or bytes, with three digits or so."""
    if value is None:
        return _NONE
    if unit == "B":
        return f"{value / 1e9:.2f} GB" if value >= 1e9 else f"{value / 1e6:.1f} MB"
    return f"{value * 1000:.1f} ms" if abs(value) < 1 else f"{value:.2f} s"


def _stages(report: Report) -> tuple[tuple[str, ...], list[list[tuple[str, ...]]]]:
    names = dict.fromkeys(name for stages in report.stages.values() for name in stages)
    rows = [
        (name, *(amount(stages.get(name), "s") for stages in report.stages.values()))
        for name in names
    ]
    return ("stage", *report.stages), [rows]


def _table(title: str, columns, groups) -> Table:
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    for rows in groups:
        for one in rows:
            table.add_row(*one)
        table.add_section()
    return table


def _markdown(columns, groups) -> list[str]:
    rows = [
        columns,
        ["---", *["---:"] * (len(columns) - 1)],
        *(row for rows in groups for row in rows),
    ]
    return [f"| {' | '.join(row)} |" for row in rows]
