"""slimhub.export.archive: one file out of an archive, or nothing at all."""

import contextlib
import gzip
import random
import resource
import tarfile
import tracemalloc
from pathlib import Path

import pytest
import tarballs
from tarballs import tar

from slimhub.export.checkpoint_archive import extract
from slimhub.export.errors import ArchiveError

MEMBER = "inception_v2.ckpt"
CONTENT = random.Random(0).randbytes(300_001)
MAX_BYTES = len(CONTENT)


def entry(name=MEMBER, content=CONTENT, kind=tarfile.REGTYPE, **fields) -> bytes:
    return tarballs.entry(name, content, kind, **fields)


def bare(name, kind, **fields) -> bytes:
    return entry(name, b"", kind, **fields)


def tar_gz(*entries: bytes) -> bytes:
    return gzip.compress(tar(*entries), mtime=0)


def damaged(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


SMALL = tar(entry(content=b"weights", mtime=1.5))


def with_headers(headers: bytes) -> bytes:
    """The small archive with other headers."""
    return gzip.compress(headers + SMALL[len(headers) :], compresslevel=1)


@pytest.fixture
def into(tmp_path) -> Path:
    path = tmp_path / "into"
    path.mkdir()
    return path


@pytest.fixture
def unpack(tmp_path, into):
    """Writes the bytes of an archive to disk and extracts the member from it."""

    def unpack(data: bytes, *, max_bytes=MAX_BYTES) -> Path:
        archive = tmp_path / "inception_v2.tar.gz"
        archive.write_bytes(data)
        return extract(archive, members={MEMBER: max_bytes}, into=into)

    return unpack


GOOD = {
    "plain": tar_gz(entry()),
    "dot": tar_gz(entry(f"./{MEMBER}")),
    "root": tar_gz(bare("./", tarfile.DIRTYPE), entry(f"./{MEMBER}")),
    "old": tar_gz(entry(kind=tarfile.AREGTYPE)),
    "pax": tar_gz(entry(mtime=1.5)),
    "record_of_zeros": gzip.compress(tar(entry()) + b"\0" * tarfile.RECORDSIZE),
    "two_gzip_members": gzip.compress(tar(entry())[:1000]) + gzip.compress(tar(entry())[1000:]),
}

# Of each archive, what the message has to say of it.
BAD = {
    "empty_file": (b"", "empty file"),
    "empty_tar": (tar_gz(), "nothing"),
    "not_gzip": (tar(entry()), "Not a gzipped file"),
    "not_tar": (gzip.compress(CONTENT), "can't be unpacked"),
    "html": (b"<html>Log in to the network</html>", "Not a gzipped file"),
    "only_root": (tar_gz(bare("./", tarfile.DIRTYPE)), "'.' (directory, 0 bytes)"),
    "other_member": (
        tar_gz(entry("inception_v1.ckpt")),
        "'inception_v1.ckpt' (file, 300001 bytes)",
    ),
    "second_member": (tar_gz(entry(), entry("README", b"Hello")), "'README' (file, 5 bytes)"),
    "member_before": (tar_gz(entry("README", b"Hello"), entry()), "'README' (file, 5 bytes)"),
    "many_members": (tar_gz(*(entry(f"{i}", b"") for i in range(99))), "'9' (file, 0 bytes), ..."),
    "duplicate": (tar_gz(entry(), entry()), MEMBER),
    "two_spellings": (tar_gz(entry(), entry(f"./{MEMBER}")), f"'./{MEMBER}'"),
    "root_is_file": (tar_gz(entry(".", b""), entry()), "'.' (file, 0 bytes)"),
    "two_roots": (tar_gz(*[bare("./", tarfile.DIRTYPE)] * 2, entry()), "'.' (directory, 0 bytes)"),
    "directory": (
        tar_gz(bare("models/", tarfile.DIRTYPE), entry()),
        "'models' (directory, 0 bytes)",
    ),
    "in_directory": (tar_gz(entry(f"models/{MEMBER}")), f"'models/{MEMBER}'"),
    "absolute": (tar_gz(entry(f"/{MEMBER}")), f"'/{MEMBER}'"),
    "parent": (tar_gz(entry(f"../{MEMBER}")), f"'../{MEMBER}'"),
    "parent_by_pax": (tar_gz(entry(pax_headers={"path": "../x"})), "'../x'"),
    "symlink": (tar_gz(bare(MEMBER, tarfile.SYMTYPE, linkname="/etc/passwd")), "symbolic link"),
    "hard_link": (tar_gz(bare(MEMBER, tarfile.LNKTYPE, linkname="/etc/passwd")), "hard link"),
    "member_is_directory": (tar_gz(bare(MEMBER, tarfile.DIRTYPE)), "directory"),
    "fifo": (tar_gz(bare(MEMBER, tarfile.FIFOTYPE)), "special file"),
    "device": (tar_gz(bare(MEMBER, tarfile.CHRTYPE, devmajor=1, devminor=5)), "special file"),
    "sparse": (
        tar_gz(entry(content=b"0" * 9, pax_headers={"GNU.sparse.map": "0,9"})),
        "sparse file",
    ),
    "damaged_sparse": (tar_gz(entry(pax_headers={"GNU.sparse.map": "x"})), "can't be unpacked"),
    "too_big": (tar_gz(entry(content=CONTENT + b"x")), "(file, 300002 bytes)"),
    "declared_too_big": (tar_gz(entry(size=1 << 40)), f"(file, {1 << 40} bytes)"),
    "declared_bigger": (tar_gz(entry(content=b"", size=9999)), "unexpected end of data"),
    "declared_smaller": (tar_gz(entry(size=1000)), "other data behind it"),
    "negative_size": (tar_gz(entry(size=-512)), "can't be unpacked"),
    "huge_header": (
        tar_gz(entry("x", b"\0" * (2 << 20), tarfile.XHDTYPE), entry()),
        "a header of 2097152 bytes",
    ),
    "endless_headers": (tar_gz(*[entry("x", b"", tarfile.XHDTYPE)] * 2000), "can't be unpacked"),
    "truncated_tar": (gzip.compress(tar(entry())[:1000]), "unexpected end of data"),
    "truncated_padding": (gzip.compress(entry()[:-1]), "unexpected end of data"),
    "truncated_gzip": (GOOD["plain"][:1000], "ended before"),
    "truncated_trailer": (GOOD["plain"][:-4], "ended before"),
    "wrong_crc": (damaged(GOOD["plain"], -8 % len(GOOD["plain"])), "CRC check failed"),
    "wrong_length": (damaged(GOOD["plain"], -4 % len(GOOD["plain"])), "length"),
    "damaged_deflate": (damaged(GOOD["plain"], 20), "can't be unpacked"),
    "damaged_header": (gzip.compress(damaged(tar(entry()), 0)), "can't be unpacked"),
    "data_behind_member": (tar_gz(entry(), CONTENT[:512]), "other data behind it"),
    "data_behind_end": (gzip.compress(tar(entry()) + b"\0" * 9999 + b"x"), "other data behind it"),
    "data_in_padding": (tar_gz(entry()[:-1] + b"x"), "other data behind it"),
    "data_behind_gzip": (GOOD["plain"] + b"garbage", "Not a gzipped file"),
    "second_gzip": (GOOD["plain"] * 2, "other data behind it"),
    "damaged_second_gzip": (
        GOOD["plain"] + damaged(gzip.compress(bytes(100_000)), 10),
        "can't be unpacked",
    ),
    "endless_zeros": (gzip.compress(tar(entry()) + b"\0" * (1 << 21)), "other data behind it"),
}


@pytest.mark.parametrize("data", GOOD.values(), ids=GOOD)
def test_good_archive(unpack, into, data):
    """The one member of a good archive becomes a regular file with its content."""
    path = unpack(data)
    assert path == into / MEMBER
    assert path.is_file()
    assert not path.is_symlink()
    assert path.read_bytes() == CONTENT
    assert list(into.iterdir()) == [path]


@pytest.mark.parametrize(("data", "found"), BAD.values(), ids=BAD)
def test_bad_archive(unpack, into, data, found):
    """An archive that is not as expected is refused with what was found, and leaves nothing."""
    with pytest.raises(ArchiveError) as caught:
        unpack(data)
    message = str(caught.value)
    assert found in message
    assert "inception_v2.tar.gz can't be unpacked" in message
    assert f"one file, {MEMBER}, of at most {MAX_BYTES} bytes" in message
    assert f"--checkpoint=/path/to/{MEMBER}" in message
    assert caught.value.exit_code == 3
    assert list(into.iterdir()) == []


@pytest.mark.parametrize(
    ("data", "pack"),
    [(gzip.compress(SMALL, mtime=0), bytes), (SMALL[: SMALL.index(b"weights")], with_headers)],
    ids=["gzip", "headers"],
)
def test_every_damage(unpack, into, data, pack):
    """Whichever byte is damaged, the right content comes out, or an `ArchiveError`."""
    for at in range(len(data)):
        with contextlib.suppress(ArchiveError):
            path = unpack(pack(damaged(data, at)))
            assert path.read_bytes() == b"weights"
            path.unlink()
        assert list(into.iterdir()) == []


def test_memory_is_bounded(unpack):
    """However much an archive unpacks to, memory holds a small piece of it at a time."""
    content = bytes(64 << 20)
    data = tar_gz(entry(content=content))
    tracemalloc.start()
    try:
        path = unpack(data, max_bytes=len(content))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert path.stat().st_size == len(content)
    assert peak < 8 << 20


def test_missing_archive(tmp_path, into):
    """An archive that isn't there is an `ArchiveError` that names it."""
    with pytest.raises(ArchiveError, match=r"absent\.tar\.gz.*No such file"):
        extract(tmp_path / "absent.tar.gz", members={MEMBER: 1}, into=into)


def test_missing_directory(unpack, into):
    """A directory that isn't there is an `ArchiveError` that names it."""
    into.rmdir()
    with pytest.raises(ArchiveError, match=f"No such file or directory: '{into}"):
        unpack(GOOD["plain"])


def test_existing_file(unpack, into):
    """A file that is already there is left as it is."""
    (into / MEMBER).write_bytes(b"mine")
    with pytest.raises(ArchiveError, match="File exists"):
        unpack(GOOD["plain"])
    assert (into / MEMBER).read_bytes() == b"mine"


def test_no_space(tmp_path, into):
    """A file that can't be written to its end is not left there."""
    archive = tmp_path / "inception_v2.tar.gz"
    archive.write_bytes(GOOD["plain"])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(ArchiveError, match="File too large"):
            extract(archive, members={MEMBER: MAX_BYTES}, into=into)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(into.iterdir()) == []
