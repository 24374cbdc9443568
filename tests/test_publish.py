"""slimhub.export.publish: a version directory, all of it or nothing."""

import os
import shutil
import stat
from pathlib import Path

import pytest
from publishing import FILES, Interruption, fail, put, read, write

from slimhub.export import publish
from slimhub.export.errors import OutputError, VersionExistsError


@pytest.fixture(params=["exchange", "rename"])
def system(request, monkeypatch):
    """Both kinds of systems: those that swap two directories in one step, and the others."""
    if request.param == "rename":
        monkeypatch.setattr(publish, "_exchange", lambda one, other: False)


def test_new_version(target):
    """What was written into the staging directory is the version, with nothing beside it."""
    with publish.staging(target, overwrite=False) as staging:
        assert staging.parent.parent == target.parent
        assert list(staging.iterdir()) == []
        write(staging)
        assert not target.exists()
    assert read(target) == FILES
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077, 0o002])
def test_modes(tmp_path, umask):
    """A version has the mode of any directory that is made under the umask of the process."""
    target, ordinary = tmp_path / "3", tmp_path / "ordinary"
    before = os.umask(umask)
    try:
        ordinary.mkdir()
        with publish.staging(target, overwrite=False) as staging:
            write(staging)
    finally:
        os.umask(before)
    assert oct(target.stat().st_mode) == oct(ordinary.stat().st_mode)
    assert stat.S_IMODE(target.stat().st_mode) == 0o777 & ~umask


def test_directory_of_a_group(tmp_path):
    """In a directory that gives its group to what is made in it, so does a version."""
    tmp_path.chmod(0o2775)
    with publish.staging(tmp_path / "inception_v1" / "3", overwrite=False):
        pass
    assert (tmp_path / "inception_v1" / "3").stat().st_mode & stat.S_ISGID


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("error", [ValueError, Interruption])
def test_failure(tmp_path, target, error, overwrite):
    """A block that fails leaves nothing behind, and its error goes on unchanged."""
    with pytest.raises(error):
        put(target, overwrite=overwrite, meanwhile=fail(error))
    assert list(tmp_path.iterdir()) == []


def test_failure_keeps_what_was_there(tmp_path, target):
    """A block that fails leaves directories that it did not make, and what others put into its own."""
    model = target.parent.parent
    model.parent.mkdir(parents=True)

    def meanwhile(staging):
        (model / "README").write_bytes(b"not mine")
        raise Interruption

    with pytest.raises(Interruption):
        put(target, meanwhile=meanwhile)
    assert read(tmp_path) == {f"{model.relative_to(tmp_path)}/README": b"not mine"}
    assert list(model.parent.iterdir()) == [model]
    assert list(model.iterdir()) == [model / "README"]


def test_system_error_in_the_block(tmp_path, target):
    """An `OSError` of the block is an `OutputError` with target and reason, and leaves nothing."""
    with pytest.raises(OutputError, match=f"^{target} can't be written: .*No such") as caught:
        put(target, meanwhile=lambda staging: (staging / "absent" / "file").write_bytes(b""))
    assert caught.value.exit_code == 5
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("files", [{"old": b"old"}, {}], ids=["full", "empty"])
def test_existing_version(target, files):
    """A version that exists is refused before the block is entered, and left as it is."""
    target.mkdir(parents=True)
    write(target, files)
    with pytest.raises(VersionExistsError, match=f"^{target} exists .*--overwrite") as caught:
        put(target, meanwhile=fail(AssertionError("the block was entered")))
    assert caught.value.exit_code == 4
    assert read(target) == files
    assert list(target.parent.iterdir()) == [target]


def test_version_that_appears_meanwhile(target):
    """A version that somebody else publishes while the block runs is refused and left as it is."""
    with pytest.raises(VersionExistsError):
        put(target, meanwhile=lambda staging: put(target, files={"theirs": b"theirs"}))
    assert read(target) == {"theirs": b"theirs"}
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.usefixtures("system")
def test_overwrite(existing):
    """The old version stays until the block ends; then the new one is there, and nothing of the old."""
    during = []
    put(existing, overwrite=True, meanwhile=lambda staging: during.append(read(existing)))
    assert during == [{"old": b"old"}]
    assert read(existing) == FILES
    assert list(existing.parent.iterdir()) == [existing]


