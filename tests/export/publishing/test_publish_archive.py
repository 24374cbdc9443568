"""A version with its archive, and an archive that is made later."""

import shutil
from concurrent import futures
from pathlib import Path

import pytest
from publishing import archived, fail, put, read, write
from stem import rewrite_variables, sign

from slimhub.export.errors import CheckError, OutputError, VersionExistsError
from slimhub.export.publishing import publish
from slimhub.signatures.module import module_archive
from slimhub.signatures.module.provenance import sha256

OLD, NEW = {"old": b"old"}, {"new": b"new"}


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


@pytest.mark.usefixtures("archive")
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


@pytest.mark.usefixtures("archive")
def test_failure(existing):
    """A block that fails leaves the archive of the version that it was to overwrite."""
    with pytest.raises(OutputError):
        put(existing, overwrite=True, meanwhile=fail(OSError))
    assert state(existing) == (OLD, b"old")


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


@pytest.fixture
def published(stem, tmp_path) -> Path:
    """A version that was published without an archive."""
    return shutil.copytree(stem / "3", tmp_path / "modules" / "3")


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
    """Leftovers of a killed run beside the version are removed."""
    write(published.with_name(".3.staging-01234567"), {"3.tar.gz": b"half"})
    publish.write_archive(published)
    assert {path.name for path in published.parent.iterdir()} == {"3", "3.tar.gz"}


def test_later_not_as_published(published):
    """A version that was changed is not archived, and an archive that is there stays."""
    path = module_archive.path_of(published)
    path.write_bytes(b"old")
    (published / "saved_model.pb").write_bytes(b"changed")
    with pytest.raises(CheckError, match=r"saved_model\.pb"):
        publish.write_archive(published)
    assert path.read_bytes() == b"old"
    assert set(published.parent.iterdir()) == {published, path}
