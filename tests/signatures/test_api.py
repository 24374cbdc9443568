"""The checks as a call."""

import shutil
import subprocess
import sys

import pytest
from stem import CONTRACTS, broken_copy
from surgery import ids

import slimhub.signatures
from slimhub.signatures.contract import formats

LOSSES = "regularization-losses"
CONTRACT = CONTRACTS / "stem.json"


@pytest.fixture(scope="module")
def broken(stem, tmp_path_factory):
    """A module without its last L2 loss."""

    def change(m):
        m.train.collection_def["regularization_losses"].node_list.value.pop()

    return broken_copy(stem / "1", tmp_path_factory.mktemp("broken") / "1", change)


def test_report(broken):
    """A call returns what the checks found, as records."""
    report = slimhub.signatures.check(broken, contract=CONTRACT)
    assert not report.ok
    assert [(result.id, result.problems) for result in report.failed] == [
        (LOSSES, ("{train}: expected 3, got 2",))
    ]
    assert tuple(result.id for result in report.results) == ids(formats.TF1_HUB)
    assert report.handle == "google/imagenet/stem/feature_vector/1"
    assert report.result("batch-independence").measurements[0].ok


def test_expected_failures(broken, stem):
    """Known failures are named with a reason; one that no longer happens is a failure."""
    known = {LOSSES: "lost in the conversion"}
    report = slimhub.signatures.check(broken, contract=CONTRACT, expected_failures=known)
    assert report.ok
    assert (report.result(LOSSES).status, report.result(LOSSES).reason) == (
        "expected failure",
        known[LOSSES],
    )
    report = slimhub.signatures.check(str(stem / "1"), contract=CONTRACT, expected_failures=known)
    assert not report.ok
    assert [(result.id, result.status) for result in report.failed] == [(LOSSES, "unexpected pass")]


def test_time(stem):
    """Without any time, no check is passed."""
    report = slimhub.signatures.check(stem / "1", timeout=0)
    assert {result.status for result in report.results} == {"failed", "not run"}
    assert report.result("attachment").status == "not run"


@pytest.mark.parametrize(
    "arguments",
    [
        dict(like="google/imagenet/inception_v1/classification/2"),
        dict(like="google/imagenet/inception_v1/segmentation/3"),
        dict(like="inception_v1"),
        dict(classes=1000),
        dict(like="google/imagenet/inception_v1/classification/3", classes=0),
        dict(like="image_feature_vector", contract=CONTRACT),
        dict(expected_failures={"no-such-check": "?"}),
        dict(timeout=-1),
    ],
    ids=lambda arguments: "-".join(arguments),
)
def test_bad_arguments(stem, arguments):
    """Arguments that make no sense are an error, and no verdict on the module."""
    with pytest.raises(ValueError, match=r"."):
        slimhub.signatures.check(stem / "1", **arguments)


def test_absent_contract(stem):
    """A file of a network that is not there is an error of the system, and no verdict."""
    with pytest.raises(FileNotFoundError):
        slimhub.signatures.check(stem / "1", contract="absent.json")


def test_like(stem):
    """Held to the common image signatures alone, a module needs no known network; much is not applicable."""
    report = slimhub.signatures.check(stem / "3", like="image_feature_vector")
    assert (report.ok, report.like) == (True, "image_feature_vector")
    provenance = report.result("provenance")
    assert (provenance.status, bool(provenance.reason)) == ("not applicable", True)
    report = slimhub.signatures.check(stem / "3", like="image_classification")
    assert "signature-names" in {result.id for result in report.failed}


def test_no_temporary_directory(tmp_path, monkeypatch):
    """An archive that can't be unpacked anywhere is an error of the system, and no verdict."""
    archive = tmp_path / "1.tar.gz"
    archive.write_bytes(b"")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "absent"))
    with pytest.raises(OSError, match="TMPDIR"):
        slimhub.signatures.check(archive)


def test_after_tensorflow(stem):
    """A program that has run TensorFlow, or that has no guard around its main part, can check."""
    program = (
        "import sys, tensorflow as tf, slimhub.signatures\n"
        "tf.linalg.inv(tf.eye(100))\n"
        "print(slimhub.signatures.check(sys.argv[1], contract=sys.argv[2]).ok)\n"
    )
    command = [sys.executable, "-c", program, stem / "1", CONTRACT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "True\n")


def test_inside_a_module(stem, tmp_path):
    """A program that is started in a module's directory runs nothing that is there."""
    directory = shutil.copytree(stem / "1", tmp_path / "1")
    (directory / "json.py").write_text("open('ran', 'w').close()")
    program = tmp_path / "program.py"
    program.write_text(
        f"import slimhub.signatures\nreport = slimhub.signatures.check('.', contract={str(CONTRACT)!r})\n"
        "assert [result.id for result in report.failed] == ['files', 'checksums'], report.failed\n"
    )
    done = subprocess.run([sys.executable, program], cwd=directory, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert not (directory / "ran").exists()


def test_imports():
    """The call, the decorator and the records are there without TensorFlow, and all but the decorator without pytest."""
    program = (
        "import sys; sys.modules |= {'tensorflow': None, sys.argv[1]: None}\n"
        "from slimhub.signatures import check, Report, Result\n"
        "from slimhub.signatures import parametrize_with_checks\n"
    )
    command = [sys.executable, "-c", program]
    assert subprocess.run([*command, "tensorflow"]).returncode == 0
    done = subprocess.run([*command, "pytest"], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1].startswith("ModuleNotFoundError: import of pytest")
    assert "line 3" in done.stderr


def test_no_such_name():
    """Any other name is missing as elsewhere."""
    assert not hasattr(slimhub.signatures, "verify")
