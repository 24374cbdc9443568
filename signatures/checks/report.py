"""Results of checks as records: a report on one module, how parts of it are merged, and known failures.

Statuses of a result:
  passed            the module keeps what the check describes.
  warning           the module is unusual, and `problems` say in what; no failure.
  failed            the module does not keep it; `problems` say in what.
  not run           an earlier check failed; `reason` names it.
  not applicable    the check does not concern this module; `reason` says why. No failure.
  expected failure  the check failed, as `expecting` said; `reason` is the one that was given. No failure.
  unexpected pass   the check did not fail, though `expecting` said so; `reason` as above.

JSON (`Report.to_json`) has the fields of the records under their names, `ok`, and `schema`, which
counts up when a field is removed, renamed or changes its meaning. Fields and statuses may be added
without that.
"""

import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from slimhub.signatures.checks import registry
from slimhub.signatures.checks.bounds import Measurement
from slimhub.signatures.checks.registry import Check
from slimhub.support.printable import printable

SCHEMA = 1

PASSED, WARNING, FAILED = "passed", "warning", "failed"
NOT_RUN, NOT_APPLICABLE = "not run", "not applicable"
EXPECTED_FAILURE, UNEXPECTED_PASS = "expected failure", "unexpected pass"
# What `OnResult` is called with when a check begins.
RUNNING = "running"

# What must have passed before a graph is run: it may do nothing but what an image network does,
# and is the one that was looked at; other files might be loaded in its place.
GATE = ("files", "tag-sets", "operations")

