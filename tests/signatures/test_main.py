"""python -m slimhub.signatures prints reports or the list of checks, and exits with a code."""

import dataclasses
import json
import subprocess
import sys

import program
import pytest
from stem import CONTRACTS, broken_copy
from surgery import ids

from slimhub.signatures.checks import registry
from slimhub.signatures.contract import formats

# Statuses of a good feature vector, which has no classes.
GOOD = {
    **dict.fromkeys(ids(formats.TF1_HUB), "passed"),
    **dict.fromkeys(("labels", "logits"), "not applicable"),
}


@pytest.fixture(scope="module")
def broken(stem, tmp_path_factory):
    """A module without its last L2 loss."""

    def change(m):
        m.train.collection_def["regularization_losses"].node_list.value.pop()

    return broken_copy(stem / "3", tmp_path_factory.mktemp("broken") / "3", change)


@pytest.fixture
def run(tmp_path):
    """A function that runs the command line, elsewhere than in the checkout."""
    (tmp_path / "here").mkdir()

    def run(*args):
        return program.run(*map(str, args), command=program.CHECK, cwd=tmp_path / "here")

    return run


def rows(stdout):
    """Return the result of each check, read off a table, where details may go on in lines of their own."""
    lines = [line.split("│") for line in stdout.splitlines()]
    return {
        cells[1].strip(): cells[2].split()[0]
        for cells in lines
        if len(cells) == 5 and cells[1].strip()
    }


def test_tables(stem, broken, run):
    """A broken module among good ones exits with 1; each table has the handle, the weights and every check."""
    passed = {**GOOD, "labels": "not", "logits": "not"}
    done = run(stem / "3")
    assert (done.code, done.stderr) == (0, "")
    assert "google/imagenet/stem/feature_vector/3" in done.stdout
    assert "UNTRAINED" in done.stdout
    assert rows(done.stdout) == passed
    done = run(stem / "1", broken)
    assert done.code == 1
    assert rows(done.stdout) == {**passed, "regularization-losses": "failed"}
    assert "{train}: expected 3, got 2" in done.stdout


def test_json(stem, broken, run, tmp_path):
    """With --json, stdout is an array with a report of each directory, and nothing else."""
    directories = [stem / "3", broken, tmp_path / "absent"]
    done = run("--json", *directories)
    assert done.code == 1
    reports = json.loads(done.stdout)
    handle = "google/imagenet/stem/feature_vector/3"
    for report, directory, known in zip(reports, directories, (handle, handle, None), strict=True):
        assert (report["directory"], report["handle"]) == (str(directory), known)
    assert [report["ok"] for report in reports] == [True, False, False]
    found = [{result["id"]: result["status"] for result in report["results"]} for report in reports]
    good, bad, absent = found
    assert good == GOOD
    assert bad == {**good, "regularization-losses": "failed"}
    readable, *others = registry.select(None)
    assert absent == {readable.id: "failed", **{one.id: "not run" for one in others}}


def test_known_failure(stem, broken, run):
    """A failure that is named is shown as expected, with its reason; where it does not happen, it is a failure."""
    reason = "lost: since 2019"
    done = run("--json", f"--expect-failure=regularization-losses:{reason}", broken)
    assert (done.code, done.stderr) == (0, "")
    [report] = json.loads(done.stdout)
    [expected] = [one for one in report["results"] if one["status"] == "expected failure"]
    assert (expected["id"], expected["reason"]) == ("regularization-losses", reason)
    done = run(f"--expect-failure=regularization-losses:{reason}", stem / "3")
    assert done.code == 1
    assert rows(done.stdout)["regularization-losses"] == "unexpected"
    assert reason in done.stdout


def test_like(stem, run):
    """A module is held to the handle, the network's file and the number of classes that are named."""
    flags = ("--json", "--like=me/stem/feature_vector/3", f"--contract={CONTRACTS / 'stem.json'}")
    done = run(*flags, stem / "3")
    [report] = json.loads(done.stdout)
    assert (done.code, report["like"], report["handle"]) == (0, flags[1].partition("=")[2], None)
    done = run("--json", "--like=me/stem/classification/3", flags[2], "--classes=7", stem / "3")
    assert done.code == 1
    [report] = json.loads(done.stdout)
    problems = {one["id"]: one["problems"] for one in report["results"]}
    assert "7" in problems["default-output"][0]


def test_list(run):
    """With --list, stdout is a table of all checks."""
    done = run("--list")
    assert (done.code, done.stderr) == (0, "")
    rows = [line.split("│")[1:5] for line in done.stdout.splitlines() if line.startswith("│")]
    # A row whose first cell is empty continues the one before.
    found = [tuple(cell.strip() for cell in row[:3]) for row in rows if row[0].strip()]
    assert found == [(one.id, one.stage, ", ".join(one.formats)) for one in registry.CHECKS]


def test_list_as_json(run):
    """With --list and --json, stdout is an array of all checks, and nothing else."""
    done = run("--list", "--json")
    assert (done.code, done.stderr) == (0, "")
    expected = [
        {**dataclasses.asdict(one), "formats": list(one.formats), "levels": list(one.levels)}
        for one in registry.CHECKS
    ]
    assert json.loads(done.stdout) == expected


def test_list_without_tensorflow():
    """The list needs no TensorFlow, which takes seconds to import."""
    code = "import sys; sys.modules['tensorflow'] = None; from slimhub.signatures import __main__; __main__.run()"
    done = subprocess.run([sys.executable, "-c", code, "--list"], capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ((), "No module given. Usage: python -m slimhub.signatures [--json] MODULE..."),
        (("--jsn", "."), "Unknown command line flag 'jsn'"),
        (("--like=inception_v1", "."), "'inception_v1'"),
        (("--contract=absent.json", "."), "absent.json"),
        (("--classes=0", "."), "--classes=0"),
        (("--classes=5", "."), "classes"),
        (("--expect-failure=no-such-check:why", "."), "no-such-check"),
        (("--expect-failure=labels", "."), "ID:REASON"),
    ],
    ids=lambda one: one[0] if isinstance(one, tuple) and one else None,
)
def test_usage(run, args, says):
    """A command line that makes no sense exits with 2, and says on stderr what would."""
    done = run(*args)
    assert done.code == 2
    assert says in done.stderr
    assert done.stdout == ""
