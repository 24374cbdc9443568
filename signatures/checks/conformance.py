"""Hold a module directory to its contract: checks with stable ids, and a report of them.

`registry` lists the checks. A check that can't be carried out because an earlier one failed is
reported as not run. No graph of a module is run
before the checks named in `report.GATE` have passed.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from slimhub.signatures.checks import registry, running, static, tf1, tf2
from slimhub.signatures.checks.bounds import Measurement
from slimhub.signatures.checks.expectation import Expectation
from slimhub.signatures.checks.module_under_test import ModuleUnderTest
from slimhub.signatures.checks.registry import Check
from slimhub.signatures.checks.report import (
    FAILED,
    GATE,
    NOT_APPLICABLE,
    PASSED,
    RUNNING,
    WARNING,
    NotApplicableError,
    OnResult,
    Report,
    Result,
    Unusual,
    closest,
    merge,
    not_run,
)
from slimhub.signatures.contract import contract, formats
from slimhub.signatures.module import execution
from slimhub.signatures.module.directory import UnreadableError
from slimhub.signatures.module.module import Module
from slimhub.support import cpu
from slimhub.support.printable import printable

_OF_FORMAT = {formats.TF1_HUB.name: tf1, formats.TF2_SAVED_MODEL.name: tf2}

# Why a check is not applicable at a level.
_BEYOND = {
    contract.DROP_IN: "asked of slimhub's own modules only",
    contract.COMMON: "asked only where the network and the version are known",
}
# If one of these fails, others are not run.
_BLOCKING = ("readable", *GATE, "loads")

# A report names this many problems of one check, and counts the rest.
_MOST_PROBLEMS = 20


def check(
    module: Module | str | Path,
    *,
    promise: contract.Contract | None = None,
    expectation: Expectation | None = None,
    on_result: OnResult = lambda result: None,
) -> Report:
    """Run every check on a directory, which may be anything. Modules run on the CPU.

    A file can be made on which TensorFlow itself ends the process, or never comes to an end: see
    `isolated.check` for directories from strangers.

    Args:
      module: a directory that is said to be a module, or what reads it.
      promise: what it is held to; None for what follows from the expectation.
      expectation: what it is to be held to; None for what its own provenance claims.
      on_result: called for each check when it begins, with the status `running`, and with its result.
    """
    module = module if isinstance(module, Module) else Module(Path(module))
    static_report = check_static(
        module, promise=promise, expectation=expectation, on_result=on_result
    )
    if not static_report.may_run:
        return static_report
    with ModuleUnderTest(module, promise, expectation=expectation) as subject:
        return merge([static_report, check_running(subject, on_result=on_result)])


def check_static(
    module: Module,
    *,
    promise: contract.Contract | None = None,
    expectation: Expectation | None = None,
    on_result: OnResult = lambda result: None,
) -> Report:
    """Run the checks that look at what is on disk; arguments as for `check`."""
    subject = ModuleUnderTest(module, promise, expectation=expectation)
    readable, *_ = registry.CHECKS
    results = [_run(readable, subject, None, on_result)]
    if results[0].status == PASSED:
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
        if check.id == "loads" and results[-1].status != PASSED:
            break
        if check.id == "image-sizes":
            # The others run it on images of their own.
            subject.forget()
    return _report(subject, results)


def _report(subject: ModuleUnderTest, results: Iterable[Result]) -> Report:
    """Make the report of the checks that were run; all others were not."""
    results_by_id = {result.id: result for result in results}
    format, handle, weights = None, None, None
    # Of a format that can't be known, the planned checks are those that it would have had anyway.
    if "readable" not in results_by_id or results_by_id["readable"].status == PASSED:
        format = subject.promise.format
        if subject.promise.exact:
            record = subject.module.provenance
            handle, weights = printable(record.handle), record.weights
    blocking = [
        id for id in _BLOCKING if id in results_by_id and results_by_id[id].status == FAILED
    ]
    return Report(
        directory=str(subject.module.directory),
        handle=handle,
        weights=weights,
        like=subject.expectation.like,
        results=tuple(
            results_by_id.get(check.id, not_run(check, blocking))
            for check in registry.select(format)
        ),
    )


def _run(
    check: Check, subject: ModuleUnderTest, format: formats.Format | None, on_result: OnResult
) -> Result:
    on_result(_pending(check, RUNNING))
    own = _OF_FORMAT[format.name].CHECKS if format else {}
    functions = {**static.CHECKS, **running.CHECKS, **own}
    if format is not None and subject.promise.level not in check.levels:
        result = _pending(check, NOT_APPLICABLE, _BEYOND[subject.promise.level])
    else:
        result = _result(check, functions[check.id], subject)
    on_result(result)
    return result


def _result(check: Check, function: Callable, subject: ModuleUnderTest) -> Result:
    problems: list[str] = []
    measurements: list[Measurement] = []
    unusual = True
    try:
        # NaN is a finding of its check, and needs no warning.
        with cpu.run_on_cpu(), np.errstate(invalid="ignore", over="ignore"):
            for finding in function(subject):
                if isinstance(finding, Measurement):
                    measurements.append(finding)
                if not (isinstance(finding, Measurement) and finding.ok):
                    problems.append(printable(str(finding)))
                    unusual = unusual and isinstance(finding, Unusual)
    except NotApplicableError as error:
        return _pending(check, NOT_APPLICABLE, str(error))
    except UnreadableError as error:
        unusual = False
        problems.append(printable(str(error)))
    except Exception as error:  # A module may be broken in ways that no check foresees.
        unusual = False
        problems.append(printable(f"the check itself failed: {execution.describe(error)}"))
    more = len(problems) - _MOST_PROBLEMS
    if more > 0:
        problems[_MOST_PROBLEMS:] = [f"and {more} more"]
    status = (WARNING if unusual else FAILED) if problems else PASSED
    return Result(
        id=check.id,
        description=check.description,
        status=status,
        problems=tuple(problems),
        measurements=closest(measurements),
    )


def _pending(check: Check, status: str, reason: str | None = None) -> Result:
    return Result(id=check.id, description=check.description, status=status, reason=reason)
