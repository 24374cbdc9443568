"""Runs that are killed or stopped, wherever they are: a version is there whole, or not at all."""

import json
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import kill_points
import pytest
from publishing import read
from workplace import Whole, Workplace, stop, whole_run

from slimhub.export import module_archive
from slimhub.signatures import conformance

pytestmark = pytest.mark.xdist_group("kills")

KILLS = 25
STOPS = {signal.SIGINT: 130, signal.SIGTERM: 143}


VERSIONS = [
    # Side by side: they take minutes.
    pytest.param(version, id=str(version), marks=pytest.mark.xdist_group(f"kills-{version}"))
    for version in (3, 5)
]


@pytest.fixture(scope="module", params=VERSIONS)
def whole(request, tmp_path_factory) -> Whole:
    """A run that nobody stops, of one version after the other."""
    return whole_run(tmp_path_factory.mktemp("whole"), request.param)


@pytest.fixture
def place(tmp_path) -> Workplace:
    return Workplace(tmp_path / "place")


@pytest.mark.slow
def test_kill(place, whole):
    """A run that is killed leaves a whole version or none, and whatever it leaves, the next clears."""
    target, left = place.target(whole.version), Counter()
    for kill in range(KILLS):
        run = place.start(whole.version)
        done = stop(run, signal.SIGKILL, after=whole.seconds * kill / KILLS)
        assert done.code in (-signal.SIGKILL, 0)
        if target.exists():
            assert read(target) == whole.files
            left["version"] += 1
        staging = [name for name in place.versions() if name.startswith(".")]
        scratch = list(place.tmp.iterdir())
        # Of several kills in a row, the next run has removed what the one before left.
        assert len(staging) <= 1
        assert len(scratch) <= 1
        left["staging"] += len(staging)
        left["scratch"] += len(scratch)
        if kill % 4 == 0:
            assert place.export(whole.version, "--overwrite").code == 0
            assert read(target) == whole.files
            assert place.versions() == [target.name]
            assert list(place.tmp.iterdir()) == []
        shutil.rmtree(target, ignore_errors=True)
    # Or nothing was tested.
    assert left["staging"] > 0
    assert left["scratch"] > 0


@pytest.mark.slow
def test_kill_while_overwriting(place, whole):
    """While a version is overwritten, and after a kill, a whole one is there at any moment."""
    target = place.target(whole.version)
    assert place.export(whole.version).code == 0
    for kill in range(KILLS):
        run = place.start(whole.version, "--overwrite")
        moment = whole.seconds * (kill + 1) / KILLS
        stop(run, signal.SIGKILL, after=moment, watch=(target / "saved_model.pb").read_bytes)
        assert read(target) == whole.files
        assert len(place.versions()) <= 2
        assert len(list(place.tmp.iterdir())) <= 1
    assert place.export(whole.version, "--overwrite").code == 0
    assert conformance.check(target).ok
    assert place.versions() == [target.name]
    assert list(place.tmp.iterdir()) == []


@pytest.mark.slow
def test_kill_while_overwriting_with_archive(place, whole):
    """After a kill, a version that had an archive has it whole or not at all, and gets it from the next."""
    archive = module_archive.path_of(place.target(whole.version))
    assert place.export(whole.version, "--archive").code == 0
    expected = archive.read_bytes()
    for kill in range(KILLS):
        run = place.start(whole.version, "--overwrite", "--archive")
        stop(run, signal.SIGKILL, after=whole.seconds * (kill + 1) / KILLS)
        assert read(place.target(whole.version)) == whole.files
        assert not archive.exists() or archive.read_bytes() == expected
    assert place.export(whole.version, "--overwrite", "--archive").code == 0
    assert archive.read_bytes() == expected
    assert place.versions() == [str(whole.version), archive.name]


@pytest.mark.slow
@pytest.mark.parametrize("number", STOPS)
def test_stop(tmp_path, whole, number):
    """SIGINT and SIGTERM end a run with one line and their exit codes, and nothing is left of it."""
    for tenth in range(2, 10):
        place = Workplace(tmp_path / str(tenth))
        done = stop(place.start(whole.version), number, after=whole.seconds * tenth / 10)
        if done.code != 0:
            assert (done.code, done.stderr) == (STOPS[number], f"Stopped by {number.name}.\n")
        if place.target(whole.version).exists():
            assert read(place.target(whole.version)) == whole.files
            assert place.versions() == [str(whole.version)]
            assert list(place.tmp.iterdir()) == []
        else:
            assert place.is_untouched()


