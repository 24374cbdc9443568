"""README.md: what it shows works as it stands there."""

import ast
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from slimhub.export import errors
from slimhub.models import catalog
from slimhub.signatures import contract

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
PYTHON = [code for language, code in BLOCKS if language == "python"]
COMMANDS = [line for language, code in BLOCKS if language == "sh" for line in code.splitlines()]

# hub.Module went with tensorflow-hub 0.16: an interpreter with an older one runs its block.
TF1_PYTHON = os.environ.get("SLIMHUB_TF1_PYTHON")


@pytest.fixture
def checkout(module, tmp_path):
    """A directory with the modules that the README loads, under their names."""
    paths = set(re.findall(r'"(build/modules/[^"]+)"', "".join(PYTHON)))
    assert paths, "the README loads no module"
    for path in sorted(paths):
        *_, model, task, version = path.split("/")
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).symlink_to(module(model, task, int(version)))
    return tmp_path


@pytest.mark.xdist_group("inception_v2-3")
def test_loading_in_tf2(checkout, monkeypatch):
    """The block for TensorFlow 2 runs, and its variables are what their names say."""
    monkeypatch.chdir(checkout)
    names = {}
    exec(compile(PYTHON[0], "README.md", "exec"), names)
    assert names["logits"].shape == (1, 1001)
    assert names["features"].shape == (1, 1024)
    assert names["feature_map"].shape == (1, 7, 7, 1024)


@pytest.mark.skipif(not TF1_PYTHON, reason="SLIMHUB_TF1_PYTHON names no interpreter with TF1")
def test_loading_in_tf1(checkout):
    """The block for TensorFlow 1 runs where `hub.Module` still exists."""
    shows = "\nprint(height, width, features.shape, len(updates), len(losses))"
    done = subprocess.run(
        [TF1_PYTHON, "-c", PYTHON[1] + shows], cwd=checkout, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[-2] == "224 224 (?, 1024) 136 68"


def test_blocks():
    """Every block is one that a test here runs, or at least reads."""
    assert [language for language, _ in BLOCKS].count("python") == 2
    assert {language for language, _ in BLOCKS} == {"python", "sh"}
    for code in PYTHON:
        ast.parse(code)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands(command):
    """Every command is a target of the Makefile with variables that it knows."""
    program, target, *variables = shlex.split(command)
    assert program == "make"
    done = subprocess.run(
        ["make", "--dry-run", target, *variables], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for variable in variables:
        name, _, value = variable.partition("=")
        assert re.search(rf"\$\({name}\b", (ROOT / "Makefile").read_text())
        assert value in done.stdout


@pytest.mark.xdist_group("inception_v2-3")
def test_check_command(checkout):
    """The README's `make check` is of a module that passes."""
    [command] = [command for command in COMMANDS if command.startswith("make check")]
    directory = shlex.split(command)[-1].removeprefix("MODULES=")
    done = subprocess.run([sys.executable, "-m", "slimhub.signatures", directory], cwd=checkout)
    assert done.returncode == 0


def test_exit_codes():
    """The table of exit codes is that of the errors."""
    codes = {int(code) for code in re.findall(r"^\| (\d) \| [^|]* \|$", README, re.MULTILINE)}
    kinds = vars(errors).values()
    found = {kind.exit_code for kind in kinds if isinstance(kind, type)}
    assert codes == {0} | found


def test_versions():
    """The table of versions has every version."""
    rows = re.findall(r"^\| (\d) \| TF1 Hub \|", README, re.MULTILINE)
    assert [int(row) for row in rows] == list(contract.VERSIONS)


def test_archives():
    """The archive that the README names is one of the catalog, and where it says it is."""
    [name] = set(re.findall(r"`(\w+\.tar\.gz)`", README))
    [folder] = re.findall(r"`(https://[^`]+/)`", README)
    assert folder + name in [model.archive.urls[0] for model in catalog.MODELS]
