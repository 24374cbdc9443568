"""Reports: whether they are good, what failed, known failures, and parts that are merged."""

import dataclasses
import json
import math

import pytest
from stem import broken_copy
from surgery import damage

from slimhub.signatures.checks import conformance
from slimhub.signatures.checks.bounds import Measurement
from slimhub.signatures.checks.report import (
    EXPECTED_FAILURE,
    FAILED,
    NOT_APPLICABLE,
    NOT_RUN,
    PASSED,
    UNEXPECTED_PASS,
    WARNING,
    Report,
    Result,
    expecting,
    from_json,
    merge,
)


def report(**statuses: str) -> Report:
    """Return a report whose checks have these statuses, and a problem each."""
    results = [
        Result(id=id, description="", status=status, problems=(f"{id} is {status}",))
        for id, status in statuses.items()
    ]
    return Report(directory="3", handle=None, weights=None, results=tuple(results))


@pytest.mark.parametrize(
    ("status", "ok", "failed"),
    [
        (PASSED, True, False),
        (WARNING, True, False),
        (NOT_APPLICABLE, True, False),
        (EXPECTED_FAILURE, True, False),
        (NOT_RUN, False, False),
        (FAILED, False, True),
        (UNEXPECTED_PASS, False, True),
    ],
)
def test_ok(status, ok, failed):
    """A report is good unless a check failed, passed unexpectedly or was not run."""
    one = report(files=PASSED, labels=status)
    assert one.ok is ok
    assert [result.id for result in one.failed] == ["labels"] * failed
    assert json.loads(one.to_json())["ok"] is ok


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (FAILED, EXPECTED_FAILURE),
        (PASSED, UNEXPECTED_PASS),
        (WARNING, UNEXPECTED_PASS),
        (NOT_RUN, NOT_RUN),
        (NOT_APPLICABLE, NOT_APPLICABLE),
    ],
)
def test_expecting(status, expected):
    """Only the checks that are named are marked, and keep their problems."""
    files, labels = expecting(report(files=FAILED, labels=status), {"labels": "issue 7"}).results
    assert (files.status, files.reason) == (FAILED, None)
    assert labels.status == expected
    assert labels.reason == (None if expected == status else "issue 7")
    assert labels.problems == (f"labels is {status}",)


def test_json():
    """A report is read back from its JSON as it was, and an infinite figure as not a number."""
    figure = Measurement(bound="parity", where="{}", figure=0.5, allowed=1e-5)
    infinite = dataclasses.replace(figure, figure=math.inf)
    one = report(files=PASSED, labels=FAILED)
    result = dataclasses.replace(one.results[0], measurements=(figure,))
    one = dataclasses.replace(one, like="image_feature_vector", results=(result, one.results[1]))
    assert from_json(json.loads(one.to_json())) == one
    result = dataclasses.replace(result, measurements=(infinite,))
    [read, _] = from_json(
        json.loads(dataclasses.replace(one, results=(result,) * 2).to_json())
    ).results
    assert math.isnan(read.measurements[0].figure)


def test_other_schema():
    """A report in another schema is not taken for one in this."""
    with pytest.raises(ValueError, match="schema"):
        from_json(json.loads(report(files=PASSED).to_json()) | {"schema": 2})


def test_absent_result():
    """A check that a report lacks belongs to another format, or could not be run."""
    absent = report(readable=PASSED).result("calls")
    assert (absent.status, absent.reason) == (NOT_APPLICABLE, "for TF2 SavedModel only")
    absent = report(readable=FAILED).result("calls")
    assert (absent.status, absent.reason) == (NOT_RUN, "failed before: readable")


def test_unknown_check():
    """A known failure of a check that does not exist is an error, whatever the module."""
    with pytest.raises(ValueError, match="lables"):
        expecting(report(files=PASSED), {"lables": "", "labels": ""})


def test_known_failure(stem, tmp_path):
    """A report on a module is good if what fails is expected to, and bad again once it is mended."""

    def change(m):
        m.train.collection_def["regularization_losses"].node_list.value.pop()

    known = {"regularization-losses": "the last loss is missing"}
    broken = expecting(conformance.check(broken_copy(stem / "1", tmp_path / "1", change)), known)
    expected = broken.result("regularization-losses")
    assert broken.ok
    assert expected.status == EXPECTED_FAILURE
    assert expected.problems == ("{train}: expected 3, got 2",)
    mended = expecting(conformance.check(stem / "1"), known)
    assert not mended.ok
    assert [result.id for result in mended.failed] == ["regularization-losses"]


def test_why_not_run(stem, tmp_path):
    """A check that is not run names the one that failed before."""

    def change(m):
        m.train.graph_def.node[0].op = "ReadFile"

    by_directory = {
        "absent": "readable",
        "hostile": "operations",
        "damaged": "loads",
    }
    broken_copy(stem / "1", tmp_path / "hostile", change)
    broken_copy(stem / "1", tmp_path / "damaged", damage)
    for name, failed in by_directory.items():
        results = conformance.check(tmp_path / name).results
        reasons = {result.reason for result in results if result.status == NOT_RUN}
        assert reasons == {f"failed before: {failed}"}


def test_merge():
    """Of several modes, the worst status counts, and what was not run in one only does not."""
    one = report(files=PASSED, labels=NOT_RUN, dropout=WARNING, loads=NOT_RUN, calls=NOT_APPLICABLE)
    other = report(files=NOT_RUN, labels=FAILED, dropout=FAILED, loads=NOT_RUN, calls=PASSED)
    merged = merge([one, other])
    assert {result.id: result.status for result in merged.results} == {
        "files": PASSED,
        "labels": FAILED,
        "dropout": FAILED,
        "loads": NOT_RUN,
        "calls": PASSED,
    }
    assert merged.results[2].problems == ("dropout is warning", "dropout is failed")
