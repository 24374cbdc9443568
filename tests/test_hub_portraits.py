"""Portraits that are kept: of which module they are, and what is not kept."""

import asyncio
import json
from pathlib import Path

import hub
import pytest

from slimhub.export.hub import portrait, portraits
from slimhub.export.hub.portrait import EndPoint, Filters, Portrait
from slimhub.export.hub.portraits import Portraits
from slimhub.export.hub.shelf import Shelf

HANDLE = "a/stem/3"
DRAWN = Portrait(
    image_size=(1, 1),
    picture="picture.png",
    filters=Filters(variable="a/weights", shape=(1, 1, 3, 1), picture="filters.png"),
    end_points=(EndPoint(key="a", shape=(1, 1, 1, 1), picture="00.png"),),
)


@pytest.fixture
def record(stem):
    return hub.record_of(stem / "3")


@pytest.fixture
def root(record, tmp_path):
    hub.put(record, tmp_path / "root" / HANDLE, content=b"first")
    return tmp_path / "root"


@pytest.fixture
def entry(root):
    return Shelf(root).entry(HANDLE)


@pytest.fixture
def kept(tmp_path):
    return Portraits(tmp_path / "kept")


def draws(monkeypatch, *, meanwhile=lambda: None, drawn: list | None = None):
    """Has portraits drawn at once, as a program does it that stands for TensorFlow's."""

    async def run(entry, into: Path):
        if drawn is not None:
            drawn.append(entry.handle)
        meanwhile()
        for name in DRAWN.pictures:
            (into / name).write_bytes(b"picture")
        (into / portrait.RECORD).write_text(DRAWN.to_json())

    monkeypatch.setattr(portraits, "_run", run)


def get(kept: Portraits, entry, **how):
    return asyncio.run(kept.get(entry, **how))


def test_kept(kept, entry, monkeypatch, tmp_path):
    """A portrait is drawn once, also for a server that comes later."""
    drawn = []
    draws(monkeypatch, drawn=drawn)
    assert get(kept, entry) == get(kept, entry) == get(Portraits(tmp_path / "kept"), entry) == DRAWN
    assert len(drawn) == 1
    name = portraits.name_of(entry)
    assert kept.path(name, "filters.png").read_bytes() == b"picture"
    for other in (portrait.RECORD, "absent.png", "../filters.png"):
        assert kept.path(name, other) is None
    assert kept.path("absent", "filters.png") is None


def test_replaced_while_drawn(kept, entry, root, record, monkeypatch):
    """The portrait of a module that is replaced meanwhile is not kept as another's."""
    draws(monkeypatch, meanwhile=lambda: hub.put(record, root / HANDLE, content=b"second"))
    assert "replaced" in get(kept, entry)
    hub.put(record, root / HANDLE, content=b"first")
    draws(monkeypatch)
    assert get(kept, entry) == DRAWN


@pytest.mark.parametrize("harm", ["picture", "record", "no_record"])
def test_broken_portrait(kept, entry, monkeypatch, tmp_path, harm):
    """A kept portrait that is not whole is drawn anew."""
    draws(monkeypatch)
    get(kept, entry)
    home = tmp_path / "kept" / portraits.name_of(entry)
    if harm == "picture":
        (home / "00.png").unlink()
    elif harm == "record":
        (home / portrait.RECORD).write_text("{}")
    else:
        (home / portrait.RECORD).unlink()
    assert get(kept, entry) == DRAWN
    assert json.loads((home / portrait.RECORD).read_text()) == json.loads(DRAWN.to_json())


def test_module_that_cannot_be_drawn(kept, entry, root, caplog):
    """Why a module can't be drawn is said without the folders of the machine, and not tried again."""
    reason = get(kept, entry)
    assert "saved_model.pb is no SavedModel" in reason
    assert str(root) not in reason
    assert get(kept, entry) == reason
    assert len(caplog.messages) == 1


def test_no_room(kept, entry, monkeypatch, tmp_path):
    """A portrait that can't be kept is drawn when it can be."""
    (tmp_path / "kept").write_text("no directory")
    draws(monkeypatch)
    assert get(kept, entry) == "They can't be kept now."
    (tmp_path / "kept").unlink()
    assert get(kept, entry) == DRAWN


def test_patience(kept, entry, monkeypatch):
    """Who does not wait for a portrait is told so, and finds it later."""

    async def story():
        go = asyncio.Event()
        draws(monkeypatch)
        run = portraits._run

        async def slow(entry, into):
            await go.wait()
            await run(entry, into)

        monkeypatch.setattr(portraits, "_run", slow)
        impatient = await kept.get(entry, patience=0.01)
        go.set()
        return impatient, await kept.get(entry)

    impatient, later = asyncio.run(story())
    assert "being drawn" in impatient
    assert later == DRAWN
