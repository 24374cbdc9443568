"""The checks as tests of pytest: one test for each check of each module."""

import dataclasses
import functools
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from slimhub.signatures import api
from slimhub.signatures.checks import registry
from slimhub.signatures.checks.expectation import Expectation
from slimhub.signatures.checks.report import (
    FAILED,
    NOT_APPLICABLE,
    NOT_RUN,
    WARNING,
    Report,
    Result,
    require_known,
)

_Path = str | os.PathLike[str]
_Reasons = Mapping[str, str]

# A test is named after this many last parts of a module's path, the network, task and version, or more if
# two modules agree in those.
_PARTS = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModuleCheck:
    """One check of a module, to be called in a test.

    Attributes:
      id: of the check.
      report: a function that returns the report on the module, which is checked at the first call.
    """

    id: str
    report: Callable[[], Report]

    def __call__(self) -> None:
        """Pass, skip, warn or fail as the check did."""
        __tracebackhide__ = True
        conclude(self.report().result(self.id))


def parametrize_with_checks(
    modules: Sequence[_Path],
    *,
    like: str | None = None,
    contract: _Path | None = None,
    classes: int | None = None,
    expected_failures: _Reasons | Callable[[_Path], _Reasons] | None = None,
    timeout: int = 600,
) -> pytest.MarkDecorator:
    """Parametrize a test function with a `check` for each check of each module.

        @slimhub.signatures.parametrize_with_checks(["build/modules/me/flowers/inception_v1/classification/3"])
        def test_module(check):
            check()

    The tests have ids such as `inception_v1/classification/3-moving-averages`. A module is checked once in
    each process, when the first of its tests runs, and need not exist before. A check that is not applicable is skipped;
    one that is expected to fail is an `xfail`, which fails if the check passes.

    Args:
      modules: directories or archives; relative paths are those where pytest is started.
      like, contract, classes, timeout: as for `check`.
      expected_failures: the ids of checks that are known to fail, and why; or a function that returns
        them for each of `modules`.

    Raises:
      ValueError: the arguments make no sense, or there are no modules.
      OSError: the file of the network can't be read.
    """
    if isinstance(modules, str) or not modules:
        raise ValueError(f"expected a list of modules, got {modules!r}")
    path = None if contract is None else Path(contract).absolute()
    expectation = Expectation(like=like, contract=path, classes=classes)
    parameters: list = []
    for module, name in zip(modules, _names(modules), strict=True):
        reasons = expected_failures(module) if callable(expected_failures) else expected_failures
        parameters += _parameters(module, name, expectation, reasons or {}, timeout)
    return pytest.mark.parametrize("check", parameters)


def _parameters(
    module: _Path, name: str, expectation: Expectation, reasons: _Reasons, timeout: int
) -> Iterator:
    require_known(reasons)
    # A test may change the directory.
    report = functools.partial(_report, Path(module).absolute(), expectation, timeout)
    for id in registry.IDS:
        # A check that is not run raises no `AssertionError`, and fails.
        xfail = pytest.mark.xfail(reason=reasons.get(id, ""), raises=AssertionError, strict=True)
        marks = [xfail] if id in reasons else []
        yield pytest.param(ModuleCheck(id=id, report=report), id=f"{name}-{id}", marks=marks)


@functools.cache
def _report(module: Path, expectation: Expectation, timeout: int) -> Report:
    return api.check(module, **dataclasses.asdict(expectation), timeout=timeout)


def _names(modules: Sequence[_Path]) -> list[str]:
    """Return the last parts of each path, as many as tell them all apart."""
    parts = [Path(module).parts for module in modules]
    length = _PARTS
    while len({path[-length:] for path in parts}) < len(set(parts)):
        length += 1
    return [str(Path(*path[-length:])) for path in parts]


def conclude(result: Result) -> None:
    """Raise what makes pytest report the result of a check: `AssertionError` only if the check failed."""
    __tracebackhide__ = True
    problems = "\n".join([f"{result.description}", *result.problems])
    if result.status == FAILED:
        raise AssertionError(problems)
    if result.status == NOT_RUN:
        pytest.fail(f"not run: {result.reason}", pytrace=False)
    if result.status == NOT_APPLICABLE:
        pytest.skip(result.reason or "not applicable")
    if result.status == WARNING:
        warnings.warn(problems, stacklevel=3)
