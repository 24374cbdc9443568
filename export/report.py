"""Show an export while it runs, and its outcomes."""

import contextlib
import json
from collections.abc import Iterable

from rich import filesize, progress
from rich.console import Console
from rich.table import Table
from rich.text import Text

from slimhub.export.errors import ExportError
from slimhub.export.pipeline import Outcome
from slimhub.export.request import ExportRequest
from slimhub.signatures.contract.handles import SITE
from slimhub.signatures.module import module_archive
from slimhub.support import signals, terminal
from slimhub.support.printable import printable


def show(
    request: ExportRequest,
    outcomes: Iterable[Outcome],
    *,
    as_json: bool = False,
    importing: float = 0.0,
    verbose: bool = False,
) -> list[Outcome]:
    """Take the outcomes as they come, and return them: a progress bar on a terminal, a table, then the errors.

    Args:
      request: what is exported.
      outcomes: of its modules.
      as_json: print the report for machines instead of the table.
      importing: seconds that imports took, for that report.
      verbose: leave nothing out of errors.
    """
    console = Console(stderr=True)
    bar = progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
        console=console,
        transient=True,
    )
    done = []
    # Not `disable`: even a disabled bar ends with an empty line.
    with bar if console.is_terminal else contextlib.nullcontext():
        total = len(request.models) * len(request.tasks)
        task = bar.add_task("exporting", total=total)
        for outcome in outcomes:
            signals.exit_if_stopped()
            done.append(outcome)
            bar.update(task, advance=1, description=outcome.handle)
    published = [outcome for outcome in done if outcome.error is None]
    if as_json:
        terminal.show(to_json(done, importing=importing))
    elif published:
        where = f"Written to {printable(str(request.output))}/<handle>"
        terminal.show(_table(published), where)
        for outcome in published:
            if outcome.hub_cache:
                terminal.show(
                    f"{SITE}{outcome.handle} is {outcome.hub_cache[0]} for tensorflow_hub"
                )
    for error, handles in _failures(done).items():
        terminal.complain(f"{', '.join(handles)} not exported:\n{error.describe(verbose=verbose)}")
    return done


def exit_code(outcomes: list[Outcome]) -> int:
    """Return 0 if all were published, else the code of the first that was not."""
    return next((outcome.error.exit_code for outcome in outcomes if outcome.error), 0)


def to_json(outcomes: list[Outcome], *, importing: float) -> str:
    """Return the report for machines: of each module its figures, or null for each and the error; the exit code."""
    report = {
        "modules": [_record(outcome) for outcome in outcomes],
        "importing": round(importing, 3),
        "exit_code": exit_code(outcomes),
    }
    return json.dumps(report, indent=2)


def _record(outcome: Outcome) -> dict:
    figures = {
        "directory": str(outcome.directory),
        "archive": _archive(outcome),
        "hub_cache": list(map(str, outcome.hub_cache)) or None,
        "weights": outcome.weights,
        "checkpoint": outcome.checkpoint,
        "moving_averages": outcome.moving_averages,
        "signatures": outcome.signatures,
        "num_bytes": outcome.num_bytes,
        "num_classes": outcome.num_classes,
        "parity": outcome.parity,
        "seconds": round(outcome.seconds, 3),
        "stages": {stage: round(seconds, 3) for stage, seconds in outcome.stages.items()},
    }
    if outcome.error is None:
        return {"handle": outcome.handle, **figures, "error": None}
    return {"handle": outcome.handle, **dict.fromkeys(figures), "error": outcome.error.record()}


def _archive(outcome: Outcome) -> dict | None:
    if outcome.archive is None or outcome.directory is None:
        return None
    return outcome.archive.record(module_archive.path_of(outcome.directory))


def _table(outcomes: list[Outcome]) -> Table:
    # Which weights these are must not be overlooked: it stands above and not in a column.
    weights = "\n".join(dict.fromkeys(outcome.weights for outcome in outcomes))
    checkpoints = ", ".join(dict.fromkeys(map(_checkpoint, outcomes)))
    title = Text(f"Weights: {weights}\nCheckpoint: {checkpoints}")
    table = Table(title=title, title_justify="left")
    table.add_column("handle", overflow="fold")
    for heading in ("classes", "signatures", "size", "parity", "seconds"):
        table.add_column(heading, justify="right", no_wrap=True)
    for outcome in outcomes:
        table.add_row(
            outcome.handle,
            str(outcome.num_classes or ""),
            str(len(outcome.signatures)),
            filesize.decimal(outcome.num_bytes),
            f"{outcome.parity:.1e}",
            f"{outcome.seconds:.1f}",
        )
    return table


def _checkpoint(outcome: Outcome) -> str:
    return printable(outcome.checkpoint) + ", its moving averages" * outcome.moving_averages


def _failures(outcomes: list[Outcome]) -> dict[ExportError, list[str]]:
    """Return handles by error: the tasks of a model share that of their checkpoint."""
    failures: dict[ExportError, list[str]] = {}
    for outcome in outcomes:
        if outcome.error is not None:
            failures.setdefault(outcome.error, []).append(outcome.handle)
    return failures
