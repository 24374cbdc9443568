"""slimhub.export.publish: a version with its archive, and an archive that is made later."""

import json
import os
import shutil
from concurrent import futures
from pathlib import Path

import pytest
from publishing import FILES, Interruption, archived, fail, put, read, write
from stem import rewrite_variables, sign

from slimhub.export import module_archive, publish
from slimhub.export.errors import CheckError, OutputError, VersionExistsError
from slimhub.signatures import formats
from slimhub.signatures.provenance import sha256

OLD, NEW = {"old": b"old"}, {"new": b"new"}


@pytest.fixture(params=["exchange", "rename"])
def system(request, monkeypatch):
    """Both kinds of systems: those that swap two directories in one step, and the others."""
    if request.param == "rename":
        monkeypatch.setattr(publish, "_exchange", lambda one, other: False)


@pytest.fixture
def archive(existing) -> Path:
    """The archive of a version that is there already."""
    path = module_archive.path_of(existing)
    path.write_bytes(b"old")
    return path


def state(target: Path) -> tuple[dict[str, bytes] | None, bytes | None]:
    """A version and its archive, beside which there may be nothing."""
    path = module_archive.path_of(target)
    assert set(target.parent.iterdir()) <= {target, path}
    files = read(target) if target.exists() else None
    return files, path.read_bytes() if path.exists() else None


def test_new_version(target):
    """An archive that was written for a version is published with it, and not before."""

    def meanwhile(staging):
        archived(b"new")(staging)
        assert not module_archive.path_of(target).exists()

    put(target, files=NEW, meanwhile=meanwhile)
    assert state(target) == (NEW, b"new")


@pytest.mark.usefixtures("system", "archive")
@pytest.mark.parametrize("new", [b"new", None])
def test_overwrite(existing, new):
    """With a version, its archive is replaced; one that no new one replaces does not stay."""
    meanwhile = archived(new) if new else lambda staging: None
    put(existing, files=NEW, overwrite=True, meanwhile=meanwhile)
    assert state(existing) == (NEW, new)


@pytest.mark.parametrize("there", ["version", "archive", "both"])
def test_existing(existing, archive, there):
    """An archive that exists is refused like a version, even if the version itself is gone."""
    if there == "version":
        archive.unlink()
    if there == "archive":
        shutil.rmtree(existing)
    before = state(existing)
    named = archive if there == "archive" else existing
    with pytest.raises(VersionExistsError, match=f"^{named} exists .*--overwrite"):
        put(existing, meanwhile=fail(AssertionError("the block was entered")))
    assert state(existing) == before


def test_archive_that_appears_meanwhile(target):
    """An archive that somebody else puts there while the block runs is refused and left as it is."""
    path = module_archive.path_of(target)
    with pytest.raises(VersionExistsError, match=f"^{path} exists"):
        put(target, meanwhile=lambda staging: path.write_bytes(b"theirs"))
    assert state(target) == (None, b"theirs")


@pytest.mark.parametrize("error", [ValueError, OSError])
def test_failure(existing, archive, error):
    """A block that fails leaves the archive of the version that it was to overwrite."""
    with pytest.raises((ValueError, OutputError)):
        put(existing, overwrite=True, meanwhile=fail(error))
    assert state(existing) == (OLD, b"old")


@pytest.mark.usefixtures("system")
@pytest.mark.parametrize("scene", ["fresh", "overwrite"])
def test_rename_fails(tmp_path, monkeypatch, scene):
    """Whichever renaming fails, what was there is put back, archive and all."""
    rename, failures = Path.rename, 0
    for at in range(10):
        target = tmp_path / str(at) / "3"
        if scene == "overwrite":
            write(target, OLD)
            module_archive.path_of(target).write_bytes(b"old")
        calls = []

        def failing(one, other, calls=calls, at=at):
            calls.append(one)
            if len(calls) == at + 1:
                raise OSError(28, "No space left on device")
            return rename(one, other)

        monkeypatch.setattr(Path, "rename", failing)
        try:
            put(target, files=NEW, overwrite=True, meanwhile=archived(b"new"))
        except OutputError:
            failures += 1
            if scene == "fresh":
                assert not target.parent.exists()
            else:
                assert state(target) == (OLD, b"old")
        else:
            assert state(target) == (NEW, b"new")
    assert 2 <= failures < 10


@pytest.mark.usefixtures("system", "archive")
@pytest.mark.parametrize("new", [b"new", None])
def test_stop_between_directory_and_archive(existing, monkeypatch, new):
    """What stops a run then leaves the new version if that is all of it, and else puts the old one back."""
    put_in_place = publish._put_in_place

    def stopped(*arguments, **how):
        put_in_place(*arguments, **how)
        raise Interruption

    monkeypatch.setattr(publish, "_put_in_place", stopped)
    meanwhile = archived(new) if new else lambda staging: None
    with pytest.raises(Interruption):
        put(existing, files=NEW, overwrite=True, meanwhile=meanwhile)
    assert state(existing) == ((OLD, b"old") if new else (NEW, None))


