"""A version directory, all of it or nothing."""

import os
import shutil
import stat
from pathlib import Path

import pytest
from publishing import FILES, Interruption, archived, fail, put, read, write

from slimhub.export.errors import OutputError, VersionExistsError
from slimhub.export.publishing import publish
from slimhub.signatures.module import module_archive


@pytest.mark.parametrize("umask", [0o002, 0o077])
def test_modes(tmp_path, umask):
    """A version has the mode of any directory that is made under the umask of the process."""
    target, ordinary = tmp_path / "3", tmp_path / "ordinary"
    before = os.umask(umask)
    try:
        ordinary.mkdir()
        put(target)
    finally:
        os.umask(before)
    assert oct(target.stat().st_mode) == oct(ordinary.stat().st_mode)
    assert stat.S_IMODE(target.stat().st_mode) == 0o777 & ~umask


@pytest.mark.parametrize("error", [OSError, ValueError, Interruption])
def test_failure(tmp_path, target, error):
    """A block that fails leaves nothing behind, and its error goes on; one of the system is an `OutputError`."""
    with pytest.raises(OutputError if error is OSError else error):
        put(target, meanwhile=fail(error))
    assert list(tmp_path.iterdir()) == []


def test_failure_keeps_what_was_there(target):
    """A block that fails leaves directories that it did not make, and what others put into its own."""
    model = target.parent.parent
    model.parent.mkdir(parents=True)

    def meanwhile(staging):
        put(target.with_name("1"))
        raise Interruption

    with pytest.raises(Interruption):
        put(target, meanwhile=meanwhile)
    assert read(model) == {f"{target.parent.name}/1/{name}": FILES[name] for name in FILES}
    assert list(target.parent.iterdir()) == [target.with_name("1")]


@pytest.mark.parametrize("files", [{"old": b"old"}, {}], ids=["full", "empty"])
def test_existing_version(target, files):
    """A version that exists is refused before the block is entered, and left as it is."""
    target.mkdir(parents=True)
    write(target, files)
    with pytest.raises(VersionExistsError):
        put(target, meanwhile=fail(AssertionError("the block was entered")))
    assert read(target) == files
    assert list(target.parent.iterdir()) == [target]


def test_version_that_appears_meanwhile(target):
    """A version that somebody else publishes while the block runs is refused, and either is left as it is."""

    def meanwhile(staging):
        put(target, files={"theirs": b"theirs"})
        assert read(staging) == FILES

    with pytest.raises(VersionExistsError):
        put(target, meanwhile=meanwhile)
    assert read(target) == {"theirs": b"theirs"}
    assert list(target.parent.iterdir()) == [target]


def test_overwrite(existing):
    """The old version stays until it is published; then the new one is there, and nothing of the old."""
    during = []
    put(existing, overwrite=True, meanwhile=lambda staging: during.append(read(existing)))
    assert during == [{"old": b"old"}]
    assert read(existing) == FILES
    assert list(existing.parent.iterdir()) == [existing]


def test_overwrite_without_staging(existing):
    """A version stays if what was to take its place is gone when the block ends."""
    with pytest.raises(OutputError, match="No such file"):
        put(existing, overwrite=True, meanwhile=shutil.rmtree)
    assert read(existing) == {"old": b"old"}
    assert list(existing.parent.iterdir()) == [existing]


def test_name_too_long(tmp_path):
    """A name that the file system refuses is an `OutputError`, and no parent of it stays."""
    target = tmp_path / "modules" / ("x" * 300) / "3"
    publish.check_publishable(target, overwrite=False)
    with pytest.raises(OutputError, match="File name too long"):
        put(target)
    assert list(tmp_path.iterdir()) == []


def _file(path: Path) -> None:
    path.write_bytes(b"mine")


def _link(path: Path) -> None:
    write(path.with_name("elsewhere"), {"theirs": b"theirs"})
    path.symlink_to("elsewhere")


def _dangling(path: Path) -> None:
    path.symlink_to("nowhere")


IN_PLACE = {
    "file": ("3", _file, "directory"),
    "link": ("3", _link, "directory"),
    "dangling": ("3", _dangling, "directory"),
    "directory_as_archive": ("3.tar.gz", Path.mkdir, "file"),
    "dangling_as_archive": ("3.tar.gz", _dangling, "file"),
}


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(("name", "make", "kind"), IN_PLACE.values(), ids=IN_PLACE)
def test_something_else_in_place(target, name, make, kind, overwrite):
    """What is no directory or no archive, and the target of a link, are never replaced by a version or an archive."""
    path = target.with_name(name)
    target.parent.mkdir(parents=True)
    make(path)
    before = read(target.parent), path.lstat(), list(target.parent.iterdir())
    for attempt in (publish.check_publishable, put):
        with pytest.raises(OutputError, match=f"^{path} is no {kind}"):
            attempt(target, overwrite=overwrite)
    assert (read(target.parent), path.lstat(), list(target.parent.iterdir())) == before


def test_file_in_place_of_a_parent(tmp_path, target):
    """A file where a parent should be is an `OutputError` before any work is done, and stays."""
    (tmp_path / "modules").write_bytes(b"mine")
    for attempt in (publish.check_publishable, put):
        with pytest.raises(OutputError, match=f"^{target} can't be written: "):
            attempt(target, overwrite=False)
    assert read(tmp_path) == {"modules": b"mine"}


def test_on_disk_before_it_is_there(target, monkeypatch):
    """Every file and directory is synced before the version appears, and its entry afterwards."""
    synced = []
    fsync = os.fsync

    def note(descriptor):
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        synced.append((path, target.exists()))
        fsync(descriptor)

    def meanwhile(staging):
        archived(b"archive")(staging)
        directories = {Path(name).parent for name in FILES}
        expected.update(staging / name for name in [*FILES, *directories])
        expected.update([staging.parent, module_archive.path_of(staging)])

    monkeypatch.setattr(os, "fsync", note)
    expected: set[Path] = set()
    put(target, meanwhile=meanwhile)
    assert {path for path, there in synced if not there} == expected
    assert [path for path, there in synced if there] == [target.parent]
