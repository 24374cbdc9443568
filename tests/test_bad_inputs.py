"""What can be wrong with an input: each ends with one message and an exit code, and changes nothing."""

import contextlib
import dataclasses
import hashlib
import re
import shutil
from pathlib import Path

import numpy as np
import program
import pytest
from bad_inputs import corpus, flips
from inputs import ARCHIVE, Bad, Good, flipped, make_good, offsets
from stem import STEM

from slimhub.export import checkpoint, restore
from slimhub.export.errors import CheckpointError, DownloadError

pytestmark = pytest.mark.xdist_group("bad_inputs")

CORPUS, FLIPS = corpus(), flips()
HANDLE = "google/imagenet/stem/classification/3"
STEM_FLAGS = ("--version=3", "--model=stem", "--task=classification", "--output=modules")
# Lines of TensorFlow's and absl's logs: `I0000 00:00:1700000000.0`, `2026-01-01 00:00:00.0: E `.
LOGGED = re.compile(r"^([IWEF]\d{4} \d\d:\d\d|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\S*: )", re.MULTILINE)
MAX_MESSAGE = 4000


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Good:
    return make_good(tmp_path_factory.mktemp("good"))


@pytest.fixture
def place(tmp_path):
    """A directory that does not outlive the test: hundreds of them hold a checkpoint each."""
    yield tmp_path / "run"
    shutil.rmtree(tmp_path)


def contents(directory: Path) -> dict[str, bytes | str]:
    """Of all below: the bytes of files, and what else there is."""
    return {
        str(path): path.read_bytes()
        if path.is_file()
        else "directory"
        if path.is_dir()
        else "other"
        for path in directory.rglob("*")
    }


def make(bad: Bad, good: Good, directory: Path) -> Path:
    directory.mkdir()
    bad.make(good, directory)
    return directory


def assert_refused(bad: Bad, place: Path) -> None:
    """Runs the program on what was made."""
    flags = (*STEM_FLAGS, *bad.flags)
    if bad.whole:
        flags = bad.flags
    # Every other input finds a version that it would replace, and the others nothing at all.
    elif hashlib.sha256(bad.id.encode()).digest()[0] % 2:
        (place / "modules" / HANDLE).mkdir(parents=True)
        (place / "modules" / HANDLE / "saved_model.pb").write_bytes(b"old")
        flags = (*flags, "--overwrite")
    temporary, cache = place.with_name("tmp"), place.with_name("cache")
    temporary.mkdir()
    before = contents(place)
    done = program.run(*flags, cwd=place, TMPDIR=str(temporary), XDG_CACHE_HOME=str(cache))
    assert (bad.id, done.code) == (bad.id, bad.code), done.stderr
    assert bad.says in done.stderr, bad.id
    first, *rest = done.stderr.splitlines()
    if bad.code != 2:
        assert first == f"{HANDLE} not exported:", bad.id
        assert rest, bad.id
    assert "not exported" not in "\n".join(rest), bad.id
    assert not LOGGED.search(done.stderr), done.stderr
    assert len(done.stderr) < MAX_MESSAGE, bad.id
    assert done.stdout == "", bad.id
    assert contents(place) == before, bad.id
    assert list(temporary.iterdir()) == [], bad.id


@pytest.mark.parametrize("bad", CORPUS, ids=lambda bad: bad.id)
def test_bad_input(good, place, bad):
    """It is refused with one short message that names what is wrong; nothing is written or left."""
    make(bad, good, place)
    assert_refused(bad, place)


@pytest.mark.parametrize("bad", FLIPS, ids=lambda bad: bad.id)
def test_flip(good, place, bad):
    """A bit that is not what it was is noticed, or is none of which weights are read."""
    make(bad, good, place)
    weights = None
    with contextlib.suppress(CheckpointError):
        weights = read(place / bad.flags[0].partition("=")[2], good)
    if weights is None:
        assert_refused(bad, place)
    else:
        assert_same(weights, good)


def read(path: Path, good: Good) -> dict[str, np.ndarray]:
    workdir = path.parent.with_name("workdir")
    workdir.mkdir()
    found = checkpoint.resolve(str(path), model=STEM, workdir=workdir)
    assert found.status == "unverified"
    shapes = {name: array.shape for name, array in good.arrays.items()}
    return restore.restore(restore.Reader(found.path), model=STEM, shapes=shapes)


def assert_same(weights: dict[str, np.ndarray], good: Good) -> None:
    assert weights.keys() == good.arrays.keys()
    for name, array in good.arrays.items():
        assert weights[name].tobytes() == array.tobytes(), name


def test_good_input(good, place):
    """What the bad inputs are made from is good, in every form."""
    place.mkdir()
    (place / ARCHIVE).write_bytes(good.archive)
    assert_same(read(place / ARCHIVE, good), good)


@pytest.mark.parametrize("at", offsets("published", 12))
def test_published_archive(good, place, monkeypatch, at):
    """With a bit that isn't the published archive's, none is taken for it, whether it is read or not."""
    published = dataclasses.replace(
        STEM.archive,
        urls=(),
        num_bytes=len(good.archive),
        sha256=hashlib.sha256(good.archive).hexdigest(),
    )
    model = dataclasses.replace(STEM, archive=published)
    monkeypatch.setenv("XDG_CACHE_HOME", str(place))
    cached = place / "slimhub" / published.name
    cached.parent.mkdir(parents=True)
    cached.write_bytes(good.archive)
    workdirs = [place / name for name in ("good", "bad", "named")]
    for workdir in workdirs:
        workdir.mkdir()
    assert checkpoint.resolve(None, model=model, workdir=workdirs[0]).status == "verified"
    # Half of them in the header of the gzip, where nobody looks at most bits.
    data = good.archive
    head = 10 if at < 0.5 else len(data)
    cached.write_bytes(flipped(data[:head], at) + data[head:])
    with pytest.raises(DownloadError, match=f"SHA-256 .*, expected {published.sha256}"):
        checkpoint.resolve(None, model=model, workdir=workdirs[1])
    with contextlib.suppress(CheckpointError):
        found = checkpoint.resolve(str(cached), model=model, workdir=workdirs[2])
        assert found.status == "unverified"


def test_corpus(good, place):
    """There are more than 300 inputs that must be refused, and all are the same every time."""
    assert len(CORPUS) >= 300
    ids = [bad.id for bad in (*CORPUS, *FLIPS)]
    assert len(set(ids)) == len(ids)
    again = (*corpus(), *flips())
    assert [bad.id for bad in again] == ids
    for first, second in zip((*CORPUS, *FLIPS), again, strict=True):
        assert (first.flags, first.code, first.says) == (second.flags, second.code, second.says)
        made = []
        for bad in (first, second):
            made.append(contents_of(make(bad, good, place)))
            shutil.rmtree(place)
        assert made[0] == made[1], first.id


def contents_of(directory: Path) -> dict[str, bytes | str]:
    return {
        str(Path(path).relative_to(directory)): data for path, data in contents(directory).items()
    }
