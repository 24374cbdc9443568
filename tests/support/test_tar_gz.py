"""The one place that unpacks archives, which may hold anything, and that writes them."""

import gzip
import io
import random
import tarfile
import tracemalloc
from pathlib import Path

import pytest
from bad_archives import (
    ARCHIVES,
    CONTENT,
    MEMBER,
    MOST_BYTES,
    MOST_BYTES_OF_ALL,
    damaged,
    entry,
    tar,
    tar_gz,
    zipped,
)
from publishing import read

from slimhub.support.tar_gz import BadArchiveError, create, unpack

ONLY = {MEMBER: MOST_BYTES}
BLOCK = 0xFFFF
# A small archive, and the headers in it.
SMALL = tar(entry(content=b"weights", mtime=1.5))
HEADERS = SMALL[: SMALL.index(b"weights")]


def problem(content: bytes, directory: Path, *, only=None) -> str | None:
    """Unpack an archive into `directory/into`, and return the problem with it, or None if it is good."""
    archive, into = directory / "x.tar.gz", directory / "into"
    archive.write_bytes(content)
    into.mkdir()
    try:
        paths = unpack(archive, into=into, max_bytes=MOST_BYTES_OF_ALL, only=only)
    except BadArchiveError as error:
        return error.problem
    finally:
        assert set(directory.iterdir()) == {archive, into}
        assert not any(path.is_symlink() for path in into.rglob("*"))
    assert {*paths, into} == {*into.rglob("*"), into}
    return None


@pytest.mark.parametrize("archive", ARCHIVES.values(), ids=ARCHIVES)
def test_all_files(tmp_path, archive):
    """All files of a good archive are unpacked, and a bad one is refused, and nothing is written elsewhere."""
    assert problem(archive.content, tmp_path) == archive.module
    if archive.module is None:
        with tarfile.open(fileobj=io.BytesIO(archive.content)) as tar:
            files = {m.name.removeprefix("./"): tar.extractfile(m).read() for m in tar if m.isreg()}
        assert read(tmp_path / "into") == files


@pytest.mark.parametrize("archive", ARCHIVES.values(), ids=ARCHIVES)
def test_one_file(tmp_path, archive):
    """The one file with a known name is unpacked, whatever else a good archive holds; a bad one is refused."""
    assert problem(archive.content, tmp_path, only=ONLY) == archive.checkpoint
    if archive.checkpoint is None:
        assert read(tmp_path / "into") == {MEMBER: CONTENT}


def test_two_known_names(tmp_path):
    """If one file is wanted, two with different known names are too many."""
    content = tar_gz(entry("a"), entry("b"))
    assert problem(content, tmp_path, only={"a": MOST_BYTES, "b": MOST_BYTES}) == "not_one"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("too_many_bytes", MOST_BYTES_OF_ALL),
        ("declared_header", 3 << 20),
        ("many_members", 100),
        ("is_directory", f"'{MEMBER}' (directory, 0 bytes)"),
        ("name_with_escape", r"'\x1b[2Ja' (file, 5000 bytes)"),
        ("link_to_member", f"'{MEMBER}' (link or special file, 0 bytes)"),
        ("no_member", "nothing"),
    ],
)
def test_found(tmp_path, name, found):
    """An error says which member it is about, or how much was found."""
    path = tmp_path / "x.tar.gz"
    path.write_bytes(ARCHIVES[name].content)
    only = None if ARCHIVES[name].module else ONLY
    with pytest.raises(BadArchiveError) as caught:
        unpack(path, into=tmp_path, max_bytes=MOST_BYTES_OF_ALL, only=only)
    assert caught.value.found == found
    assert str(found) in str(caught.value)


@pytest.mark.parametrize("kind", ["gzip", "headers"])
def test_every_damage(tmp_path, kind):
    """Whichever byte is damaged, the right content comes out, or an error."""
    data = zipped(SMALL) if kind == "gzip" else HEADERS
    for at in range(len(data)):
        place = tmp_path / str(at)
        place.mkdir()
        content = damaged(data, at)
        if kind == "headers":
            content = zipped(content + SMALL[len(HEADERS) :])
        if problem(content, place, only=ONLY) is None:
            assert read(place / "into") == {MEMBER: b"weights"}


def test_memory_is_bounded(tmp_path):
    """However much an archive unpacks to, or would, memory holds a small piece of it at a time."""
    size = 64 << 20
    path = tmp_path / "x.tar.gz"
    path.write_bytes(tar_gz(entry(content=bytes(size))))
    tracemalloc.start()
    try:
        [file] = unpack(path, into=tmp_path, max_bytes=2 * size)
        with pytest.raises(BadArchiveError) as caught:
            unpack(path, into=tmp_path, max_bytes=size)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert file.stat().st_size == size
    assert caught.value.problem == "too_many_bytes"
    assert peak < 8 << 20


def test_existing_file(tmp_path):
    """A file that is already there is left as it is."""
    (tmp_path / MEMBER).write_bytes(b"mine")
    (tmp_path / "x.tar.gz").write_bytes(ARCHIVES["plain"].content)
    with pytest.raises(FileExistsError):
        unpack(tmp_path / "x.tar.gz", into=tmp_path, max_bytes=MOST_BYTES_OF_ALL)
    assert (tmp_path / MEMBER).read_bytes() == b"mine"


def created(path: Path, content: bytes) -> bytes:
    with create(path) as archive:
        info = tarfile.TarInfo("a")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return path.read_bytes()


# A record is a header, the content in whole blocks, and two empty blocks at least.
@pytest.mark.parametrize("size", [0, 1, 8704, 8705, 63_000, 1 << 20, 3_000_001])
def test_created(tmp_path, size):
    """An archive is a gzip of stored blocks without a name and a time, and a tar without owners and times."""
    content = random.Random(size).randbytes(size)
    packed = created(tmp_path / "x.tar.gz", content)
    unzipped = gzip.decompress(packed)
    assert unzipped.rstrip(b"\0") == entry("a", content).rstrip(b"\0")
    assert len(unzipped) % tarfile.RECORDSIZE == 0
    assert packed.startswith(bytes.fromhex("1f8b0800 00000000 00ff"))
    assert len(packed) == 10 + -(-len(unzipped) // BLOCK) * 5 + len(unzipped) + 8
    length = min(len(unzipped), BLOCK)
    assert packed[10] == (len(unzipped) <= BLOCK)
    assert packed[11:15] == length.to_bytes(2, "little") + (length ^ BLOCK).to_bytes(2, "little")
    assert packed[15 : 15 + length] == unzipped[:length]


def test_create_fails(tmp_path):
    """An archive whose block fails is removed; a file that was there before is not."""
    with pytest.raises(ValueError, match="half"), create(tmp_path / "x.tar.gz"):
        raise ValueError("half")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "x.tar.gz").write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        created(tmp_path / "x.tar.gz", b"")
    assert (tmp_path / "x.tar.gz").read_bytes() == b"mine"
