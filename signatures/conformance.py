"""Holds a module directory to its contract: checks with stable ids, and a report of them.

The id of a check is the name of its function with hyphens, the same in the report, in JSON
and in the tests. A check that can't be carried out because an earlier one failed is
reported as not run; the report is good only if every check passed.
"""

import contextlib
import dataclasses
import functools
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
from slimhub.signatures.module import Module, UnreadableError
from slimhub.signatures.subject import Subject

_OF_FORMAT = {formats.TF1_HUB.name: tf1_checks, formats.TF2_SAVED_MODEL.name: tf2_checks}

# A report names this many problems of one check, and counts the rest.
_MOST_PROBLEMS = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """Of one check: `passed`, `failed` or `not run`, and the problems that it found."""

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
    def ok(self) -> bool:
        return all(result.status == "passed" for result in self.results)

    @property
    def failed(self) -> tuple[Result, ...]:
        return tuple(result for result in self.results if result.status == "failed")

    def to_json(self) -> str:
        return json.dumps({**dataclasses.asdict(self), "ok": self.ok}, indent=2)


def readable(module: Module) -> Iterable[str]:
    """It is a module: its graphs, its variables and its provenance can be read."""
    for part in ("saved_model", "variables", "provenance"):
        try:
            getattr(module, part)
        except UnreadableError as error:
            yield str(error)
            if not module.directory.is_dir():
                return


def ids(format: formats.Format) -> tuple[str, ...]:
    """Ids of all checks of a module of that format, in their order."""
    return tuple(_id(check) for check in (readable, *_graph_checks(format), *_value_checks(format)))


def check(directory: str | Path, *, promise: contract.Promise | None = None) -> Report:
    """Runs every check on a directory, which may be anything.

    Args:
      directory: the module, or what is said to be one.
      promise: what it is held to; None for what its own provenance says that it promises.
    """
    with contextlib.closing(Subject(Module(Path(directory)), promise)) as subject:
        return check_subject(subject)


def check_subject(subject: Subject) -> Report:
    """Runs every check on a module that somebody else goes on to use."""
    found = _result(readable, subject.module)
    directory = str(subject.module.directory)
    if found.status != "passed":
        # Of a format that can't be known, these are the checks that it would have had anyway.
        others = map(_not_run, (*graph_checks.CHECKS, *value_checks.CHECKS))
        return Report(directory=directory, handle=None, weights=None, results=(found, *others))
    results = [found, *(_result(one, subject) for one in _graph_checks(subject.promise.format))]
    loads, *others = _value_checks(subject.promise.format)
    results.append(_result(loads, subject))
    run = (
        _not_run if results[-1].status == "failed" else functools.partial(_result, subject=subject)
    )
    return Report(
        directory=directory,
        handle=subject.module.provenance.handle,
        weights=subject.module.provenance.weights,
        results=(*results, *map(run, others)),
    )


def _graph_checks(format: formats.Format) -> tuple[Callable, ...]:
    return (*graph_checks.CHECKS, *_OF_FORMAT[format.name].GRAPH_CHECKS)


def _value_checks(format: formats.Format) -> tuple[Callable, ...]:
    return (*value_checks.CHECKS, *_OF_FORMAT[format.name].VALUE_CHECKS)


def _result(check: Callable, subject) -> Result:
    try:
        # NaN is a finding of its check, and needs no warning.
        with np.errstate(invalid="ignore", over="ignore"):
            problems = list(check(subject))
    except Exception as error:  # A module may be broken in ways that no check foresees.
        problems = [f"the check itself failed: {running.describe(error)}"]
    more = len(problems) - _MOST_PROBLEMS
    if more > 0:
        problems[_MOST_PROBLEMS:] = [f"and {more} more"]
    status = "failed" if problems else "passed"
    return Result(id=_id(check), description=check.__doc__, status=status, problems=tuple(problems))


def _not_run(check: Callable) -> Result:
    return Result(id=_id(check), description=check.__doc__, status="not run")


def _id(check: Callable) -> str:
    return check.__name__.replace("_", "-")
