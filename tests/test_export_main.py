"""python -m slimhub.export: what it prints, and how it exits."""

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import program
import pytest
from misbehaving_server import closed_url, fail, send, serving
from stem import INCEPTIONS

from slimhub.export import report
from slimhub.export.errors import CheckError, OutputError
from slimhub.export.exporter import Outcome
from slimhub.models import catalog

ONE = ("--version=1", "--model=inception_v1", "--task=feature_vector")
BOTH = ("--version=1", "--model=inception_v1", "--model=inception_v2")
FEATURE_VECTOR = "google/imagenet/inception_v1/feature_vector/1"
CLASSIFICATION = "google/imagenet/inception_v1/classification/1"
FILES = {
    "assets.extra/provenance.json",
    "saved_model.pb",
    "tfhub_module.pb",
    "variables/variables.data-00000-of-00001",
    "variables/variables.index",
}


def run(*flags: str, cwd: Path, python=(), **environment: str) -> subprocess.CompletedProcess:
    """Runs the command line elsewhere than in the checkout; no end of it may be a traceback."""
    done = subprocess.run(
        [sys.executable, *python, "-m", "slimhub.export", *flags],
        cwd=cwd,
        env={**os.environ, "XDG_CACHE_HOME": str(cwd / "cache"), **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done


def forked(*flags: str, cwd: Path, **environment: str) -> program.Done:
    """The same without waiting for TensorFlow, where the catalog has a third model."""
    return program.run(*flags, cwd=cwd, XDG_CACHE_HOME=str(cwd / "cache"), **environment)


def files(directory: Path) -> set[str]:
    """All files below, hidden ones too."""
    return {
        path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()
    }


@pytest.fixture
def serve():
    with serving() as serve:
        yield serve


USAGE = {
    # Name: the flags, and what the message says.
    "no_version": ([], "Flag --version must have a value other than None"),
    "unknown_version": (["--version=2"], "--version=2: that version has no contract; --interface"),
    "unknown_model": (
        ["--version=1", "--model=vgg"],
        f"--model=vgg: value should be one of <{'|'.join(catalog.names())}|auto>",
    ),
    "unknown_task": (
        ["--version=1", "--task=detection"],
        "--task=detection: value should be one of <classification|feature_vector>",
    ),
    "unknown_flag": (["--version=1", "--chekpoint=x"], "Unknown command line flag 'chekpoint'"),
    "stray_arguments": (["--version=1", "a.ckpt", "b"], "no flag takes: a.ckpt b"),
    "series": (["--version=2", "--interface=3"], "--handle_prefix=me/flowers gives it a name"),
    "handle_prefix": (
        ["--version=1", "--handle_prefix=../google"],
        "--handle_prefix=../google: expected names of letters",
    ),
    "labels": (["--version=1", "--labels=absent"], "--labels=absent can't be read: No such file"),
    "auto": (
        ["--version=1", "--model=auto", "--checkpoint=synthetic"],
        "--model=auto finds the network in a checkpoint on disk",
    ),
    "sum": (["--version=1", "--sha256=0"], "--sha256=0: expected 64 hexadecimal digits"),
    "output": (["--version=1", "--output=a[b]"], "--output=a[b]: TensorFlow takes"),
}


@pytest.mark.parametrize(("flags", "says"), USAGE.values(), ids=USAGE)
def test_usage(tmp_path, flags, says):
    """Flags that make no sense exit with 2 and one message, and TensorFlow is not waited for."""
    done = run(*flags, cwd=tmp_path, python=["-X", "importtime"])
    messages = [line for line in done.stderr.splitlines() if not line.startswith("import time:")]
    assert done.returncode == 2
    assert says in "\n".join(messages)
    assert len(messages) <= 3
    assert done.stdout == ""
    assert "slimhub.signatures.contract" in done.stderr
    assert "tensorflow" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("flag", ["--help", "--helpshort"])
def test_help(tmp_path, flag):
    """Asking for help is no failure, and shows the flags."""
    done = run(flag, cwd=tmp_path)
    assert done.returncode == 0
    assert "--checkpoint" in done.stdout


def test_unusable_checkpoints(tmp_path):
    """Checkpoints that are not there, or not what they should be, exit with 3; all are reported."""
    weights = tmp_path / "weights"
    weights.mkdir()
    archive = catalog.get("inception_v1").archive
    (weights / archive.name).write_bytes(b"<html>Log in to the network</html>")
    done = forked(*BOTH, f"--checkpoint={weights}", cwd=tmp_path)
    assert done.code == 3
    assert (
        f"{CLASSIFICATION}, {FEATURE_VECTOR} not exported:\n{weights / archive.name} can't be unpack"
        in done.stderr
    )
    assert "Not a gzipped file" in done.stderr
    assert f"There is no checkpoint of inception_v2 in {weights}. Tried: " in done.stderr
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == [weights]


def test_unusable_urls(tmp_path, serve):
    """A URL without the published archive exits with 3, and tells how to bring it by hand."""
    server = serve(fail(404), send(b"x" * catalog.get("inception_v2").archive.num_bytes))
    done = forked(*BOTH, f"--checkpoint={server.url}", cwd=tmp_path, NO_PROXY="127.0.0.1")
    assert done.code == 3
    assert f"  {server.url}: HTTP 404 Not Found\n" in done.stderr
    assert f"  {server.url}: SHA-256 " in done.stderr
    for model in map(catalog.get, INCEPTIONS):
        path = tmp_path / "cache" / "slimhub" / model.archive.name
        assert f"SHA-256 {model.archive.sha256}.\n" in done.stderr
        assert f"put it at {path}\n" in done.stderr
        assert f"pass --checkpoint=/path/to/{model.archive.name}\n" in done.stderr
    assert len(server.requests) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"cache"}


def test_no_network(tmp_path):
    """Without a network and with an empty cache, the export exits with 3 and names every place."""
    proxy = closed_url().rpartition("/")[0]
    environment = {"http_proxy": proxy, "https_proxy": proxy, "NO_PROXY": "", "no_proxy": ""}
    done = forked("--version=1", "--model=inception_v1", cwd=tmp_path, **environment)
    archive = catalog.get("inception_v1").archive
    message = done.stderr.partition("not exported:\n")[2]
    assert done.code == 3
    for url in archive.urls:
        assert message.count(url) == 1
    assert message.count("Connection refused") == len(archive.urls)
    assert f"put it at {tmp_path / 'cache' / 'slimhub' / archive.name}\n" in message
    assert len(message) < 2000
    assert done.stdout == ""


def test_output_is_a_file(tmp_path, archives):
    """An output that can't be written exits with 5 and says what is in the way."""
    (tmp_path / "modules").write_bytes(b"mine")
    done = forked(*ONE, f"--checkpoint={archives}", "--output=modules", cwd=tmp_path)
    assert done.code == 5
    assert f"modules/{FEATURE_VECTOR} can't be written: " in done.stderr
    assert f"{tmp_path / 'modules'} is no directory to write into" in done.stderr
    assert (tmp_path / "modules").read_bytes() == b"mine"


def test_existing_version(tmp_path, archives):
    """A version that exists stays and makes the exit code 4; the others are exported, and in the table."""
    existing = tmp_path / CLASSIFICATION
    existing.mkdir(parents=True)
    (existing / "old").write_bytes(b"old")
    flags = ("--version=1", "--model=inception_v1", "--output=.")
    done = run(*flags, f"--checkpoint={archives}", cwd=tmp_path)
    assert done.returncode == 4
    assert CLASSIFICATION not in done.stdout
    assert f"{CLASSIFICATION} not exported:\n{CLASSIFICATION} exists and was left" in done.stderr
    assert f"{FEATURE_VECTOR} not exported" not in done.stderr
    [row] = [line for line in done.stdout.splitlines() if FEATURE_VECTOR in line]
    handle, classes, signatures, size, parity, seconds = (
        cell.strip() for cell in row.strip("│").split("│")
    )
    assert (handle, classes, signatures) == (FEATURE_VECTOR, "", "2")
    assert 20 < float(size.removesuffix(" MB")) < 30
    assert 0 <= float(parity) <= 1e-5
    assert float(seconds) > 0
    assert "Weights: UNVERIFIED" in done.stdout
    exported = {f"{FEATURE_VECTOR}/{name}" for name in FILES}
    assert files(tmp_path) == {f"{CLASSIFICATION}/old"} | exported
    assert (existing / "old").read_bytes() == b"old"


def test_overwrite(tmp_path):
    """With --overwrite a version that exists does not keep an export from being tried."""
    (tmp_path / FEATURE_VECTOR).mkdir(parents=True)
    flags = (*ONE, "--checkpoint=none.ckpt", "--output=.")
    assert forked(*flags, cwd=tmp_path).code == 4
    assert forked(*flags, "--overwrite", cwd=tmp_path).code == 3
    assert (tmp_path / FEATURE_VECTOR).is_dir()


def test_first_failure_counts():
    """Of several failures the first gives the exit code; without any it is 0."""
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
