"""A module in a .tar.gz, which is unpacked to be checked. Nothing in the archive is trusted."""

import dataclasses
import functools
from pathlib import Path

from slimhub.signatures.checks import conformance
from slimhub.signatures.checks.expectation import Expectation
from slimhub.signatures.checks.report import OnResult, Report
from slimhub.signatures.module.directory import UnreadableError
from slimhub.signatures.module.module import Module
from slimhub.support import tar_gz
from slimhub.support.printable import printable

# Bytes that an archive may unpack to.
_MOST_BYTES = 4 << 30


class Archived(Module):
    """A module in an archive, unpacked into an empty directory when its files are asked for.

    Raises:
      UnreadableError: from every attribute and method; the archive may be damaged or hostile, see
        `tar_gz.unpack`, or there may be no room for its files.
    """

    def __init__(self, archive: Path, *, into: Path):
        super().__init__(into)
        self._archive = archive

    @functools.cached_property
    def files(self) -> tuple[str, ...]:
        try:
            tar_gz.unpack(self._archive, into=self.directory, max_bytes=_MOST_BYTES)
        except (OSError, tar_gz.BadArchiveError) as error:
            no_room = getattr(error, "errno", None) in tar_gz.NO_ROOM
            advice = " (TMPDIR chooses another directory)" if no_room else ""
            raise UnreadableError(f"{self._archive} can't be unpacked: {error}{advice}") from error
        return super().files


def check(archive: Path, *, into: Path, expectation: Expectation, on_result: OnResult) -> Report:
    """Check an archive, which is unpacked into an empty directory; see `conformance.check`."""
    module = Archived(archive, into=into)
    return conformance.check(module, expectation=expectation, on_result=on_result)


def named(report: Report, archive: Path, *, into: Path) -> Report:
    """Return the report with the archive in place of the directory that it was unpacked into."""

    def renamed(problem: str) -> str:
        return problem.replace(printable(str(into)), printable(str(archive)))

    results = (
        dataclasses.replace(result, problems=tuple(map(renamed, result.problems)))
        for result in report.results
    )
    return dataclasses.replace(report, directory=str(archive), results=tuple(results))
