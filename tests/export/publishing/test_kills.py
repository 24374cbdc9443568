"""Runs that are killed or stopped, wherever they are: a version is there whole, or not at all."""

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import kill_points
import program
import pytest
from publishing import read
from workplace import Workplace

from slimhub.signatures.module import module_archive

pytestmark = pytest.mark.xdist_group("kills")

VERSION = 5
STOPS = {signal.SIGINT: 130, signal.SIGTERM: 143}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Whole:
    """A complete run with `--archive`: its duration in seconds, and the files and the archive that it wrote."""

    seconds: float
    files: dict[str, bytes]
    archive: bytes


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Whole:
    """Return a run that nobody stops: the second, since the first one imports what the others share."""
    for _ in range(2):
        place, begin = Workplace(tmp_path_factory.mktemp("whole")), time.monotonic()
        assert place.export(VERSION, "--archive").code == 0
        seconds = time.monotonic() - begin
    target = place.target(VERSION)
    archive = module_archive.path_of(target).read_bytes()
    return Whole(seconds=seconds, files=read(target), archive=archive)


def stop(run: program.Run, number: int, *, after: float) -> program.Done:
    """Send a signal to a run `after` seconds after its start."""
    while not run.stderr.exists():
        time.sleep(0.002)
    time.sleep(after)
    # It may be done.
    with contextlib.suppress(ProcessLookupError):
        run.signal(number)
    return run.wait()


FLAGS = ("--overwrite", "--archive")


@pytest.mark.slow
def test_kill(place, whole):
    """A run that is killed leaves a whole version or none, as its archive, and the next clears what else it leaves."""
    target, left = place.target(VERSION), Counter()
    for staging, scratch in kills(place, whole):
        left.update(staging=staging, scratch=scratch)
        shutil.rmtree(target, ignore_errors=True)
        module_archive.path_of(target).unlink(missing_ok=True)
    # Or nothing was tested.
    assert left["staging"] > 0
    assert left["scratch"] > 0


@pytest.mark.slow
def test_kill_while_overwriting(place, whole):
    """While a version is written anew, and after a kill, the old one is there whole, and its archive."""
    assert place.export(VERSION, *FLAGS).code == 0
    left = list(kills(place, whole))
    assert any(staging for staging, _ in left)


def kills(place: Workplace, whole: Whole) -> Iterator[tuple[int, int]]:
    """Kill runs at a few moments, check what is left, and yield how many staging and temporary directories are.

    `kill_points.py` has every event of publishing.
    """
    target = place.target(VERSION)
    archive = module_archive.path_of(target)
    for kill in range(1, 6):
        run = place.start(VERSION, *FLAGS)
        done = stop(run, signal.SIGKILL, after=whole.seconds * kill / 6)
        assert done.code in (-signal.SIGKILL, 0)
        assert not target.exists() or read(target) == whole.files
        assert not archive.exists() or archive.read_bytes() == whole.archive
        # Of several kills in a row, the next run has removed what the one before left.
        staging = sum(name.startswith(".5.staging-") for name in place.versions())
        scratch = len(list(place.tmp.iterdir()))
        assert max(staging, scratch) <= 1
        yield staging, scratch
    assert place.export(VERSION, *FLAGS).code == 0
    assert (read(target), archive.read_bytes()) == (whole.files, whole.archive)
    assert place.versions() == [target.name, archive.name]
    assert list(place.tmp.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", STOPS)
def test_stop(tmp_path, whole, number):
    """SIGINT and SIGTERM end a run with one line and their exit codes, and nothing is left of it."""
    for tenth in (3, 6, 9):
        place = Workplace(tmp_path / str(tenth))
        done = stop(place.start(VERSION), number, after=whole.seconds * tenth / 10)
        if done.code != 0:
            assert (done.code, done.stderr) == (STOPS[number], f"Stopped by {number.name}.\n")
        if place.target(VERSION).exists():
            assert read(place.target(VERSION)) == whole.files
            assert place.versions() == [str(VERSION)]
            assert list(place.tmp.iterdir()) == []
        else:
            assert place.is_untouched()


PREFIX = f"modules/{kill_points.VERSION}/"
MODEL = f"{kill_points.VERSION}/saved_model.pb"


def points(directory: Path, number: int, existing: str, archives: str) -> list[dict]:
    """Publish with a signal at each file-system event, and look at what is left; see `kill_points.py`."""
    command = [sys.executable, kill_points.__file__, f"{number:d}", existing, archives, directory]
    # For the helpers that it imports, which are not all beside it.
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) > 40
    assert {"os.mkdir", "open", "fcntl.flock", "os.rename"} <= {point["event"] for point in found}
    return found


def version(files: dict[str, bytes] | None, *, archive: bool = False) -> dict[str, str]:
    """Return the files and the archive that a run left, whose content says which version they are."""
    words = {name: content.decode() for name, content in (files or {}).items()}
    left = {f"{PREFIX}{name}": word for name, word in words.items()}
    if archive:
        left[f"modules/{kill_points.ARCHIVE}"] = words["saved_model.pb"]
    return left | {"tmp/": ""}


SCENES = [
    # What is there, and which of the versions, old and new, have an archive.
    ("fresh", "none"),
    ("fresh", "new"),
    ("overwrite", "none"),
    ("overwrite", "old"),
    ("overwrite", "new"),
    ("overwrite", "old,new"),
    ("left", "none"),
]
scenes = pytest.mark.parametrize(("existing", "archives"), SCENES, ids=map("-".join, SCENES))


@scenes
def test_kill_at_every_event(tmp_path, existing, archives):
    """A kill at any event leaves a whole version or none, with no archive of another; the next run puts an old one back."""
    before = None if existing == "fresh" else kill_points.OLD
    seen = Counter()
    for point in points(tmp_path, signal.SIGKILL, existing, archives):
        assert point["code"] == -signal.SIGKILL
        for state in ("left", "failed"):
            files = point[state]
            model, archive = (files.get(f"modules/{name}") for name in (MODEL, kill_points.ARCHIVE))
            of_version = {name: files[name] for name in files if name.startswith(PREFIX)}
            wholes = [before, kill_points.NEW, *([None] if state == "left" else [])]
            assert of_version | {"tmp/": ""} in map(version, wholes), point
            assert archive in (None, model), point
            assert archive is None or archive in archives, point
            seen[state, model, archive] += 1
        assert not any("/." in name for name in point["failed"] if name.startswith("modules/")), (
            point
        )
        assert point["next"] == version(kill_points.NEXT, archive="new" in archives), point
    # Or nothing was tested.
    for which in ("old", "new"):
        assert which not in archives or seen["left", which, which] > 0
    if existing != "fresh":
        assert seen["left", None, None] > 0


@pytest.mark.parametrize("number", STOPS)
@pytest.mark.parametrize(("existing", "archives"), SCENES[:-1], ids=map("-".join, SCENES[:-1]))
def test_stop_at_every_event(tmp_path, number, existing, archives):
    """SIGINT and SIGTERM at any event leave the old version or the new one, with its archive, and nothing else."""
    before = kill_points.OLD if existing == "overwrite" else None
    may_be_left = [
        version(before, archive="old" in archives),
        version(kill_points.NEW, archive="new" in archives),
    ]
    for point in points(tmp_path, number, existing, archives):
        assert point["code"] == STOPS[number]
        assert point["left"] in may_be_left, point
        assert point["next"] == version(kill_points.NEXT, archive="new" in archives), point
