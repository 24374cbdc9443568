"""README.md: what it shows works as it stands there."""

import ast
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import readme
from readme import BLOCKS, README, ROOT, blocks

from slimhub.export import errors
from slimhub.signatures.contract import contract

PYTHON = [code for language, code in BLOCKS if language == "python"]
LINES = [line for language, code in BLOCKS if language == "sh" for line in code.splitlines()]
COMMANDS = [line for line in LINES if line.startswith("make ")]


@pytest.fixture
def checkout(module, tmp_path):
    """A function that gives a directory with the modules that a text names, under their names."""
    return lambda text: readme.checkout(text, module=module, into=tmp_path)


@pytest.fixture
def run(checkout, monkeypatch):
    """A function that runs the one block under a heading, and gives its variables."""

    def run_block(heading: str) -> dict:
        [code] = blocks(heading, "python")
        monkeypatch.chdir(checkout(code))
        names = {}
        exec(compile(code, "README.md", "exec"), names)
        return names

    return run_block


@pytest.mark.xdist_group("inception_v2-3")
def test_loading_in_tf2(run):
    """The block for inference in TensorFlow 2 runs, and its variables are what their names say."""
    names = run("TensorFlow 2, for inference")
    assert names["logits"].shape == (1, 1001)
    assert names["features"].shape == (1, 1024)
    assert names["feature_map"].shape == (1, 7, 7, 1024)


@pytest.mark.xdist_group("inception_v1-5")
@pytest.mark.parametrize("heading", ["TensorFlow 2, for training", "Keras 3"])
def test_training(run, heading):
    """The blocks for training run, with all weights of the module to be trained, and have a loss."""
    names = run(heading)
    assert len(names["model"].trainable_variables) == 114 + 2
    [loss] = names["history"].history["loss"]
    assert loss > 0


@pytest.mark.slow
@pytest.mark.xdist_group("inception_v2-5")
def test_serving(checkout, images):
    """The command for serving runs, and prints logits."""
    [command] = blocks("Serving", "sh")
    program, *arguments = shlex.split(command)
    program = Path(sys.executable).with_name(program)
    directory = checkout(command)
    np.save(directory / "images.npy", images(1))
    done = subprocess.run([program, *arguments], cwd=directory, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Result for output key logits:" in done.stdout


def test_blocks():
    """Every block is one that a test runs, and every way of loading has one."""
    headings = re.findall(r"^### (.+)$", README, re.MULTILINE)
    assert len(headings) == 5
    assert sum(len(blocks(heading, "python")) for heading in headings) == len(PYTHON) == 4
    assert {language for language, _ in BLOCKS} == {"python", "sh"}
    for code in PYTHON:
        ast.parse(code)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands(command):
    """Every command is a target of the Makefile with variables that it knows."""
    _, target, *variables = shlex.split(command)
    done = subprocess.run(
        ["make", "--dry-run", target, *variables], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for variable in variables:
        name, _, value = variable.partition("=")
        assert re.search(rf"\$\({name}\b", (ROOT / "Makefile").read_text())
        # A switch is not given a value.
        assert value in done.stdout or f"--{name.lower()} " in done.stdout


def test_guarantees():
    """Each test that is named with a guarantee is there, once."""
    named = re.findall(r"`(test_\w+)`", README)
    files = (ROOT / "tests").rglob("test_*.py")
    tests = [
        name for file in files for name in re.findall(r"^def (test_\w+)", file.read_text(), re.M)
    ]
    assert {name: tests.count(name) for name in named} == dict.fromkeys(named, 1) != {}


def test_exit_codes():
    """The table of exit codes is that of the errors."""
    codes = {int(code) for code in re.findall(r"^\| (\d) \| [^|]* \|$", README, re.MULTILINE)}
    kinds = vars(errors).values()
    found = {kind.exit_code for kind in kinds if hasattr(kind, "exit_code")}
    assert codes == {0} | found


def test_versions():
    """The table of versions has every version."""
    rows = re.findall(r"^\| (\d) \| (TF[^|]*) \|", README, re.MULTILINE)
    assert {int(row): name for row, name in rows} == {
        version: rules.format.name for version, rules in contract.VERSIONS.items()
    }


def test_networks():
    """The table of networks is what the catalog has."""
    [found] = re.findall("<!-- networks -->\n(.*?)<!-- end -->", README, re.DOTALL)
    assert found == readme.networks()
