"""Holds a module directory to its contract: checks with stable ids, and a report of them.

The id of a check is the name of its function with hyphens, the same in the report, in JSON
and in the tests. A check that can't be carried out because an earlier one failed is
reported as not run; the report is good only if every check passed. No graph of a module is run
before the checks named in `GATE` have passed.
"""

import dataclasses
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from slimhub.signatures import (
    contract,
    formats,
    graph_checks,
    running,
    tf1_checks,
    tf2_checks,
    value_checks,
)
from slimhub.signatures.directory import UnreadableError
from slimhub.signatures.module import Module
from slimhub.signatures.printable import printable
from slimhub.signatures.subject import Subject

_OF_FORMAT = {formats.TF1_HUB.name: tf1_checks, formats.TF2_SAVED_MODEL.name: tf2_checks}

# What must have passed before a graph is run: it may do nothing but what an image network does,
# and is the one that was looked at; other files might be loaded in its place.
GATE = (graph_checks.files, graph_checks.tag_sets, graph_checks.operations)

# A report names this many problems of one check, and counts the rest.
_MOST_PROBLEMS = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """Of one check: `passed`, `failed` or `not run`, and the problems that it found, in a line each."""

    id: str
    description: str
    status: str
    problems: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """Of one module; `weights` says where its weights came from, if that could be read."""

    directory: str
    handle: str | None
    weights: str | None
    results: tuple[Result, ...]

    @property
    def title(self) -> str:
        """What it is of, as a terminal can show it."""
        return "\n".join(filter(None, (printable(self.directory), self.handle)))

    @property
    def ok(self) -> bool:
        return all(result.status == "passed" for result in self.results)

    @property
    def failed(self) -> tuple[Result, ...]:
        return tuple(result for result in self.results if result.status == "failed")

    def to_json(self) -> str:
        return json.dumps({**dataclasses.asdict(self), "ok": self.ok}, indent=2)


# Is told of each check when it begins, as `running`, and of its result.
Note = Callable[[Result], None]


def readable(module: Module) -> Iterable[str]:
    """It is a module: its graphs, its variables and its provenance can be read."""
    unreadable = set()
    for part in ("files", "saved_model", "variables", "provenance"):
        try:
            getattr(module, part)
        except UnreadableError as error:
            yield str(error)
            unreadable.add(part)
            if part == "files":
                return  # To open the others may lead anywhere.
    if unreadable and "provenance" not in unreadable:
        # Why that is so: `checksums`, which is not run then, would tell.
        yield from module.changed_files()


def ids(format: formats.Format) -> tuple[str, ...]:
    """Ids of all checks of a module of that format, in their order."""
    return tuple(_id(check) for check in (readable, *_graph_checks(format), *_value_checks(format)))


def check(
    directory: str | Path,
    *,
    promise: contract.Promise | None = None,
    note: Note = lambda result: None,
) -> Report:
    """Runs every check on a directory, which may be anything.

    A file can be made on which TensorFlow itself ends the process, or never comes to an end: see
    `isolated.check` for directories from strangers.

    Args:
      directory: the module, or what is said to be one.
      promise: what it is held to; None for what its own provenance says that it promises.
      note: is told of each check when it begins, as `running`, and of its result.
    """
    return check_module(Module(Path(directory)), promise=promise, note=note)


def check_module(
    module: Module,
    *,
    promise: contract.Promise | None = None,
    note: Note = lambda result: None,
) -> Report:
    """As `check`."""
    with Subject(module, promise) as subject:
        results = check_graphs(subject, note=note)
        if may_run(results):
            results += check_values(subject, note=note)
        return report(subject, results)


def check_graphs(subject: Subject, *, note: Note = lambda result: None) -> tuple[Result, ...]:
    """Runs the checks that look at what is on disk."""
    results = [_run(readable, subject.module, note)]
    if results[0].status == "passed":
        checks = _graph_checks(subject.promise.format)
        results += [_run(check, subject, note) for check in checks]
    return tuple(results)


def may_run(results: Iterable[Result]) -> bool:
    """Whether the checks in `GATE` are among those that passed."""
    return {_id(check) for check in GATE} <= {one.id for one in results if one.status == "passed"}


def check_values(subject: Subject, *, note: Note = lambda result: None) -> tuple[Result, ...]:
    """Runs the checks that run the module, in `subject.modes`. `may_run` must have said so."""
    results = []
    for check in _value_checks(subject.promise.format):
        results.append(_run(check, subject, note))
        if check is value_checks.loads and results[-1].status != "passed":
            break
        if check is value_checks.CHECKS[-1]:
            # The others run it on images of their own.
            subject.forget()
    return tuple(results)


def report(subject: Subject, results: Iterable[Result]) -> Report:
    """The report of checks that were run, some of them perhaps once in each mode."""
    found: dict[str, Result] = {}
    for result in results:
        found[result.id] = _both(found[result.id], result) if result.id in found else result
    format, handle, weights = None, None, None
    # Of a format that can't be known, the planned checks are those that it would have had anyway.
    if found[_id(readable)].status == "passed":
        record = subject.module.provenance
        format, handle = subject.promise.format, printable(record.handle)
        weights = record.weights
    planned = (readable, *_graph_checks(format), *_value_checks(format))
    return Report(
        directory=str(subject.module.directory),
        handle=handle,
        weights=weights,
        results=tuple(found.get(_id(check), _pending(check, "not run")) for check in planned),
    )


def _both(one: Result, other: Result) -> Result:
    """One result of a check that was run in each mode."""
    problems = (*one.problems, *other.problems)
    status = "failed" if problems else "passed"
    return dataclasses.replace(one, status=status, problems=problems)


def _run(check: Callable, argument, note: Note) -> Result:
    note(_pending(check, "running"))
    result = _result(check, argument)
    note(result)
    return result


def _graph_checks(format: formats.Format | None) -> tuple[Callable, ...]:
    own = _OF_FORMAT[format.name].GRAPH_CHECKS if format else ()
    return (*graph_checks.CHECKS, *own)


def _value_checks(format: formats.Format | None) -> tuple[Callable, ...]:
    own = _OF_FORMAT[format.name] if format else None
    return (
        *(own.BEFORE_LOADS if own else ()),
        *value_checks.CHECKS,
        *(own.VALUE_CHECKS if own else ()),
    )


def _result(check: Callable, subject) -> Result:
    problems = []
    try:
        # NaN is a finding of its check, and needs no warning.
        with np.errstate(invalid="ignore", over="ignore"):
            for problem in check(subject):
                problems.append(printable(problem))
    except UnreadableError as error:
        problems.append(printable(str(error)))
    except Exception as error:  # A module may be broken in ways that no check foresees.
        problems.append(printable(f"the check itself failed: {running.describe(error)}"))
    more = len(problems) - _MOST_PROBLEMS
    if more > 0:
        problems[_MOST_PROBLEMS:] = [f"and {more} more"]
    status = "failed" if problems else "passed"
    return Result(id=_id(check), description=check.__doc__, status=status, problems=tuple(problems))


def _pending(check: Callable, status: str) -> Result:
    return Result(id=_id(check), description=check.__doc__, status=status)


def _id(check: Callable) -> str:
    return check.__name__.replace("_", "-")
