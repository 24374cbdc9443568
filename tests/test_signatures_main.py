"""python -m slimhub.signatures: what it prints, and how it exits."""

import json

import program
import pytest
from stem import broken_copy

from slimhub.signatures import conformance, formats, graph_checks, value_checks


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


def test_good_module(stem, run):
    """A good module exits with 0; its table has the handle, the weights, and every check."""
    done = run(stem / "3")
    assert done.code == 0
    assert "google/imagenet/stem/feature_vector/3" in done.stdout
    assert "UNTRAINED" in done.stdout
    lines = [line.split() for line in done.stdout.splitlines()]
    rows = {words[1]: words[3] for words in lines if len(words) > 4 and words[0] == "│"}
    assert rows == dict.fromkeys(conformance.ids(formats.TF1_HUB), "passed")
    assert done.stderr == ""


def test_broken_module(stem, broken, run):
    """One broken module among good ones exits with 1; its table says what is wrong."""
    done = run(stem / "1", broken)
    assert done.code == 1
    assert done.stdout.count("failed") == 1
    assert "{train}: expected 3, got 2" in done.stdout


def test_no_module(run, tmp_path):
    """What is no module exits with 1 and a reason, without a traceback."""
    done = run(tmp_path / "absent")
    assert done.code == 1
    assert "absent is not a directory" in done.stdout
    checks = (*graph_checks.CHECKS, *value_checks.CHECKS)
    assert done.stdout.count("not run") == len(checks)


def test_json(stem, broken, run, tmp_path):
    """With --json, stdout is an array with a report of each directory, and nothing else."""
    directories = [stem / "3", broken, tmp_path]
    done = run("--json", *directories)
    assert done.code == 1
    reports = json.loads(done.stdout)
    assert [report["directory"] for report in reports] == list(map(str, directories))
    assert [report["ok"] for report in reports] == [True, False, False]
    handle = "google/imagenet/stem/feature_vector/3"
    assert [report["handle"] for report in reports] == [handle, handle, None]
    for report in reports:
        known = conformance.ids(formats.TF1_HUB)
        assert {result["id"] for result in report["results"]} <= set(known)
    failed = [
        {result["id"]: result["problems"] for result in report["results"] if result["problems"]}
        for report in reports
    ]
    assert failed[0] == {}
    assert failed[1] == {"regularization-losses": ["{train}: expected 3, got 2"]}
    assert failed[2].keys() == {"readable"}


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ((), "No module given. Usage: python -m slimhub.signatures [--json] MODULE..."),
        (("--jsn", "."), "Unknown command line flag 'jsn'"),
    ],
    ids=["no_module", "unknown_flag"],
)
def test_usage(run, args, says):
    """A command line that makes no sense exits with 2, and says on stderr what would."""
    done = run(*args)
    assert done.code == 2
    assert says in done.stderr
    assert done.stdout == ""
