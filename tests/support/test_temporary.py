"""Directories to work in, gone when the work ends, however that comes."""

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

from slimhub.support import temporary

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
        with temporary.temporary() as directory:
            assert directory.parent == tmp
            assert stat.S_IMODE(directory.stat().st_mode) == 0o700
            write(directory)
            if error:
                raise error
    except (ValueError, Interruption):
        assert error
    assert list(tmp.iterdir()) == []


def test_left_by_a_kill(tmp):
    """Directories that a killed run left are removed when the next begins; one that a run works in is not."""
    with temporary.temporary() as first:
        write(tmp / LEFT)
        with temporary.temporary() as second:
            assert set(tmp.iterdir()) == {first, second}


def test_not_ours(tmp, tmp_path):
    """Files, links, and directories that are only named alike stay, and what links lead to."""
    write(tmp_path / "theirs", {"file": b"theirs"})
    (tmp / LEFT).symlink_to(tmp_path / "theirs")
    (tmp / f"{LEFT[:-1]}8").write_bytes(b"")
    for name in (f"{LEFT}.old", f"{LEFT}8", ".slimhub-scratch-", "slimhub-scratch-01234567"):
        (tmp / name).mkdir()
    before = sorted(tmp.iterdir())
    with temporary.temporary():
        pass
    assert sorted(tmp.iterdir()) == before
    assert read(tmp_path / "theirs") == {"file": b"theirs"}


@pytest.mark.parametrize("mode", [0o000, 0o555])
def test_not_ours_to_remove(tmp_path, mode):
    """Leftovers of others that can't be removed don't keep an export from its work."""
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
    with temporary.temporary() as directory:
        assert directory.exists()
        assert str(directory) not in taken
        assert len(taken) == 1
    assert list(tmp.iterdir()) == []


@pytest.mark.parametrize("number", [errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP])
def test_no_locks(tmp, target, monkeypatch, number):
    """Where directories can't be locked, as on NFS, work is done without, and what is left stays."""

    def refuse(descriptor, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    write(tmp / LEFT)
    with temporary.temporary():
        put(target)
        put(target, overwrite=True)
    assert read(target) == FILES
    assert list(target.parent.iterdir()) == [target]
    assert list(tmp.iterdir()) == [tmp / LEFT]
