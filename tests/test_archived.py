"""slimhub.signatures.archived: unpacking archives, which may hold anything."""

import tracemalloc
import zlib

import pytest
from hostile import listing
from hostile_archives import HOSTILE
from tarballs import entry

from slimhub.export import module_archive
from slimhub.signatures import archived
from slimhub.signatures.directory import UnreadableError


@pytest.fixture(scope="module")
def good(stem, tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("good") / "3.tar.gz"
    module_archive.pack(stem / "3", into=path)
    return path.read_bytes()


@pytest.fixture
def unpack(tmp_path):
    """A function that unpacks bytes, and gives what was said of them; all else is as it was then."""
    into = tmp_path / "private" / "into"

    def unpack(content: bytes) -> str:
        into.mkdir(parents=True)
        archive = tmp_path / "x.tar.gz"
        archive.write_bytes(content)
        before = {path: stat for path, stat in listing(tmp_path).items() if path != str(into)}
        with pytest.raises(UnreadableError, match=f"^{archive} can't be unpacked: ") as caught:
            archived.unpack(archive, into=into)
        after = {p: s for p, s in listing(tmp_path).items() if not p.startswith(str(into))}
        assert after == before
        assert not any(path.is_symlink() for path in into.rglob("*"))
        return str(caught.value)

    return unpack


@pytest.mark.parametrize(("content", "says"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_archive(unpack, content, says):
    """An archive that is hostile or damaged is refused, with the reason, and nothing is written elsewhere."""
    assert says in unpack(content)


@pytest.mark.parametrize("at", [0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999999])
def test_truncated(unpack, good, at):
    """Half an archive is none."""
    unpack(good[: int(len(good) * at)])


@pytest.mark.parametrize("at", [0, 2, 12, 13, 2000, 70_000, 400_000, -5, -2])
def test_flipped_bit(unpack, good, at):
    """An archive one bit of which is another is refused, wherever its sum shows it."""
    content = bytearray(good)
    content[at] ^= 1
    unpack(bytes(content))


def test_bombs(tmp_path, monkeypatch):
    """What unpacks to more than it may is given up, before anything is written, and takes no memory."""
    monkeypatch.setattr(archived, "_MOST_BYTES", 64 << 20)
    zip, zeros = zlib.compressobj(wbits=31), bytes(1 << 20)
    head = entry("a", b"", size=1 << 30)
    pieces = [zip.compress(head), *(zip.compress(zeros) for _ in range(256)), zip.flush()]
    (tmp_path / "x.tar.gz").write_bytes(b"".join(pieces))
    (tmp_path / "into").mkdir()
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableError, match="it holds more than 67108864 bytes"):
            archived.unpack(tmp_path / "x.tar.gz", into=tmp_path / "into")
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    assert list((tmp_path / "into").iterdir()) == []
