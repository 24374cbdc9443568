"""Hold a module directory to its contract: checks with stable ids, and a report of them.

`registry` lists the checks. A check that can't be carried out because an earlier one failed is
reported as not run; the report is good only if every check passed. No graph of a module is run
before the checks named in `GATE` have passed.
"""

import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from slimhub.signatures.checks import registry, running, static, tf1, tf2
from slimhub.signatures.checks.bounds import Measurement
from slimhub.signatures.checks.module_under_test import ModuleUnderTest
from slimhub.signatures.checks.registry import Check
from slimhub.signatures.contract import contract, formats
from slimhub.signatures.module import execution
from slimhub.signatures.module.directory import UnreadableError
from slimhub.signatures.module.module import Module
from slimhub.support import cpu
from slimhub.support.printable import printable

_OF_FORMAT = {formats.TF1_HUB.name: tf1, formats.TF2_SAVED_MODEL.name: tf2}

# What must have passed before a graph is run: it may do nothing but what an image network does,
# and is the one that was looked at; other files might be loaded in its place.
GATE = ("files", "tag-sets", "operations")

# A report names this many problems of one check, and counts the rest.
_MOST_PROBLEMS = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """The result of one check.

    Attributes:
      id: of the check.
      description: what a module keeps that passes it.
      status: `passed`, `failed` or `not run`.
      problems: what is wrong, a line each.
      measurements: the figure closest to what was allowed, or furthest beyond, for each bound.
    """

    id: str
    description: str
    status: str
    problems: tuple[str, ...] = ()
    measurements: tuple[Measurement, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """A report on one module.

    Attributes:
      directory: where it is.
      handle: its handle, if that could be read.
      weights: where its weights came from, if that could be read.
      results: of all checks, in their order.
    """

    directory: str
    handle: str | None
    weights: str | None
    results: tuple[Result, ...]

    @property
    def title(self) -> str:
        """The directory and the handle, as a terminal can show them."""
        return "\n".join(filter(None, (printable(self.directory), self.handle)))

    @property
    def ok(self) -> bool:
        return all(result.status == "passed" for result in self.results)

    @property
    def may_run(self) -> bool:
        """Whether the checks in `GATE` passed."""
        return set(GATE) <= {result.id for result in self.results if result.status == "passed"}

    @property
    def failed(self) -> tuple[Result, ...]:
        return tuple(result for result in self.results if result.status == "failed")

    def to_json(self) -> str:
        record = dataclasses.asdict(self)
        for found in (one for result in record["results"] for one in result["measurements"]):
            # JSON has neither infinity nor NaN.
            found["figure"] = found["figure"] if math.isfinite(found["figure"]) else None
        return json.dumps({**record, "ok": self.ok}, indent=2, allow_nan=False)


# Called for each check when it begins, with the status `running`, and with its result.
OnResult = Callable[[Result], None]


def check(
    module: Module | str | Path,
    *,
    promise: contract.Contract | None = None,
    on_result: OnResult = lambda result: None,
) -> Report:
    """Run every check on a directory, which may be anything. Modules run on the CPU.

    A file can be made on which TensorFlow itself ends the process, or never comes to an end: see
    `isolated.check` for directories from strangers.

    Args:
      module: a directory that is said to be a module, or what reads it.
      promise: what it is held to; None for what its own provenance says that it promises.
      on_result: called for each check when it begins, with the status `running`, and with its result.
    """
    module = module if isinstance(module, Module) else Module(Path(module))
    static_report = check_static(module, promise=promise, on_result=on_result)
    if not static_report.may_run:
        return static_report
    with ModuleUnderTest(module, promise) as subject:
        return merge([static_report, check_running(subject, on_result=on_result)])


def check_static(
    module: Module,
    *,
    promise: contract.Contract | None = None,
    on_result: OnResult = lambda result: None,
) -> Report:
    """Run the checks that look at what is on disk; arguments as for `check`."""
    subject = ModuleUnderTest(module, promise)
    readable, *_ = registry.CHECKS
    results = [_run(readable, subject, None, on_result)]
    if results[0].status == "passed":
        format = subject.promise.format
        _, *checks = registry.select(format, registry.STATIC)
        results += [_run(check, subject, format, on_result) for check in checks]
    return _report(subject, results)


def check_running(subject: ModuleUnderTest, *, on_result: OnResult = lambda result: None) -> Report:
    """Run the checks that load and run the module, in `subject.modes`; its static report's `may_run` is true."""
    results = []
    format = subject.promise.format
    for check in registry.select(format, registry.LOAD, registry.RUN):
        results.append(_run(check, subject, format, on_result))
        if check.id == "loads" and results[-1].status != "passed":
            break
        if check.id == "image-sizes":
            # The others run it on images of their own.
            subject.forget()
    return _report(subject, results)


def merge(reports: Sequence[Report]) -> Report:
    """Return one report of a module from those of some of its checks, or of some of its modes."""
    by_check = zip(*(report.results for report in reports), strict=True)
    return dataclasses.replace(reports[0], results=tuple(map(_merge_results, by_check)))


def _report(subject: ModuleUnderTest, results: Iterable[Result]) -> Report:
    """Make the report of the checks that were run; all others were not."""
    results_by_id = {result.id: result for result in results}
    format, handle, weights = None, None, None
    # Of a format that can't be known, the planned checks are those that it would have had anyway.
    if "readable" not in results_by_id or results_by_id["readable"].status == "passed":
        record = subject.module.provenance
        format, handle = subject.promise.format, printable(record.handle)
        weights = record.weights
    return Report(
        directory=str(subject.module.directory),
        handle=handle,
        weights=weights,
        results=tuple(
            results_by_id.get(check.id, _pending(check, "not run"))
            for check in registry.select(format)
        ),
    )


def _merge_results(results: Iterable[Result]) -> Result:
    """Combine the results of a check that was run in each mode, or in some reports not at all."""
    results = list(results)
    ran = [result for result in results if result.status != "not run"]
    if not ran:
        return results[0]
    problems = tuple(problem for result in ran for problem in result.problems)
    return dataclasses.replace(
        ran[0],
        status="failed" if problems else "passed",
        problems=problems,
        measurements=_closest(found for result in ran for found in result.measurements),
    )


def _closest(measurements: Iterable[Measurement]) -> tuple[Measurement, ...]:
    """Return the measurement with the largest share for each bound."""
    found: dict[str, Measurement] = {}
    for one in measurements:
        if one.bound not in found or one.share > found[one.bound].share:
            found[one.bound] = one
    return tuple(found.values())


def _run(
    check: Check, subject: ModuleUnderTest, format: formats.Format | None, on_result: OnResult
) -> Result:
    on_result(_pending(check, "running"))
    own = _OF_FORMAT[format.name].CHECKS if format else {}
    functions = {**static.CHECKS, **running.CHECKS, **own}
    result = _result(check, functions[check.id], subject)
    on_result(result)
    return result


def _result(check: Check, function: Callable, subject: ModuleUnderTest) -> Result:
    problems, measurements = [], []
    try:
        # NaN is a finding of its check, and needs no warning.
        with cpu.run_on_cpu(), np.errstate(invalid="ignore", over="ignore"):
            for finding in function(subject):
                if isinstance(finding, Measurement):
                    measurements.append(finding)
                if not (isinstance(finding, Measurement) and finding.ok):
                    problems.append(printable(str(finding)))
    except UnreadableError as error:
        problems.append(printable(str(error)))
    except Exception as error:  # A module may be broken in ways that no check foresees.
        problems.append(printable(f"the check itself failed: {execution.describe(error)}"))
    more = len(problems) - _MOST_PROBLEMS
    if more > 0:
        problems[_MOST_PROBLEMS:] = [f"and {more} more"]
    status = "failed" if problems else "passed"
    return Result(
        id=check.id,
        description=check.description,
        status=status,
        problems=tuple(problems),
        measurements=_closest(measurements),
    )


def _pending(check: Check, status: str) -> Result:
    return Result(id=check.id, description=check.description, status=status)
