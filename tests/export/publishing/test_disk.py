"""Disks that are full, and files and directories that may not be used: a clear error, and nothing left."""

import functools
import json
import os
import re
import tempfile
from pathlib import Path

import full_disk
import pytest
from program import Done
from publishing import read, write
from stem import STEM, stem_in_catalog
from workplace import Workplace

from slimhub.export.checkpoints import synthetic

pytestmark = pytest.mark.xdist_group("disk")


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> dict[str, str]:
    """Return values of `--checkpoint`: one that must be written first, unpacked first, or neither."""
    directory = tmp_path_factory.mktemp("weights")
    with stem_in_catalog():
        archive = synthetic.write_archive(STEM, into=directory)
        synthetic.write_checkpoint(synthetic.weights(STEM), directory / "stem.ckpt")
    return {
        "synthetic": "synthetic",
        "archive": str(archive),
        "file": str(directory / "stem.ckpt"),
    }


def assert_fails(done: Done, code: int, *says: str) -> None:
    """It ended with that exit code, and one message, in which TensorFlow logged nothing."""
    assert done.code == code, done
    assert done.stdout == ""
    assert done.stderr.startswith("google/imagenet/stem/feature_vector/")
    assert done.stderr.count("not exported:") == 1
    assert not re.search(r"^[IWEF]\d{4} |^WARNING", done.stderr, re.MULTILINE)
    for words in says:
        assert words in done.stderr


SMALL_FILES = {
    # Name: the version, the checkpoint, how large files may get, and the exit code.
    "synthetic": (3, "synthetic", 600_000, 3),
    "archive": (3, "archive", 1_200_000, 3),
    "graphs": (3, "file", 10_000, 5),
    "variables": (3, "file", 300_000, 5),
    "variables_5": (5, "file", 300_000, 5),
}


@pytest.mark.parametrize(
    ("version", "source", "num_bytes", "code"), SMALL_FILES.values(), ids=SMALL_FILES
)
def test_file_too_large(place, weights, version, source, num_bytes, code):
    """A file that can't be written whole ends the export with a message, and nothing is left."""
    before = functools.partial(full_disk.small_files, num_bytes)
    done = place.export(version, checkpoint=weights[source], before=before)
    assert_fails(done, code, "File too large")
    assert place.is_untouched()


def export_on_small_disk(
    place: Workplace, version: int, options: str, *flags: str, at: Path, checkpoint: str
) -> tuple[Done, list[str]]:
    """An export with a small file system at `at`, and all that was on that in the end."""
    at.mkdir(parents=True, exist_ok=True)
    left = place.directory.with_suffix(".left")
    before = functools.partial(full_disk.small_disk, at, options, left=left)
    done = place.export(version, *flags, checkpoint=checkpoint, before=before)
    if done.code == full_disk.NO_MOUNT:
        pytest.skip("No file system can be mounted here.")
    return done, json.loads(left.read_text())


TOO_LITTLE = {
    # What gets more with every run, until there is enough.
    "bytes": ("size={}k", range(4, 2000, 256)),
    "files": ("nr_inodes={}", range(1, 100, 4)),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("version", "flags"), [(3, ("--archive",)), (5, ())], ids=["3-archive", "5"]
)
@pytest.mark.parametrize(("options", "amounts"), TOO_LITTLE.values(), ids=TOO_LITTLE)
def test_full_disk(tmp_path, weights, version, flags, options, amounts):
    """Whatever can't be written as there is no room left, the export ends with 5, and nothing is left."""
    failures = 0
    for amount in amounts:
        place = Workplace(tmp_path / str(amount))
        done, left = export_on_small_disk(
            place,
            version,
            options.format(amount),
            *flags,
            at=place.directory / "modules",
            checkpoint=weights["file"],
        )
        assert list(place.tmp.iterdir()) == []
        if done.code == 0:
            break
        assert_fails(done, 5, f"feature_vector/{version} can't be written: ", "No space left")
        assert left == []
        failures += 1
    assert failures > 2
    assert f"google/imagenet/stem/feature_vector/{version}/saved_model.pb" in left
    archive = f"google/imagenet/stem/feature_vector/{version}.tar.gz"
    assert (archive in left) == ("--archive" in flags)
    assert not any(name.startswith(".") for path in left for name in path.split("/"))


