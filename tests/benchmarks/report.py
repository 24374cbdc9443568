"""Show what was measured: a table in Markdown, and everything as JSON."""

import dataclasses
import importlib.metadata
import json
import os
import platform
import re
import statistics
from collections.abc import Sequence
from pathlib import Path

from rich import filesize

from benchmarks.figures import Figure

_LIBRARIES = ("slimhub", "tensorflow", "tensorflow-hub", "tf-keras", "tf-slim", "numpy")
_COLUMNS = ("", "ours", "beside", "", "ratio", "of rounds", "goal", "")


def machine() -> list[str]:
    """Describe the machine, and the libraries, of which the figures are."""
    [processor, *_] = re.findall("model name\t: (.*)", Path("/proc/cpuinfo").read_text()) or [""]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    libraries = (f"{name} {importlib.metadata.version(name)}" for name in _LIBRARIES)
    return [
        f"{processor or platform.machine()}, {os.cpu_count()} cores, {filesize.decimal(memory)}; "
        f"{platform.platform()}",
        ", ".join([f"Python {platform.python_version()}", *libraries]),
    ]


def to_markdown(facts: Sequence[str], figures: Sequence[Figure]) -> str:
    """Return the table, under the first lines of the facts."""
    ruler = ["---", *["---:"] * (len(_COLUMNS) - 1)]
    rows = [_COLUMNS, ruler, *map(_row, figures)]
    lines = [
        *(f"- {fact.splitlines()[0]}" for fact in facts),
        "",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
    return "\n".join([*lines, ""])


def to_json(facts: Sequence[str], figures: Sequence[Figure]) -> str:
    """Return everything, with every sample: seconds, and bytes."""
    listed = [
        {**dataclasses.asdict(figure), "ratio": figure.ratio, "met": figure.met}
        for figure in figures
    ]
    return json.dumps({"facts": facts, "figures": listed}, indent=2)


def _row(figure: Figure) -> tuple[str, ...]:
    """Return a figure in words."""
    ratios, goal = figure.ratios, ""
    if figure.most is not None:
        goal = f"at most {_amount([figure.most], figure.unit)}"
    elif figure.most_ratio is not None:
        goal = f"at most {figure.most_ratio:g}"
    return (
        f"{figure.group}: {figure.what}",
        _amount(figure.ours, figure.unit),
        _amount(figure.theirs, figure.unit),
        figure.peer,
        "-" if figure.ratio is None else f"{figure.ratio:.3f}",
        f"{len(ratios)}: {min(ratios):.2f} to {max(ratios):.2f}" if len(ratios) > 1 else "",
        goal,
        {True: "met", False: "missed", None: ""}[figure.met],
    )


def _amount(samples: Sequence[float], unit: str) -> str:
    """Return the median of seconds, or of bytes, with three digits or so."""
    if not samples:
        return "-"
    median = statistics.median(samples)
    if unit == "B":
        return f"{median / 1e9:.2f} GB" if median >= 1e9 else f"{median / 1e6:.1f} MB"
    return f"{median * 1000:.1f} ms" if abs(median) < 1 else f"{median:.2f} s"
