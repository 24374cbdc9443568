"""Archives by the command lines: `python -m slimhub.export --archive`, and `python -m slimhub.export.archive`."""

import functools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import full_disk
import program
import pytest
from publishing import read, write
from stem import STEM, stem_in_catalog

from slimhub.export.checkpoints import synthetic
from slimhub.signatures.module import module_archive
from slimhub.signatures.module.provenance import sha256

pytestmark = pytest.mark.xdist_group("archives")


@pytest.fixture
def modules(stem, tmp_path) -> Path:
    """A directory with versions that have no archives."""
    return shutil.copytree(stem, tmp_path / "work" / "modules", ignore=shutil.ignore_patterns("4"))


def archive(*arguments: str | Path, cwd: Path, **how) -> program.Done:
    return program.run(*map(str, arguments), command=program.ARCHIVE, cwd=cwd, **how)


def packed(directory: Path) -> bytes:
    """The archive that a module should have."""
    into = directory.parents[1] / "expected.tar.gz"
    module_archive.pack(directory, into=into)
    content = into.read_bytes()
    into.unlink()
    return content


@pytest.mark.parametrize("version", [3, 5])
def test_export(place, version):
    """With --archive, an export writes the archive beside the version, and its report says which."""
    done = place.export(version, "--archive", "--json")
    assert (done.code, done.stderr) == (0, "")
    assert place.versions() == [f"{version}", f"{version}.tar.gz"]
    target = place.target(version)
    path = module_archive.path_of(target)
    assert path.read_bytes() == packed(target)
    [found] = json.loads(done.stdout)["modules"]
    assert found["archive"] == {
        "path": str(path.relative_to(place.directory)),
        "num_bytes": path.stat().st_size,
        "sha256": sha256(path),
    }
    assert list(place.tmp.iterdir()) == []


def test_export_over_an_archive(place):
    """An archive is overwritten with its version, also without --archive; alone it is refused."""
    assert place.export(3, "--archive").code == 0
    before = module_archive.path_of(place.target(3)).read_bytes()
    module_archive.path_of(place.target(3)).write_bytes(b"of the old version")
    assert place.export(3).code == 4
    assert place.export(3, "--overwrite").code == 0
    assert module_archive.path_of(place.target(3)).read_bytes() == before
    shutil.rmtree(place.target(3))
    done = place.export(3)
    assert done.code == 4
    assert "feature_vector/3.tar.gz exists and was left as it is: --overwrite" in done.stderr
    assert place.versions() == ["3.tar.gz"]


def small_archives():
    """Limit the size of every file from when an archive is written, for `program.start`."""
    pack = module_archive.pack

    def limited(*args, **kwargs):
        full_disk.small_files(530_000)
        return pack(*args, **kwargs)

    module_archive.pack = limited


def test_export_without_room_for_the_archive(place):
    """If its archive can't be written, a version is not published either, and the old one stays."""
    # One that needs not be unpacked.
    weights = place.directory.with_suffix(".ckpt")
    with stem_in_catalog():
        synthetic.write_checkpoint(synthetic.weights(STEM), weights)
    write(place.target(3), {"old": b"old"})
    done = place.export(3, "--overwrite", "--archive", before=small_archives, checkpoint=weights)
    assert done.code == 5
    assert "feature_vector/3 can't be written: " in done.stderr
    assert "File too large" in done.stderr
    assert read(place.directory) == {"modules/google/imagenet/stem/feature_vector/3/old": b"old"}
    assert list(place.tmp.iterdir()) == []


def test_later(modules):
    """The archives of versions that have none are written beside them, and the table says which."""
    done = archive("modules/1", "modules/5/", cwd=modules.parent)
    assert (done.code, done.stderr) == (0, "")
    assert {path.name for path in modules.iterdir()} == {"1", "1.tar.gz", "3", "5", "5.tar.gz"}
    for version in ("1", "5"):
        path = modules / f"{version}.tar.gz"
        assert path.read_bytes() == packed(modules / version)
        assert f"modules/{version}.tar.gz" in done.stdout
        assert sha256(path) in done.stdout


def test_later_from_inside(modules):
    """A module is archived beside itself, however it is named."""
    (modules.parent / "latest").symlink_to("modules/3")
    for name, cwd in (
        (".", modules / "3"),
        ("modules/5/variables/..", modules.parent),
        ("latest", modules.parent),
    ):
        assert archive(name, cwd=cwd).code == 0
    archives = {
        path.relative_to(modules.parent).as_posix() for path in modules.parent.rglob("*.gz")
    }
    assert archives == {"modules/3.tar.gz", "modules/5.tar.gz"}


def test_later_as_json(modules):
    """With --json, stdout is the report of all archives, and of what went wrong; others are written."""
    (modules / "3" / "extra").write_bytes(b"x")
    (modules / "5.tar.gz").mkdir()
    done = archive("--json", *(f"modules/{one}" for one in (1, 3, 5, 7)), cwd=modules.parent)
    report = json.loads(done.stdout)
    assert done.code == report["exit_code"] == 1
    first, *failed = report["archives"]
    assert first == {
        "directory": "modules/1",
        "archive": {
            "path": "modules/1.tar.gz",
            "num_bytes": (modules / "1.tar.gz").stat().st_size,
            "sha256": sha256(modules / "1.tar.gz"),
        },
        "error": None,
    }
    errors = [one["error"] for one in failed if one["archive"] is None]
    assert [error["exit_code"] for error in errors] == [1, 5, 1]
    assert done.stderr == "".join(f"{error['message']}\n" for error in errors)
    assert {path.name for path in modules.iterdir()} == {"1", "1.tar.gz", "3", "5", "5.tar.gz"}


def test_later_without_room(modules):
    """An archive that can't be written whole exits with 5, and leaves nothing, and the one before."""
    path = modules / "3.tar.gz"
    path.write_bytes(b"before")
    before = functools.partial(full_disk.small_files, 100_000)
    done = archive("modules/3", cwd=modules.parent, before=before)
    assert done.code == 5
    assert done.stderr.startswith("modules/3.tar.gz can't be written: ")
    assert path.read_bytes() == b"before"
    assert {path.name for path in modules.iterdir()} == {"1", "3", "3.tar.gz", "5"}


@pytest.mark.parametrize("arguments", [(), ("--jsn", ".")], ids=["no_directory", "unknown_flag"])
def test_usage_of_archive(modules, arguments):
    """A command line that makes no sense exits with 2, and says why on stderr."""
    done = archive(*arguments, cwd=modules.parent)
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr


def test_without_tensorflow(modules):
    """Nobody waits for TensorFlow, only to have archives written."""
    command = [sys.executable, "-X", "importtime", "-m", "slimhub.export.archive", modules / "3"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "slimhub.signatures.module.module_archive" in done.stderr
    assert "tensorflow" not in done.stderr
    assert read(modules)["3.tar.gz"] == packed(modules / "3")