def points(
    directory: Path, number: int, how: str, existing: str, archives: str = "none"
) -> list[dict]:
    """What a signal at each file-system event of publishing leaves; see `kill_points.py`."""
    scene = [str(int(number)), how, existing, archives]
    command = [sys.executable, kill_points.__file__, *scene, directory]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) > 40
    assert {"os.mkdir", "open", "fcntl.flock", "os.rename"} <= {point["event"] for point in found}
    return found


def version(files: dict[str, bytes] | None, *, archive: bool = False) -> dict[str, str]:
    """What is there of a run that is over, if `files` are its version; its archive says which it is."""
    words = {name: content.decode() for name, content in (files or {}).items()}
    left = {f"modules/{kill_points.VERSION}/{name}": word for name, word in words.items()}
    if archive:
        left[f"modules/{kill_points.ARCHIVE}"] = words["saved_model.pb"]
    return left | {"tmp/": ""}


HOW = [
    ("exchange", "fresh"),
    ("exchange", "overwrite"),
    ("rename", "overwrite"),
    ("exchange", "left"),
]


@pytest.mark.parametrize(("how", "existing"), HOW, ids=map("-".join, HOW))
def test_kill_at_every_event(tmp_path, how, existing):
    """A kill at any file-system event leaves a version whole, old or new, and the next run only its own."""
    may_be_absent = (how, existing) != ("exchange", "overwrite")
    for point in points(tmp_path, signal.SIGKILL, how, existing):
        prefix = f"modules/{kill_points.VERSION}/"
        left = {name: point["left"][name] for name in point["left"] if name.startswith(prefix)}
        wholes = [version(files) for files in (kill_points.OLD, kill_points.NEW)]
        assert point["code"] == -signal.SIGKILL
        assert left | {"tmp/": ""} in wholes or (may_be_absent and left == {}), point
        assert point["next"] == version(kill_points.NEXT), point


@pytest.mark.parametrize("number", STOPS)
@pytest.mark.parametrize(("how", "existing"), HOW[:3], ids=map("-".join, HOW[:3]))
def test_stop_at_every_event(tmp_path, number, how, existing):
    """SIGINT and SIGTERM at any file-system event leave the old version or the new one, and nothing else."""
    before = kill_points.OLD if existing == "overwrite" else None
    for point in points(tmp_path, number, how, existing):
        assert point["code"] == STOPS[number]
        assert point["left"] in (version(before), version(kill_points.NEW)), point
        assert point["next"] == version(kill_points.NEXT), point


ARCHIVES = [
    # How, over what, and which of the versions, old and new, have an archive.
    ("exchange", "fresh", "new"),
    ("exchange", "overwrite", "old"),
    ("exchange", "overwrite", "new"),
    ("exchange", "overwrite", "old,new"),
    ("rename", "overwrite", "old,new"),
]


@pytest.mark.parametrize(("how", "existing", "archives"), ARCHIVES, ids=map("-".join, ARCHIVES))
def test_kill_at_every_event_with_archive(tmp_path, how, existing, archives):
    """A kill at any file-system event leaves no archive but that of the very version that is there."""
    seen = Counter()
    for point in points(tmp_path, signal.SIGKILL, how, existing, archives):
        left = point["left"]
        model = left.get(f"modules/{kill_points.VERSION}/saved_model.pb")
        archive = left.get(f"modules/{kill_points.ARCHIVE}")
        assert archive in (None, model), point
        assert archive is None or archive in archives, point
        assert point["next"] == version(kill_points.NEXT, archive="new" in archives), point
        seen[model, archive] += 1
    # Or nothing was tested.
    if "old" in archives:
        assert seen["old", "old"] > 0
    if "new" in archives:
        assert seen["new", "new"] > 0


@pytest.mark.parametrize("number", STOPS)
@pytest.mark.parametrize(("how", "existing", "archives"), ARCHIVES, ids=map("-".join, ARCHIVES))
def test_stop_at_every_event_with_archive(tmp_path, number, how, existing, archives):
    """SIGINT and SIGTERM at any file-system event leave one version with its archive, and nothing else."""
    before = kill_points.OLD if existing == "overwrite" else None
    may_be_left = [
        version(before, archive="old" in archives),
        version(kill_points.NEW, archive="new" in archives),
    ]
    for point in points(tmp_path, number, how, existing, archives):
        assert point["code"] == STOPS[number]
        assert point["left"] in may_be_left, point
