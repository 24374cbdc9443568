"""Several exports into one output, started at once: whoever wins, every version is one whole module."""

import contextlib
import shutil
from collections.abc import Callable
from concurrent import futures

import pytest
from publishing import FILES, Interruption, fail, put, read
from stem import rewrite_variables, sign
from workplace import Workplace

from slimhub.export.publishing import publish
from slimhub.signatures.checks import conformance
from slimhub.signatures.module import module_archive
from slimhub.support import temporary

pytestmark = pytest.mark.xdist_group("concurrency")


def assert_whole(place: Workplace, version: int) -> None:
    """The version is there, nothing beside it, and it passes its checks."""
    assert place.versions() == [str(version)]
    assert list(place.tmp.iterdir()) == []
    report = conformance.check(place.target(version))
    assert report.ok, report.failed


@pytest.mark.slow
def test_one_version(place):
    """If four processes export the same version, one publishes it, and the others find that it exists."""
    done = [run.wait() for run in [place.start(3) for _ in range(4)]]
    assert sorted(one.code for one in done) == [0, 4, 4, 4], done
    assert_whole(place, 3)


@pytest.mark.slow
def test_overwriting(place):
    """With `--overwrite`, each of four exports succeeds, and one of them has the last word."""
    assert place.export(5).code == 0
    before = read(place.target(5))
    done = [run.wait() for run in [place.start(5, "--overwrite") for _ in range(4)]]
    assert [(one.code, one.stderr) for one in done] == [(0, "")] * 4
    assert_whole(place, 5)
    assert read(place.target(5)) == before


def at_once(work: Callable[[int], None]) -> None:
    """Calls `work` with 0 to 3, each in a thread of its own, and raises what one of them raises."""
    with futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))


def test_parents_that_others_want(target):
    """Runs that fail take no directory away from under others which are about to publish in it."""

    def work(number: int) -> None:
        mine = target.with_name(str(number))
        for _ in range(100):
            with contextlib.suppress(Interruption):
                put(mine, meanwhile=fail(Interruption()))
            put(mine)
            assert read(mine) == FILES
            shutil.rmtree(mine)

    at_once(work)
    assert list(target.parent.iterdir()) == []


def test_many_that_overwrite(existing):
    """However many overwrite a version at once, each of them succeeds, and nothing is left beside it."""

    def work(number: int) -> None:
        for _ in range(50):
            put(existing, overwrite=True)

    at_once(work)
    assert read(existing) == FILES
    assert list(existing.parent.iterdir()) == [existing]


def test_archive_of_what_is_overwritten(stem, target, tmp_path):
    """An archive that is written while its version is overwritten is never beside another version."""
    other = shutil.copytree(stem / "3", tmp_path / "other")
    rewrite_variables(other, lambda arrays: arrays.update({k: v + 1 for k, v in arrays.items()}))
    sign(other)
    versions, archives = [read(stem / "3"), read(other)], []
    for number, one in enumerate([stem / "3", other]):
        module_archive.pack(one, into=tmp_path / f"{number}.tar.gz")
        archives.append((tmp_path / f"{number}.tar.gz").read_bytes())
    put(target, files=versions[0])
    for round in range(20):
        new = (round + 1) % 2
        with futures.ThreadPoolExecutor(2) as pool:
            later = pool.submit(publish.write_archive, target)
            put(target, files=versions[new], overwrite=True)
            later.result()
        assert read(target) == versions[new]
        archive = module_archive.path_of(target)
        assert not archive.exists() or archive.read_bytes() == archives[new]
        assert set(target.parent.iterdir()) <= {target, archive}


def test_many_temporary_directories(tmp_path, monkeypatch):
    """However many begin and end at once, none takes the directory of another for one that was left."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    def work(number: int) -> None:
        for _ in range(100):
            with temporary.temporary() as directory:
                (directory / "mine").write_bytes(b"")
                (directory / "mine").unlink()

    at_once(work)
    assert list(tmp_path.iterdir()) == []