@pytest.mark.usefixtures("system")
def test_overwrite_empty(target):
    """An empty directory is overwritten like a version."""
    target.mkdir(parents=True)
    put(target, overwrite=True)
    assert read(target) == FILES


def test_overwrite_nothing(target):
    """Where no version exists, there is nothing to overwrite and no error."""
    put(target, overwrite=True)
    assert read(target) == FILES


@pytest.mark.usefixtures("system")
@pytest.mark.parametrize("error", [ValueError, Interruption])
def test_overwrite_fails(existing, error):
    """A block that fails leaves the version that it was to overwrite as it is."""
    with pytest.raises(error):
        put(existing, overwrite=True, meanwhile=fail(error))
    assert read(existing) == {"old": b"old"}
    assert list(existing.parent.iterdir()) == [existing]


@pytest.mark.usefixtures("system")
def test_overwrite_without_staging(existing):
    """A version stays if what was to take its place is gone when the block ends."""
    with pytest.raises(OutputError, match="No such file"):
        put(existing, overwrite=True, meanwhile=shutil.rmtree)
    assert read(existing) == {"old": b"old"}
    assert list(existing.parent.iterdir()) == [existing]


def test_overwrite_fails_half_way(existing, monkeypatch):
    """Without an exchange, a version that was moved away is put back if the new one can't follow."""

    def no_exchange(one, other):
        shutil.rmtree(one)
        return False

    monkeypatch.setattr(publish, "_exchange", no_exchange)
    with pytest.raises(OutputError, match="No such file"):
        put(existing, overwrite=True)
    assert read(existing) == {"old": b"old"}
    assert list(existing.parent.iterdir()) == [existing]


def _file(path: Path) -> None:
    path.write_bytes(b"mine")


def _link(path: Path) -> None:
    write(path.with_name("elsewhere"), {"theirs": b"theirs"})
    path.symlink_to("elsewhere")


def _dangling(path: Path) -> None:
    path.symlink_to("nowhere")


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("make", [_file, _link, _dangling])
def test_no_directory(target, make, overwrite):
    """What is no directory is never replaced by one, nor what a link leads to."""
    target.parent.mkdir(parents=True)
    make(target)
    before = read(target.parent), target.lstat()
    for attempt in (publish.refuse_unpublishable, put):
        with pytest.raises(OutputError, match=f"^{target} is no directory"):
            attempt(target, overwrite=overwrite)
    assert (read(target.parent), target.lstat()) == before


@pytest.mark.parametrize("parent", ["modules", "modules/google/imagenet"])
def test_file_in_place_of_a_parent(tmp_path, target, parent):
    """A file where a parent should be is an `OutputError` before any work is done, and stays."""
    (tmp_path / parent).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / parent).write_bytes(b"mine")
    with pytest.raises(OutputError, match=f"^{target} can't be written: ") as caught:
        publish.refuse_unpublishable(target, overwrite=False)
    assert caught.value.exit_code == 5
    with pytest.raises(OutputError):
        put(target)
    assert read(tmp_path) == {parent: b"mine"}


def test_name_too_long(tmp_path):
    """A name that the file system refuses is an `OutputError`, and no parent of it stays."""
    target = tmp_path / "modules" / ("x" * 300) / "3"
    publish.refuse_unpublishable(target, overwrite=False)
    with pytest.raises(OutputError, match="File name too long"):
        put(target)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_no_permission(tmp_path):
    """A directory that one may not look into is an `OutputError`, and no version exists there."""
    os.seteuid(65534)
    try:
        publish.refuse_unpublishable(tmp_path / "modules" / "3", overwrite=False)
        with pytest.raises(OutputError, match="Permission denied"):
            put(tmp_path / "modules" / "3")
    finally:
        os.seteuid(0)
    assert list(tmp_path.iterdir()) == []


def test_siblings(target):
    """A block that fails leaves the parents that another version was published in meanwhile."""
    sibling = target.with_name("1")

    def meanwhile(staging):
        put(sibling)
        raise Interruption

    with pytest.raises(Interruption):
        put(target, meanwhile=meanwhile)
    assert read(sibling) == FILES
    assert list(target.parent.iterdir()) == [sibling]
