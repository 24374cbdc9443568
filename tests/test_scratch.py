"""slimhub.signatures.scratch: directories to work in, gone when the work ends, however that comes."""

import errno
import fcntl
import os
import shutil
import stat
from pathlib import Path

import full_disk
import pytest
from publishing import FILES, Interruption, put, read, write
from workplace import Workplace

from slimhub.export import publish
from slimhub.signatures import scratch

LEFT = ".slimhub-scratch-01234567"


@pytest.fixture
def tmp(tmp_path, monkeypatch) -> Path:
    """The directory of temporary ones."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    return tmp_path / "tmp"


@pytest.mark.parametrize("error", [None, ValueError, Interruption])
def test_it_goes(tmp, error):
    """A temporary directory is there while the block runs, for nobody else, and is gone afterwards."""
    try:
        with scratch.temporary() as directory:
            assert directory.parent == tmp
            assert stat.S_IMODE(directory.stat().st_mode) == 0o700
            write(directory)
            if error:
                raise error
    except (ValueError, Interruption):
        assert error
    assert list(tmp.iterdir()) == []


def test_left_by_a_kill(tmp):
    """What a killed run left is removed when the next begins; what a run works in is not."""
    with scratch.temporary() as first:
        write(tmp / LEFT)
        with scratch.temporary() as second:
            assert set(tmp.iterdir()) == {first, second}


def test_not_ours(tmp, tmp_path):
    """Files, links, and directories that are only named alike stay, and what links lead to."""
    write(tmp_path / "theirs", {"file": b"theirs"})
    (tmp / LEFT).symlink_to(tmp_path / "theirs")
    (tmp / f"{LEFT[:-1]}8").write_bytes(b"")
    for name in (f"{LEFT}.old", f"{LEFT}8", ".slimhub-scratch-", "slimhub-scratch-01234567"):
        (tmp / name).mkdir()
    before = sorted(tmp.iterdir())
    with scratch.temporary():
        pass
    assert sorted(tmp.iterdir()) == before
    assert read(tmp_path / "theirs") == {"file": b"theirs"}


@pytest.mark.parametrize("mode", [0o000, 0o555])
def test_not_ours_to_remove(tmp_path, mode):
    """What can't be removed of what others left does not keep an export from its work."""
    place = Workplace(tmp_path / "place")
    write(place.tmp / LEFT)
    (place.tmp / LEFT).chmod(mode)
    done = place.export(3, checkpoint="absent.ckpt", before=full_disk.no_privileges)
    assert (done.code, "There is no checkpoint at absent.ckpt" in done.stderr) == (3, True)
    assert [path.name for path in place.tmp.iterdir()] == [LEFT]


def test_taken_for_left(tmp, monkeypatch):
    """A directory that another run removes before it is locked is made anew."""
    flock, taken = fcntl.flock, []

    def late(descriptor, operation):
        if not taken:
            taken.append(os.readlink(f"/proc/self/fd/{descriptor}"))
            shutil.rmtree(taken[0])
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with scratch.temporary() as directory:
        assert directory.exists()
        assert str(directory) not in taken
        assert len(taken) == 1
    assert list(tmp.iterdir()) == []


def test_parents_that_others_remove(target, monkeypatch):
    """A run whose parent directories are taken away, by another that made and left them, makes them anew."""
    make, calls = publish._make_parents, []

    def in_vain(target, created):
        make(target, created)
        calls.append(target)
        if len(calls) < 4:
            target.parent.rmdir()

    monkeypatch.setattr(publish, "_make_parents", in_vain)
    put(target)
    assert len(calls) == 4
    assert read(target) == FILES


@pytest.mark.parametrize("number", [errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP])
def test_no_locks(tmp, target, monkeypatch, number):
    """Where directories can't be locked, as on NFS, work is done without, and what is left stays."""

    def refuse(descriptor, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    write(tmp / LEFT)
    with scratch.temporary():
        put(target)
        put(target, overwrite=True)
    assert read(target) == FILES
    assert list(target.parent.iterdir()) == [target]
    assert list(tmp.iterdir()) == [tmp / LEFT]


def test_lock_fails(tmp, monkeypatch):
    """Another error of a lock is one, and nothing is left."""

    def fail(descriptor, operation):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.raises(OSError, match="Input/output error"), scratch.temporary():
        pass
    assert list(tmp.iterdir()) == []