FULL_TMPDIR = {
    "no_directory": ("nr_inodes=1", 5, "TMPDIR chooses"),
    "no_file": ("nr_inodes=2", 3, "inception_v1_2016_08_28.tar.gz can't be unpacked"),
    "half_a_file": ("size=1m", 3, "inception_v1_2016_08_28.tar.gz can't be unpacked"),
}


@pytest.mark.parametrize(("options", "code", "says"), FULL_TMPDIR.values(), ids=FULL_TMPDIR)
def test_full_temporary_directory(place, weights, options, code, says):
    """Without room to unpack a checkpoint, the export says where there is none, and nothing is left."""
    done, left = export_on_small_disk(
        place, 3, options, at=place.tmp, checkpoint=weights["archive"]
    )
    assert_fails(done, code, says, str(place.tmp), "No space left", "TMPDIR chooses")
    assert left == []
    assert place.is_untouched()


@pytest.mark.parametrize("existing", [None, 3], ids=["fresh", "overwrite"])
def test_unwritable_output(place, existing):
    """An output that one may not write into exits with 5 before any work is done."""
    closed = place.directory / "modules"
    if existing:
        closed = place.target(existing).parent
        write(place.target(existing), {"old": b"old"})
    closed.mkdir(exist_ok=True)
    closed.chmod(0o555)
    # Of a checkpoint that isn't there, nobody would look for that either.
    how = {"checkpoint": "absent.ckpt", "before": full_disk.no_privileges}
    done = place.export(3, "--overwrite", **how)
    assert_fails(done, 5, str(closed))
    assert read(place.directory / "modules") == (
        {"google/imagenet/stem/feature_vector/3/old": b"old"} if existing else {}
    )
    assert list(place.tmp.iterdir()) == []


def test_other_file_system(place, weights):
    """Output and temporary directory may be on different file systems."""
    elsewhere = "/dev/shm"
    if not os.access(elsewhere, os.W_OK) or os.stat(elsewhere).st_dev == place.tmp.stat().st_dev:
        pytest.skip(f"{elsewhere} is no other file system here.")
    with tempfile.TemporaryDirectory(dir=elsewhere) as directory:
        assert place.export(3, checkpoint=weights["archive"], TMPDIR=directory).code == 0
        assert list(Path(directory).iterdir()) == []
        other = Workplace(Path(directory) / "place")
        assert other.export(5, checkpoint=weights["archive"], TMPDIR=str(place.tmp)).code == 0
        assert list(place.tmp.iterdir()) == []


@pytest.mark.parametrize("source", ["archive", "file"])
def test_unreadable_checkpoint(place, weights, source):
    """A checkpoint that one may not read exits with 3, and is named."""
    checkpoint = place.directory.with_suffix(".weights") / Path(weights[source]).name
    write(checkpoint.parent, {checkpoint.name: b""})
    checkpoint.chmod(0)
    done = place.export(3, checkpoint=checkpoint, before=full_disk.no_privileges)
    assert_fails(done, 3, "Permission denied", str(checkpoint))
    assert place.is_untouched()


def _closed(path: Path) -> None:
    path.mkdir(mode=0o555)


@pytest.mark.parametrize("make", [Path.absolute, _closed], ids=["absent", "closed"])
def test_no_temporary_directory(place, make):
    """A TMPDIR that can't be used is not passed over: the export exits with 5, and says who chose it."""
    path = place.directory.with_suffix(".tmp")
    make(path)
    done = place.export(3, TMPDIR=str(path), before=full_disk.no_privileges)
    assert_fails(done, 5, "TMPDIR", str(path))
    assert place.is_untouched()