# The status of a check that was run in several modes is the last of these that it had in one.
_BY_SEVERITY = (NOT_RUN, NOT_APPLICABLE, PASSED, WARNING, FAILED)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """The result of one check.

    Attributes:
      id: of the check.
      description: what a module keeps that passes it.
      status: one of those above.
      reason: why it was not run, is not applicable, or was expected to fail.
      problems: what is wrong or unusual, a line each.
      measurements: the figure closest to what was allowed, or furthest beyond, for each bound.
    """

    id: str
    description: str
    status: str
    reason: str | None = None
    problems: tuple[str, ...] = ()
    measurements: tuple[Measurement, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """A report on one module.

    Attributes:
      directory: where it is.
      handle: its handle, if that could be read.
      weights: where its weights came from, if that could be read.
      like: the handle, or the name of the interface, that it was held to; None for its own provenance.
      results: of all checks, in their order.
    """

    directory: str
    handle: str | None
    weights: str | None
    like: str | None = None
    results: tuple[Result, ...]

    @property
    def title(self) -> str:
        """The directory, the handle, and what it was held to, as a terminal can show them."""
        like = self.like and f"held to {self.like}"
        return "\n".join(filter(None, (printable(self.directory), self.handle, like)))

    @property
    def ok(self) -> bool:
        """Whether every check was run that concerns the module, and none failed or passed unexpectedly."""
        return not self.failed and all(result.status != NOT_RUN for result in self.results)

    @property
    def may_run(self) -> bool:
        """Whether nothing in `GATE` failed, and all of it was looked at."""
        good = (PASSED, WARNING, NOT_APPLICABLE)
        return set(GATE) <= {result.id for result in self.results if result.status in good}

    @property
    def failed(self) -> tuple[Result, ...]:
        """The results of checks that failed, other than those expected to, or that passed unexpectedly."""
        return tuple(r for r in self.results if r.status in (FAILED, UNEXPECTED_PASS))

    def result(self, id: str) -> Result:
        """Return the result of a check; one that the report lacks is of another format, or was not run."""
        for result in self.results:
            if result.id == id:
                return result
        checks = [check for check in registry.CHECKS if check.id == id]
        if self.results[0].status != PASSED:
            return not_run(checks[0], [self.results[0].id])
        formats = " and ".join(name for check in checks for name in check.formats)
        return Result(
            id=id,
            description=checks[0].description,
            status=NOT_APPLICABLE,
            reason=f"for {formats} only",
        )

    def to_json(self) -> str:
        """Return the report as JSON, in `SCHEMA`; `from_json` is its inverse."""
        record = dataclasses.asdict(self)
        for found in (one for result in record["results"] for one in result["measurements"]):
            # JSON has neither infinity nor NaN.
            found["figure"] = found["figure"] if math.isfinite(found["figure"]) else None
        return json.dumps({"schema": SCHEMA, **record, "ok": self.ok}, indent=2, allow_nan=False)


class NotApplicableError(Exception):
    """Raised by a check that does not concern the module; the message says why."""


class Unusual(str):
    """A finding that is a warning, and no failure."""


def not_run(check: Check, failed: Sequence[str] = ()) -> Result:
    """Return the result of a check that is not run because these failed before."""
    reason = f"failed before: {', '.join(failed)}" if failed else None
    return Result(id=check.id, description=check.description, status=NOT_RUN, reason=reason)


def from_json(record: Mapping[str, Any]) -> Report:
    """Return the report that `to_json` gave, once parsed. Raise `ValueError` if its schema is another."""
    if record["schema"] != SCHEMA:
        raise ValueError(f"expected a report in schema {SCHEMA}, got {record['schema']}")
    fields = [field.name for field in dataclasses.fields(Report)]
    results = tuple(map(_read_result, record["results"]))
    return Report(**{**{name: record[name] for name in fields}, "results": results})


def _read_result(record: Mapping[str, Any]) -> Result:
    measurements = [
        # NaN or infinite.
        Measurement(
            **{**figure, "figure": math.nan if figure["figure"] is None else figure["figure"]}
        )
        for figure in record["measurements"]
    ]
    problems = tuple(record["problems"])
    return Result(**{**record, "problems": problems, "measurements": tuple(measurements)})


# Called for each check when it begins, with the status `running`, and with its result.
OnResult = Callable[[Result], None]


def expecting(report: Report, reasons: Mapping[str, str]) -> Report:
    """Return the report with known failures marked.

    A check that failed is an *expected failure* then; one that did not is an *unexpected pass*: the
    list of known failures is to be shortened. One that is not applicable stays so, which lets modules
    of several formats share a list. One that was not run stays so too, and the report is not `ok`:
    nobody knows whether it would fail.

    Args:
      report: of the checks.
      reasons: the id of each check that is known to fail, and why it does.

    Raises:
      ValueError: there is no check of that id.
    """
    require_known(reasons)
    results = (
        _expect(result, reasons[result.id]) if result.id in reasons else result
        for result in report.results
    )
    return dataclasses.replace(report, results=tuple(results))


def require_known(ids: Iterable[str]) -> None:
    """Raise `ValueError` if there is no check of one of these ids."""
    if unknown := sorted(set(ids) - set(registry.IDS)):
        raise ValueError(f"there is no check called {', '.join(unknown)}")


def _expect(result: Result, reason: str) -> Result:
    if result.status == FAILED:
        return dataclasses.replace(result, status=EXPECTED_FAILURE, reason=reason)
    if result.status in (PASSED, WARNING):
        return dataclasses.replace(result, status=UNEXPECTED_PASS, reason=reason)
    return result


def merge(reports: Sequence[Report]) -> Report:
    """Return one report of a module from those of some of its checks, or of some of its modes."""
    by_check = zip(*(report.results for report in reports), strict=True)
    return dataclasses.replace(reports[0], results=tuple(map(_merge_results, by_check)))


def closest(measurements: Iterable[Measurement]) -> tuple[Measurement, ...]:
    """Return the measurement with the largest share for each bound."""
    found: dict[str, Measurement] = {}
    for one in measurements:
        if one.bound not in found or one.share > found[one.bound].share:
            found[one.bound] = one
    return tuple(found.values())


def _merge_results(results: Sequence[Result]) -> Result:
    """Combine the results of a check that was run in each mode, or in some reports not at all."""
    worst = max(results, key=lambda r: (_BY_SEVERITY.index(r.status), r.reason is not None))
    return dataclasses.replace(
        worst,
        problems=tuple(problem for result in results for problem in result.problems),
        measurements=closest(figure for result in results for figure in result.measurements),
    )
