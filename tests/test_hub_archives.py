"""Archives that are kept while they are served, and who waits for whom."""

import asyncio
import hashlib
import threading
from pathlib import Path

import hub
import pytest

from slimhub.export import module_archive
from slimhub.export.hub import app, portraits
from slimhub.export.hub.archives import Archive, Archives
from slimhub.export.hub.shelf import OutOfOrderError, Shelf

HANDLES = ("a/stem/3", "b/stem/3")


@pytest.fixture
def record(stem):
    return hub.record_of(stem / "3")


@pytest.fixture
def root(record, tmp_path):
    for handle in HANDLES:
        hub.put(record, tmp_path / "root" / handle, content=handle.encode())
    return tmp_path / "root"


@pytest.fixture
def archives(root, tmp_path):
    (tmp_path / "kept").mkdir()
    return Archives(Shelf(root), tmp_path / "kept")


def fetched(archive: Archive) -> bytes:
    with open(archive.descriptor, "rb") as file:
        return file.read()


def test_last_one_is_kept(archives, root, record, tmp_path):
    """Of a module that is replaced, one archive is kept; whoever has another open reads it to its end."""
    opened, packed = [], []
    for content in (b"a", b"b", b"b", b"a"):
        hub.put(record, root / HANDLES[0], content=content)
        opened.append(archives.open(HANDLES[0]))
        expected = tmp_path / "expected.tar.gz"
        module_archive.pack(root / HANDLES[0], into=expected)
        packed.append(expected.read_bytes())
        expected.unlink()
        assert len(list((tmp_path / "kept").iterdir())) == 1
    assert list(map(fetched, opened)) == packed
    assert [one.sha256 for one in opened] == [hashlib.sha256(one).hexdigest() for one in packed]
    assert len(set(packed)) == 2


def test_replaced_while_packed(archives, root, record, monkeypatch, tmp_path):
    """If another module takes the place of one that is to be packed, its own archive is given."""
    other = tmp_path / "other"
    hub.put(record, other, content=b"other")
    pack = module_archive.pack

    def late(directory: Path, *, into: Path):
        monkeypatch.setattr(module_archive, "pack", pack)
        hub.put(record, directory, content=b"other")
        return pack(directory, into=into)

    monkeypatch.setattr(module_archive, "pack", late)
    found = archives.open(HANDLES[0])
    expected = pack(other, into=tmp_path / "expected.tar.gz")
    assert found.sha256 == expected.sha256
    assert fetched(archives.open(HANDLES[0])) == fetched(found)


def test_no_room(archives, monkeypatch, caplog):
    """An archive that can't be kept is no fault of the module's, and is tried again."""

    def full(directory: Path, *, into: Path):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module_archive, "pack", full)
        with pytest.raises(OutOfOrderError, match="can't be kept now"):
            archives.open(HANDLES[0])
    assert "No space left on device" in caplog.text
    assert fetched(archives.open(HANDLES[0]))


async def status(server, path: str) -> int:
    """What the application answers."""
    sent = asyncio.Queue()
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": b"",
        "headers": [],
        "server": ("hub.example", 80),
        "scheme": "http",
        "root_path": "",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
    }
    await server(scope, asyncio.Queue().get, sent.put)
    return sent.get_nowait()["status"]


def test_slow_archive(archives, root, monkeypatch, tmp_path):
    """While any number of clients wait for an archive that is being packed, others are served."""
    go, packed = threading.Event(), []
    pack = module_archive.pack

    def slow(directory: Path, *, into: Path):
        packed.append(directory)
        assert go.wait(60)
        return pack(directory, into=into)

    archives.open(HANDLES[1])
    monkeypatch.setattr(module_archive, "pack", slow)

    async def story() -> list[int]:
        kept = portraits.Portraits(tmp_path / "portraits")
        server = app.Hub(Shelf(root), archives=archives, portraits=kept).app()
        waiting = [asyncio.create_task(status(server, f"/{HANDLES[0]}.tar.gz")) for _ in range(200)]
        while not packed:
            await asyncio.sleep(0.01)
        others = [await status(server, f"/{HANDLES[1]}.tar.gz"), await status(server, "/")]
        assert not any(task.done() for task in waiting)
        go.set()
        return others + [await task for task in waiting]

    assert set(asyncio.run(story())) == {200}
    assert packed == [root / HANDLES[0]]
