"""Directories that were made to do harm: they are reported, in time, and nothing in them is run."""

import json
import shutil

import pytest
import tensorflow as tf
from hostile import check, listing
from hostile_contents import CONTENTS
from hostile_files import ESCAPE, FILES
from hostile_graphs import GRAPHS
from hostile_operations import CANARY, OPERATIONS, changed, in_graph, in_signature

from slimhub.signatures.module import execution

pytestmark = pytest.mark.xdist_group("hostile")


@pytest.fixture
def report(stem, tmp_path):
    """A function that makes a hostile directory, checks it by the command line, and gives the report."""

    def report(hostile, *flags):
        good, directory = stem / str(hostile.version), tmp_path / "work" / "module"
        shutil.copytree(good, directory)
        hostile.change(directory, good)
        before = listing(directory.parent)
        done = check(directory.parent, "--json", *flags, str(directory))
        assert (done.code, done.stderr) == (1, "")
        assert listing(directory.parent) == before, "nothing was written"
        [found] = json.loads(done.stdout)
        return found

    return report


def problems(report):
    return {result["id"]: "\n".join(result["problems"]) for result in report["results"]}


def each(table):
    return pytest.mark.parametrize("hostile", table, ids=lambda one: f"{one.version}-{one.id}")


@each((*FILES, *CONTENTS))
def test_hostile_files(report, hostile):
    """A directory whose files are hostile is reported, with what is wrong."""
    found = report(hostile)
    assert not found["ok"]
    assert hostile.says in problems(found)[hostile.check]


@each(OPERATIONS)
def test_hostile_operations(report, hostile):
    """An operation that is not of an image network is named, and no graph with it is loaded."""
    found = report(hostile)
    assert hostile.says in problems(found)[hostile.check]
    statuses = {result["id"]: result["status"] for result in found["results"]}
    assert statuses["loads"] == statuses["finite-outputs"] == "not run"


@each(GRAPHS)
def test_hostile_graphs(report, hostile):
    """A graph that makes no sense is reported, with what is wrong, and ends no check unforeseen."""
    found = report(hostile, "--timeout=30")
    assert hostile.says in problems(found)[hostile.check]


def test_canary(stem, tmp_path, monkeypatch):
    """Operations that the checks don't run do harm when a module is loaded or applied without checks."""
    monkeypatch.chdir(tmp_path)
    changed(in_graph("WriteFile"))(tmp_path / "loaded", stem / "5")
    with execution.load(tmp_path / "loaded", tags=("serve",)):
        assert (tmp_path / CANARY).read_text() == "x"
    (tmp_path / CANARY).unlink()
    changed(in_signature("WriteFile"))(tmp_path / "applied", stem / "5")
    signature = tf.saved_model.load(str(tmp_path / "applied")).signatures["serving_default"]
    assert not (tmp_path / CANARY).exists()
    signature(inputs=tf.zeros([1, 32, 32, 3]))
    assert (tmp_path / CANARY).read_text() == "x"


def test_terminal(stem, tmp_path):
    """Names of directories and files reach no terminal as they are."""
    directory = tmp_path / "work" / f"a{ESCAPE}\udcff\nb"
    shutil.copytree(stem / "3", directory)
    (directory / f"{ESCAPE}\udcff").touch()
    done = check(directory.parent, str(directory))
    assert (done.code, done.stderr) == (1, "")
    assert "\\x1b]0;title\\x07\\x1b[31m\\udcff" in done.stdout
    assert "\\udcff\\nb" in done.stdout
    assert "\x1b" not in done.stdout
