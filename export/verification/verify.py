"""Verify a written module: load it from disk, check it, and compare it with what the Slim graphs gave."""

import dataclasses
from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path

from slimhub.export.errors import CheckError
from slimhub.export.verification import parity, processes
from slimhub.export.verification.reference import Reference, References
from slimhub.signatures.checks import conformance
from slimhub.signatures.checks.bounds import Measurement
from slimhub.signatures.checks.module_under_test import ModuleUnderTest
from slimhub.signatures.checks.report import Report, merge
from slimhub.signatures.contract import contract
from slimhub.signatures.module.module import Module
from slimhub.support import memory


@dataclasses.dataclass(frozen=True, kw_only=True)
class Findings:
    """The findings about a module, in one mode or in both.

    Attributes:
      report: of its checks.
      parity: its differences to the Slim graph, of each output; none if a check failed.
    """

    report: Report
    parity: tuple[Measurement, ...] = ()


def verify(
    directory: Path,
    promise: contract.Contract,
    *,
    handle: str,
    references: References,
    executor: Executor | None,
) -> float:
    """Check a module on disk, and compare it with the Slim graphs.

    Args:
      directory: the module.
      promise: what it is held to.
      handle: for messages.
      references: what the Slim graphs give.
      executor: the process for training; None for this one, after inference.

    Returns:
      Its parity, the largest difference of an output, relative to the largest magnitude.

    Raises:
      CheckError: it does not keep the promise, it differs from the Slim graphs, they can't be run, or
        the other process ended.
      SourceError: the checkpoint can't be restored into the Slim graphs.
    """
    findings = _verify(directory, promise, references, executor)
    problems = [
        f"  {result.id}: {problem}"
        for result in findings.report.failed
        for problem in result.problems
    ]
    if not findings.report.ok:
        raise CheckError(
            "\n".join([f"{handle} fails its checks, and was not published:", *problems]),
            failed=[result.id for result in findings.report.failed],
        )
    too_large = sorted((one for one in findings.parity if not one.ok), key=str)
    if too_large:
        summary = f"{handle} differs from the Slim graph by more than rounding explains, and was not published:"
        raise CheckError(
            "\n".join([summary, *(f"  {one}" for one in too_large)]),
            differing=[one.where for one in too_large],
        )
    return max(one.figure for one in findings.parity)


def _verify(
    directory: Path, promise: contract.Contract, references: References, executor: Executor | None
) -> Findings:
    static_report = conformance.check_static(Module(directory), promise=promise)
    if not static_report.may_run:
        return Findings(report=static_report)
    compare, for_inference = not static_report.failed, references.inference()
    training = processes.start(
        executor,
        verify_mode,
        directory,
        promise,
        references.training(),
        training=True,
        compare=compare,
    )
    inference = verify_mode(directory, promise, for_inference, training=False, compare=compare)
    modes = inference, training()
    return Findings(
        report=merge([static_report, *(one.report for one in modes)]),
        parity=tuple(measured for one in modes for measured in one.parity),
    )


def verify_mode(
    directory: Path,
    promise: contract.Contract,
    references: Sequence[Reference],
    *,
    training: bool,
    compare: bool,
) -> Findings:
    """Run a module in one mode, and compare it with the Slim graph.

    Args:
      directory: the module; its static checks allow to run it.
      promise: what it is held to.
      references: what the Slim graph gave in that mode.
      training: which mode.
      compare: whether all static checks passed, so that it has what is compared.
    """
    findings = _verify_mode(directory, promise, references, training=training, compare=compare)
    memory.release_memory()
    return findings


def _verify_mode(directory, promise, references, *, training: bool, compare: bool) -> Findings:
    modes = tuple(mode for mode in promise.modes if mode.training == training)
    with ModuleUnderTest(Module(directory), promise, modes=modes) as subject:
        report = conformance.check_running(subject)
        if not compare or report.failed:
            return Findings(report=report)
        measured = [one for mode in modes for one in parity.compare(subject, mode, references)]
        return Findings(report=report, parity=tuple(measured))
