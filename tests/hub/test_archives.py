"""Archives: packed once, replaced with their modules, and never in the way of other requests."""

import asyncio
import hashlib
import threading
from pathlib import Path

import pytest

import hub
from slimhub.hub import app
from slimhub.hub.archives import Archive, Archives
from slimhub.hub.index import ModuleIndex, UnavailableError
from slimhub.hub.previews.cache import PreviewCache
from slimhub.signatures.module import module_archive

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
    (tmp_path / "archives").mkdir()
    return Archives(ModuleIndex(root), tmp_path / "archives")


def fetched(archive: Archive) -> bytes:
    with open(archive.descriptor, "rb") as file:
        return file.read()


def test_one_is_kept(archives, root, record, tmp_path):
    """One archive is kept for each handle; an older one that is open can be read to its end."""
    opened, packed = [], []
    for content in (b"a", b"b", b"b", b"a"):
        hub.put(record, root / HANDLES[0], content=content)
        opened.append(archives.open(HANDLES[0]))
        expected = tmp_path / "expected.tar.gz"
        module_archive.pack(root / HANDLES[0], into=expected)
        packed.append(expected.read_bytes())
        expected.unlink()
        assert len(list((tmp_path / "archives").iterdir())) == 1
    assert list(map(fetched, opened)) == packed
    assert [archive.sha256 for archive in opened] == [hashlib.sha256(p).hexdigest() for p in packed]
    assert len(set(packed)) == 2


def test_replaced_while_packed(archives, root, record, monkeypatch, tmp_path):
    """If a module is replaced while it is packed, the archive is that of the new one."""
    other = tmp_path / "other"
    hub.put(record, other, content=b"other")
    pack = module_archive.pack

    def late(directory: Path, *, into: Path):
        monkeypatch.setattr(module_archive, "pack", pack)
        hub.put(record, directory, content=b"other")
        return pack(directory, into=into)

    monkeypatch.setattr(module_archive, "pack", late)
    archive = archives.open(HANDLES[0])
    expected = pack(other, into=tmp_path / "expected.tar.gz")
    assert archive.sha256 == expected.sha256
    assert fetched(archives.open(HANDLES[0])) == fetched(archive)


def test_no_room(archives, monkeypatch, caplog):
    """An archive that can't be written is not the module's fault, and is tried again."""

    def full(directory: Path, *, into: Path):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module_archive, "pack", full)
        with pytest.raises(UnavailableError, match="can't be kept now"):
            archives.open(HANDLES[0])
    assert "No space left on device" in caplog.text
    assert fetched(archives.open(HANDLES[0]))


async def status(server, path: str) -> int:
    """Return the status of the application's response."""
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
        previews = PreviewCache(tmp_path / "previews")
        server = app.Hub(ModuleIndex(root), archives=archives, previews=previews).app()
        waiting = [asyncio.create_task(status(server, f"/{HANDLES[0]}.tar.gz")) for _ in range(200)]
        while not packed:
            await asyncio.sleep(0.01)
        others = [await status(server, f"/{HANDLES[1]}.tar.gz"), await status(server, "/")]
        assert not any(task.done() for task in waiting)
        go.set()
        return others + [await task for task in waiting]

    assert set(asyncio.run(story())) == {200}
    assert packed == [root / HANDLES[0]]
