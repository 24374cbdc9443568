"""Bad inputs: each ends with one message and an exit code, and changes nothing."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import program
import pytest
from checkpoints import flipped, write_v2
from stem import STEM, stem_in_catalog

from slimhub.export.checkpoints import resolve, synthetic
from slimhub.export.errors import CheckpointError, DownloadError

HANDLE = "google/imagenet/stem/classification/3"
FLAGS = ("--version=3", "--model=stem", "--task=classification", "--output=modules", "--json")
# Lines of TensorFlow's and absl's logs: `I0000 00:00:1700000000.0`, `2026-01-01 00:00:00.0: E `.
LOGGED = re.compile(r"^([IWEF]\d{4} \d\d:\d\d|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\S*: )", re.MULTILINE)
BETA = "InceptionV1/Conv2d_1a_7x7/BatchNorm/beta"


@pytest.fixture(scope="module")
def weights() -> dict[str, np.ndarray]:
    """The weights of the small network, which every input here has in part."""
    with stem_in_catalog():
        return synthetic.weights(STEM)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bad:
    """An input that must be refused: flags, what they name, and the error's type and exit code."""

    flags: tuple[str, ...]
    make: Callable[[dict[str, np.ndarray], Path], None] = lambda weights, directory: None
    error: str = "SourceError"
    code: int = 3


def v1(**changes):
    """Return a maker of a V1 checkpoint with these changes."""

    def make(weights, directory):
        synthetic.write_checkpoint({**weights, **changes}, directory / "model.ckpt")

    return make


def truncated(weights, directory):
    v1()(weights, directory)
    path = directory / "model.ckpt"
    path.write_bytes(path.read_bytes()[:-99])


def without_data(weights, directory):
    write_v2(weights, directory / "model.ckpt")
    (directory / "model.ckpt.data-00000-of-00001").write_bytes(b"")


def other_network(weights, directory):
    others = {name.replace("V1", "V2"): array for name, array in weights.items()}
    synthetic.write_checkpoint(others, directory / "model.ckpt")


def bad_state(weights, directory):
    (directory / "checkpoint").write_bytes(b'model_checkpoint_path: "\xff')


def archive(weights, directory):
    (directory / "a.tar.gz").write_bytes(b"<html>Sign in</html>")


def two_labels(weights, directory):
    v1()(weights, directory)
    (directory / "labels.txt").write_bytes(b"daisy\nrose\n")


MODEL = ("--checkpoint=model.ckpt",)
INPUTS = {
    "absent": Bad(flags=MODEL),
    "name_not_utf8": Bad(flags=("--checkpoint=\udcff.ckpt",)),
    "name_too_long": Bad(flags=("--checkpoint=" + "n" * 300,)),
    "device": Bad(flags=("--checkpoint=/proc/self/mem",)),
    "url": Bad(flags=("--checkpoint=gs://bucket/model.ckpt",)),
    "no_host": Bad(flags=("--checkpoint=http:///a.tar.gz",), error="DownloadError"),
    "state_file": Bad(flags=("--checkpoint=.",), make=bad_state),
    "archive": Bad(flags=("--checkpoint=a.tar.gz",), make=archive, error="ArchiveError"),
    "truncated": Bad(flags=MODEL, make=truncated),
    "without_data": Bad(flags=MODEL, make=without_data),
    "pinned": Bad(flags=(*MODEL, f"--sha256={'0' * 64}"), make=v1()),
    "other_network": Bad(flags=MODEL, make=other_network, error="RestoreError"),
    "nan": Bad(
        flags=MODEL, make=v1(**{BETA: np.full(64, np.nan, np.float32)}), error="RestoreError"
    ),
    "escape": Bad(flags=MODEL, make=v1(**{"a\x1b[2J\nb": np.float32(1)}), error="RestoreError"),
    "averages": Bad(flags=(*MODEL, "--moving_averages"), make=v1(), error="RestoreError"),
    "labels": Bad(
        flags=(*MODEL, "--labels=labels.txt"), make=two_labels, error="UsageError", code=2
    ),
}