def _directory(path: Path) -> None:
    path.mkdir()


def _dangling(path: Path) -> None:
    path.symlink_to("nowhere")


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("make", [_directory, _dangling])
def test_no_file(target, make, overwrite):
    """What is no file is never replaced by an archive, nor what a link leads to."""
    path = module_archive.path_of(target)
    target.parent.mkdir(parents=True)
    make(path)
    before = path.lstat()
    for attempt in (publish.refuse_unpublishable, put):
        with pytest.raises(OutputError, match=f"^{path} is no file, and was left as it is"):
            attempt(target, overwrite=overwrite)
    assert path.lstat() == before
    assert list(target.parent.iterdir()) == [path]


def test_archive_on_disk_before_the_version_is_there(target, monkeypatch):
    """An archive is synced before the version appears."""
    synced, fsync = [], os.fsync

    def note(descriptor):
        synced.append((Path(os.readlink(f"/proc/self/fd/{descriptor}")).name, target.exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    put(target, meanwhile=archived(b"new"))
    assert ("3.tar.gz", False) in synced


@pytest.fixture
def published(stem, tmp_path) -> Path:
    """A version that was published without an archive."""
    return shutil.copytree(stem / "3", tmp_path / "modules" / "3")


def test_later(published, tmp_path):
    """The archive of a version that is there is written beside it, the same as any."""
    packed = publish.write_archive(published)
    path = module_archive.path_of(published)
    assert set(published.parent.iterdir()) == {published, path}
    assert (packed.num_bytes, packed.sha256) == (path.stat().st_size, sha256(path))
    assert packed == module_archive.pack(published, into=tmp_path / "again.tar.gz")


def test_later_again(published):
    """An archive that is right stays the file that it is; another is replaced."""
    packed, path = publish.write_archive(published), module_archive.path_of(published)
    before = path.stat()
    assert publish.write_archive(published) == packed
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    rewrite_variables(
        published, lambda arrays: arrays.update({k: 2 * v for k, v in arrays.items()})
    )
    sign(published)
    assert publish.write_archive(published) != packed
    assert path.stat().st_ino != before.st_ino
    path.write_bytes(b"half")
    publish.write_archive(published)
    assert sha256(path) == publish.write_archive(published).sha256
    assert set(published.parent.iterdir()) == {published, path}


def test_later_and_overwritten_meanwhile(published, monkeypatch):
    """A version that is overwritten while its archive is written waits for that, and then replaces both."""
    pack = module_archive.pack
    with futures.ThreadPoolExecutor(1) as pool:

        def overwritten(directory, *, into):
            packed = pack(directory, into=into)
            overwriting.append(pool.submit(put, published, files=NEW, overwrite=True))
            assert futures.wait(overwriting, timeout=0.5).not_done
            return packed

        overwriting: list[futures.Future] = []
        monkeypatch.setattr(module_archive, "pack", overwritten)
        publish.write_archive(published)
        overwriting[0].result()
    assert state(published) == (NEW, None)


def test_later_after_a_kill(published):
    """What a killed run left beside the version is removed."""
    write(published.with_name(".3.staging-01234567"), {"3.tar.gz": b"half"})
    publish.write_archive(published)
    assert {path.name for path in published.parent.iterdir()} == {"3", "3.tar.gz"}


@pytest.mark.parametrize("there", [True, False])
def test_later_not_as_published(published, there):
    """Of a version that was changed, no archive is written, and one that is there stays."""
    path = module_archive.path_of(published)
    if there:
        path.write_bytes(b"old")
    record = json.loads((published / formats.PROVENANCE).read_text())
    (published / formats.PROVENANCE).write_text(json.dumps(record))
    with pytest.raises(CheckError, match="changed after it was written"):
        publish.write_archive(published)
    assert list(published.parent.glob("*.tar.gz")) == ([path] if there else [])
    assert len(list(published.parent.iterdir())) == 1 + there


@pytest.mark.parametrize("name", ["absent", "absent/3"])
def test_later_absent(tmp_path, name):
    """Where there is no version, there is none to archive."""
    with pytest.raises(CheckError, match=f"{tmp_path / name} is not a directory"):
        publish.write_archive(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_later_no_file(published):
    """What is no file stays in its place."""
    module_archive.path_of(published).mkdir()
    with pytest.raises(OutputError, match=r"3\.tar\.gz is no file, and was left as it is"):
        publish.write_archive(published)
    assert {path.name for path in published.parent.iterdir()} == {"3", "3.tar.gz"}


def test_files(target):
    """A version without an archive is published as ever."""
    put(target)
    assert state(target) == (FILES, None)
