"""Modules that slimhub did not write, as others or as broken ones: each has its verdict."""

import time

import pytest
from clients.foreign.cases import CASES

from slimhub import signatures


def _param(case):
    marks = [pytest.mark.xdist_group(f"foreign-{case.origin}")]
    return pytest.param(case, id=case.name, marks=marks + [pytest.mark.slow] * case.slow)


@pytest.mark.parametrize("case", [_param(case) for case in CASES])
def test_verdict(written, record_property, case):
    """A good module passes every check, and a broken one fails exactly those that should find it."""
    directory = written(case.origin, case.module)
    began = time.monotonic()
    report = signatures.check(directory, like=case.like, classes=case.classes)
    record_property("seconds", time.monotonic() - began)
    problems = {result.id: result.problems for result in report.failed}
    assert problems.keys() == case.failed, problems
    assert report.ok == (not case.failed)
