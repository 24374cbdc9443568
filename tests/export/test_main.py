"""python -m slimhub.export: what it prints, and how it exits."""

import importlib.metadata
import json
import re
import subprocess
import sys

import program
import pytest
from publishing import read, write
from stem import STEM, stem_in_catalog

from slimhub.export import report
from slimhub.export.checkpoints import synthetic
from slimhub.export.errors import CheckError, OutputError
from slimhub.export.pipeline import Outcome
from slimhub.models import catalog

BOTH = ("--version=1", "--model=inception_v1", "--model=inception_v2")
FILES = {
    "assets.extra/provenance.json",
    "saved_model.pb",
    "tfhub_module.pb",
    "variables/variables.data-00000-of-00001",
    "variables/variables.index",
}


HANDLE = "--handle=google/imagenet/inception_v1/feature_vector/4"


@pytest.mark.parametrize(
    "flags",
    [
        *(
            ("--version=1", flag)
            for flag in ("--model=vgg", "--handle_prefix=../google", "--labels=absent")
        ),
        # A handle says what these do, too.
        *(
            (HANDLE, flag)
            for flag in ("--version=4", "--model=inception_v1", "--task=feature_vector")
        ),
        (HANDLE, "--handle_prefix=me"),
        ("--overwrite",),
    ],
    ids=" ".join,
)
def test_usage(tmp_path, flags):
    """Flags that make no sense exit with 2 and one message, and TensorFlow is not waited for."""
    command = [sys.executable, "-X", "importtime", "-m", "slimhub.export", *flags]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    messages = [line for line in done.stderr.splitlines() if not line.startswith("import time:")]
    assert (done.returncode, done.stdout) == (2, "")
    # The message names the flag; without --version and --handle, these.
    name = re.split("[-=]+", flags[-1])[1]
    assert ("version" if name == "overwrite" else name) in "\n".join(messages)
    assert len(messages) <= 3
    assert "slimhub.signatures.contract.contract" in done.stderr
    assert "tensorflow" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_unusable_checkpoints(tmp_path):
    """Checkpoints that are not there, or not what they should be, exit with 3; all are reported."""
    weights = tmp_path / "weights"
    write(
        weights, {catalog.get("inception_v1").archive.name: b"<html>Log in to the network</html>"}
    )
    done = program.run(*BOTH, f"--checkpoint={weights}", "--json", cwd=tmp_path)
    modules = json.loads(done.stdout)["modules"]
    assert done.code == 3
    assert [module["error"]["type"] for module in modules] == [
        *["ArchiveError"] * 2,
        *["SourceError"] * 2,
    ]
    # One error for both tasks of a model.
    handles = ", ".join(module["handle"] for module in modules[:2])
    assert f"{handles} not exported:\n" in done.stderr
    for module in modules:
        assert str(weights) in module["error"]["message"]
        assert done.stderr.count(module["error"]["message"]) == 1
    assert list(tmp_path.iterdir()) == [weights]


def test_existing_version(place):
    """A version that exists stays and makes the exit code 4; the others are exported, and in the table."""
    with stem_in_catalog():
        archive = synthetic.write_archive(STEM, into=place.tmp)
    existing, exported = (
        f"google/imagenet/stem/{task}/1" for task in ("classification", "feature_vector")
    )
    modules = place.directory / "modules"
    write(modules / existing, {"old": b"old"})
    done = place.export(1, "--task=classification", checkpoint=archive)
    assert done.code == 4
    assert f"{existing} not exported:\nmodules/{existing} exists and was left" in done.stderr
    assert existing not in done.stdout
    assert f"{exported} not exported" not in done.stderr
    [row] = [line for line in done.stdout.splitlines() if exported in line]
    handle, classes, signatures, size, parity, seconds = (
        cell.strip() for cell in row.strip("│").split("│")
    )
    assert (handle, classes, signatures) == (exported, "", "2")
    assert size.endswith(" kB")
    assert 0 <= float(parity) <= 1e-5
    assert float(seconds) > 0
    assert "Weights: UNVERIFIED" in done.stdout
    files = read(modules)
    assert files.keys() == {f"{existing}/old", *(f"{exported}/{name}" for name in FILES)}
    assert files[f"{existing}/old"] == b"old"


def test_old_name_of_contract(tmp_path):
    """The old name of --contract works as the new one does, and a note says which that is."""
    flags = ("--version=2", "--checkpoint=none.ckpt", *program.STEM_ONLY)
    names = ("--contract=3", "--interface=3")
    assert [program.run(*flags, name, cwd=tmp_path).code for name in names] == [2, 2]
    series = (*flags, "--handle_prefix=me/flowers")
    new, old = [program.run(*series, name, cwd=tmp_path) for name in names]
    assert (new.code, old.code) == (3, 3)
    note, rest = old.stderr.split("\n", 1)
    assert "--contract" in note
    assert rest == new.stderr


def test_first_failure_counts():
    """The first of several failures gives the exit code; without any it is 0."""
    good = Outcome(handle="a")
    bad = [Outcome(handle="b", error=error("why")) for error in (CheckError, OutputError)]
    assert report.exit_code([good]) == 0
    assert report.exit_code([good, *bad]) == 1
    assert report.exit_code(bad[::-1]) == 5


def test_console_script():
    """The command is installed as `slimhub-export` too."""
    [script] = importlib.metadata.entry_points(group="console_scripts", name="slimhub-export")
    assert script.value == "slimhub.export.__main__:run"
    assert script.dist.name == "slimhub"


@pytest.mark.parametrize("package", ["tf_slim", "tenacity"])
def test_without_the_extra(tmp_path, package):
    """Without the packages of the extra `export`, there is one message that says how to get them."""
    flags = [*BOTH, "--checkpoint=synthetic", f"--output={tmp_path / 'modules'}"]
    code = (
        f"import runpy, sys; sys.modules[{package!r}] = None; sys.argv = ['x', *{flags}]\n"
        "runpy.run_module('slimhub.export', run_name='__main__', alter_sys=True)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    [message] = done.stderr.splitlines()
    assert "pip install 'slimhub[export]'" in message
    assert list(tmp_path.iterdir()) == []