@pytest.mark.parametrize("bad", INPUTS.values(), ids=INPUTS)
def test_bad_input(weights, tmp_path, bad):
    """A bad input is refused with one short message; nothing is written, replaced or left."""
    directory, temporary = tmp_path / "run", tmp_path / "tmp"
    directory.mkdir()
    temporary.mkdir()
    bad.make(weights, directory)
    (directory / "modules" / HANDLE).mkdir(parents=True)
    (directory / "modules" / HANDLE / "saved_model.pb").write_bytes(b"old")
    before = contents(directory)
    flags = (*FLAGS, *bad.flags, "--overwrite")
    cache = tmp_path / "cache"
    done = program.run(*flags, cwd=directory, TMPDIR=str(temporary), XDG_CACHE_HOME=str(cache))
    assert done.code == bad.code, done.stderr
    [module] = json.loads(done.stdout)["modules"]
    assert (module["handle"], module["error"]["type"]) == (HANDLE, bad.error)
    first, *rest = done.stderr.splitlines()
    assert first == f"{HANDLE} not exported:"
    assert rest
    assert done.stderr.removesuffix("\n").replace("\n", "").isprintable()
    assert not LOGGED.search(done.stderr), done.stderr
    assert len(done.stderr) < 4000
    assert contents(directory) == before
    assert list(temporary.iterdir()) == []


USAGE = {
    # The last flag, or argument, is the one that is wrong.
    "no_version": (),
    **{
        f"version {text!r}": (f"--version={text}",)
        for text in ("", "2", "03", "3.0", " 3", "-1", "3\n", "x", "\u0663")
    },
    "version_twice": ("--version=1", "--version=3"),
    "checkpoint_twice": ("--version=3", "--checkpoint=a", "--checkpoint=b"),
    "contract_by_both_names": ("--version=3", "--contract=3", "--interface=3"),
    "model_not_utf8": ("--version=3", "--model=\udcff"),
    "model_unknown": ("--version=3", "--model=vgg"),
    "task_unknown": ("--version=3", "--task=detection"),
    "flag_unknown": ("--version=3", "--chekpoint=x"),
    "no_output": ("--version=3", "--output="),
    "labels_absent": ("--version=3", "--labels=absent"),
    "stray": ("--version=3", "model.ckpt"),
}


@pytest.mark.parametrize("flags", USAGE.values(), ids=USAGE)
def test_bad_flags(tmp_path, flags):
    """Flags that can't be parsed, or that contradict each other, exit with 2 and a short message."""
    (tmp_path / "run").mkdir()
    done = program.run(*flags, cwd=tmp_path / "run")
    wrong = flags[-1] if flags else "--version"
    assert (done.code, done.stdout) == (2, "")
    assert 1 <= len(done.stderr.splitlines()) <= 3
    assert wrong.lstrip("-").partition("=")[0] in done.stderr
    assert list((tmp_path / "run").iterdir()) == []


def contents(directory: Path) -> dict[Path, bytes | None]:
    """Return the bytes of all files below a directory, and None for what is no file."""
    return {path: path.read_bytes() if path.is_file() else None for path in directory.rglob("*")}


@pytest.mark.parametrize("at", [0.05, 0.45, 0.6, 0.99])
def test_published_archive(tmp_path, monkeypatch, at):
    """An archive that differs from the published one in a bit is never taken for it."""
    data = synthetic.write_archive(STEM, into=tmp_path).read_bytes()
    published = dataclasses.replace(
        STEM.archive, urls=(), num_bytes=len(data), sha256=hashlib.sha256(data).hexdigest()
    )
    model = dataclasses.replace(STEM, archive=published)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cached = tmp_path / "slimhub" / published.name
    cached.parent.mkdir()

    def status(source: str | None, name: str) -> str:
        (tmp_path / name).mkdir()
        return resolve.resolve(source, model=model, workdir=tmp_path / name).status

    cached.write_bytes(data)
    assert status(None, "good") == "verified"
    # The first ones are in the gzip's header, where nobody looks at most bits.
    head = 10 if at < 0.5 else len(data)
    changed = flipped(data[:head], at) + data[head:]
    cached.write_bytes(changed)
    with pytest.raises(DownloadError) as caught:
        status(None, "cached")
    digest = hashlib.sha256(changed).hexdigest()
    assert caught.value.failures == {str(cached): f"SHA-256 {digest}, expected {published.sha256}"}
    try:
        assert status(str(cached), "named") == "unverified"
    except CheckpointError:
        assert list((tmp_path / "named").iterdir()) == []
