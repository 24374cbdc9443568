"""Checks of modules in archives, by the command line."""

import functools
import json
import shutil
import signal
import tarfile
import time
from pathlib import Path

import full_disk
import program
import pytest
from bad_archives import ARCHIVES, entry, tar_gz
from hostile import check, listing
from hostile_contents import CONTENTS
from misbehaving_checks import WAYS, misbehave
from publishing import read

from slimhub.signatures.contract import contract
from slimhub.signatures.module import module_archive

pytestmark = pytest.mark.xdist_group("hostile")


@pytest.fixture
def work(tmp_path) -> Path:
    """Where the command line runs."""
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


@pytest.fixture
def tmp(tmp_path) -> Path:
    """The directory of temporary ones."""
    (tmp_path / "tmp").mkdir()
    return tmp_path / "tmp"


@pytest.fixture
def report(work, tmp):
    """A function that checks a file by the command line, and gives the report."""

    def report(archive: Path, *flags: str, code=1, **how):
        before = listing(work)
        done = check(work, "--json", *flags, str(archive), TMPDIR=str(tmp), **how)
        assert (done.code, done.stderr) == (code, "")
        assert listing(work) == before, "nothing was written"
        assert list(tmp.iterdir()) == [], "nothing stayed"
        [found] = json.loads(done.stdout)
        return found

    return report


@pytest.fixture(scope="module")
def good(stem, tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("good") / "3.tar.gz"
    module_archive.pack(stem / "3", into=path)
    return path.read_bytes()


def problems(report) -> dict[str, str]:
    return {one["id"]: "\n".join(one["problems"]) for one in report["results"] if one["problems"]}


@pytest.mark.parametrize("version", contract.VERSIONS)
def test_good(stem, work, report, version):
    """An archive of a good module passes all its checks, and is what the report names."""
    module_archive.pack(stem / str(version), into=work / "3.tar.gz")
    found = report(work / "3.tar.gz", code=0)
    assert found["ok"]
    assert found["directory"] == str(work / "3.tar.gz")
    assert found["handle"] == f"google/imagenet/stem/feature_vector/{version}"


def test_of_others(stem, work, report):
    """Any .tar.gz will do whose root is a module: of `tar`, compressed, with owners, times and headers."""
    for number, form in enumerate([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]):
        path = work / f"{number}.tgz"
        with tarfile.open(path, "w:gz", format=form) as archive:
            archive.add(stem / "5", arcname="." if number else "")
        assert report(path, code=0)["ok"]


def test_broken_module(stem, work, report):
    """Problems of the module are said of the archive, and not of where it was unpacked."""
    files = read(stem / "3")
    # TensorFlow names the path of a file whose values have another checksum.
    files["variables/variables.data-00000-of-00001"] = bytes(500_224)
    directories = [entry(name, b"", tarfile.DIRTYPE) for name in ("assets.extra", "variables")]
    content = tar_gz(*directories, *(entry(name, data) for name, data in files.items()))
    (work / "3.tar.gz").write_bytes(content)
    found = report(work / "3.tar.gz")
    assert "variables/variables.data" in problems(found)["checksums"]
    assert f"{work}/3.tar.gz/variables/variables" in json.dumps(found)
    assert ".slimhub-scratch" not in json.dumps(found)


def test_no_module(work, report):
    """An archive of something else, or of the directory that the module is in, is reported."""
    path = work / "x.tar.gz"
    path.write_bytes(tar_gz(entry("3", b"", tarfile.DIRTYPE), entry("3/saved_model.pb", b"")))
    said = problems(report(path))
    assert f"{path} is no module: it has no saved_model.pb" in said["readable"]


@pytest.mark.parametrize("way", ["sleeps", "crashes"])
def test_misbehaving_check_of_archive(good, work, report, way):
    """Whatever becomes of the process of the checks, the report names the archive, and nothing stays."""
    (work / "3.tar.gz").write_bytes(good)
    how = {"before": functools.partial(misbehave, way)}
    found = report(work / "3.tar.gz", "--timeout=3", **how)
    assert (found["ok"], found["directory"]) == (False, str(work / "3.tar.gz"))
    assert WAYS[way][1] in problems(found)["provenance"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_stopped_while_checking_an_archive(good, work, tmp, number):
    """A signal leaves nothing of an archive that is checked; what a kill leaves, the next check clears."""
    (work / "3.tar.gz").write_bytes(good)
    how = {"command": program.CHECK, "cwd": work, "TMPDIR": str(tmp)}
    before = functools.partial(misbehave, "sleeps")
    run = program.start("--timeout=3", "3.tar.gz", before=before, **how)
    while not list(tmp.glob("*/saved_model.pb")):
        assert run.process.is_alive()
        time.sleep(0.01)
    run.signal(number)
    code = run.wait().code
    assert code == (-number if number == signal.SIGKILL else 128 + number)
    if number == signal.SIGKILL:
        # Its process has some seconds left, in which the directory is in use.
        deadline = time.monotonic() + 15
        while list(tmp.iterdir()) and time.monotonic() < deadline:
            assert program.run("3.tar.gz", **how).code == 0
    assert list(tmp.iterdir()) == []


def test_no_room(good, work, report):
    """Without room to unpack it, an archive can't be read, and the report says what would help."""
    (work / "3.tar.gz").write_bytes(good)
    before = functools.partial(full_disk.small_files, 100_000)
    said = problems(report(work / "3.tar.gz", before=before))
    assert "3.tar.gz can't be unpacked: [Errno 27] File too large" in said["readable"]
    assert "TMPDIR chooses another directory" in said["readable"]


def test_no_temporary_directory_for_an_archive(good, stem, work):
    """Without a temporary directory, it can't be told, and the exit code is 5; a directory needs none."""
    (work / "3.tar.gz").write_bytes(good)
    done = check(work, "3.tar.gz", TMPDIR=str(work / "absent"))
    assert (done.code, done.stdout) == (5, "")
    assert done.stderr.startswith("There is no temporary directory (TMPDIR chooses one): ")
    assert check(work, str(stem / "3"), TMPDIR=str(work / "absent")).code == 0


def test_hostile_among_good(good, stem, work, tmp):
    """Archives and directories may be checked together; one that is hostile changes nothing for others."""
    (work / "3.tar.gz").write_bytes(good)
    (work / "x.tar.gz").write_bytes(ARCHIVES["parent"].content)
    crashing = next(one for one in CONTENTS if one.id == "entry_negative_shape")
    crashing.change(shutil.copytree(stem / "3", work / "3"), stem / "3")
    done = check(work, "--json", "3.tar.gz", "x.tar.gz", "3", "3.tar.gz", TMPDIR=str(tmp))
    assert done.code == 1
    assert [one["ok"] for one in json.loads(done.stdout)] == [True, False, False, True]
