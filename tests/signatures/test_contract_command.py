"""python -m slimhub.signatures.contract_command prints the contract of a module, and exits with a code."""

import json

import program
import pytest
from hostile_operations import CANARY, add, const
from stem import broken_copy

from slimhub.signatures.checks import conformance
from slimhub.signatures.checks.expectation import Expectation
from slimhub.signatures.contract import network
from slimhub.signatures.graphs import infer
from slimhub.signatures.module import module_archive
from slimhub.signatures.module.module import Module


@pytest.fixture
def run(tmp_path):
    """A function that runs the command line, elsewhere than in the checkout."""
    (tmp_path / "here").mkdir()
    (tmp_path / "tmp").mkdir()

    def run(*args):
        done = program.run(
            *map(str, args),
            command=program.CONTRACT,
            cwd=tmp_path / "here",
            TMPDIR=str(tmp_path / "tmp"),
        )
        assert [*(tmp_path / "here").iterdir(), *(tmp_path / "tmp").iterdir()] == []
        return done

    return run


def test_file(stem, run, tmp_path):
    """What is printed is a contract that the module keeps, as a drop-in for a handle of its network."""
    done = run(stem / "3")
    assert (done.code, done.stderr) == (0, "")
    path = tmp_path / "mine.json"
    path.write_text(done.stdout)
    assert network.load(path) == infer.infer(Module(stem / "3")).network
    like = Expectation(like="me/imagenet/mine/feature_vector/3", contract=path)
    report = conformance.check(stem / "3", expectation=like)
    assert report.failed == ()


def test_archive(stem, run, tmp_path):
    """An archive has the contract of the module in it."""
    module_archive.pack(stem / "1", into=tmp_path / "1.tar.gz")
    assert run(tmp_path / "1.tar.gz") == run(stem / "1")


def test_doubts(stem, run):
    """What the module does not tell can be given; else each guess is a line on standard error."""
    guessed = run(stem / "5")
    assert (guessed.code, len(guessed.stderr.splitlines())) == (0, 1)
    assert json.loads(guessed.stdout)["image_size"] == [224, 224]
    given = run("--image_size=32x48", stem / "5")
    assert (given.code, given.stderr) == (0, "")
    assert json.loads(given.stdout)["image_size"] == [32, 48]


def test_harmful(stem, run, tmp_path):
    """A module that would write a file is not run."""

    def change(m):
        nodes = m.infer.graph_def.node
        given = [const(nodes, name, name).name for name in (CANARY, "content")]
        add(nodes, "write", "WriteFile", *given)

    done = run(broken_copy(stem / "3", tmp_path / "3", change))
    assert (done.code, done.stdout) == (1, "")
    assert "WriteFile" in done.stderr


def test_none(run, tmp_path):
    """What is no module has no contract."""
    path = tmp_path / "file"
    path.write_bytes(b"x")
    for module in (tmp_path / "absent", path):
        done = run(module)
        assert (done.code, done.stdout) == (1, "")
        assert done.stderr.startswith(f"{module}: no contract can be inferred: ")


def test_time(stem, run):
    """A module that takes too long has none."""
    done = run("--timeout=0", stem / "3")
    assert (done.code, done.stdout) == (1, "")


@pytest.mark.parametrize(
    "args",
    [(), (".", "."), ("--image_size=224", "."), ("--image_size=0x224", "."), ("--task=x", ".")],
)
def test_usage(run, args):
    """A command line that makes no sense exits with 2."""
    done = run(*args)
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr
